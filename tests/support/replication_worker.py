"""A process that copies from S3 to Cloud Storage until a pass is complete. It is there to be killed and stopped.

`python -m tests.support.replication_worker JOB`, where `JOB` is a `Job` as JSON.
"""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from tests.support.object_stores import CRC32C, gcs_bucket, s3_bucket
from trimtab_service.replication.definition import Deletes, Replication
from trimtab_service.replication.opening import Opened, Replications
from trimtab_service.replication.runner import Pacing, ReplicationRunner
from trimtab_service.store.engines import open_database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.replications import ReplicationStore
from trimtab_service.store.writer import GroupCommitWriter

NAME = "models"
CONCURRENCY = 2
PART = 1 << 20
SHORT = Pacing(
    lease=timedelta(seconds=1.5),
    heartbeat=timedelta(seconds=0.4),
    poll=timedelta(seconds=0.05),
    call_time=timedelta(seconds=60),
    after_fault=timedelta(seconds=0.2),
)


@dataclass(frozen=True, slots=True)
class Job:
    """What is copied, and where that is kept."""

    dsn: str
    s3_url: str
    gcs_url: str
    bucket: str

    @property
    def definition(self) -> Replication:
        """As a file would have it."""
        return Replication(
            name=NAME,
            projects=frozenset({"*"}),
            source=f"s3://{self.bucket}",
            destination=f"gs://{self.bucket}",
            deletes=Deletes.PROPAGATE,
            part_size=PART,
            concurrency=CONCURRENCY,
            every=timedelta(seconds=1),
            rpo_target=timedelta(seconds=60),
        )

    def opened(self) -> Opened:
        """With both buckets, as the service has them."""
        source, destination = s3_bucket(self.s3_url, self.bucket), gcs_bucket(self.gcs_url, self.bucket)
        return Opened(self.definition, lambda: source, lambda: destination)


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def spawn(job: Job) -> "subprocess.Popen[bytes]":
    """The process."""
    return subprocess.Popen([sys.executable, "-m", "tests.support.replication_worker", json.dumps(asdict(job))])


def key(method: str) -> RequestKey:
    """Of a request that is not remembered."""
    return RequestKey("p", method, "", b"")


def main() -> None:
    """Copy; end when a pass is complete that began after this process did, or when it is paused."""
    job = Job(**json.loads(sys.argv[1]))
    database = open_database(job.dsn)
    store = ReplicationStore(database, GroupCommitWriter(database), clock=now)
    runner = ReplicationRunner(
        store, Replications([job.opened()]), owner="worker", clock=now, crc32c=CRC32C, pacing=SHORT
    )
    runner.start()
    while True:
        standing = store.standing(NAME)
        if not standing.is_active or standing.progress.watermark is not None:
            break
        time.sleep(0.05)
    runner.close()


if __name__ == "__main__":
    main()
