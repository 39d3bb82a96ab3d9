"""Copies from S3 to Cloud Storage over a network that breaks: cut, reset, silent, late; and a store that throttles."""

import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.fault_proxy import FaultProxy, Way
from tests.support.object_stores import CRC32C, fresh_name, gcs_bucket, s3_bucket, s3_client, s3_server
from tests.support.replications import RememberedJournal
from tests.support.strict_gcs import StrictGcs
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.copying import Around
from trimtab_service.replication.definition import MIB, Replication
from trimtab_service.replication.passing import Pass
from trimtab_service.replication.progress import Progress

if TYPE_CHECKING:
    from trimtab_service.replication.ports import ObjectStore

SMALL = 12
CALL = timedelta(seconds=60)
SHORT = Patience(longest_call_s=1.0, sleep=lambda seconds: time.sleep(seconds / 10))
"""A call that hangs is given up after a second, and asked again sooner than out there."""


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Copying:
    """A bucket of S3 behind a proxy, one of Cloud Storage behind another, and a journal."""

    def __init__(self, s3_url: str, gcs: StrictGcs, to_s3: FaultProxy, to_gcs: FaultProxy) -> None:
        bucket = fresh_name()
        client: Any = s3_client(s3_url)
        client.create_bucket(Bucket=bucket)
        gcs.create_bucket(bucket)
        rng = random.Random(3)
        self.objects = {f"{number:02}": rng.randbytes(50_000) for number in range(SMALL)}
        self.objects["big"] = rng.randbytes(3 * MIB + 17)
        for key, data in self.objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=data)
        self.to_s3, self.to_gcs, self.gcs = to_s3, to_gcs, gcs
        self.journal = RememberedJournal()
        self.clear: ObjectStore = gcs_bucket(gcs.url, bucket)
        self._definition = Replication(
            name="copy",
            projects=frozenset({"*"}),
            source=f"s3://{bucket}",
            destination=f"gs://{bucket}",
            part_size=MIB,
            concurrency=3,
        )
        self._source = s3_bucket(f"http://127.0.0.1:{to_s3.port}", bucket, SHORT)
        self._destination = gcs_bucket(f"http://127.0.0.1:{to_gcs.port}", bucket, SHORT)

    def run(self, call_time: timedelta = CALL) -> Progress:
        """A pass, from what was kept last."""
        around = Around(
            source=self._source,
            destination=self._destination,
            journal=self.journal,
            held=self.journal.held("copy"),
            bandwidth=Bandwidth(None, lambda: 0.0, lambda _: None),
            part_size=MIB,
            crc32c=CRC32C,
            check=lambda: None,
            clock=now,
            call_time=call_time,
        )
        self.journal.progress = Pass(self._definition, around, self.journal.progress).run()
        return self.journal.progress

    def is_whole(self) -> bool:
        """Whether every object arrived as it is."""
        until = now() + timedelta(seconds=120)
        for key, data in self.objects.items():
            head = self.clear.head(key, until)
            if b"".join(self.clear.read(key, head.version, 0, None, until).pieces) != data:
                return False
        return True


@pytest.fixture
def copying() -> Iterator[Copying]:
    """Everything, and nothing broken yet."""
    with (
        s3_server() as s3_url,
        StrictGcs() as gcs,
        FaultProxy("127.0.0.1", int(s3_url.rpartition(":")[2])) as to_s3,
        FaultProxy("127.0.0.1", gcs.port) as to_gcs,
    ):
        yield Copying(s3_url, gcs, to_s3, to_gcs)


def test_answers_that_break_off_in_the_middle_are_asked_for_again(copying: Copying) -> None:
    """Streams that end after some bytes, of objects and of parts: no copy is short."""
    copying.to_s3.cuts_after, copying.to_s3.times = 20_000, 3
    assert copying.run().fault == ""
    assert copying.is_whole()


def test_writes_whose_answer_is_lost_are_not_made_twice_in_vain(copying: Copying) -> None:
    """The object is there, whatever became of the answer: a second look sees that it is the same."""
    copying.to_gcs.resets_answers, copying.to_gcs.times = True, 5
    assert copying.run().fault == ""
    assert copying.is_whole()


@pytest.mark.parametrize("side", ["s3", "gcs"])
def test_a_store_that_falls_silent_is_given_up_by_the_deadline(copying: Copying, side: str) -> None:
    """Connections stay open and nothing comes: calls end, and are made again."""
    proxy = copying.to_s3 if side == "s3" else copying.to_gcs
    proxy.dropped, proxy.times = frozenset({Way.TO_CLIENT}), 3
    assert copying.run().fault == ""
    assert copying.is_whole()


def test_a_store_that_throttles_is_asked_again_when_it_says(copying: Copying) -> None:
    """429 with Retry-After: nothing fails, and every object arrives."""
    copying.gcs.throttled = 5
    assert copying.run().fault == ""
    assert copying.gcs.throttled == 0
    assert copying.is_whole()


def test_a_network_that_is_late_only_takes_longer(copying: Copying) -> None:
    """Every piece comes later."""
    copying.to_s3.delay_s = copying.to_gcs.delay_s = 0.01
    assert copying.run().fault == ""
    assert copying.is_whole()


def test_a_destination_that_is_gone_ends_the_pass_which_goes_on_when_it_is_back(copying: Copying) -> None:
    """No watermark without it; the canary of the pass is the one of its beginning."""
    copying.to_gcs.refuses = True
    with pytest.raises(UnavailableError):
        copying.run(timedelta(seconds=3))
    begun = copying.journal.progress.current
    assert copying.journal.progress.watermark is None
    assert begun is not None
    copying.to_gcs.heal()
    over = copying.run()
    assert over.watermark == begun.begin_time
    assert copying.is_whole()
