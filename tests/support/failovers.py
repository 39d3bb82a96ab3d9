"""Failover plans and the stores of a database, for tests."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from trimtab_service.domain.failover import Action, FailoverPlan, Notify, Side, Step, Workflow
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.admission import PinnedPlan, StartRequest, started
from trimtab_service.failover.documents import plan_bytes, plan_hash
from trimtab_service.failover.run import Run
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.writer import GroupCommitWriter

PROJECT = "shop"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WEST = Side("west", Cloud.AWS, "eu-west-1")
NORTH = Side("north", Cloud.GCP, "europe-north1")
SOUTH = Side("south", Cloud.AZURE, "italynorth")


def steps(*stages: dict[str, Action]) -> Workflow:
    """A workflow of stages, each an action by the id of its step."""
    return Workflow(tuple(tuple(Step(name, action) for name, action in stage.items()) for stage in stages))


def notes(count: int) -> Workflow:
    """A workflow of so many steps that tell somebody, one after another."""
    named: list[dict[str, Action]] = [{f"tell-{number}": Notify("ops", f"{number}")} for number in range(count)]
    return steps(*named)


def plan(activate: Workflow | None = None, plan_id: str = "serving", service_id: str = "serving") -> FailoverPlan:
    """A plan of three sides in three clouds."""
    return FailoverPlan(PROJECT, plan_id, service_id, (WEST, NORTH, SOUTH), activate or notes(2))


def asked(plan_id: str = "serving", to_side: str = "north", started_by: str = "ann") -> StartRequest:
    """From west."""
    return StartRequest(PROJECT, plan_id, "west", to_side, started_by)


def run_of(of: FailoverPlan, request: StartRequest | None = None, run_id: str = "r1") -> Run:
    """A run that was taken in, without a store."""
    document = plan_bytes(of)
    pinned = PinnedPlan(of, 1, 1, plan_hash(document))
    return started(request or asked(of.plan_id), pinned, run_id, NOW).run


def no_request(method: str = "Any") -> RequestKey:
    """No id: nothing is remembered."""
    return RequestKey(PROJECT, method, "", b"")


@dataclass(frozen=True, slots=True)
class FailoverRoom:
    """The stores over one database. Close the writer."""

    plans: FailoverPlanStore
    runs: FailoverRunStore
    writer: GroupCommitWriter
    database: Database


def room(
    database: Database,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    maximum: int = 1_000,
    numbers: Iterator[int] | None = None,
) -> FailoverRoom:
    """Open it. Ids of runs count up, or are `numbers`."""
    writer = GroupCommitWriter(database)
    numbers = numbers or itertools.count(1)
    runs = FailoverRunStore(database, writer, clock=clock, new_id=lambda _: f"run-{next(numbers):04}", maximum=maximum)
    return FailoverRoom(FailoverPlanStore(database, writer), runs, writer, database)


def keep(rooms: FailoverRoom, *plans: FailoverPlan) -> None:
    """Store plans."""
    for one in plans:
        rooms.plans.create(one, NOW, no_request())


SOON = timedelta(milliseconds=1)
