"""Wires failover: plans and their evaluation, health, runs and what carries them out."""

import contextlib
import os
import random
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.failover.execution import Conduct, Surroundings
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.runner import Runner
from trimtab_service.failover.watching import Watch, Watcher
from trimtab_service.observability.failover_metrics import FailoverMetrics
from trimtab_service.rpc.failover import FailoverServicer
from trimtab_service.rpc.failover_advice import FailoverAdvice
from trimtab_service.rpc.failover_drills import FailoverDrills
from trimtab_service.rpc.failover_evaluation import PlanEvaluator
from trimtab_service.rpc.failover_health import FailoverHealth
from trimtab_service.rpc.failover_measures import FailoverMeasures
from trimtab_service.rpc.failover_plans import FailoverPlans
from trimtab_service.rpc.failover_rounds import FailoverRounds
from trimtab_service.rpc.failover_runs import FailoverRuns
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.world import World
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_duties import FailoverDutyStore
from trimtab_service.store.failover_evaluations import FailoverEvaluationStore
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
    watches: Sequence[Watch]
    rounds_every: timedelta
    registry: CollectorRegistry
    clock: Callable[[], datetime]
    new_id: NewId


@dataclass(frozen=True, slots=True, kw_only=True)
class Failover:
    """The servicer, and how it ends."""

    servicer: FailoverServicer
    close: tuple[Callable[[], None], ...]


def assemble(rooms: FailoverRooms) -> Failover:
    """Failover, running: what a process left half done is gone on with when its lease has ended."""
    clock, database, writer = rooms.clock, rooms.database, rooms.writer
    owner = f"{os.getpid()}-{secrets.token_hex(4)}"
    plans = FailoverPlanStore(database, writer)
    runs = FailoverRunStore(database, writer, clock=clock, new_id=rooms.new_id)
    reports = FailoverReportStore(database, writer, clock=clock)
    evaluations = FailoverEvaluationStore(database, clock)
    duties = FailoverDutyStore(database, owner, clock)
    measures = FailoverMeasures(runs)
    evaluator = PlanEvaluator(plans, evaluations, rooms.targets, rooms.dependencies, measures.of_plan, clock=clock)
    health = FailoverHealth(plans, runs, reports, evaluator, rooms.targets, clock=clock)
    runner = Runner(
        Surroundings(
            journal=StoredRunJournal(database, writer, plans, clock),
            targets=rooms.targets,
            children=StoredChildRuns(database, runs),
            healthy_sides=health.healthy_sides,
            owner=owner,
            clock=clock,
            conduct=rooms.conduct,
            known_peak=evaluator.known_peak,
            judged=health.judged,
        )
    )
    health.call_on_start(runner.wake)
    drills = FailoverDrills(plans, runs, evaluator, health.active_side, clock=clock, wake=runner.wake)
    rounds = FailoverRounds(
        duties,
        {"evaluation": evaluator.refresh_due, "drills": drills.start_due},
        every=rooms.rounds_every,
    )
    spread = random.SystemRandom().random
    watcher = Watcher(rooms.watches, rooms.targets, duties, health.observe, clock=clock, spread=spread)
    metrics = FailoverMetrics(rooms.registry, evaluations.standing)
    runner.start()
    rounds.start()
    watcher.start()
    servicer = FailoverServicer(
        FailoverPlans(rooms.world, plans, runs, evaluator, clock=clock),
        FailoverRuns(plans, runs, evaluator, health, measures, wake=runner.wake),
        health,
        FailoverAdvice(rooms.world, plans, runs, clock=clock),
    )

    def give_back() -> None:
        # What nobody does any more another process may do at once.
        with contextlib.suppress(TrimtabError):
            duties.give_back()

    return Failover(servicer=servicer, close=(watcher.close, rounds.close, runner.close, metrics.close, give_back))
