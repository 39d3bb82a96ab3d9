"""Carrying out: whole or put back, journalled, and finished after a death at any moment."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.support.findings import NOW, content, resource
from tests.support.machines import Machines
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ObstacleReason
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    FieldChange,
    Operation,
    OperationGroup,
    OperationKind,
    Outcome,
)
from trimtab_service.recommendations.application import Run, carry_out, inverse, look, way_back

BEFORE: Final = {"State": "running", "InstanceType": "m5.2xlarge"}
AFTER: Final = {"State": "running", "InstanceType": "m5.xlarge"}
OWN: Final = "i-00000001"


class Death(BaseException):
    """The process ends here."""


@dataclass
class Memory:
    """A journal in memory that may die before or after any of its words are written."""

    entries: list[AppliedOperation] = field(default_factory=list)
    dies_at: int = 10_000
    words: int = 0

    def begin(self, operation: Operation, *, is_rollback: bool) -> int:
        """As the port says."""
        self._say()
        self.entries.append(AppliedOperation(operation, NOW, None, Outcome.UNDER_WAY, "", is_rollback))
        self._say()
        return len(self.entries)

    def end(self, number: int, outcome: Outcome, detail: str) -> None:
        """As the port says."""
        self._say()
        self.entries[number - 1] = replace(self.entries[number - 1], end_time=NOW, outcome=outcome, detail=detail)
        self._say()

    def _say(self) -> None:
        self.words += 1
        if self.words == self.dies_at:
            raise Death

    @property
    def begun(self) -> list[tuple[int, AppliedOperation]]:
        """As a process finds it that takes over."""
        return list(enumerate(self.entries, 1))


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """One running m5.2xlarge."""
    made = Machines(tmp_path / "machines.json")
    made.add(OWN)
    return made


def run_of(machines: Machines, groups: tuple[OperationGroup, ...] | None = None) -> Run:
    """A run of the resize."""
    planned = content().operation_groups if groups is None else groups
    return Run(resource(), planned, partial(machines.find, "p"), "t", NOW + timedelta(minutes=5), lambda: NOW)


def kinds(entries: list[AppliedOperation]) -> Iterator[tuple[str, str, bool]]:
    """Entries in plain values."""
    return ((entry.operation.kind.value, entry.outcome.value, entry.rollback) for entry in entries)


def test_a_dry_run_changes_nothing_and_says_what_it_found(machines: Machines) -> None:
    """The values before are those of the machine."""
    machines.add(OWN, State="stopped")
    seen = look(run_of(machines))
    assert seen.obstacles == ()
    assert [entry.operation.changes[0].before for entry in seen.operations] == ["stopped", "m5.2xlarge", "stopped"]
    assert machines.changes() == []


def test_a_dry_run_follows_its_own_steps(machines: Machines) -> None:
    """A running machine is stopped, resized, and started: the start finds what the stop will have left."""
    seen = look(run_of(machines))
    assert [(entry.operation.kind.value, entry.outcome) for entry in seen.operations] == [
        ("stop_instance", Outcome.UNDER_WAY),
        ("modify_instance_type", Outcome.UNDER_WAY),
        ("start_instance", Outcome.UNDER_WAY),
    ]
    assert seen.operations[2].operation.changes[0].before == "stopped"
    assert machines.changes() == []


def test_a_dry_run_foretells_what_the_run_does(machines: Machines) -> None:
    """Each operation ends as foreseen, from a running and from a stopped machine, by the same changes."""
    for state in ("running", "stopped"):
        machines.add(OWN, State=state, InstanceType="m5.2xlarge")
        seen = look(run_of(machines)).operations
        journal = Memory()
        carry_out(run_of(machines), journal)
        assert [entry.operation for entry in seen] == [entry.operation for entry in journal.entries]
        assert [entry.outcome is Outcome.UNCHANGED for entry in seen] == [
            entry.outcome is Outcome.UNCHANGED for entry in journal.entries
        ]


def test_a_resize_is_three_steps_in_the_journal(machines: Machines) -> None:
    """Each begun and done, with what was before."""
    journal = Memory()
    assert carry_out(run_of(machines), journal).outcome is Outcome.DONE
    assert machines.fields(OWN) == AFTER
    assert list(kinds(journal.entries)) == [
        ("stop_instance", "done", False),
        ("modify_instance_type", "done", False),
        ("start_instance", "done", False),
    ]
    assert journal.entries[1].operation.changes[0].before == "m5.2xlarge"


def test_applying_twice_changes_nothing_the_second_time(machines: Machines) -> None:
    """But that it is stopped and started again, which is why a size that stands is an obstacle of no run."""
    carry_out(run_of(machines), Memory())
    before = machines.fields(OWN)
    seen = look(run_of(machines))
    assert seen.operations[1].outcome is Outcome.UNCHANGED
    assert machines.fields(OWN) == before


def test_what_was_stopped_before_is_not_started(machines: Machines) -> None:
    """Somebody stopped it on purpose."""
    machines.add(OWN, State="stopped")
    journal = Memory()
    assert carry_out(run_of(machines), journal).outcome is Outcome.DONE
    assert machines.fields(OWN) == {"State": "stopped", "InstanceType": "m5.xlarge"}
    assert list(kinds(journal.entries))[-1] == ("start_instance", "unchanged", False)


@pytest.mark.parametrize("kind", ["stop_instance", "modify_instance_type"])
def test_a_refusal_puts_the_group_back(machines: Machines, kind: str) -> None:
    """The machine runs with its old type, and the ending says what was refused."""
    machines.fail(refuse=[kind])
    journal = Memory()
    ending = carry_out(run_of(machines), journal)
    assert ending.outcome is Outcome.FAILED
    assert "no capacity" in ending.detail
    assert machines.fields(OWN) == BEFORE


def test_a_start_that_is_refused_puts_type_and_state_back_as_far_as_it_can(machines: Machines) -> None:
    """The type is put back; that it cannot be started is said, for a person."""
    machines.fail(refuse=["start_instance"])
    ending = carry_out(run_of(machines), Memory())
    assert ending.outcome is Outcome.FAILED
    assert "needs a person" in ending.detail
    assert machines.fields(OWN)["InstanceType"] == "m5.2xlarge"


@pytest.mark.parametrize("kind", ["stop_instance", "modify_instance_type", "start_instance"])
def test_an_answer_that_is_lost_is_looked_up(machines: Machines, kind: str) -> None:
    """What was done counts as done."""
    machines.fail(mute=[kind])
    assert carry_out(run_of(machines), Memory()).outcome is Outcome.DONE
    assert machines.fields(OWN) == AFTER


@pytest.mark.parametrize("word", range(1, 13))
def test_whoever_takes_over_after_a_death_at_any_word_finishes_once(machines: Machines, word: int) -> None:
    """Every operation changes the machine once, in order, wherever the first process died."""
    journal = Memory(dies_at=word)
    with pytest.raises(Death):
        carry_out(run_of(machines), journal)
    again = Memory(entries=journal.entries)
    assert carry_out(run_of(machines), again, journal.begun).outcome is Outcome.DONE
    assert machines.fields(OWN) == AFTER
    assert machines.changes() == ["stop_instance", "modify_instance_type", "start_instance"]
    assert all(entry.end_time is not None for entry in again.entries)


@pytest.mark.parametrize("word", range(1, 15))
def test_a_death_while_putting_back_is_finished_too(machines: Machines, word: int) -> None:
    """The machine ends as it began, whatever the moment."""
    machines.fail(refuse=["modify_instance_type"])
    journal = Memory(dies_at=word)
    try:
        carry_out(run_of(machines), journal)
    except Death:
        again = Memory(entries=journal.entries)
        assert carry_out(run_of(machines), again, journal.begun).outcome is Outcome.FAILED
    assert machines.fields(OWN) == BEFORE
    assert machines.changes() == ["stop_instance", "start_instance"]


def test_the_way_back_undoes_what_was_changed_and_nothing_else(machines: Machines) -> None:
    """From the journal alone: the machine is as it was found."""
    journal = Memory()
    carry_out(run_of(machines), journal)
    back = way_back(journal.entries)
    assert carry_out(run_of(machines, back), Memory()).outcome is Outcome.DONE
    assert machines.fields(OWN) == BEFORE


def test_what_was_put_back_already_has_no_way_back(machines: Machines) -> None:
    """A failed run that undid itself leaves nothing to undo."""
    machines.fail(refuse=["modify_instance_type"])
    journal = Memory()
    carry_out(run_of(machines), journal)
    assert way_back(journal.entries) == ()


def test_the_inverse_of_an_inverse_is_the_operation() -> None:
    """For every operation of a resize."""
    (group,) = content().operation_groups
    assert [inverse(inverse(one)) for one in group.operations] == list(group.operations)


def obstacles(machines: Machines) -> list[ObstacleReason]:
    """What stands in the way."""
    return [obstacle.reason for obstacle in look(run_of(machines)).obstacles]


def test_obstacles_are_told_apart(machines: Machines) -> None:
    """Gone, protected, another size, no connection, nothing to do."""
    machines.protect(OWN)
    assert set(obstacles(machines)) == {ObstacleReason.RESOURCE_PROTECTED}
    machines.add(OWN, InstanceType="c5.large")
    assert obstacles(machines) == [ObstacleReason.RESOURCE_CHANGED]
    machines.remove(OWN)
    assert obstacles(machines) == [ObstacleReason.RESOURCE_GONE]
    nobody = replace(run_of(machines), find=lambda of, operation: None)
    assert {obstacle.reason for obstacle in look(nobody).obstacles} == {ObstacleReason.NO_ACTUATOR}
    assert [one.reason for one in look(run_of(machines, ())).obstacles] == [ObstacleReason.NOTHING_TO_DO]


def test_a_cloud_that_does_not_answer_is_no_obstacle_but_a_fault(machines: Machines) -> None:
    """Nothing is known then, so nothing is said about the resource."""
    machines.fail(mute=["observe"])
    with pytest.raises(UnavailableError):
        look(run_of(machines))


def test_a_group_whose_instances_lag_behind_may_be_changed(machines: Machines) -> None:
    """What it runs is not what it starts: that is what the operation mends, and no sign that somebody changed it."""
    machines.add(OWN, is_protected=False, **{"Instances.InstanceType": "m5.4xlarge"})
    changes = tuple(FieldChange(one, "m5.2xlarge", "m5.xlarge") for one in ("InstanceType", "Instances.InstanceType"))
    groups = (OperationGroup((Operation(OperationKind.UPDATE_GROUP_TEMPLATE, OWN, changes),)),)
    assert look(run_of(machines, groups)).obstacles == ()
    machines.add(OWN, InstanceType="m5.8xlarge")
    assert [one.reason for one in look(run_of(machines, groups)).obstacles] == [ObstacleReason.RESOURCE_CHANGED]
