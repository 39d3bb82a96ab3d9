"""Wires failover: plans and their evaluation, health, runs and what carries them out."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trimtab_service.failover.execution import Conduct, Surroundings
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.runner import Runner
from trimtab_service.rpc.failover import FailoverServicer
from trimtab_service.rpc.failover_advice import FailoverAdvice
from trimtab_service.rpc.failover_evaluation import PlanEvaluator
from trimtab_service.rpc.failover_health import FailoverHealth
from trimtab_service.rpc.failover_plans import FailoverPlans
from trimtab_service.rpc.failover_runs import FailoverRuns
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.world import World
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_leases import StoredChildRuns, StoredRunJournal
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.failover_reports import FailoverReportStore
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.writer import GroupCommitWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverRooms:
    """What is there before failover is."""

    world: World
    database: Database
    writer: GroupCommitWriter
    targets: Targets
    dependencies: Dependencies
    conduct: Conduct
    clock: Callable[[], datetime]
    new_id: NewId


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """The servicer, and how it ends."""

    servicer: FailoverServicer
    close: tuple[Callable[[], None], ...]


def assemble(rooms: FailoverRooms) -> Failover:
    """Failover, running: what a process left half done is gone on with when its lease has ended."""
    clock = rooms.clock
    plans = FailoverPlanStore(rooms.database, rooms.writer)
    runs = FailoverRunStore(rooms.database, rooms.writer, clock=clock, new_id=rooms.new_id)
    reports = FailoverReportStore(rooms.database, rooms.writer, clock=clock)
    evaluator = PlanEvaluator(plans, rooms.targets, rooms.dependencies, clock=clock)
    health = FailoverHealth(plans, runs, reports, evaluator, rooms.targets, clock=clock)
    runner = Runner(
        Surroundings(
            journal=StoredRunJournal(rooms.database, rooms.writer, plans, clock),
            targets=rooms.targets,
            children=StoredChildRuns(rooms.database, runs),
            healthy_sides=health.healthy_sides,
            owner=f"{os.getpid()}-{secrets.token_hex(4)}",
            clock=clock,
            conduct=rooms.conduct,
        )
    )
    health.call_on_start(runner.wake)
    runner.start()
    evaluator.start()
    servicer = FailoverServicer(
        FailoverPlans(plans, runs, evaluator, clock=clock),
        FailoverRuns(plans, runs, evaluator, health, wake=runner.wake),
        health,
        FailoverAdvice(rooms.world, plans, runs, clock=clock),
    )
    return Failover(servicer=servicer, close=(evaluator.close, runner.close))
