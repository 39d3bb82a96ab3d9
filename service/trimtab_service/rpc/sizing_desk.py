"""Advises on sizes for callers: the request, the world and the policies go to the engine; sources are read for it.

The same composition serves a call, an item of a batch, a stream and a fleet's chunk.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.preferences import DEFAULT_PREFERENCES, RightsizingPreferences
from trimtab_service.domain.resources import Capacity, CloudResource, OwnOffer
from trimtab_service.domain.rightsizing import Advice
from trimtab_service.policy.attributes import attributes_of_resource
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rightsizing.ports import Reading, TelemetrySources
from trimtab_service.rightsizing.preferences import EffectivePreferences, merge_preferences
from trimtab_service.rightsizing.telemetry import Telemetry
from trimtab_service.rpc.rightsize_parser import RightsizeParser, SizingQuery
from trimtab_service.rpc.sizing_reading import read_all
from trimtab_service.rpc.sizing_work import Pricing, advise_all
from trimtab_service.rpc.world import View, World
from trimtab_service.workers import WorkerPool

_READING_SHARE: Final = 0.8
"""Of the caller's time; the rest is for advising."""

_LONGEST_READ_S: Final = 600.0
_NOTHING: Final = Telemetry(())


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What an advice is priced by: the directory of the catalogue's version, and what the project owns."""

    catalog: Path
    commitments: tuple[Commitment, ...]


class SizingDesk:
    """Advises with the world of this process. Safe to use from many threads."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        world: World,
        sources: TelemetrySources,
        pool: WorkerPool,
        *,
        catalogs: Path,
        clock: Callable[[], datetime],
        point_cap: int,
    ) -> None:
        """`catalogs` holds a directory for each catalogue version; `point_cap` is the most points of one request."""
        self._world = world
        self._sources = sources
        self._pool = pool
        self._catalogs = catalogs
        self._clock = clock
        self._point_cap = point_cap

    def now(self) -> datetime:
        """The instant, by the desk's clock."""
        return self._clock()

    def parser(self, project: str) -> RightsizeParser:
        """Reads requests against the catalogue in force."""
        return RightsizeParser(self._world.view(project).vocabulary, self._point_cap)

    def circumstances(self, project: str) -> Circumstances:
        """The catalogue and the commitments now."""
        view = self._world.view(project)
        return Circumstances(self._catalogs / view.snapshot.version, _commitments(view))

    def effective(
        self, project: str, resource: CloudResource, asked: RightsizingPreferences
    ) -> tuple[EffectivePreferences, EffectivePolicy]:
        """The preferences and the policy that hold for a resource."""
        return _effective(self._world.view(project), project, resource, asked)

    def own_offers(self, project: str, source: str, region: str) -> tuple[OwnOffer, ...]:
        """What types cost in the account behind a source, as the deployment says."""
        return self._sources.own_offers(project, source, region)

    def advise(self, project: str, query: SizingQuery, timeout_s: float) -> Advice:
        """Advise on one resource. A source that fails, or is too slow, is a finding.

        Raises:
            NotFoundError: no such source, or it does not know the resource that only it could describe.
            UnavailableError: no catalogue, or the worker died.
            DeadlineExceededError: a large request was not done in time.

        """
        answer = next(self.advise_all(project, [query], timeout_s))
        if isinstance(answer, TrimtabError):
            raise answer
        return answer

    def advise_all(
        self, project: str, queries: Sequence[SizingQuery], timeout_s: float
    ) -> Iterator[Advice | TrimtabError]:
        """An advice, or why there is none, for each query in order. What one source holds is read at once."""
        ends = time.monotonic() + timeout_s
        instant = self._clock()
        view = self._world.view(project)
        seconds = min(timeout_s * _READING_SHARE, _LONGEST_READ_S)
        readings = read_all(
            queries,
            self._sources,
            project,
            partial(_lookback, view, project),
            instant=instant,
            deadline=instant + timedelta(seconds=seconds),
        )
        cases = [
            _case(view, project, query, reading, self._own_offers(project, query))
            for query, reading in zip(queries, readings, strict=True)
            if isinstance(reading, Reading)
        ]
        pricing = Pricing(view.snapshot, self._catalogs / view.snapshot.version, _commitments(view), instant)
        advices = advise_all(cases, pricing, self._pool, ends - time.monotonic())
        for reading in readings:
            yield next(advices) if isinstance(reading, Reading) else reading

    def _own_offers(self, project: str, query: SizingQuery) -> tuple[OwnOffer, ...]:
        """The caller's prices, or else those of the account that is read."""
        if query.own_offers or not query.source:
            return query.own_offers
        return self._sources.own_offers(project, query.source, query.resource.region)


def _case(
    view: View, project: str, query: SizingQuery, reading: Reading, own_offers: tuple[OwnOffer, ...]
) -> SizingCase:
    preferences, policy = _effective(view, project, reading.resource, query.preferences)
    telemetry = reading.telemetry or _NOTHING
    return SizingCase(
        reading.resource,
        telemetry,
        preferences,
        policy,
        policy.revision,
        reading.missing,
        reading.failure,
        own_offers,
    )


def _effective(
    view: View, project: str, resource: CloudResource, asked: RightsizingPreferences
) -> tuple[EffectivePreferences, EffectivePolicy]:
    attributes = partial(_attributes, view.snapshot, project, resource)
    policy = view.policies.effective(project, resource.workload_id, attributes)
    return merge_preferences(asked, policy), policy


def _lookback(view: View, project: str, resource: CloudResource, query: SizingQuery) -> timedelta:
    """How far back is to be read."""
    preferences, _ = _effective(view, project, resource, query.preferences)
    lookback = preferences.values.lookback or DEFAULT_PREFERENCES.lookback
    if lookback is None:
        raise AssertionError(resource.key)  # the defaults say it
    return lookback


def _attributes(snapshot: CatalogSnapshot, project: str, resource: CloudResource) -> dict[str, object]:
    return attributes_of_resource(project, resource, resource.capacity or _listed_capacity(snapshot, resource))


def _listed_capacity(snapshot: CatalogSnapshot, resource: CloudResource) -> Capacity:
    """What the catalogue says that one instance has, as far as a condition may ask for it."""
    index = snapshot.type_index.get((resource.cloud, resource.instance_type))
    if index is None:
        return Capacity()
    types = snapshot.types
    vcpus, memory, model = float(types.vcpus[index]), float(types.memory_gib[index]), int(types.gpu_model[index])
    return Capacity(
        vcpus=vcpus if math.isfinite(vcpus) else None,
        memory_gib=memory if math.isfinite(memory) else None,
        gpu_model=snapshot.gpu_models[model] if model >= 0 else "",
        gpus=float(types.gpu_count[index]),
    )


def _commitments(view: View) -> tuple[Commitment, ...]:
    """In the order of their ids, so that the same world gives the same advice."""
    owned = view.state.rooms.commitments
    return tuple(commitment for _, commitment in sorted(owned.items(), key=itemgetter(0))) if len(owned) else ()
