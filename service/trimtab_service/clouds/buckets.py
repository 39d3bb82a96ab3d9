"""Ends of replications: which bucket of which account, and the adapter that opens it."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final, cast

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.patience import Patience
from trimtab_service.replication.ports import ObjectStore
from trimtab_service.rightsizing.ports import SourceKind


@dataclass(frozen=True, slots=True)
class BucketEnd:
    """A bucket of an account. `region` is S3's, `storage_account` Azure's, and the bucket its container."""

    account: CloudAccount
    bucket: str
    region: str = ""
    storage_account: str = ""

    @property
    def uri(self) -> str:
        """Which bucket it is: what its adapter tells as well."""
        return BUCKETS[self.account.kind].uri(self)


@dataclass(frozen=True, slots=True)
class Use:
    """What a bucket is opened for: parts of at most so many bytes, so many at once."""

    part_size: int
    concurrency: int


Open = Callable[[BucketEnd, Use, Patience], ObjectStore]
"""Opens a bucket. Calls nothing of a cloud yet."""


@dataclass(frozen=True, slots=True)
class BucketKind:
    """`adapter` is a module with `open_bucket` (`Open`); `needs` are keys of an end that accounts of the kind need."""

    adapter: str
    uri: Callable[[BucketEnd], str]
    needs: tuple[str, ...] = ()


BUCKETS: Final[dict[SourceKind, BucketKind]] = {
    SourceKind.CLOUDWATCH: BucketKind(
        "trimtab_service.clouds.aws.bucket", lambda end: f"s3://{end.bucket}", ("region",)
    ),
    SourceKind.CLOUD_MONITORING: BucketKind("trimtab_service.clouds.gcp.bucket", lambda end: f"gs://{end.bucket}"),
    SourceKind.AZURE_MONITOR: BucketKind(
        "trimtab_service.clouds.azure.bucket",
        lambda end: f"azure://{end.storage_account}/{end.bucket}",
        ("storage_account",),
    ),
    SourceKind.SIMULATED: BucketKind(
        "trimtab_service.clouds.simulated.objects", lambda end: f"simulated://{end.account.name}/{end.bucket}"
    ),
}
"""By the kind of account; those of the others hold no buckets."""


def open_bucket(end: BucketEnd, use: Use, patience: Patience) -> ObjectStore:
    """The bucket; imports its SDK. Raises UnavailableError (SOURCE_FAILED) where a credential cannot be had."""
    adapter = import_module(BUCKETS[end.account.kind].adapter)
    return cast("Open", adapter.open_bucket)(end, use, patience.with_calls_of(end.account.call_timeout))
