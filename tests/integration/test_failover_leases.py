"""Runs under lease and token: the counter-examples of the models without their guards, replayed on the real store."""

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.failovers import NORTH, PROJECT, WEST, FailoverRoom, asked, keep, no_request, notes, plan, room
from tests.support.recording_targets import Record, RecordedTraffic
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.failover import RunMode, RunState, SafetyRules, StepState
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.journal import Held, LeaseLostError
from trimtab_service.failover.machine import advance
from trimtab_service.failover.ports import StaleTokenError
from trimtab_service.failover.run import Command, Outcome, Steering, Trigger, Verdict
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.failover_leases import StoredRunJournal

LONG = timedelta(minutes=5)
ENDED = timedelta()
"""A lease that has ended as soon as it was given."""


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@pytest.fixture
def rooms(database: Database) -> Iterator[FailoverRoom]:
    """The stores on each engine in turn."""
    opened = room(database)
    yield opened
    opened.writer.close()


def journal(rooms: FailoverRoom) -> StoredRunJournal:
    """One process's."""
    return StoredRunJournal(rooms.database, rooms.writer, rooms.plans, utc_now)


def claimed(of: StoredRunJournal, owner: str, lease: timedelta) -> Held:
    """A run that has to be there."""
    (held,) = of.claim(owner, lease, 1, children_only=False)
    return held


def test_the_model_without_fence_or_guard_is_not_this_code(rooms: FailoverRoom, tmp_path: Path) -> None:
    """A takes, its lease ends, B takes and switches; A wakes up: neither target nor journal takes its word."""
    keep(rooms, plan(notes(2)))
    rooms.runs.start(asked(), no_request())
    ours, theirs = journal(rooms), journal(rooms)
    traffic = RecordedTraffic(Record(tmp_path / "record.sqlite"), "dns/api")
    a = ours.change(claimed(ours, "a", ENDED).run, "a", ENDED, lambda run, now: advance(run, (), now))
    b = theirs.change(claimed(theirs, "b", LONG).run, "b", LONG, lambda run, now: advance(run, (), now))
    assert b.token > a.token
    traffic.switch(NORTH, 1.0, b.token, "switch", utc_now())
    with pytest.raises(StaleTokenError):
        traffic.switch(WEST, 1.0, a.token, "another", utc_now())
    assert traffic.observe(utc_now()).weights == (("north", 1.0),)
    first = (Outcome("tell-0", Verdict.DONE),)
    with pytest.raises(LeaseLostError):
        ours.change(a, "a", LONG, lambda run, now: advance(run, first, now))
    assert ours.renew([a], LONG) == {}
    assert not ours.release(a)
    assert rooms.runs.get(PROJECT, b.run_id) == b
    assert theirs.renew([b], LONG) == {b.name: (RunState.RUNNING, RunMode.GRACEFUL)}


def test_a_commit_whose_answer_was_lost_is_made_again_under_the_same_token(rooms: FailoverRoom) -> None:
    """The holder repeats it from what it knew; it counts once."""
    keep(rooms, plan(notes(2)))
    rooms.runs.start(asked(), no_request())
    ours = journal(rooms)
    held = ours.change(claimed(ours, "a", LONG).run, "a", LONG, lambda run, now: advance(run, (), now))
    first = (Outcome("tell-0", Verdict.DONE),)
    once = ours.change(held, "a", LONG, lambda run, now: advance(run, first, now))
    again = ours.change(held, "a", LONG, lambda run, now: advance(run, first, now))
    assert again == once
    assert [step.state for step in again.steps] == [StepState.DONE, StepState.BEGUN]


def test_what_a_person_decides_while_nothing_is_to_be_done_is_seen(rooms: FailoverRoom) -> None:
    """The holder of a paused run looks at it again: it has been told to go on, and goes on."""
    keep(rooms, plan(notes(2)))
    rooms.runs.start(asked(), no_request())
    ours = journal(rooms)
    begun = ours.change(claimed(ours, "a", LONG).run, "a", LONG, lambda run, now: advance(run, (), now))
    failed = (Outcome("tell-0", Verdict.FAILED),)
    paused = ours.change(begun, "a", LONG, lambda run, now: advance(run, failed, now))
    assert paused.state is RunState.PAUSED
    rooms.runs.steer(PROJECT, paused.run_id, Steering(Command.SKIP_STEP, "ann", "tell-0"), no_request())
    assert not ours.release(paused)
    again = ours.change(paused, "a", LONG, lambda run, now: advance(run, (), now))
    assert [step.state for step in again.steps] == [StepState.SKIPPED, StepState.BEGUN]


def test_a_clock_that_was_ahead_leaves_no_lease_that_outlasts_it(rooms: FailoverRoom) -> None:
    """SQLite goes by the host's: two hours ahead and back again, the run is taken over at once; time never falls."""
    ahead = [timedelta()]
    keep(rooms, plan(notes(3)))
    rooms.runs.start(asked(), no_request())
    ours = StoredRunJournal(rooms.database, rooms.writer, rooms.plans, lambda: utc_now() + ahead[0])
    ahead[0] = timedelta(hours=2)
    begun = ours.change(claimed(ours, "a", ENDED).run, "a", ENDED, lambda run, now: advance(run, (), now))
    ahead[0] = timedelta()
    first = (Outcome("tell-0", Verdict.DONE),)
    ours.change(begun, "a", ENDED, lambda run, now: advance(run, first, now))
    again = claimed(ours, "b", ENDED).run
    assert again.token == begun.token + 1
    times = [link.time for link in rooms.runs.events(PROJECT, again.run_id)]
    assert times == sorted(times)


def test_processes_that_race_take_every_run_once(rooms: FailoverRoom) -> None:
    """Eight at once, forty runs: no run twice, none left."""
    plans = [plan(plan_id=f"p{number}", service_id=f"s{number}") for number in range(40)]
    keep(rooms, *plans)
    for one in plans:
        rooms.runs.start(asked(one.plan_id), no_request())
    ours = journal(rooms)

    def take(_: int) -> list[str]:
        taken = []
        misses = 0
        while misses < 3:  # a run that another one has locked is passed over, and that may be the last one
            held = ours.claim("racer", LONG, 3, children_only=False)
            misses = 0 if held else misses + 1
            taken += [one.run.run_id for one in held]
        return taken

    with ThreadPoolExecutor(8) as racers:
        taken = [run_id for mine in racers.map(take, range(8)) for run_id in mine]
    assert len(taken) == len(set(taken)) == 40


def raced(dsn: str, plan_ids: list[str], maximum: int) -> list[str]:
    """How two replicas, each with its own connections, answer who asks for a run of every plan at once."""
    databases = [open_database(dsn), open_database(dsn)]
    replicas = [room(one, maximum=maximum, numbers=itertools.count(at, 2)) for at, one in enumerate(databases)]

    def started(place: int) -> str:
        try:
            replicas[place % 2].runs.start(asked(plan_ids[place]), no_request())
        except FailedPreconditionError as refusal:
            return str(refusal.metadata["refusal"])
        return "started"

    try:
        with ThreadPoolExecutor(len(plan_ids)) as racers:
            return list(racers.map(started, range(len(plan_ids))))
    finally:
        for one in replicas:
            one.writer.close()
            one.database.close()


def test_two_replicas_that_start_at_once_start_one_run(rooms: FailoverRoom, dsn: str) -> None:
    """The model's decision and insertion are one transaction here: eight ask, one gets it."""
    keep(rooms, plan())
    assert Counter(raced(dsn, ["serving"] * 8, 1_000)) == {"started": 1, "RUN_UNDER_WAY": 7}


def test_two_replicas_that_start_at_once_keep_the_deployments_limit(rooms: FailoverRoom, dsn: str) -> None:
    """Eight services, room for three."""
    names = [f"p{number}" for number in range(8)]
    keep(rooms, *(plan(plan_id=name, service_id=name) for name in names))
    assert Counter(raced(dsn, names, 3)) == {"started": 3, "TOO_MANY_RUNS": 5}


def test_what_detection_left_it_does_not_go_back_to(rooms: FailoverRoom) -> None:
    """However long ago that was; a person may, and from then on it may leave again."""
    keep(rooms, replace(plan(notes(1)), safety=SafetyRules(cooldown=timedelta())))
    ours = journal(rooms)

    def moved(request: StartRequest) -> None:
        rooms.runs.start(request, no_request())
        held = ours.change(claimed(ours, "a", LONG).run, "a", LONG, lambda run, now: advance(run, (), now))
        done = (Outcome("tell-0", Verdict.DONE, switched=True),)
        assert ours.change(held, "a", LONG, lambda run, now: advance(run, done, now)).state is RunState.SUCCEEDED

    there = replace(asked(), trigger=Trigger.AUTOMATIC)
    back = replace(there, from_side="north", to_side="west")
    moved(there)
    with pytest.raises(FailedPreconditionError) as refused:
        rooms.runs.start(back, no_request())
    assert refused.value.metadata["refusal"] == "FAILBACK_NOT_AUTOMATIC"
    moved(replace(back, trigger=Trigger.MANUAL))
    moved(there)


def test_a_lease_that_lasts_keeps_others_away(rooms: FailoverRoom) -> None:
    """Until it is given back."""
    keep(rooms, plan())
    rooms.runs.start(asked(), no_request())
    ours = journal(rooms)
    held = claimed(ours, "a", LONG).run
    assert ours.claim("b", LONG, 1, children_only=False) == ()
    assert ours.release(held)
    assert ours.renew([held], LONG) == {}, "a heartbeat that was under way"
    assert claimed(ours, "b", LONG).run.token == held.token + 1
