"""What the sources of an analysis list: all at once, so that one that hangs costs its own time and not the others'."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Scope, TelemetrySource
from trimtab_service.rpc.side_by_side import SideBySide


@dataclass(frozen=True, slots=True)
class Listing:
    """What one source lists within a scope, or why it could not."""

    source: TelemetrySource
    resources: tuple[CloudResource, ...] = ()
    failure: TrimtabError | None = None


def list_all(
    sources: Sequence[TelemetrySource], scope: Scope, deadline: datetime, is_over: Callable[[], bool]
) -> tuple[Listing, ...]:
    """A listing of each source, in their order, whichever answered first. When `is_over` says so, those that are there.

    Every source is asked from the beginning: none waits for its turn while the deadline comes nearer.
    """
    works = [partial(_one, place, source, scope, deadline) for place, source in enumerate(sources)]
    found = dict(SideBySide(works, most=max(1, len(works)), held=len(works), is_over=is_over))
    return tuple(found[place] for place in sorted(found))


def _one(place: int, source: TelemetrySource, scope: Scope, deadline: datetime) -> Iterator[tuple[int, Listing]]:
    try:
        yield place, Listing(source, tuple(source.inventory(scope, deadline)))
    except TrimtabError as error:
        yield place, Listing(source, failure=error)
