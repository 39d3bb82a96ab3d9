"""A pass while others write, die, or do not answer: nothing is lost, and nothing wrong is left as a copy."""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.replications import START, Meddled, TwoBuckets, unavailable
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.replication.checksums import Checksums
from trimtab_service.replication.journal import LeaseLostError
from trimtab_service.replication.ports import Head, Reading

LATER = START + timedelta(hours=1)


def _once(change: Callable[[], Any], method: str) -> Callable[[str, tuple[Any, ...]], None]:
    waiting = [change]

    def before(called: str, arguments: tuple[Any, ...]) -> None:
        if called == method and arguments[0] != ".trimtab/canary/copy.json" and waiting:
            waiting.pop()()

    return before


@pytest.mark.parametrize("size", [10, 3_500])
def test_an_object_that_changes_while_it_is_copied_arrives_as_it_is_in_the_end(size: int) -> None:
    """Never bytes of two versions."""
    world = TwoBuckets()
    world.here.write("a", bytes(size))
    change = _once(lambda: world.here.write("a", b"\1" * size), "read")
    world.source = Meddled(world.here, change)
    assert world.run().fault == ""
    assert world.there.content("a") == b"\1" * size


@pytest.mark.parametrize("size", [10, 3_500])
def test_an_object_that_is_deleted_while_it_is_copied_is_no_failure(size: int) -> None:
    """It is gone, and the pass complete."""
    world = TwoBuckets()
    version = world.here.write("a", bytes(size)).version
    change = _once(lambda: world.here.delete("a", version, LATER), "read")
    world.source = Meddled(world.here, change)
    over = world.run()
    assert over.last is not None
    assert (over.last.counts.vanished, over.fault) == (1, "")
    assert "a" not in world.there.keys
    assert world.there.uploads == 0


@pytest.mark.parametrize("method", ["put", "finish"])
def test_what_the_destination_is_given_during_a_copy_is_not_overwritten(method: str) -> None:
    """The condition of the write holds it off, and a second look sees that it is newer."""
    world = TwoBuckets()
    size = 10 if method == "put" else 3_500
    world.here.write("a", bytes(size))
    change = _once(lambda: world.there.write("a", b"theirs"), method)
    world.destination = Meddled(world.there, change)
    assert world.run().fault == ""
    assert world.there.content("a") == b"theirs"
    assert world.there.uploads == 0


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_copy_in_parts_goes_on_where_its_process_died(at: int) -> None:
    """Killed after a part was sent and before that was kept: no part is sent twice."""
    world = TwoBuckets()
    data = random.Random(7).randbytes(3_500)
    world.here.write("big", data)
    sent: list[int] = []

    def count(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "send":
            sent.append(arguments[1].number)

    world.destination = Meddled(world.there, count)

    def die(_: object) -> None:
        if len(sent) == at:
            raise KilledError

    world.journal.on_keep = die
    with pytest.raises(KilledError):
        world.run()
    world.journal.on_keep = lambda _: None
    assert world.run().fault == ""
    assert sent == [1, 2, 3, 4]
    assert world.there.content("big") == data
    assert world.there.uploads == 0


class KilledError(BaseException):
    """The process ended here."""


def test_a_pass_goes_on_where_its_process_died() -> None:
    """Keys that were settled and kept are not looked at again, none is left out, and the canary is the first one's."""
    world = TwoBuckets(page_size=5, concurrency=1)
    for number in range(40):
        world.here.write(f"{number:02}", b"x")
        if number % 3 == 0:
            world.there.write(f"{number:02}-own", b"y")
    listed: list[str] = []

    def die(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "page":
            listed.append(arguments[1])
            if len(listed) == 6:
                raise KilledError

    world.source = Meddled(world.here, die)
    with pytest.raises(KilledError):
        world.run()
    begun = world.journal.progress.current
    assert begun is not None
    assert begun.position.after
    copied = len(world.user_keys(world.there))
    world.there.writes.clear()
    over = world.run()
    assert over.watermark == begun.begin_time
    assert len(world.there.writes) == 40 + 14 - copied + 1
    assert {f"{number:02}" for number in range(40)} <= set(world.there.keys)
    assert over.last is not None
    assert over.last.source_objects == 40


def test_who_lost_the_lease_writes_nothing_more() -> None:
    """The token is compared with every commit, and the hold before every write."""
    world = TwoBuckets()
    world.here.write("a", b"x")
    around = world.around()
    world.journal.token += 1
    with pytest.raises(LeaseLostError):
        world.journal.save(around.held, world.journal.progress)

    def lost() -> None:
        raise LeaseLostError

    world.check = lost
    with pytest.raises(LeaseLostError):
        world.run()
    assert not world.user_keys(world.there)


def test_a_store_that_does_not_answer_ends_the_pass_and_not_one_key_after_another() -> None:
    """With hundreds of keys left, a handful of failures in a row is enough."""
    world = TwoBuckets(page_size=100, concurrency=2)
    for number in range(300):
        world.here.write(f"{number:03}", b"x")
    tried: list[str] = []

    def refuse(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "put":
            tried.append(arguments[0])
            raise unavailable()

    world.destination = Meddled(world.there, refuse)
    with pytest.raises(UnavailableError):
        world.run()
    assert len(tried) < 30


def test_a_fault_of_our_own_costs_one_object_and_not_the_pass() -> None:
    """The others arrive, and the failure says where to look."""
    world = TwoBuckets()

    def break_down(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "put" and arguments[0] == "odd":
            raise LookupError("a bug")

    world.destination = Meddled(world.there, break_down)
    for key in ("a", "odd", "z"):
        world.here.write(key, b"x")
    over = world.run()
    assert world.user_keys(world.there) == ["a", "z"]
    assert over.last is not None
    assert [(one.key, one.cause) for one in over.last.failures] == [("odd", "a fault of trimtab; the log has more")]
    assert over.watermark is None


@pytest.mark.parametrize("size", [10, 3_500])
@pytest.mark.parametrize("side", ["source", "destination"])
def test_bytes_that_are_not_what_a_store_tells_are_never_left_as_a_copy(size: int, side: str) -> None:
    """A checksum that differs: nothing is handed over, or what was is taken away; the key fails and says why."""
    world = TwoBuckets()
    world.here.write("a", b"\1" * size)
    wrong = world.here if side == "source" else world.there

    class Lying:
        """Tells another checksum than that of its bytes."""

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
            return getattr(wrong, name)

        def _lie(self, head: Head) -> Head:
            return replace(head, checksums=Checksums(crc32="00000000")) if head.key == "a" else head

        def head(self, key: str, deadline: datetime) -> Head:
            return self._lie(wrong.head(key, deadline))

        def read(self, *asked: Any) -> Reading:  # noqa: ANN401
            found = wrong.read(*asked)
            return replace(found, head=None if found.head is None else self._lie(found.head))

        def put(self, *asked: Any) -> Head:  # noqa: ANN401
            return self._lie(wrong.put(*asked))

        def finish(self, *asked: Any) -> Head:  # noqa: ANN401
            return self._lie(wrong.finish(*asked))

    setattr(world, side, Lying())
    over = world.run()
    assert over.last is not None
    assert over.last.counts.failed == 1
    assert "crc32" in over.last.failures[0].cause or "did not keep" in over.last.failures[0].cause
    assert "a" not in world.there.keys
    assert world.there.uploads == 0
