"""Reads the resources of one source by chunks: what earlier runs kept, what is new, what failed."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.rightsizing.ports import ReadCost, Reading, TelemetrySource, Window
from trimtab_service.rightsizing.preferences import EffectivePreferences
from trimtab_service.rightsizing.profile import covered_until, merge, pack, unpack
from trimtab_service.rightsizing.telemetry import Telemetry
from trimtab_service.rpc.fleet_progress import SourceCost
from trimtab_service.rpc.fleet_task import FleetBatch, FleetCase
from trimtab_service.rpc.sizing_desk import Circumstances
from trimtab_service.store.profiles import ProfileStore

CHUNK: Final = 200
"""Resources of one commit: small enough that a crash costs little, large enough that commits cost nothing."""

_CHUNK_TIME: Final = timedelta(minutes=5)
_PATIENCE: Final = 2
"""Chunks that fail whole, one after the other, before a source is given up for the rest of the run."""
_OVERLAP: Final = timedelta(hours=3)
"""Clouds still correct the points of the last hours; they are read again."""
_NOTHING: Final = Telemetry(())


class CaseDesk(Protocol):
    """Prepares cases: the world of a project, and what its policies say of one resource."""

    def circumstances(self, project: str) -> Circumstances:
        """The catalogue and the commitments now."""
        ...

    def effective(
        self, project: str, resource: CloudResource, asked: RightsizingPreferences
    ) -> tuple[EffectivePreferences, EffectivePolicy]:
        """What holds for a resource."""
        ...

    def own_offers(self, project: str, source: str, region: str) -> tuple[OwnOffer, ...]:
        """What types cost in the account behind a source."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Resources of one source as read: the workers' batch, the profiles to keep, what reading took."""

    batch: FleetBatch
    profiles: dict[str, bytes]
    cost: SourceCost


@dataclass(frozen=True, slots=True)
class SourceReader:
    """One source of one project."""

    project: str
    source: TelemetrySource
    asked: RightsizingPreferences
    desk: CaseDesk
    profiles: ProfileStore
    clock: Callable[[], datetime]
    size: int = CHUNK

    def chunks(self, resources: Sequence[CloudResource]) -> Iterator[Chunk]:
        """All of them, in order. A source that does not answer is given up: its other resources then read as failed."""
        failed_in_a_row = 0
        for begin in range(0, len(resources), self.size):
            chunk = self._chunk(resources[begin : begin + self.size], is_given_up=failed_in_a_row >= _PATIENCE)
            yield chunk
            is_failed = all(case.failure for case in chunk.batch.cases)
            failed_in_a_row = failed_in_a_row + 1 if is_failed else 0

    def _chunk(self, resources: Sequence[CloudResource], *, is_given_up: bool) -> Chunk:
        instant = self.clock()
        held = {one.key: self.desk.effective(self.project, one, self.asked) for one in resources}
        lookback = max(preferences.values.lookback or timedelta() for preferences, _ in held.values())
        whole = Window(instant - lookback, instant)
        kept = self._kept(resources)
        before = self.source.spent()
        readings = self._given_up(resources) if is_given_up else self._readings(resources, kept, whole)
        cases: list[FleetCase] = []
        profiles: dict[str, bytes] = {}
        for reading in readings:
            key = reading.resource.key
            profile = pack(merge(kept.get(key, _NOTHING), reading.telemetry or _NOTHING, int(whole.start.timestamp())))
            if not reading.failure:
                profiles[key] = profile
            own = self.desk.own_offers(self.project, self.source.name, reading.resource.region)
            cases.append(FleetCase(reading.resource, profile, reading.failure, reading.missing, *held[key], own))
        circumstances = self.desk.circumstances(self.project)
        batch = FleetBatch(circumstances.catalog, self.source.name, tuple(cases), circumstances.commitments, instant)
        return Chunk(batch, profiles, _cost(self.source.name, before, self.source.spent()))

    def _readings(
        self, resources: Sequence[CloudResource], kept: dict[str, Telemetry], whole: Window
    ) -> Iterator[Reading]:
        deadline = whole.end + _CHUNK_TIME
        unknown = [one for one in resources if one.key not in kept]
        known = [one for one in resources if one.key in kept]
        if unknown:
            yield from self.source.read(unknown, whole, deadline)
        if known:
            # Resources of one chunk were mostly read together before, so one window serves them all.
            since = min(stamp for one in known if (stamp := covered_until(kept[one.key])) is not None)
            start = max(whole.start, datetime.fromtimestamp(since, UTC) - _OVERLAP)
            yield from self.source.read(known, Window(start, whole.end), deadline)

    def _given_up(self, resources: Sequence[CloudResource]) -> Iterator[Reading]:
        why = f"{self.source.name} was given up: it failed for {_PATIENCE * self.size} resources in a row"
        return (Reading(one, None, why) for one in resources)

    def _kept(self, resources: Sequence[CloudResource]) -> dict[str, Telemetry]:
        """What earlier runs left; a profile that cannot be read, or without points, is as none."""
        stored = self.profiles.load(self.project, self.source.name, [one.key for one in resources])
        kept: dict[str, Telemetry] = {}
        for key, body in stored.items():
            try:
                telemetry = unpack(body)
            except ValueError:
                continue
            if covered_until(telemetry) is not None:
                kept[key] = telemetry
        return kept


def cost_of(source: str, cost: ReadCost) -> SourceCost:
    """As it is kept."""
    return SourceCost(source, cost.api_calls, cost.metrics, cost.cost_nanos)


def _cost(source: str, before: ReadCost, after: ReadCost) -> SourceCost:
    return SourceCost(
        source,
        after.api_calls - before.api_calls,
        after.metrics - before.metrics,
        after.cost_nanos - before.cost_nanos,
    )
