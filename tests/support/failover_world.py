"""A deployment over three simulated clouds, its processes moved by hand, and what must hold of it at every moment."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update

from tests.support.failover_plans import LAYOUT, NOW, failover_plan, step
from tests.support.failover_puppets import DooredJournal, DooredTargets, Puppet, SetClock
from tests.support.failovers import FailoverRoom, no_request, room
from trimtab_service.clouds.simulated.failover import Effect, SimulatedClouds
from trimtab_service.domain.failover import (
    Approve,
    CheckWatermark,
    FailoverPlan,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    RunKind,
    RunMode,
    RunState,
    ScaleCapacity,
    StepState,
    SwitchTraffic,
    Workflow,
)
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.chain import Link, first_broken, times_of
from trimtab_service.failover.detection import Report, judge, may_start_alone
from trimtab_service.failover.execution import Conduct, Surroundings
from trimtab_service.failover.run import Run, Trigger
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_leases import StoredChildRuns, StoredRunJournal
from trimtab_service.store.failover_reports import FailoverReportStore
from trimtab_service.store.failover_rows import NEVER
from trimtab_service.store.failover_tables import FAILOVER_RUNS
from trimtab_service.store.pages import ListRequest

SIDES: Final = ("virginia", "iowa")
NAME: Final = "dns/api.example.com"
MAXIMUM: Final = 2
_PACE: Final = Conduct(pace=timedelta())
_GUARDED: Final = frozenset({NAME, "gcp/sql/orders"})
"""Targets that an exercise must not touch."""

_numbers: Final = itertools.count(1)
_AT_ONCE: Final = replace(
    LAYOUT,
    groups={name: replace(group, boot=timedelta()) for name, group in LAYOUT.groups.items()},
    probes={name: replace(probe, machines=1) for name, probe in LAYOUT.probes.items()},
)


def the_plan(project: str) -> FailoverPlan:
    """There under four eyes and with a data store, back without."""
    activate = [
        step("fresh", CheckWatermark("replication/models"), graceful_only=True),
        step("scale", ScaleCapacity("gcp/mig/serving", count=10)),
        step("promote", PromoteDataStore("gcp/sql/orders")),
        step("healthy", RunHealthCheck(("probe/iowa",), successes=1)),
        step("approve", Approve(timedelta(minutes=10), four_eyes=True)),
        step("switch", SwitchTraffic(NAME)),
        step("tell", Notify("chat/on-call", "moved")),
    ]
    back = [step("back", SwitchTraffic(NAME)), step("shrink", ScaleCapacity("gcp/mig/serving", count=2))]
    plan = failover_plan(
        project=project,
        activate=Workflow(tuple((one,) for one in activate)),
        post_recovery=Workflow(tuple((one,) for one in back)),
    )
    return replace(plan, detection=replace(plan.detection, failures=1, successes=1, automatic=True))


@dataclass(slots=True)
class FailoverWorld:
    """A project of its own in a database. `unfenced`: the name compares no tokens, as a build without the fence."""

    database: Database
    unfenced: bool = False
    clock: SetClock = field(default_factory=lambda: SetClock(NOW))
    project: str = field(default_factory=lambda: f"world{next(_numbers)}")
    rooms: FailoverRoom = field(init=False)
    reports: FailoverReportStore = field(init=False)
    clouds: SimulatedClouds = field(init=False)
    plan: FailoverPlan = field(init=False)
    puppets: tuple[Puppet, ...] = field(init=False)
    _believed: dict[str, frozenset[str] | None] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _seen: int = 0
    _token: int = 0

    def __post_init__(self) -> None:
        """Everything is well, and traffic is in Virginia."""
        self.plan = the_plan(self.project)
        self.clouds = SimulatedClouds(_AT_ONCE, clock=self.clock)
        self._open()
        self.rooms.plans.create(self.plan, self.clock(), no_request())

    def _open(self) -> None:
        self.rooms = room(self.database, self.clock, MAXIMUM, self._ids)
        self.reports = FailoverReportStore(self.database, self.rooms.writer, clock=self.clock)
        self.puppets = tuple(Puppet(name, self._around(name)) for name in ("a", "b"))

    def restart(self) -> None:
        """Every process is killed, and others come: I12."""
        before = self.runs()
        self.close()
        self._open()
        assert self.runs() == before

    def close(self) -> None:
        """Leave no thread behind."""
        for puppet in self.puppets:
            puppet.kill()
        self.rooms.writer.close()

    def forget(self) -> None:
        """End what is left, so that no other world's process takes it."""
        self.close()
        ours = (FAILOVER_RUNS.c.project == self.project) & FAILOVER_RUNS.c.end_time.is_(None)
        with self.database.write() as conn:
            conn.execute(update(FAILOVER_RUNS).where(ours).values(end_time=self.clock()))

    def runs(self) -> tuple[Run, ...]:
        """All, oldest first."""
        return self.rooms.runs.list(self.project, ListRequest("test", self.project, page_size=100)).items[::-1]

    def chain(self, run: Run) -> tuple[Link, ...]:
        """Its events."""
        return self.rooms.runs.events(self.project, run.run_id)

    def traffic_at(self) -> str:
        """The side that has it."""
        target = self.clouds.traffic(self.project, NAME)
        assert target is not None
        weights = target.observe(self.clock()).weights
        assert [weight for _, weight in weights] == [1.0], "I6"
        return weights[0][0]

    def start(self, trigger: Trigger, mode: RunMode, kind: RunKind = RunKind.ACTIVATE) -> Run:
        """As somebody, or something, asks for it: from where traffic is."""
        here = self.traffic_at()
        there = next(side for side in SIDES if side != here)
        asked = StartRequest(self.project, "serving", here, there, "ann", kind, mode, trigger)
        return self.rooms.runs.start(replace(asked, healthy_sides=self.healthy()), no_request())

    def report(self, observer: str, sides: Mapping[str, bool]) -> bool:
        """What an observer sees; whether the rules say that a run may start by itself."""
        told = Report(observer, self.clock(), tuple(sides.items()))
        observed = self.reports.take(self.plan, told, no_request())
        return may_start_alone(self.plan, judge(self.plan, observed, self.traffic_at(), self.clock()))

    def healthy(self) -> frozenset[str] | None:
        """Sides that a quorum sees well; None where too few say anything."""
        health = judge(self.plan, self.reports.read(self.plan), self.traffic_at(), self.clock())
        if "TOO_FEW_OBSERVERS" in {reason.name for reason in health.reasons}:
            return None
        return frozenset(side.side_id for side in health.sides if side.is_well)

    def expire_leases(self) -> None:
        """Now, whoever holds what: no clock is believed."""
        ours = (FAILOVER_RUNS.c.project == self.project) & FAILOVER_RUNS.c.end_time.is_(None)
        with self.database.write() as conn:
            conn.execute(update(FAILOVER_RUNS).where(ours).values(lease_until=NEVER))

    def move(self, puppet: Puppet) -> None:
        """Through its door, with an eye on what it does there: a few doors on, its run may have ended in order."""
        puppet.move()
        self.look()

    def look(self) -> None:
        """Whether what took effect since the last look was allowed."""
        effects = self.clouds.effects()
        came = effects[self._seen :]
        self._seen = len(effects)
        if came:
            runs = {run.run_id: run for run in self.runs()}
            for effect in came:
                self._effect_was_allowed(effect, runs)

    def check(self) -> None:
        """I1 to I11, of everything that has happened."""
        self.look()
        runs = self.runs()
        effects = self.clouds.effects()
        assert sum(1 for run in runs if not run.state.is_over) <= 1, "I1"
        self._tokens_grow(runs, effects)
        times = Counter((one.key, one.change) for one in effects if one.target in _GUARDED)
        assert all(one == 1 for one in times.values()), "I4"
        self.traffic_at()
        for run in runs:
            self._chain_holds(run)
        self._starts_were_allowed(runs)
        self._aborts_are_whole(runs)

    def _tokens_grow(self, runs: tuple[Run, ...], effects: tuple[Effect, ...]) -> None:
        fenced = [effect.token for effect in effects if effect.target == NAME]
        assert fenced == sorted(fenced), "I2: at the target"
        token = self.rooms.runs.service(self.project, "serving").token
        assert token >= max([self._token, *(run.token for run in runs)]), "I2: of the service"
        self._token = token

    def _effect_was_allowed(self, effect: Effect, runs: Mapping[str, Run]) -> None:
        run = runs[effect.key.split("/")[1]]
        done = run.step(effect.key.split("/")[2])
        assert done is not None
        assert done.attempts > 0, "I3"
        assert not (run.is_drill and effect.target in _GUARDED), "I7"
        if effect.target == NAME and not effect.key.endswith("/undo"):
            believed = self._believed.get(run.run_id)
            assert believed is None or run.to_side in believed, "I5"
            assert not run.state.is_over, "I2: the word of who comes late"

    def _chain_holds(self, run: Run) -> None:
        chain = self.chain(run)
        assert first_broken((link.body, link.hash) for link in chain) is None, "I11"
        assert chain[-1].hash == run.chain_hash, "I11"
        assert run.is_drill or times_of(link.body for link in chain).rto == run.actual_rto, "I11"
        answers = [(link.step_id, link.actor) for link in chain if link.kind in {"STEP_APPROVED", "STEP_REJECTED"}]
        asked = [link for link in chain if link.kind == "APPROVAL_ASKED"]
        assert len(answers) <= len(asked), "I10: good once"
        assert all(link.actor != run.started_by for link in chain if link.kind == "STEP_APPROVED"), "I10: four eyes"
        for one in run.steps:
            assert one.state is not StepState.DONE or one.done_time is not None, "I3"

    def _starts_were_allowed(self, runs: tuple[Run, ...]) -> None:
        ended: datetime | None = None
        for run in runs:
            if run.trigger is Trigger.AUTOMATIC and ended is not None:
                assert run.create_time >= ended + self.plan.safety.cooldown, "I9"
            if run.end_time is not None and not run.is_drill:
                ended = run.end_time

    def _aborts_are_whole(self, runs: tuple[Run, ...]) -> None:
        for run in runs:
            if run.state is RunState.ABORTED:
                assert not any(one.needs_person or one.is_undoing for one in run.steps), "I8"
            if run.state is RunState.FAILED:
                assert run.reason, "I8: never silent"
        last = runs[-1] if runs else None
        if last is not None and last.state is RunState.ABORTED and last.mode is RunMode.GRACEFUL:
            assert self.traffic_at() == last.from_side, "I8"

    def _around(self, name: str) -> Callable[[Callable[[str], None]], Surroundings]:
        def made(stop_at: Callable[[str], None]) -> Surroundings:
            rooms = self.rooms
            journal = StoredRunJournal(rooms.database, rooms.writer, rooms.plans, self.clock)
            return Surroundings(
                journal=DooredJournal(journal, stop_at),
                targets=DooredTargets(self.clouds, stop_at, unfenced=self.unfenced),
                children=StoredChildRuns(rooms.database, rooms.runs),
                healthy_sides=self._asked_by_a_step,
                owner=name,
                clock=self.clock,
                conduct=_PACE,
            )

        return made

    def _asked_by_a_step(self, plan: FailoverPlan) -> frozenset[str] | None:
        healthy = self.healthy()
        live = next((run for run in self.runs() if not run.state.is_over), None)
        if live is not None:
            self._believed[live.run_id] = healthy
        return healthy
