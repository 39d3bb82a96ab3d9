"""A fleet analysis in one process, with real stores and workers, over sources that a test can disturb."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.clouds.simulated.fleet import simulated_world
from trimtab_service.clouds.simulated.telemetry import SimulatedTelemetry
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, TelemetrySource, Window
from trimtab_service.rightsizing.preferences import EffectivePreferences, merge_preferences
from trimtab_service.rpc.sizing_desk import Circumstances

PROJECT = "p"
EVERYTHING = Scope()


@dataclass(slots=True)
class DisturbedSource:
    """A TelemetrySource over another one: it counts what is read, and fails, waits or ends the process as told."""

    inner: TelemetrySource
    name: str
    price_nanos: int = 0
    is_down: bool = False
    hangs: threading.Event | None = None
    before_list: Callable[[], object] = lambda: None
    before_read: Callable[[int], None] = lambda number: None
    windows: list[Window] = field(default_factory=list)
    reads: list[str] = field(default_factory=list)
    account: str = "simulated"
    kind: SourceKind = SourceKind.SIMULATED

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """Of the inner source, as this one's account, unless down."""
        self.before_list()
        if self.is_down:
            raise UnavailableError(ErrorReason.SOURCE_FAILED, f"{self.name} does not answer")
        return (replace(one, account=self.name) for one in self.inner.inventory(scope, deadline))

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """One call and one metric a resource."""
        del window
        return ReadCost(len(resources), len(resources), self.price_nanos * len(resources))

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """Of the inner source, counted."""
        self.windows.append(window)
        for resource in resources:
            self.before_read(len(self.reads))
            self.reads.append(resource.key)
            if self.hangs is not None:
                self.hangs.wait(120)
                yield Reading(resource, None, "the deadline passed")
                continue
            yield from self.inner.read([resource], window, deadline)

    def spent(self) -> ReadCost:
        """As estimated, for what was read."""
        return ReadCost(len(self.reads), len(self.reads), self.price_nanos * len(self.reads))


@dataclass(frozen=True, slots=True)
class Sources:
    """TelemetrySources that every project may use."""

    named: dict[str, DisturbedSource]
    cap_nanos: int | None = None

    def of_project(self, project: str) -> Sequence[TelemetrySource]:
        """All."""
        del project
        return [self.named[name] for name in sorted(self.named)]

    def get(self, project: str, name: str) -> TelemetrySource | None:
        """By name."""
        del project
        return self.named.get(name)

    def own_offers(self, project: str, name: str, region: str) -> tuple[OwnOffer, ...]:
        """None."""
        del project, name, region
        return ()

    def max_read_cost_nanos(self, project: str, name: str) -> int | None:
        """The same for all."""
        del project, name
        return self.cap_nanos


@dataclass(frozen=True, slots=True)
class Desk:
    """A CaseDesk without policies or commitments."""

    catalogs: Path
    snapshot: CatalogSnapshot

    def own_offers(self, project: str, source: str, region: str) -> tuple[OwnOffer, ...]:
        """None."""
        del project, source, region
        return ()

    def circumstances(self, project: str) -> Circumstances:
        """The snapshot's directory."""
        del project
        return Circumstances(self.catalogs / self.snapshot.version, ())

    def effective(
        self, project: str, resource: CloudResource, asked: RightsizingPreferences
    ) -> tuple[EffectivePreferences, EffectivePolicy]:
        """What is asked, over the defaults."""
        del project, resource
        return merge_preferences(asked, NO_POLICY), NO_POLICY


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The instant."""
        return self.now

    def advance(self, span: timedelta) -> None:
        """Later."""
        self.now += span


def simulated(clock: Callable[[], datetime], name: str = "sim", *, seed: int = 7, size: int = 24) -> DisturbedSource:
    """A source over a simulated world of its own."""
    return DisturbedSource(SimulatedTelemetry(simulated_world(seed, clock, size), name), name)


def request(*sources: str, **fields: object) -> pb.StartFleetAnalysisRequest:
    """A request for an analysis of sources."""
    return pb.StartFleetAnalysisRequest(parent=f"projects/{PROJECT}", telemetry_sources=sources, **fields)  # type: ignore[arg-type] # fields are passed on
