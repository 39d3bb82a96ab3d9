"""The short way of `Place` gives the answers and the records of the desk, or does nothing at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from google.protobuf.message import DecodeError

from tests.support.messages import plain_request
from tests.support.snapshots import starter_snapshot
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service import compiled
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.identity import Grant, Principal, Role, principal
from trimtab_service.domain.policy import PolicyContent, PolicyDefinition, Rules
from trimtab_service.domain.workloads import Residency
from trimtab_service.placement.state import NEW_PROJECT, ProjectState
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc.desk import make
from trimtab_service.rpc.memo import DecisionMemo, key_of
from trimtab_service.rpc.place_parser import PlaceParser
from trimtab_service.rpc.plain_desk import PlainDesk, plain_desk, plain_method
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.rpc.world import View
from trimtab_service.store.decisions import DecisionRecord

NOW = datetime(2026, 11, 20, 12, 0, 0, 123_456, tzinfo=UTC)
FAST = compiled.load("wire") is not None
ANYONE = principal("anyone", [Grant("p", frozenset({Role.SCHEDULER}))])


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """The packaged catalogue."""
    return starter_snapshot(Path(tmp_path_factory.mktemp("starter")))


@dataclass
class Bench:
    """A world that stands still, the short way through it, and what it has logged."""

    snapshot: CatalogSnapshot
    memo: DecisionMemo = field(default_factory=lambda: DecisionMemo(0))
    policies: PolicySet = field(default_factory=PolicySet)
    state: ProjectState = NEW_PROJECT
    instant: datetime = NOW
    logged: list[DecisionRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.vocabulary = Vocabulary(self.snapshot)

    def view(self, _project: str) -> View:
        """The world."""
        return View(self.snapshot, self.vocabulary, self.policies, self.state)

    def append(self, record: DecisionRecord) -> bool:
        """The log."""
        self.logged.append(record)
        return True

    def desk(self) -> PlainDesk | None:
        """The short way, with ids that count what was logged."""
        return plain_desk(
            view=self.view,
            append=self.append,
            clock=lambda: self.instant,
            new_id=lambda _: f"d{len(self.logged)}",
            memo=self.memo,
        )

    def made(self, request: pb.PlaceRequest, number: int = 0) -> DecisionRecord | None:
        """What the desk makes of the same request; None when it is refused."""
        try:
            return make(request, self.view("p"), project="p", instant=self.instant, decision_id=f"d{number}").record
        except InvalidArgumentError:
            return None

    def told(self, request: pb.PlaceRequest) -> None:
        """Let the names and lists of a request be read once, as a first caller's are."""
        PlaceParser(self.vocabulary, NOW).parse(request, "p")


def data_of(request: pb.PlaceRequest) -> bytes:
    """The canonical bytes."""
    return request.SerializeToString(deterministic=True)


def test_answers_and_records_are_those_of_the_desk(snapshot: CatalogSnapshot) -> None:
    """Byte for byte and field by field, for 300 plain requests at as many instants."""
    bench, random = Bench(snapshot), Random(3)
    desk = bench.desk()
    answered = 0
    for number in range(300):
        bench.instant = NOW + timedelta(microseconds=number * 777_777_777)
        request = plain_request(random, "projects/p")
        request.workload.count = random.choice((0, 1, 8))
        if random.random() < 0.3:
            request.workload.workload_id = "train-7"
        if random.random() < 0.3:
            request.max_fallbacks = random.randint(0, 8)
        bench.told(request)
        expected = bench.made(request, len(bench.logged))
        answer = None if desk is None else desk.answer(data_of(request), "p")
        if answer is None:
            continue
        answered += 1
        assert expected is not None
        assert bench.logged[-1] == expected
        assert type(bench.logged[-1]) is DecisionRecord
        assert answer == expected.response
    assert answered == (300 if FAST else 0)


def test_what_cannot_be_placed_is_answered_alike(snapshot: CatalogSnapshot) -> None:
    """Infeasible is an answer too, with its relaxations."""
    bench = Bench(snapshot)
    request = plain_request(Random(1), "projects/p")
    request.workload.size.Clear()
    request.workload.size.vcpus = 9_000
    expected, desk = bench.made(request), bench.desk()
    answer = None if desk is None else desk.answer(data_of(request), "p")
    assert expected is not None
    assert expected.verdict == "infeasible"
    assert bench.logged == ([expected] if FAST else [])
    assert answer == (expected.response if FAST else None)


def test_policies_hold_and_missing_tags_are_left_to_the_desk(snapshot: CatalogSnapshot) -> None:
    """A policy that keeps work in Azure is felt; of one that asks for tags nothing is answered or logged."""
    azure = Rules(residency=Residency(clouds=frozenset({snapshot.regions[-1].cloud})))
    tagged = Rules(required_tags=frozenset({"team"}))
    request = plain_request(Random(4), "projects/p")
    for rules, answers in ((azure, FAST), (tagged, False)):
        definition = PolicyDefinition("projects/p", "own", PolicyContent(rules=rules))
        bench = Bench(snapshot, policies=PolicySet.of([definition], 7))
        bench.told(request)
        desk = bench.desk()
        answer = None if desk is None else desk.answer(data_of(request), "p")
        assert (answer is not None) == answers
        expected = bench.made(request)
        assert bench.logged == ([expected] if answers else [])


def test_remembered_answers_are_those_made_anew(snapshot: CatalogSnapshot) -> None:
    """What the short way keeps the long way finds, the other way round too, and the bytes are those of deciding."""
    bench = Bench(snapshot, memo=DecisionMemo(100))
    desk, random = bench.desk(), Random(8)
    for number in range(40):
        request = plain_request(random, "projects/p")
        if number % 2:
            request.max_fallbacks = number % 9
        bench.told(request)
        if desk is None:
            continue
        for seconds in (0, 5):
            bench.instant = NOW + timedelta(seconds=seconds)
            expected = bench.made(request, len(bench.logged))
            assert expected is not None
            assert desk.answer(data_of(request), "p") == expected.response
            assert bench.logged[-1] == expected
        key = key_of(request)
        assert key is not None
        assert bench.memo.find(key, bench.view("p"), "p", bench.instant) is not None


def test_only_canonical_bytes_are_answered(snapshot: CatalogSnapshot) -> None:
    """What is logged are the bytes that came: so of 4,000 damaged requests those answered are canonical."""
    bench, random = Bench(snapshot), Random(12)
    method, answered = plain_method(bench.desk(), lambda *_: True), 0
    for _ in range(4_000):
        request = plain_request(random, "projects/p")
        bench.told(request)
        data = bytearray(data_of(request))
        data[random.randrange(len(data))] = random.randrange(256)
        if method is None or method(bytes(data), ANYONE) is None:
            continue
        answered += 1
        try:
            meant = pb.PlaceRequest.FromString(bytes(data))
        except DecodeError:
            pytest.fail(f"no message was answered: {data.hex()}")
        assert data_of(meant) == bytes(data)
        assert bench.logged[-1].request == bytes(data)
    assert answered > (200 if FAST else -1)


REWRITES: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: data + b"\x30\x80\x00",  # three fallbacks too few, in two bytes
    lambda data: data + b"\x38\x00",  # explain = false, said
    lambda data: data + b"\x2a\x00",  # no request_id, said
    lambda data: data[12:] + data[:12],  # the parent last
    lambda data: b"\x0a\x80\x00" + data,  # an empty parent before it
    lambda data: data + data[:12],  # the parent twice
    lambda data: data + b"\xf8\x07\x01",  # a field that nobody knows
    lambda data: data[:-1],
    lambda data: data[:12],
    lambda _: b"",
)


@pytest.mark.parametrize("rewrite", REWRITES)
def test_another_form_of_the_same_request_is_left_alone(
    snapshot: CatalogSnapshot, rewrite: Callable[[bytes], bytes]
) -> None:
    """Valid or not: nothing is answered, and nothing logged."""
    bench = Bench(snapshot)
    desk, request = bench.desk(), plain_request(Random(5), "projects/p")
    bench.told(request)
    data = data_of(request)
    assert data[:12] == b"\x0a\x0aprojects/p"
    method = plain_method(desk, lambda *_: True)
    assert method is None or method(rewrite(data), ANYONE) is None
    assert bench.logged == []


@pytest.mark.parametrize(
    "parent", ["", "p", "projects/", "projects/P", "projects/-", "projects/*", "projects/p/x", "projects/p\n", "é"]
)
def test_parents_that_are_none_are_left_to_be_refused(snapshot: CatalogSnapshot, parent: str) -> None:
    """The short way asks for the role in real projects only."""
    bench, asked = Bench(snapshot), []

    def may(_principal: Principal, project: str) -> bool:
        asked.append(project)
        return True

    request = plain_request(Random(5), parent)
    bench.told(request)
    method = plain_method(bench.desk(), may)
    assert method is None or method(data_of(request), ANYONE) is None
    assert asked == []
    assert bench.logged == []


def test_who_may_not_is_not_answered(snapshot: CatalogSnapshot) -> None:
    """Whoever may was answered before: the project is known, the caller is asked about anew."""
    bench = Bench(snapshot)
    request = plain_request(Random(5), "projects/p")
    bench.told(request)
    method = plain_method(bench.desk(), lambda caller, project: caller.may(Role.SCHEDULER, project))
    stranger = principal("stranger", [Grant("q", frozenset({Role.ADMIN}))])
    if method is None:
        assert not FAST
        return
    assert method(data_of(request), ANYONE) is not None
    assert method(data_of(request), stranger) is None
    assert len(bench.logged) == 1


def test_requests_that_say_more_are_left_alone(snapshot: CatalogSnapshot) -> None:
    """Reserving, explaining, a request id: each needs more than a decision."""
    bench = Bench(snapshot)
    desk = bench.desk()
    changes: tuple[Callable[[pb.PlaceRequest], object], ...] = (
        lambda r: setattr(r, "reserve", True),
        lambda r: setattr(r, "explain", True),
        lambda r: setattr(r, "request_id", "0" * 8),
        lambda r: setattr(r.reserve_duration, "seconds", 1),
        lambda r: r.workload.tags.update({"team": "a"}),
        lambda r: setattr(r.workload.current.location, "cloud", types_pb2.CLOUD_AWS),
    )
    for change in changes:
        request = plain_request(Random(6), "projects/p")
        bench.told(request)
        change(request)
        assert desk is None or desk.answer(data_of(request), "p") is None
    assert bench.logged == []
