"""Plans and runs of failover as stored, on both engines."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.failovers import PROJECT, FailoverRoom, asked, keep, no_request, notes, plan, room, steps
from trimtab_service.domain.errors import AbortedError, FailedPreconditionError
from trimtab_service.domain.failover import Approve, ChildPlan, Notify, RunState, SafetyRules, StepState
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.chain import first_broken
from trimtab_service.failover.documents import plan_bytes, plan_hash
from trimtab_service.failover.run import Command, Decision, Steering, Trigger
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest


@pytest.fixture
def rooms(database: Database) -> Iterator[FailoverRoom]:
    """The stores on each engine in turn."""
    opened = room(database)
    yield opened
    opened.writer.close()


def refusal(request: StartRequest, rooms: FailoverRoom) -> str:
    """The constant that a start is refused with."""
    with pytest.raises(FailedPreconditionError) as failed:
        rooms.runs.start(request, no_request())
    return failed.value.metadata["refusal"]


def test_a_run_pins_the_version_that_it_started_with(rooms: FailoverRoom) -> None:
    """Whatever becomes of the plan, the run's version can be read, and its hash is that of its document."""
    keep(rooms, plan())
    run = rooms.runs.start(asked(), no_request())
    rooms.plans.update(plan(notes(5)), "", run.create_time, no_request())
    pinned = rooms.plans.version(PROJECT, "serving", run.plan_revision)
    assert pinned.plan == plan()
    assert run.plan_hash == plan_hash(plan_bytes(plan())) != rooms.plans.get(PROJECT, "serving").plan_hash
    assert rooms.plans.get(PROJECT, "serving").version == 2


def test_started_twice_with_one_request_it_is_one_run(rooms: FailoverRoom) -> None:
    """The request id is remembered together with the run."""
    keep(rooms, plan())
    key = RequestKey(PROJECT, "StartFailover", "5d7c8a54-37f4-4c7c-8dd9-2f7a1f1f1a11", b"same")
    assert rooms.runs.start(asked(), key) == rooms.runs.start(asked(), key)


def test_a_service_has_one_run_and_a_drill_gives_way(rooms: FailoverRoom) -> None:
    """Two plans of one service exclude each other; a real run interrupts a drill, a drill interrupts nothing."""
    keep(rooms, plan(), plan(plan_id="other"))
    drill = rooms.runs.start(replace(asked(), trigger=Trigger.DRILL), no_request())
    real = rooms.runs.start(asked("other"), no_request())
    assert rooms.runs.get(PROJECT, drill.run_id).state is RunState.INTERRUPTED
    assert refusal(asked(), rooms) == "RUN_UNDER_WAY"
    assert refusal(replace(asked(), trigger=Trigger.DRILL), rooms) == "RUN_UNDER_WAY"
    rooms.runs.steer(PROJECT, real.run_id, Steering(Command.ABORT, "ann", reason="no"), no_request())
    assert rooms.runs.start(asked(), no_request()).state is RunState.PENDING


def test_what_starts_by_itself_waits_out_the_cooldown_and_people_do_not(rooms: FailoverRoom) -> None:
    """The time counts from the end of the last run that was no drill."""
    keep(rooms, plan())
    first = rooms.runs.start(asked(), no_request())
    rooms.runs.steer(PROJECT, first.run_id, Steering(Command.ABORT, "ann", reason="no"), no_request())
    assert refusal(replace(asked(), trigger=Trigger.AUTOMATIC), rooms) == "COOLDOWN"
    assert rooms.runs.start(asked(), no_request()).state is RunState.PENDING


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (asked(to_side="west"), "UNKNOWN_SIDE"),
        (asked(to_side="nowhere"), "UNKNOWN_SIDE"),
        (replace(asked(), errors=("UNKNOWN_TARGET",)), "PLAN_NOT_READY"),
        (replace(asked(), healthy_sides=frozenset()), "TOO_FEW_HEALTHY_SIDES"),
    ],
)
def test_what_may_not_start_says_why(rooms: FailoverRoom, request_: StartRequest, why: str) -> None:
    """Every refusal carries its constant."""
    keep(rooms, plan())
    assert refusal(request_, rooms) == why


def test_a_plan_that_is_switched_off_does_not_run_whatever_the_reason(rooms: FailoverRoom) -> None:
    """The switch is above people."""
    keep(rooms, replace(plan(), safety=SafetyRules(disabled=True)))
    assert refusal(replace(asked(), override_reason="really"), rooms) == "SWITCHED_OFF"


def test_runs_under_way_are_bounded_in_the_deployment(database: Database) -> None:
    """The limit is counted in the transaction that takes a run in."""
    rooms = room(database, maximum=1)
    keep(rooms, plan(), plan(plan_id="b", service_id="b"))
    rooms.runs.start(asked(), no_request())
    assert refusal(asked("b"), rooms) == "TOO_MANY_RUNS"
    rooms.writer.close()


def test_a_plan_is_not_deleted_under_its_run(rooms: FailoverRoom) -> None:
    """Afterwards it is, and its versions stay."""
    keep(rooms, plan())
    run = rooms.runs.start(asked(), no_request())
    with pytest.raises(FailedPreconditionError):
        rooms.plans.delete(PROJECT, "serving", "", run.create_time, no_request())
    rooms.runs.steer(PROJECT, run.run_id, Steering(Command.ABORT, "ann", reason="no"), no_request())
    rooms.plans.delete(PROJECT, "serving", "", run.create_time, no_request())
    assert rooms.plans.version(PROJECT, "serving", run.plan_revision).plan == plan()


def test_an_old_etag_starts_nothing(rooms: FailoverRoom) -> None:
    """Who saw another version is told so."""
    keep(rooms, plan())
    with pytest.raises(AbortedError):
        rooms.runs.start(replace(asked(), etag="old"), no_request())


def test_a_child_plan_has_no_children_and_another_service(rooms: FailoverRoom) -> None:
    """One level deep."""
    nested = plan(steps({"inner": ChildPlan("projects/shop/failoverPlans/serving")}), "nested", "nested")
    keep(rooms, plan(), nested, plan(plan_id="leaf", service_id="leaf"))
    parent = rooms.runs.start(asked(), no_request())
    under = replace(asked("nested"), parent_run=parent.run_id)
    assert refusal(under, rooms) == "CHILD_TOO_DEEP"
    assert refusal(replace(asked(), parent_run=parent.run_id), rooms) == "CHILD_TOO_DEEP"
    child = rooms.runs.start(replace(asked("leaf"), parent_run=parent.run_id), no_request())
    assert child.parent_run == parent.run_id


def test_runs_are_listed_newest_first_with_their_steps(rooms: FailoverRoom) -> None:
    """Filters narrow, and a page holds whole runs."""
    keep(rooms, plan(), plan(notes(3), "b", "b"))
    first, second = rooms.runs.start(asked(), no_request()), rooms.runs.start(asked("b"), no_request())
    everything = rooms.runs.list(PROJECT, ListRequest("ListFailoverRuns", "projects/shop"))
    assert everything.items == (second, first)
    only = ListRequest("ListFailoverRuns", "projects/shop", filter='service_id = "b"')
    assert rooms.runs.list(PROJECT, only).items == (second,)


def test_every_change_is_a_link_of_a_chain(rooms: FailoverRoom) -> None:
    """The run holds the hash of the last one; one changed byte is found at its place."""
    keep(rooms, plan())
    run = rooms.runs.start(asked(), no_request())
    for command in (Command.PAUSE, Command.RESUME):
        run = rooms.runs.steer(PROJECT, run.run_id, Steering(command, "ann"), no_request())
    chain = [(link.body, link.hash) for link in rooms.runs.events(PROJECT, run.run_id)]
    assert len(chain) == run.event_sequence == 3
    assert chain[-1][1] == run.chain_hash
    assert first_broken(chain) is None
    body, claimed = chain[1]
    assert first_broken([chain[0], (body.replace(b"ann", b"bob"), claimed), chain[2]]) == 2
    assert rooms.runs.events(PROJECT, run.run_id, after=2)[0].kind == "RUN_RESUMED"


def test_an_approval_is_stored_once_and_by_another_person(rooms: FailoverRoom) -> None:
    """Only for the plan that runs, and a step that waits: here none does yet."""
    keep(rooms, plan(steps({"ask": Approve(timedelta(minutes=1), four_eyes=True), "say": Notify("ops", "x")})))
    run = rooms.runs.start(asked(), no_request())
    with pytest.raises(FailedPreconditionError) as failed:
        rooms.runs.decide(PROJECT, run.run_id, Decision("ask", run.plan_hash, True, "bob"), no_request())
    assert failed.value.metadata["refusal"] == "WRONG_STATE"
    assert run.steps[0].state is StepState.WAITING
