"""Every kind of bucket keeps the promises of the port, through the cloud's own client over HTTP."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import pytest

from tests.support.object_stores import PART, Kind, content, fresh_name, running
from trimtab_service.replication.ports import (
    ABSENT,
    Attributes,
    ChangedError,
    GoneError,
    Head,
    ObjectStore,
    Part,
    Upload,
    Whole,
)

KEYS: Final = ("a", "ä b/ö?#%&+.txt", "日本/語", "z\N{ROCKET}", "quote'\"<>")
FULL: Final = Attributes(
    "text/plain; charset=utf-8",
    "gzip",
    'attachment; filename="x"',
    "de",
    "no-cache",
    MappingProxyType({"owner": "vision", "note": "größer =?x", "trimtab_copy": '1 s3://b "v" 2026'}),
)


def later() -> datetime:
    """A deadline that is not reached."""
    return datetime.now(UTC) + timedelta(seconds=60)


@pytest.fixture(scope="module", params=["s3", "gcs", "blob", "blob-fake"])
def kind(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """A server of each kind."""
    with running(request.param) as found:
        yield found


@pytest.fixture
def store(kind: Kind) -> ObjectStore:
    """An empty bucket."""
    return kind.make(fresh_name())


def test_what_is_written_is_read_as_it_was(store: ObjectStore) -> None:
    """Keys of every kind, attributes, checksums, ranges; and what is not there is told as gone."""
    for key in KEYS:
        written = store.put(key, content(key.encode(), FULL), ABSENT, later())
        head = store.head(key, later())
        assert (head.size, head.version, head.attributes) == (len(key.encode()), written.version, FULL)
        assert not head.checksums.faults(content(key.encode()).checksums)
        reading = store.read(key, head.version, 0, None, later())
        assert b"".join(reading.pieces) == key.encode()
    version = store.put("long", content(b"0123456789"), ABSENT, later()).version
    assert b"".join(store.read("long", version, 3, 4, later()).pieces) == b"3456"
    assert store.put("empty", content(b""), ABSENT, later()).size == 0
    with pytest.raises(GoneError):
        store.head("nothing", later())
    with pytest.raises((GoneError, ChangedError)):
        store.read("nothing", version, 0, None, later())


def test_listings_are_in_order_and_come_by_prefix(store: ObjectStore) -> None:
    """With versions and checksums that agree with those of the objects."""
    written = {key: store.put(key, content(key.encode()), ABSENT, later()) for key in (*KEYS, "b/1", "b/2")}
    listed = store.page("", "", later())
    assert listed.next_token == ""
    assert [head.key for head in listed.heads] == sorted(written, key=str.encode)
    for head in listed.heads:
        assert head.version == written[head.key].version
        assert head.checksums.agrees_with(content(head.key.encode()).checksums) is True
    assert [head.key for head in store.page("b/", "", later()).heads] == ["b/1", "b/2"]


def test_more_than_a_page_is_listed_to_its_end(store: ObjectStore) -> None:
    """A thousand and some."""
    keys = [f"{number:04}" for number in range(1_005)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, content(b""), ABSENT, later()), keys))
    found: list[str] = []
    token = ""
    while True:
        listed = store.page("", token, later())
        found += [head.key for head in listed.heads]
        token = listed.next_token
        if not token:
            break
    assert found == keys


def test_conditions_hold_at_the_store(store: ObjectStore) -> None:
    """Nothing is written over, read of, or deleted but the version that was expected."""
    first = store.put("a", content(b"1"), ABSENT, later()).version
    with pytest.raises(ChangedError):
        store.put("a", content(b"2"), ABSENT, later())
    second = store.put("a", content(b"22"), first, later()).version
    for wrong in (lambda: store.put("a", content(b"3"), first, later()), lambda: store.delete("a", first, later())):
        with pytest.raises(ChangedError):
            wrong()
    with pytest.raises(ChangedError):
        list(store.read("a", first, 0, None, later()).pieces)
    with pytest.raises((ChangedError, GoneError)):
        store.put("nothing", content(b"1"), first, later())
    assert b"".join(store.read("a", second, 0, None, later()).pieces) == b"22"
    store.delete("a", second, later())
    with pytest.raises(GoneError):
        store.head("a", later())


def _sent(store: ObjectStore, upload: Upload, data: bytes, numbers: range) -> None:
    for number in numbers:
        start = (number - 1) * PART
        store.send(upload, Part(number, start, data[start : start + PART], len(data)), later())


def _begun(store: ObjectStore, data: bytes, expected: str = ABSENT) -> Upload:
    return Upload("big", store.begin("big", FULL, len(data), expected, later()), PART)


def _finished(store: ObjectStore, upload: Upload, data: bytes, expected: str) -> Head:
    return store.finish(upload, Whole(len(data), content(data).checksums, FULL), expected, later())


def test_parts_become_one_object_and_the_store_tells_how_far_they_are(store: ObjectStore) -> None:
    """As a new process asks it, after each part; then with every attribute and no checksum that differs."""
    data = os.urandom(2 * PART + 1_234)
    upload = _begun(store, data)
    assert store.sent(upload, len(data), later()) == 0
    _sent(store, upload, data, range(1, 2))
    assert store.sent(upload, len(data), later()) == PART
    _sent(store, upload, data, range(2, 4))
    head = _finished(store, upload, data, ABSENT)
    assert (head.size, head.attributes) == (len(data), FULL)
    assert not head.checksums.faults(content(data).checksums)
    assert b"".join(store.read("big", head.version, PART - 2, 4, later()).pieces) == data[PART - 2 : PART + 2]


def test_parts_do_not_overwrite_what_came_meanwhile(store: ObjectStore) -> None:
    """The condition holds when the object is made, and what was sent can be forgotten, twice."""
    data = os.urandom(PART + 10)
    upload = _begun(store, data)
    theirs = store.put("big", content(b"theirs"), ABSENT, later()).version

    def rest() -> None:
        _sent(store, upload, data, range(1, 3))
        _finished(store, upload, data, ABSENT)

    with pytest.raises(ChangedError):
        rest()
    store.discard(upload, later())
    store.discard(upload, later())
    assert store.head("big", later()).version == theirs
    again = _begun(store, data, theirs)
    _sent(store, again, data, range(1, 3))
    assert _finished(store, again, data, theirs).size == len(data)
