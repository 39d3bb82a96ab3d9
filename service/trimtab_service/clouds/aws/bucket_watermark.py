"""The watermark of a copy that is in a bucket of S3."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from botocore.exceptions import BotoCoreError

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.canary import LONGEST, parsed, stamp_of
from trimtab_service.clouds.patience import refused, source_failed

_MISSING: Final = frozenset({"NoSuchKey"})


@dataclass(frozen=True, slots=True)
class BucketWatermark:
    """Implements `failover.ports.ReplicationTarget` by the canary `key` of the bucket."""

    bucket: str
    key: str
    region: str
    calls: AwsCalls

    def watermark(self, deadline: datetime) -> datetime | None:
        """As the port says. Raises FailedPreconditionError where there is no such bucket."""
        asked = {"Bucket": self.bucket, "Key": self.key}
        try:
            answer = self.calls.call("s3", self.region, "GetObject", asked, deadline)
        except RefusedError as error:
            if error.code in _MISSING:
                return None
            raise refused(str(error)) from error
        where = f"{self.bucket}/{self.key}"
        try:
            data = answer["Body"].read(LONGEST)
        except (BotoCoreError, OSError) as error:
            raise source_failed(f"{where}: the answer of S3 was cut off ({type(error).__name__})") from error
        return stamp_of(parsed(data, where), where)
