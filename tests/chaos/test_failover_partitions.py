"""The network fails between a process that carries a run out and its database, or the name servers it switches.

While a process is cut off from PostgreSQL another one takes its run over; when the network heals it finds out, and has
written nothing in between that anybody believes. A cut towards the name server delays the switch.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import make_url

from tests.support.databases import PostgresServer
from tests.support.failover_stage import STEPS, Stage, finished, is_whole
from tests.support.failover_worker import Worker, wait_for, worker
from tests.support.failovers import NOW, asked, no_request, plan, steps
from tests.support.fault_proxy import FaultProxy, Way
from tests.support.name_servers import ZONE, RunningNameServer, name_server
from tests.support.recording_targets import Record, RecordedTargets
from tests.support.switching import soon
from trimtab_service.clouds.dns.fenced_name import FencedName, Held, Records
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import NameServer, Observers
from trimtab_service.clouds.dns.rfc2136 import DynamicRecords
from trimtab_service.clouds.dns.shares import Shares
from trimtab_service.clouds.dns.tsig import read_key
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.failover import RunState, SwitchTraffic
from trimtab_service.failover.fence import LABEL, Fence
from trimtab_service.failover.run import Run
from trimtab_service.failover.runner import Runner

POINTS: Final = ("before_begin", "before_effect", "after_effect")
_BOTH: Final = frozenset(Way)


def _late(proxy: FaultProxy) -> None:
    proxy.delay_s = 0.03
    proxy.cut()


def _refused(proxy: FaultProxy) -> None:
    proxy.refuses = True
    proxy.cut()


FAULTS: Final[dict[str, Callable[[FaultProxy], None]]] = {
    "half-open": lambda proxy: setattr(proxy, "frozen", _BOTH),
    "questions lost": lambda proxy: setattr(proxy, "frozen", frozenset({Way.TO_SERVER})),
    "answers lost": lambda proxy: setattr(proxy, "frozen", frozenset({Way.TO_CLIENT})),
    "reset": FaultProxy.cut,
    "refused": _refused,
    "late": _late,
}
"""What happens to the connections of a process, by name."""

DIAGONAL: Final = tuple((fault, POINTS[place % len(POINTS)]) for place, fault in enumerate(FAULTS))


@pytest.fixture
def stage(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Stage]:
    """A database of PostgreSQL, and a record."""
    dsn = postgres_server.create_database()
    yield Stage(dsn, tmp_path)
    postgres_server.drop_database(dsn)


@pytest.fixture
def proxy(stage: Stage) -> Iterator[FaultProxy]:
    """In front of the server's socket."""
    directory = make_url(stage.dsn).query["host"]
    with FaultProxy(f"{directory}/.s.PGSQL.5432") as made:
        yield made


@pytest.fixture
def second(stage: Stage) -> Iterator[Worker]:
    """A process whose network is well."""
    made = worker(stage.dsn, stage.path, "second")
    yield made
    made.close()


def behind(proxy: FaultProxy, dsn: str) -> str:
    """The same database, through the proxy."""
    url = make_url(dsn)
    query = {key: value for key, value in url.query.items() if key != "host"}
    return url.set(host=proxy.host, port=proxy.port, query=query).render_as_string(hide_password=False)


def cut_off(stage: Stage, proxy: FaultProxy, second: Worker, fault: str, at: tuple[str, str]) -> None:
    """One schedule: the fault at that point of a step, another process, and then a network that is well again."""
    struck = threading.Event()

    def strike(point: str, step_id: str) -> None:
        if (step_id, point) == at and not struck.is_set():
            FAULTS[fault](proxy)
            struck.set()

    first = worker(behind(proxy, stage.dsn), stage.path, "first", at=strike)
    try:
        run = stage.taken_in(second)
        threading.Thread(target=take_until, args=(struck, first.runner), daemon=True).start()
        assert struck.wait(60)
        over = finished(second, run)
        proxy.heal()
        idle(first.runner)
        assert second.runs.get(run.project, run.run_id) == over
        is_whole(over, stage, second)
    finally:
        proxy.heal()
        first.close()


def take_until(struck: threading.Event, runner: Runner) -> None:
    """Again where it was held up before it came there, and lost its lease: without a heartbeat that is soon over."""
    while not struck.is_set():
        with contextlib.suppress(UnavailableError):
            runner.take()
        struck.wait(0.05)


def idle(runner: Runner) -> None:
    """Wait until it has let go of everything."""
    give_up = time.monotonic() + 60
    while runner.busy:
        assert time.monotonic() < give_up, "it still believes that it has the run"
        time.sleep(0.01)


def test_a_process_cut_off_from_the_database_writes_nothing_stale(
    stage: Stage, proxy: FaultProxy, second: Worker
) -> None:
    """Each fault once, at one point of the switch in turn."""
    for fault, point in DIAGONAL:
        cut_off(stage, proxy, second, fault, ("switch", point))


@pytest.mark.long
def test_cut_off_anywhere_a_process_writes_nothing_stale(stage: Stage, proxy: FaultProxy, second: Worker) -> None:
    """8 steps x 3 points x 6 faults."""
    for step_id, point, fault in itertools.product(STEPS, POINTS, FAULTS):
        cut_off(stage, proxy, second, fault, (step_id, point))


class NamedTargets(RecordedTargets):
    """Recorded targets, but for the one name, which is at a real name server."""

    def __init__(self, record: Record, name: FencedName) -> None:
        super().__init__(record)
        self._name = name

    def traffic(self, project: str, name: str) -> FencedName:  # type: ignore[override] # of another class, one port
        """It, by any name."""
        return self._name


SIDES: Final = {"west": ("192.0.2.1",), "north": ("198.51.100.1",)}
PATIENCE: Final = Patience(longest_call_s=0.4)
NAME: Final = SwitchedName(f"www.{ZONE}", ZONE, SIDES)


@dataclass(frozen=True, slots=True)
class SlowRecords:
    """A name's records whose updates are under way until they may arrive."""

    records: DynamicRecords
    sent: threading.Event
    arrives: threading.Event

    def read(self, deadline: datetime) -> Held:
        """At once."""
        return self.records.read(deadline)

    def commit(self, held: Held, shares: Shares, ttl: timedelta, fence: Fence, deadline: datetime) -> None:
        """Whatever the sender's deadline was: it has sent it."""
        del deadline
        self.sent.set()
        assert self.arrives.wait(60)
        self.records.commit(held, shares, ttl, fence, soon())


@dataclass(frozen=True, slots=True)
class Zone:
    """A real name server, a proxy in front of it, and a database."""

    server: RunningNameServer
    proxy: FaultProxy
    stage: Stage

    def records(self, *, through: bool) -> DynamicRecords:
        """The name, through the proxy or past it."""
        at = self.proxy if through else self.server
        return DynamicRecords(NAME, NameServer(at.host, at.port), read_key(self.server.key_file), PATIENCE)

    def worker(self, owner: str, records: Records) -> Worker:
        """A process that switches the name."""
        seen = Observers((NameServer(self.server.host, self.server.port),), PATIENCE)
        targets = NamedTargets(self.stage.record, FencedName(NAME, records, seen))
        return worker(self.stage.dsn, self.stage.path, owner, targets=targets)

    def start(self, made: Worker, from_side: str, to_side: str) -> Run:
        """A run that switches and does nothing else."""
        return made.runs.start(replace(asked(), from_side=from_side, to_side=to_side), no_request())

    def answer(self) -> tuple[list[str], int]:
        """Addresses and token of the fence as the server has them now."""
        (text,) = self.server.texts(f"{LABEL}.www.{ZONE}", "TXT")
        fence = Fence.parse(text.strip('"'))
        assert fence is not None
        return self.server.texts(f"www.{ZONE}", "A"), fence.token


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    """BIND over SQLite: what is cut off is the name server."""
    with name_server("bind") as server, FaultProxy(server.host, server.port) as proxy:
        made = Zone(server, proxy, Stage(f"sqlite:///{tmp_path / 'store.sqlite'}", tmp_path))
        server.put(NAME.name, "A", 30, *SIDES["west"])
        yield made


def test_a_switch_waits_for_a_name_server_that_is_cut_off(zone: Zone) -> None:
    """Each fault in turn, there and back: every switch is made, under its own token."""
    keeper = zone.worker("keeper", zone.records(through=True))
    keeper.plans.create(plan(steps({"switch": SwitchTraffic("dns/api")})), NOW, no_request())
    keeper.runner.start()
    try:
        for number, fault in enumerate(("drop", "one way", "answers lost", "refuse", "late"), start=1):
            there = ("west", "north") if number % 2 else ("north", "west")
            DNS_FAULTS[fault](zone.proxy)
            run = zone.start(keeper, *there)
            keeper.runner.wake()
            wait_for(keeper.runs, run.project, run.run_id, lambda run: bool(run.begun))
            time.sleep(0.5)
            zone.proxy.heal()
            over = wait_for(keeper.runs, run.project, run.run_id, lambda run: run.state.is_over)
            assert over.state is RunState.SUCCEEDED, over
            assert zone.answer() == (list(SIDES[there[1]]), over.token)
    finally:
        keeper.close()


DNS_FAULTS: Final[dict[str, Callable[[FaultProxy], None]]] = {
    "drop": lambda proxy: setattr(proxy, "dropped", _BOTH),
    "one way": lambda proxy: setattr(proxy, "dropped", frozenset({Way.TO_SERVER})),
    "answers lost": lambda proxy: setattr(proxy, "dropped", frozenset({Way.TO_CLIENT})),
    "refuse": lambda proxy: setattr(proxy, "refuses", True),
    "late": lambda proxy: setattr(proxy, "delay_s", 0.1),
}


def test_an_update_that_was_under_way_for_too_long_is_refused(zone: Zone) -> None:
    """Its sender has lost the run; another has switched, and traffic is back where it was, when it arrives."""
    slow = SlowRecords(zone.records(through=False), threading.Event(), threading.Event())
    first, second = zone.worker("first", slow), zone.worker("second", zone.records(through=False))
    try:
        second.plans.create(plan(steps({"switch": SwitchTraffic("dns/api")})), NOW, no_request())
        run = zone.start(second, "west", "north")
        assert first.runner.take()  # its heartbeat was never started
        assert slow.sent.wait(60)
        assert finished(second, run).token > 1
        back = finished(second, zone.start(second, "north", "west"))
        slow.arrives.set()
        idle(first.runner)
        assert zone.answer() == (list(SIDES["west"]), back.token)
    finally:
        slow.arrives.set()
        first.close()
        second.close()
