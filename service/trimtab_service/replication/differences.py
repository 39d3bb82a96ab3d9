"""What differs between the two sides, page by page: read from both, taken from no journal, and nothing is changed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from trimtab_service.replication.alignment import Pair, Position, Stretch, align
from trimtab_service.replication.deciding import Verdict, decide, same_as_listed
from trimtab_service.replication.definition import Replication
from trimtab_service.replication.ports import GoneError, Head, Listed, ObjectStore


class Difference(StrEnum):
    """How a key differs."""

    MISSING = "missing"
    """Only at the source."""
    EXTRA = "extra"
    """Only at the destination."""
    CHANGED = "changed"
    """Content or metadata at the source is newer."""
    NEWER_AT_DESTINATION = "newer_at_destination"
    """The destination was written later: it is not replaced."""


@dataclass(frozen=True, slots=True)
class Differing:
    """One key; sizes are None where there is none."""

    key: str
    difference: Difference
    source_size: int | None
    destination_size: int | None
    source_time: datetime | None
    destination_time: datetime | None


@dataclass(frozen=True, slots=True)
class Compared:
    """Some keys in order. `then`: where to go on; None: all were compared."""

    differing: tuple[Differing, ...]
    source_objects: int
    source_bytes: int
    destination_objects: int
    destination_bytes: int
    then: Position | None


def _never() -> bool:
    return False


def compare(  # noqa: PLR0913 - what, where, from where on, how much and how long
    definition: Replication,
    stores: tuple[ObjectStore, ObjectStore],
    start: Position,
    most: int,
    deadline: datetime,
    *,
    is_late: Callable[[], bool] = _never,
) -> Compared:
    """Compare from a position on, until `most` differences or more were found in whole pages, or it is late.

    Two sides that are alike have no difference to stop at, so whoever waits is answered in between. What the listings
    leave open is asked by key. Raises UnavailableError (SOURCE_FAILED).
    """
    found: list[Differing] = []
    totals = [0, 0, 0, 0]
    then: Position | None = None
    for stretch in _stretches(definition, stores, start, deadline):
        for pair in stretch.pairs:
            for at, head in ((0, pair.source), (2, pair.destination)):
                totals[at] += head is not None
                totals[at + 1] += 0 if head is None else head.size
            difference = _difference(pair, stores, deadline)
            if difference is not None:
                found.append(_differing(pair, difference))
        then = stretch.then
        if len(found) >= most or is_late():
            break
    else:
        then = None
    return Compared(tuple(found), totals[0], totals[1], totals[2], totals[3], then)


def _stretches(
    definition: Replication, stores: tuple[ObjectStore, ObjectStore], start: Position, deadline: datetime
) -> Iterator[Stretch]:
    def page(store: ObjectStore, token: str) -> Listed:
        listed = store.page(definition.prefix, token, deadline)
        own = definition.reserved
        return replace(listed, heads=tuple(one for one in listed.heads if not one.key.startswith(own)))

    return align(lambda token: page(stores[0], token), lambda token: page(stores[1], token), start)


def _difference(pair: Pair, stores: tuple[ObjectStore, ObjectStore], deadline: datetime) -> Difference | None:
    if pair.source is not None and pair.destination is not None and same_as_listed(pair.source, pair.destination, None):
        return None
    here, there = (_head(store, pair.key, deadline) for store in stores)
    if here is None or there is None:
        if here is None and there is None:
            return None
        return Difference.MISSING if there is None else Difference.EXTRA
    match decide(here, there, stores[0].uri, stores[1].uri):
        case Verdict.SAME:
            return None
        case Verdict.COPY:
            return Difference.CHANGED
        case Verdict.NEWER_THERE:
            return Difference.NEWER_AT_DESTINATION


def _head(store: ObjectStore, key: str, deadline: datetime) -> Head | None:
    try:
        return store.head(key, deadline)
    except GoneError:
        return None


def _differing(pair: Pair, difference: Difference) -> Differing:
    source, destination = pair.source, pair.destination
    return Differing(
        pair.key,
        difference,
        None if source is None else source.size,
        None if destination is None else destination.size,
        None if source is None else source.modified,
        None if destination is None else destination.modified,
    )
