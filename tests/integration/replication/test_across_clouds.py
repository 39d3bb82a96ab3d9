"""Whole passes between every two kinds of store, there and back: nothing is lost, and nothing is copied in vain."""

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import pytest

from tests.support.object_stores import CRC32C, PART, Kind, content, fresh_name, running
from tests.support.replications import RememberedJournal
from trimtab_service.clouds.simulated.objects import SimulatedBucket
from trimtab_service.replication.alignment import START
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.canary import read_canary
from trimtab_service.replication.copying import Around, copy_object
from trimtab_service.replication.definition import Deletes, Replication
from trimtab_service.replication.differences import compare
from trimtab_service.replication.passing import Pass
from trimtab_service.replication.ports import ABSENT, Attributes, GoneError, ObjectStore
from trimtab_service.replication.progress import UNBEGUN, Progress
from trimtab_service.replication.stamps import unstamped

KEYS: Final = ("a", "ä b/ö?#%&+.txt", "日本/語", "z\N{ROCKET}", "\N{BRAIN}", "\uffee", "empty")
WAYS: Final = (("s3", "gcs"), ("gcs", "s3"), ("s3", "blob"), ("blob", "gcs"), ("gcs", "blob"), ("blob", "s3"))
FULL: Final = Attributes(
    "text/plain; charset=utf-8",
    "",
    "attachment",
    "de",
    "no-cache",
    MappingProxyType({"owner": "vision", "note": "größer"}),
)


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def soon() -> datetime:
    """A deadline that is not reached."""
    return now() + timedelta(seconds=60)


class Two:
    """A replication between two stores, pass by pass."""

    def __init__(self, source: ObjectStore, destination: ObjectStore) -> None:
        self.source, self.destination = source, destination
        self.journal = RememberedJournal()

    @property
    def definition(self) -> Replication:
        """As it is configured."""
        return Replication(
            name="copy",
            projects=frozenset({"*"}),
            source=self.source.uri,
            destination=self.destination.uri,
            deletes=Deletes.PROPAGATE,
            part_size=PART,
            concurrency=4,
        )

    def around(self) -> Around:
        """What a pass works with."""
        return Around(
            source=self.source,
            destination=self.destination,
            journal=self.journal,
            held=self.journal.held("copy"),
            bandwidth=Bandwidth(None, lambda: 0.0, lambda _: None),
            part_size=PART,
            crc32c=CRC32C,
            check=lambda: None,
            clock=now,
            call_time=timedelta(seconds=60),
        )

    def run(self) -> Progress:
        """One pass; it must be complete."""
        self.journal.progress = Pass(self.definition, self.around(), self.journal.progress).run()
        assert self.journal.progress.fault == ""
        return self.journal.progress

    def turn(self) -> None:
        """The other way."""
        self.source, self.destination = self.destination, self.source
        self.journal.progress = UNBEGUN


def read(store: ObjectStore, key: str) -> bytes:
    """The content of an object."""
    head = store.head(key, soon())
    return b"".join(store.read(key, head.version, 0, None, soon()).pieces) if head.size else b""


@pytest.fixture(scope="module")
def kinds() -> Iterator[dict[str, Kind]]:
    """A server of each kind."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(running(name)) for name in ("s3", "gcs", "blob")}


@pytest.mark.parametrize("way", WAYS, ids="-".join)
def test_a_bucket_goes_there_and_back(kinds: dict[str, Kind], way: tuple[str, str]) -> None:
    """Content, attributes, odd keys, empty and large objects; then changes of the other side, and a deletion."""
    here, there = (kinds[name].make(fresh_name()) for name in way)
    two = Two(here, there)
    data = {key: b"" if key == "empty" else key.encode() for key in KEYS}
    for key in KEYS:
        here.put(key, content(data[key], FULL), ABSENT, soon())
    data["big"] = random.Random(1).randbytes(PART + 1_234)
    _write_in_parts(here, data["big"])
    first = two.run()
    assert first.last is not None
    assert first.last.counts.copied == len(data)
    for key, wanted in data.items():
        assert read(there, key) == wanted
        attributes = there.head(key, soon()).attributes
        assert attributes is not None
        assert unstamped(attributes) == FULL
    canary = read_canary(there, two.definition.canary, soon())
    assert canary is not None
    assert canary.time == first.watermark

    again = two.run()
    assert again.last is not None
    # A store that lists in another order has some keys looked at twice.
    assert again.last.counts.same >= len(data)
    assert (again.last.counts.copied, again.last.counts.newer_there, again.last.counts.deleted) == (0, 0, 0)
    assert compare(two.definition, (here, there), START, 100, soon()).differing == ()

    _write_after(there, "a", b"newer", here.head("a", soon()).modified)
    there.put("new", content(b"new", FULL), ABSENT, soon())
    two.turn()
    back = two.run()
    assert back.last is not None
    assert (back.last.counts.copied, back.last.counts.newer_there, back.last.counts.deleted) == (2, 0, 0)
    assert (read(here, "a"), read(here, "new")) == (b"newer", b"new")

    there.delete("new", there.head("new", soon()).version, soon())
    assert two.run().complete_since is not None
    with pytest.raises(GoneError):
        here.head("new", soon())


def _write_after(store: ObjectStore, key: str, data: bytes, instant: datetime) -> None:
    """Stores tell times in whole seconds, and what is as old as the other side's gives way to it."""
    store.put(key, content(data, FULL), store.head(key, soon()).version, soon())
    while store.head(key, soon()).modified <= instant:
        time.sleep(0.05)
        store.put(key, content(data, FULL), store.head(key, soon()).version, soon())


def _write_in_parts(store: ObjectStore, data: bytes) -> None:
    """As an application does with what is large: through a copy from a bucket in memory."""
    memory = SimulatedBucket("memory", now)
    memory.write("big", data, FULL)
    copy_object(Two(memory, store).around(), memory.head("big", soon()), ABSENT)
    head = store.head("big", soon())
    assert head.size == len(data)
