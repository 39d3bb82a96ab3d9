"""An analysis finds something out about every resource, once, whatever happens on the way."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from google.type.money_pb2 import Money

from tests.support import fleets
from tests.support.fleets import PROJECT, Clock, Desk, DisturbedSource, Sources, simulated
from tests.support.snapshots import starter_snapshot
from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab.v1.rightsizing_pb2 import RightsizingPreferences
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import AbortedError
from trimtab_service.rpc.fleet_intake import FleetIntake
from trimtab_service.rpc.fleet_job import FleetJob, Hold, Stopped, Surroundings
from trimtab_service.rpc.fleet_progress import FleetProgress
from trimtab_service.rpc.fleet_runner import FleetRunner
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.store.engines import Database
from trimtab_service.store.fleet import PENDING, RUNNING, FleetAnalysisRecord, FleetStore, NewAnalysis
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.profiles import ProfileStore
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.writer import GroupCommitWriter
from trimtab_service.workers import WorkerPool

LEASE = timedelta(seconds=60)
_SOURCE_FAILED = pb.RightsizingAdvice.FINDING_SOURCE_FAILED


@pytest.fixture(scope="module")
def catalogs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CatalogSnapshot]:
    """The packaged catalogue, built once."""
    root = tmp_path_factory.mktemp("catalogs")
    return root, starter_snapshot(root)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    """One worker process for all tests."""
    made = WorkerPool(1)
    yield made
    made.close()


class House:
    """Everything that a job needs, over one database."""

    def __init__(self, database: Database, catalogs: tuple[Path, CatalogSnapshot], pool: WorkerPool) -> None:
        self.clock = Clock()
        self.writer = GroupCommitWriter(database)
        self.store = FleetStore(database, self.writer, lambda: datetime.now(UTC))
        self.recommendations = RecommendationStore(database, self.writer)
        self._number = 0
        vocabulary = Vocabulary(catalogs[1])
        self.around = Surroundings(
            store=self.store,
            profiles=ProfileStore(database),
            sources=Sources({}),
            desk=Desk(*catalogs),
            vocabulary=lambda: vocabulary,
            pool=pool,
            intake=FleetIntake(self.recommendations.lifetime, new_ulid),
            clock=self.clock,
            chunk=5,
        )

    def ask(self, request: pb.StartFleetAnalysisRequest) -> FleetAnalysisRecord:
        """Take an analysis in, and hold it."""
        self.create(request)
        return self.claim()

    def create(self, request: pb.StartFleetAnalysisRequest) -> str:
        """Take an analysis in; its id."""
        self._number += 1
        key = RequestKey(PROJECT, "StartFleetAnalysis", f"00000000-0000-0000-0000-{self._number:012d}", b"")
        new = NewAnalysis(PROJECT, f"a{self._number}", request.SerializeToString(), f"s{self._number}", "someone")
        self.store.create(new, self.clock(), key)
        return new.analysis_id

    def claim(self) -> FleetAnalysisRecord:
        """Hold the next one."""
        held = self.store.claim("tester", self.clock(), LEASE)
        assert held is not None
        return held

    def run(self, held: FleetAnalysisRecord, *sources: DisturbedSource, cap_nanos: int | None = None) -> str:
        """Do the work in this thread."""
        named = Sources({source.name: source for source in sources}, cap_nanos)
        return FleetJob(Hold(held, threading.Event()), replace(self.around, sources=named)).run()

    def advice(self, held: FleetAnalysisRecord) -> list[pb.RightsizingAdvice]:
        """All results, in order."""
        results = self.store.results(PROJECT, held.analysis_id, 0, 1_000)
        assert [result.sequence for result in results] == list(range(1, len(results) + 1))
        return [pb.RightsizingAdvice.FromString(result.advice) for result in results]

    def progress(self, held: FleetAnalysisRecord) -> FleetProgress:
        """How far it is."""
        return FleetProgress.from_json(self.store.get(PROJECT, held.analysis_id).progress)

    def recommended(self) -> list[str]:
        """Names of the active recommendations."""
        asked = ListRequest("ListRecommendations", f"projects/{PROJECT}", 'state = "active"', 1_000)
        page = self.recommendations.list(PROJECT, asked)
        return [f"projects/{PROJECT}/recommendations/{row.recommendation_id}" for row in page.items]


@pytest.fixture
def house(database: Database, catalogs: tuple[Path, CatalogSnapshot], pool: WorkerPool) -> Iterator[House]:
    """A house on each engine."""
    made = House(database, catalogs, pool)
    yield made
    made.writer.close()


def test_every_resource_gets_one_answer(house: House) -> None:
    """Each resource of the inventory has one result; what is recommended is stored, and named in the result."""
    source = simulated(house.clock)
    held = house.ask(fleets.request("sim"))
    assert house.run(held, source) == "succeeded"
    advice = house.advice(held)
    assert Counter(one.resource.resource_id for one in advice) == Counter(
        one.resource_id for one in source.inventory(fleets.EVERYTHING, house.clock())
    )
    named = {one.recommendation for one in advice if one.recommendation}
    assert named
    assert named == set(house.recommended())
    found = Counter(pb.RightsizingAdvice.Finding.Name(one.finding) for one in advice)
    assert found["FINDING_SOURCE_FAILED"] == found["FINDING_UNSUPPORTED"] == found["FINDING_INSUFFICIENT_DATA"] == 1
    assert found["FINDING_OVER_PROVISIONED"] > 1
    assert sum(count for _, count in house.progress(held).findings) == len(advice)
    record = house.store.get(PROJECT, held.analysis_id)
    assert (record.resources, record.resources_done) == (24, 24)


def test_a_later_run_reads_only_what_is_new(house: House) -> None:
    """The second night reads from shortly before the first one's end, and makes no second recommendation."""
    source = simulated(house.clock)
    first = house.ask(fleets.request("sim"))
    house.run(first, source)
    before, whole = house.recommended(), source.windows[0]
    assert whole.end - whole.start == timedelta(days=14)
    house.clock.advance(timedelta(days=1))
    source.windows.clear()
    second = house.ask(fleets.request("sim"))
    house.run(second, source)
    known = [window for window in source.windows if window.end - window.start < timedelta(days=2)]
    assert known
    assert set(house.recommended()) == set(before)
    spans = [one.telemetry.end_time.seconds - one.telemetry.start_time.seconds for one in house.advice(second)]
    assert max(spans) > timedelta(days=13).total_seconds()


def test_who_goes_on_does_only_what_is_left(house: House) -> None:
    """A holder that is stopped in the middle loses nothing that it had committed, and nothing is done twice."""
    source = simulated(house.clock)
    held = house.ask(fleets.request("sim"))
    ended = threading.Event()
    source.before_read = lambda number: ended.set() if number == 17 else None
    hold = Hold(held, ended)
    with pytest.raises(Stopped):
        FleetJob(hold, replace(house.around, sources=Sources({"sim": source}))).run()
    house.store.release(hold.record)
    done = house.store.get(PROJECT, held.analysis_id).resources_done
    assert 0 <= done < 24
    # Another source over the same world: the reader of the first holder may still be at its last resource.
    again = simulated(house.clock)
    assert house.run(house.claim(), again) == "succeeded"
    assert len(again.reads) == 24 - done
    assert Counter(one.resource.resource_id for one in house.advice(held)).most_common(1)[0][1] == 1
    assert len(house.advice(held)) == 24
    assert len(house.recommended()) == len(set(house.recommended()))


def test_a_holder_that_was_overtaken_writes_nothing(house: House) -> None:
    """A process that slept through its lease finds another at work, and changes nothing of it."""
    source = simulated(house.clock)
    held = house.ask(fleets.request("sim"))
    house.store.release(held)
    other = house.claim()
    with pytest.raises(AbortedError):
        house.run(held, source)
    assert house.advice(other) == []
    assert house.run(other, source) == "succeeded"


def test_a_source_that_fails_is_told_and_takes_nothing_with_it(house: House) -> None:
    """One account is down: its fault is told, the others are analysed. With none left the analysis fails."""
    good, bad = simulated(house.clock), simulated(house.clock, "down", seed=8)
    bad.is_down = True
    held = house.ask(fleets.request("down", "sim"))
    assert house.run(held, good, bad) == "succeeded"
    assert [(fault.source, fault.reason) for fault in house.progress(held).faults] == [("down", "SOURCE_FAILED")]
    assert len(house.advice(held)) == 24
    alone = house.ask(fleets.request("down"))
    assert house.run(alone, bad) == "failed"
    assert house.advice(alone) == []


def test_a_source_that_hangs_is_given_up_and_holds_up_nobody(house: House) -> None:
    """Its resources read as failed, without asking for each of them; the other source's answers come meanwhile."""
    good, bad = simulated(house.clock), simulated(house.clock, "hangs", seed=8)
    release = threading.Event()
    bad.hangs = release
    held = house.ask(fleets.request("hangs", "sim"))
    timer = threading.Timer(5, release.set)
    timer.start()
    assert house.run(held, good, bad) == "succeeded"
    timer.cancel()
    advice = house.advice(held)
    failed = {(one.resource.account, one.resource.resource_id) for one in advice if one.finding == _SOURCE_FAILED}
    assert sum(account == "hangs" for account, _ in failed) == 24
    assert sum(account == "sim" for account, _ in failed) == 1
    assert len(bad.reads) == 10
    assert all(one.resource.account == "sim" for one in advice[:20])


def test_sources_are_listed_at_once(house: House) -> None:
    """Each waits until the other is asked too; the price of reading is told in the order that was asked in."""
    one, other = simulated(house.clock, "one"), simulated(house.clock, "other", seed=8)
    one.before_list = other.before_list = partial(threading.Barrier(2).wait, 60)
    held = house.ask(fleets.request("other", "one"))
    assert house.run(held, one, other) == "succeeded"
    assert [cost.source for cost in house.progress(held).estimated] == ["other", "one"]
    assert len(house.advice(held)) == 48


def test_an_analysis_whose_source_is_silent_holds_up_no_other(house: House) -> None:
    """One process works on both; the second is over while the first still waits to be told what there is."""
    silent, good, answer = simulated(house.clock, "silent"), simulated(house.clock, "good", seed=8), threading.Event()
    silent.before_list = partial(answer.wait, 60)
    named = replace(house.around, sources=Sources({"silent": silent, "good": good}))
    runner = FleetRunner(house.store, lambda hold: FleetJob(hold, named), owner="p", clock=house.clock, lease=LEASE)
    first, second = house.create(fleets.request("silent")), house.create(fleets.request("good"))
    runner.start()
    assert _ended(house, second) == "succeeded"
    assert house.store.get(PROJECT, first).state == RUNNING
    answer.set()
    assert _ended(house, first) == "succeeded"
    runner.close()


def _ended(house: House, analysis_id: str) -> str:
    give_up = time.monotonic() + 60
    while (state := house.store.get(PROJECT, analysis_id).state) in {PENDING, RUNNING}:
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return state


def test_what_is_stopped_waits_for_no_listing(house: House) -> None:
    """Cancelled while a source is silent, it is over though the source never answers."""
    silent, stopped, never = simulated(house.clock), threading.Event(), threading.Event()
    answered: list[bool] = []

    def hang() -> None:
        stopped.set()
        answered.append(never.wait(60))

    silent.before_list = hang
    held = house.ask(fleets.request("sim"))
    job = FleetJob(Hold(held, stopped), replace(house.around, sources=Sources({"sim": silent})))
    with pytest.raises(Stopped):
        job.run()
    assert not answered
    never.set()


def test_reading_that_costs_too_much_is_refused_before_it_begins(house: House) -> None:
    """The request's cap and the account's own; the estimate is told, nothing is read."""
    source = simulated(house.clock)
    source.price_nanos = 10_000_000
    asked = house.ask(fleets.request("sim", max_read_cost=Money(currency_code="USD", nanos=200_000_000)))
    assert house.run(asked, source) == "failed"
    assert house.progress(asked).faults[0].reason == "READ_COST_CAP"
    assert house.progress(asked).estimated[0].cost_nanos == 240_000_000
    capped = house.ask(fleets.request("sim"))
    assert house.run(capped, source, cap_nanos=100_000_000) == "failed"
    assert source.reads == []
    allowed = house.ask(fleets.request("sim"))
    assert house.run(allowed, source, cap_nanos=240_000_000) == "succeeded"
    assert house.progress(allowed).actual[0].cost_nanos == 240_000_000


def test_what_is_in_order_again_is_recommended_no_more(house: House) -> None:
    """A resource that a later run finds in order loses its recommendation; one that could not be read keeps it."""
    source = simulated(house.clock)
    house.run(house.ask(fleets.request("sim")), source)
    before = len(house.recommended())
    source.hangs = threading.Event()
    source.hangs.set()
    house.clock.advance(timedelta(hours=6))
    house.run(house.ask(fleets.request("sim")), source)
    assert len(house.recommended()) == before
    source.hangs = None
    not_worth_it = RightsizingPreferences(minimum_monthly_saving=Money(currency_code="USD", units=1_000_000))
    house.run(house.ask(fleets.request("sim", preferences=not_worth_it)), source)
    assert len(house.recommended()) < before
