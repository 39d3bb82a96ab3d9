"""Wires the lifecycle of recommendations: what is carried out, measured, swept."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.config import Settings
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Actuators
from trimtab_service.recommendations.preconditions import ApprovalRule
from trimtab_service.rightsizing.ports import TelemetrySources
from trimtab_service.rightsizing.present import Present, present_of
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.recommendation_runner import Conduct, Runner
from trimtab_service.rpc.recommendation_sweeper import Sweeper
from trimtab_service.rpc.recommendation_verifier import Verifier
from trimtab_service.rpc.recommendations import RecommendationServicer
from trimtab_service.rpc.size_measure import measure_size
from trimtab_service.rpc.sizing_desk import SizingDesk
from trimtab_service.rpc.world import World
from trimtab_service.store.engines import Database
from trimtab_service.store.recommendation_applying import ApplyStore
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.writer import GroupCommitWriter

_NOTHING_ASKED: Final = RightsizingPreferences()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """What is there before the lifecycle is. `sweeps`: of several workers the first looks after what is due."""

    settings: Settings
    world: World
    database: Database
    writer: GroupCommitWriter
    recommendations: RecommendationStore
    desk: SizingDesk
    sources: TelemetrySources
    actuators: Actuators
    clock: Callable[[], datetime]
    new_id: NewId
    sweeps: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The servicer, and how it ends."""

    servicer: RecommendationServicer
    close: tuple[Callable[[], None], ...]


def assemble(rooms: Rooms) -> Lifecycle:
    """The lifecycle, running: what a process left half done is taken up when its lease has ended."""
    settings = rooms.settings
    runner = Runner(
        rooms.recommendations,
        ApplyStore(rooms.database, rooms.writer, settings.apply_lease),
        rooms.actuators,
        partial(_rule_of, rooms.desk),
        Conduct(settings.change_windows, settings.apply_timeout),
        clock=rooms.clock,
    )
    snapshot = partial(_snapshot, rooms.world)
    verifier = Verifier(
        rooms.recommendations,
        rooms.sources,
        partial(measure_size, snapshot),
        partial(_price_of, snapshot, rooms.clock),
        clock=rooms.clock,
        new_id=rooms.new_id,
        point_cap=settings.sizing_points,
    )
    sweeper = Sweeper(
        rooms.recommendations,
        runner,
        verifier,
        clock=rooms.clock,
        every_s=min(settings.apply_lease.total_seconds(), 30.0),
    )
    if rooms.sweeps:
        sweeper.start()
    servicer = RecommendationServicer(
        rooms.recommendations,
        runner,
        verifier,
        clock=rooms.clock,
        poll_s=settings.poll_interval.total_seconds(),
    )
    return Lifecycle(servicer=servicer, close=(sweeper.close, runner.close))


def _rule_of(desk: SizingDesk, project: str, resource: CloudResource) -> ApprovalRule:
    _, policy = desk.effective(project, resource, _NOTHING_ASKED)
    return ApprovalRule(policy.apply_approval_threshold_micros, policy.apply_approval_source)


def _snapshot(world: World) -> CatalogSnapshot:
    return world.view("").snapshot


def _price_of(
    snapshot: Callable[[], CatalogSnapshot], clock: Callable[[], datetime], resource: CloudResource
) -> int | None:
    """The list price of one instance now; a container has none."""
    if resource.kind is ResourceKind.CONTAINER:
        return None
    present = present_of(resource, snapshot(), clock().date())
    return present.price_nanos if isinstance(present, Present) and present.price_nanos else None
