"""What stands against a start: the plan against what was read of its targets, and times where they count."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.failovers import NOW, FailoverRoom, keep, plan, room, steps
from tests.support.recording_targets import Record, RecordedTargets
from trimtab_service.domain.failover import ChildPlan, FailoverPlan, Notify
from trimtab_service.domain.reasons import PlanReason
from trimtab_service.failover.findings import Severity
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.schedule import Measured
from trimtab_service.rpc.failover_evaluation import PlanEvaluator, Sides
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_evaluations import FailoverEvaluationStore
from trimtab_service.store.schema import migrate

SIDES = Sides("west", "north")
SLOW = (Severity.WARNING.value, PlanReason.SLOWER_THAN_RTO.name, "")


@pytest.fixture
def rooms(database: Database) -> Iterator[FailoverRoom]:
    """On each engine in turn."""
    migrate(database)
    made = room(database)
    yield made
    made.writer.close()


class _Measures:
    """How long steps took, and for which plans somebody asked."""

    def __init__(self, took: Measured) -> None:
        self.took = took
        self.asked: list[str] = []

    def of_plan(self, project: str, plan_id: str) -> Measured:
        """As given."""
        self.asked.append(f"{project}/{plan_id}")
        return self.took


def _found(
    rooms: FailoverRoom, tmp_path: Path, kept: FailoverPlan, measures: _Measures
) -> tuple[tuple[str, str, str], ...]:
    keep(rooms, kept)
    readings = FailoverEvaluationStore(rooms.database, lambda: datetime.now(UTC))
    targets = RecordedTargets(Record(tmp_path / "record.sqlite"))
    evaluator = PlanEvaluator(rooms.plans, readings, targets, Dependencies(), measures.of_plan, clock=lambda: NOW)
    stored = rooms.plans.get(kept.project, kept.plan_id)
    evaluator.refresh(stored)
    measures.asked.clear()
    return evaluator.before_start(stored, SIDES).record


def test_a_start_is_held_against_what_drills_took_where_the_plan_has_an_rto(
    rooms: FailoverRoom, tmp_path: Path
) -> None:
    """Hours that a step once took are told against a target of minutes."""
    kept = replace(plan(steps({"tell": Notify("ops", "x")})), rto_target=timedelta(minutes=30))
    measures = _Measures({"tell": timedelta(hours=2)})
    assert SLOW in _found(rooms, tmp_path, kept, measures)


def test_a_start_reads_no_drill_of_a_plan_without_an_rto(rooms: FailoverRoom, tmp_path: Path) -> None:
    """There is nothing to hold it against, and a start should wait for nothing that it does not need."""
    measures = _Measures({"tell": timedelta(hours=2)})
    found = _found(rooms, tmp_path, plan(steps({"tell": Notify("ops", "x")})), measures)
    assert SLOW not in found
    assert measures.asked == []


def test_what_forbids_a_child_forbids_its_parent(rooms: FailoverRoom, tmp_path: Path) -> None:
    """Under the parent's step: else the run would break in the middle. The child's warnings stay its own."""
    child = plan(steps({"tell": Notify("ops", "x")}), plan_id="disk", service_id="disk")
    alike = tuple(replace(side, cidr_blocks=("10.0.0.0/16",)) for side in child.sides[:2])
    keep(rooms, replace(child, sides=(*alike, *child.sides[2:]), rto_target=timedelta(seconds=1)))
    found = _found(rooms, tmp_path, plan(steps({"whole": ChildPlan(child.name)})), _Measures({}))
    assert (Severity.ERROR.value, PlanReason.CIDR_OVERLAP.name, "whole") in found
    assert all(reason != PlanReason.SLOWER_THAN_RTO.name for _, reason, _ in found)


def test_plans_that_name_one_another_are_evaluated_once(rooms: FailoverRoom, tmp_path: Path) -> None:
    """The circle is said, and nobody goes round it."""
    there = plan(steps({"back": ChildPlan(plan().name)}), plan_id="disk", service_id="disk")
    keep(rooms, there)
    found = _found(rooms, tmp_path, plan(steps({"whole": ChildPlan(there.name)})), _Measures({}))
    assert (Severity.ERROR.value, PlanReason.PLAN_CYCLE.name, "whole") in found
