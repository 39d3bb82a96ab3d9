"""What sources know of the resources of a batch, whatever a source does."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.support.fleets import Sources
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.errors import NotFoundError, UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, TelemetrySource, Window
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry
from trimtab_service.rpc.rightsize_parser import NO_PREFERENCES, SizingQuery
from trimtab_service.rpc.sizing_reading import Read, read_all

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SERIES = Telemetry((RawSeries(Metric.CPU, Unit.PERCENT, Statistic.AVERAGE, np.arange(3), np.ones(3)),))


def failed(text: str) -> UnavailableError:
    """What a source raises."""
    return UnavailableError(ErrorReason.SOURCE_FAILED, text)


@dataclass(slots=True)
class Scripted:
    """A TelemetrySource that does as it is told, and notes what it is asked."""

    name: str
    listed: Sequence[CloudResource] = ()
    silent_on: frozenset[str] = frozenset()
    fails_after: int | None = None
    is_down: bool = False
    waits_for: threading.Event | None = None
    kind: SourceKind = SourceKind.SIMULATED
    account: str = "a"
    inventories: list[Scope] = field(default_factory=list)
    windows: list[tuple[Window, int]] = field(default_factory=list)

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """What it lists."""
        self.inventories.append(scope)
        if self.is_down:
            raise failed(f"{self.name} is down")
        yield from self.listed

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """Nothing."""
        return ReadCost()

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """In the opposite order."""
        self.windows.append((window, len(resources)))
        if self.waits_for is not None:
            assert self.waits_for.wait(60)
        for number, resource in enumerate(reversed(resources)):
            if number == self.fails_after:
                raise failed(f"{self.name} broke off")
            if resource.resource_id not in self.silent_on:
                yield Reading(resource, SERIES)

    def spent(self) -> ReadCost:
        """Nothing."""
        return ReadCost()


def resource(own: str, **fields: str) -> CloudResource:
    """A resource of a type that is said."""
    return CloudResource(own, Cloud.AWS, "us-east-1", **({"instance_type": "m5.large"} | fields))  # type: ignore[arg-type] # texts


def of(source: str, *resources: CloudResource) -> list[SizingQuery]:
    """A query for each."""
    return [SizingQuery(one, NO_PREFERENCES, source=source) for one in resources]


def reading(queries: Sequence[SizingQuery], *sources: TelemetrySource) -> list[Read]:
    """Read by day-long look-backs."""
    named = Sources({source.name: source for source in sources})  # type: ignore[misc] # any source will do
    return read_all(
        queries, named, "p", lambda *_: timedelta(days=1), instant=NOW, deadline=NOW + timedelta(seconds=20)
    )


def test_each_query_gets_its_own_reading_in_one_call() -> None:
    """Whatever the order in which a source answers; series brought along are taken as they are."""
    source = Scripted("s")
    queries = [*of("s", resource("a"), resource("b")), SizingQuery(resource("c"), NO_PREFERENCES, SERIES)]
    found = reading(queries, source)
    assert [one.resource.resource_id for one in found if isinstance(one, Reading)] == ["a", "b", "c"]
    assert all(isinstance(one, Reading) and one.telemetry is SERIES for one in found)
    assert source.windows == [(Window(NOW - timedelta(days=1), NOW), 2)]


def test_a_source_that_breaks_off_keeps_what_it_gave() -> None:
    """The rest reads as failed, in its words."""
    found = reading(of("s", resource("a"), resource("b"), resource("c")), Scripted("s", fails_after=2))
    assert [one.failure for one in found if isinstance(one, Reading)] == ["s broke off", "", ""]


def test_a_resource_that_a_source_is_silent_on_reads_as_failed() -> None:
    """No answer is not no data."""
    first, second = reading(of("s", resource("a"), resource("b")), Scripted("s", silent_on=frozenset({"a"})))
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert (bool(first.failure), second.failure) == (True, "")


def test_sources_are_read_side_by_side() -> None:
    """Two that wait for each other both answer, so none waits for the other to end."""
    together = threading.Barrier(2, timeout=60)
    ready = threading.Event()

    @dataclass(slots=True)
    class Meeting(Scripted):
        def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
            together.wait()
            ready.set()
            for one in resources:
                yield Reading(one, SERIES)

    found = reading([*of("s", resource("a")), *of("t", resource("b"))], Meeting("s"), Meeting("t"))
    assert ready.is_set()
    assert [isinstance(one, Reading) and not one.failure for one in found] == [True, True]


def test_a_source_that_is_down_costs_its_own_items_only() -> None:
    """Its resources read as failed, those of another source do not."""
    queries = [*of("s", resource("a", instance_type="")), *of("t", resource("b"))]
    down, well = reading(queries, Scripted("s", is_down=True), Scripted("t"))
    assert isinstance(down, Reading)
    assert isinstance(well, Reading)
    assert (down.failure, well.failure) == ("s is down", "")


def test_resources_named_by_id_are_looked_up_once_a_region() -> None:
    """The inventory says what they are; what the caller knows besides stays; what is not there is not found."""
    listed = [resource("a", account="1"), resource("b", account="2", team="from-tags")]
    source = Scripted("s", listed=listed)
    asked = [
        resource("a", instance_type="", team="mine"),
        resource("b", instance_type=""),
        resource("c", instance_type=""),
    ]
    first, second, third = reading(of("s", *asked), source)
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert (first.resource.account, first.resource.team, first.resource.instance_type) == ("1", "mine", "m5.large")
    assert (second.resource.account, second.resource.team) == ("2", "from-tags")
    assert isinstance(third, NotFoundError)
    assert source.inventories == [Scope(regions=frozenset({(Cloud.AWS, "us-east-1")}))]


def test_a_source_that_is_not_the_projects_is_not_found() -> None:
    """An error of the item, not a failed source: nothing was asked."""
    (found,) = reading(of("other", resource("a")), Scripted("s"))
    assert isinstance(found, NotFoundError)
