"""The watermark of a copy that is in a bucket of Cloud Storage."""

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from trimtab_service.clouds.canary import stamp_of
from trimtab_service.clouds.gcp.rest import Rest
from trimtab_service.clouds.patience import refused

STORAGE: Final = "storage"
"""Name of the API in `endpoints` of the account."""
BASE_URL: Final = "https://storage.googleapis.com"


@dataclass(frozen=True, slots=True)
class BucketWatermark:
    """Implements `failover.ports.ReplicationTarget` by the canary `key` of the bucket."""

    bucket: str
    key: str
    rest: Rest

    def watermark(self, deadline: datetime) -> datetime | None:
        """As the port says. Raises FailedPreconditionError where the answer is neither an object nor that it is not."""
        path = f"storage/v1/b/{quote(self.bucket, safe='')}/o/{quote(self.key, safe='')}"
        reply = self.rest.get(path, {"alt": "media"}, "reading a canary", deadline)
        if reply.is_ok:
            return stamp_of(reply.document, f"{self.bucket}/{self.key}")
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        raise refused(f"{self.bucket}: Cloud Storage refused to read the canary ({reply.status})")
