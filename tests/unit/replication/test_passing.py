"""A pass makes the destination what the source is, and never undoes what was written to the destination itself."""

import random
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.replications import START, Meddled, Ticking, TwoBuckets
from trimtab_service.replication.alignment import MOST_TOGETHER, Position
from trimtab_service.replication.alignment import START as FIRST
from trimtab_service.replication.canary import read_canary
from trimtab_service.replication.definition import Deletes
from trimtab_service.replication.differences import Difference, Differing, compare
from trimtab_service.replication.ports import Attributes, NotAcceptedError
from trimtab_service.replication.stamps import STAMP, stamp_of, unstamped

LATER = START + timedelta(hours=1)
ODD_KEYS = ("a", "a b", "ä/ö", "日本/語.bin", "z\N{ROCKET}", "\uffee", "..//x", "per%20cent", "+", "'\"<>&", "tab\tkey")
FULL = Attributes(
    content_type="text/plain; charset=utf-8",
    content_encoding="gzip",
    content_disposition='attachment; filename="x"',
    content_language="de",
    cache_control="no-cache",
    metadata=MappingProxyType({"owner": "vision", "note": "größer"}),
)


def test_everything_of_every_page_arrives_once_as_it_is() -> None:
    """Pages, empty objects, odd keys, several parts, metadata; a second pass writes nothing but its canary."""
    world = TwoBuckets()
    for number in range(23):
        world.here.write(f"many/{number:02}", bytes(number))
    for key in ODD_KEYS:
        world.here.write(key, key.encode(), FULL)
    world.here.write("big", random.Random(1).randbytes(4_321), FULL)
    over = world.run()
    assert over.fault == ""
    assert world.user_keys(world.there) == world.user_keys(world.here)
    for key in world.user_keys(world.here):
        assert world.there.content(key) == world.here.content(key)
        theirs, ours = (bucket.head(key, LATER).attributes for bucket in (world.there, world.here))
        assert theirs is not None
        assert unstamped(theirs) == ours
    assert over.last is not None
    assert (over.last.counts.copied, over.last.source_objects) == (23 + len(ODD_KEYS) + 1,) * 2
    world.there.writes.clear()
    again = world.run()
    assert world.there.writes == [world.definition.canary]
    assert again.last is not None
    assert again.last.counts.same == over.last.counts.copied
    assert world.there.uploads == 0
    assert not world.journal.kept


def test_a_pass_tells_the_age_of_the_copy_by_its_canary() -> None:
    """The canary at the destination has the time of the beginning of the pass, and the journal the same."""
    world = TwoBuckets()
    world.here.write("a", b"1")
    over = world.run()
    found = read_canary(world.there, world.definition.canary, LATER)
    assert found is not None
    assert found.time == over.watermark == over.complete_since
    world.here.write("b", b"2")
    assert world.run().watermark > found.time  # type: ignore[operator] # a pass without failure has one


def test_what_cannot_be_copied_holds_back_the_canary_and_nothing_else() -> None:
    """One key that the destination refuses: the others arrive, the watermark stays, and the fault names the key."""
    world = TwoBuckets()
    before = world.run().watermark

    def refuse(method: str, arguments: tuple[Any, ...]) -> None:
        if method == "put" and arguments[0] == "bad":
            raise NotAcceptedError("no such keys here")

    world.destination = Meddled(world.there, refuse)
    for key in ("a", "bad", "c"):
        world.here.write(key, b"x")
    over = world.run()
    assert world.user_keys(world.there) == ["a", "c"]
    assert over.watermark == before
    assert "'bad'" in over.fault
    assert over.last is not None
    assert [(one.key, one.cause) for one in over.last.failures] == [("bad", "no such keys here")]
    world.destination = world.there
    assert world.run().fault == ""
    assert "bad" in world.there.keys


def test_the_newer_side_is_never_replaced_by_the_older_one() -> None:
    """Written at the destination after the source, or for itself at all: it stays, and the comparison says so."""
    world = TwoBuckets()
    world.here.write("both", b"old")
    world.there.write("both", b"newer")
    world.there.write("own", b"mine")
    over = world.run()
    assert world.there.content("both") == b"newer"
    assert world.there.content("own") == b"mine"
    assert over.last is not None
    assert (over.last.counts.newer_there, over.last.counts.extra) == (1, 1)
    world.here.write("both", b"newest")
    world.run()
    assert world.there.content("both") == b"newest"


def test_a_copy_that_its_user_changes_at_the_destination_is_an_original_of_its_own() -> None:
    """Even with the stamp taken over into new content."""
    world = TwoBuckets()
    world.here.write("a", b"first")
    world.run()
    stamped = world.there.head("a", LATER).attributes
    world.there.write("a", b"other", stamped)
    world.run()
    assert world.there.content("a") == b"other"
    assert stamp_of(world.there.head("a", LATER)) is None


def test_the_other_way_brings_back_what_is_newer_and_only_that() -> None:
    """After a failover: what was written there arrives here; what was written here last and never arrived stays."""
    world = TwoBuckets()
    world.here.write("a", b"a1")
    world.here.write("b", b"b1")
    world.run()
    world.here.write("b", b"b2, which never arrived")
    world.there.write("a", b"a2")
    world.there.write("new", b"n")
    world.turn()
    world.here.writes.clear()
    over = world.run()
    assert sorted(set(world.here.writes) - {world.definition.canary}) == ["a", "new"]
    assert world.here.content("a") == b"a2"
    assert world.here.content("b") == b"b2, which never arrived"
    assert over.last is not None
    assert over.last.counts.newer_there == 1
    # And back again: the copies of copies are known for what they are.
    world.turn()
    world.there.writes.clear()
    world.run()
    assert sorted(set(world.there.writes) - {world.definition.canary}) == ["b"]


@pytest.mark.parametrize(
    ("deletes", "left", "marks"), [(Deletes.KEEP, True, 0), (Deletes.PROPAGATE, False, 0), (Deletes.MARK, True, 1)]
)
def test_deletions_go_the_way_that_was_chosen(deletes: Deletes, left: bool, marks: int) -> None:
    """Only copies are deleted or marked, once; what was written to the destination itself stays."""
    world = TwoBuckets(deletes=deletes)
    for key in ("gone", "kept"):
        world.here.write(key, b"x")
    world.there.write("own", b"mine")
    world.run()
    world.here.delete("gone", world.here.head("gone", LATER).version, LATER)
    world.run()
    world.run()
    assert ("gone" in world.there.keys) is left
    assert "own" in world.there.keys
    assert sum(key.startswith(f"{world.definition.reserved}deleted/") for key in world.there.keys) == marks
    if marks:
        assert sum("deleted/" in key for key in world.there.writes) == 1


def test_a_source_that_shows_nothing_deletes_nothing() -> None:
    """An empty listing is more likely a wrong bucket than the end of all objects."""
    world = TwoBuckets(deletes=Deletes.PROPAGATE)
    world.here.write("a", b"x")
    world.run()
    world.here.delete("a", world.here.head("a", LATER).version, LATER)
    world.run()
    assert world.user_keys(world.there) == ["a"]


def test_many_copies_before_the_first_original_are_deleted_in_one_pass() -> None:
    """What is left over is told in pieces, and the source shows something though its first key comes after them."""
    world = TwoBuckets(deletes=Deletes.PROPAGATE)
    keys = [f"a/{number:04}" for number in range(MOST_TOGETHER + 5)]
    for key in (*keys, "z"):
        world.here.write(key, b"")
    world.run()
    for key in keys:
        world.here.delete(key, world.here.head(key, LATER).version, LATER)
    over = world.run()
    assert world.user_keys(world.there) == ["z"]
    assert over.last is not None
    assert (over.last.counts.deleted, over.last.source_objects) == (len(keys), 1)


def test_metadata_that_changes_without_its_content_is_copied() -> None:
    """The same bytes with other metadata, written since the last pass."""
    world = TwoBuckets()
    world.here.write("a", b"x", FULL)
    world.run()
    world.here.write("a", b"x", Attributes("text/html"))
    world.run()
    theirs = world.there.head("a", LATER).attributes
    assert theirs is not None
    assert theirs.content_type == "text/html"
    assert set(theirs.metadata) == {STAMP}


def test_a_comparison_of_two_sides_that_are_alike_is_answered_in_time() -> None:
    """However many objects there are: it tells how far it came, and goes on from there."""
    world = TwoBuckets(page_size=2)
    for key in "abcdef":
        world.here.write(key, b"x")
    world.run()
    position: Position | None = FIRST
    totals = parts = 0
    while position is not None:
        some = compare(world.definition, (world.here, world.there), position, 100, LATER, is_late=lambda: True)
        assert not some.differing
        position, totals, parts = some.then, totals + some.source_objects, parts + 1
    assert (totals, parts > 1) == (6, True)


def test_the_comparison_tells_every_difference_and_changes_nothing() -> None:
    """Missing, extra, changed and newer there, over pages, in order; totals are of both listings."""
    world = TwoBuckets(page_size=2)
    for key in ("a", "b", "c", "d"):
        world.here.write(key, key.encode())
    world.run()
    world.here.write("b", b"changed")
    world.there.write("c", b"theirs")
    world.here.write("m", b"missing")
    world.there.write("x", b"extra")
    world.there.writes.clear()
    found: list[Differing] = []
    position, totals = FIRST, 0
    while True:
        some = compare(world.definition, (world.here, world.there), position, 1, LATER)
        found += some.differing
        totals += some.source_objects
        if some.then is None:
            break
        position = some.then
    assert [(one.key, one.difference) for one in found] == [
        ("b", Difference.CHANGED),
        ("c", Difference.NEWER_AT_DESTINATION),
        ("m", Difference.MISSING),
        ("x", Difference.EXTRA),
    ]
    assert totals == 5
    assert world.there.writes == []


KEYS = st.sampled_from(["a", "b", "b/c", "ä", "z\N{ROCKET}"])
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["here", "there", "run", "turn"]), KEYS, st.binary(max_size=2_500)),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(actions=ACTIONS)
def test_whatever_is_written_the_last_writer_of_each_key_counts(actions: list[tuple[str, str, bytes]]) -> None:
    """A model of last writers: after a pass the destination has, of each key, whatever was written last anywhere."""
    world = TwoBuckets(clock=Ticking(), page_size=2)
    newest: dict[str, bytes] = {}
    for action, key, data in actions:
        if action == "here":
            world.here.write(key, data)
        elif action == "there":
            world.there.write(key, data)
        elif action == "run":
            world.run()
        elif action == "turn":
            world.run()
            world.turn()
        if action in {"here", "there"}:
            newest[key] = data
    world.run()
    world.turn()
    world.run()
    for key, data in newest.items():
        assert world.here.content(key) == data
        assert world.there.content(key) == data
