"""The short way through the codec reads what the parser reads and writes what the encoder writes, or does neither."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from google.protobuf.message import DecodeError

from tests.support.messages import plain_request
from tests.support.requests import Case, Requests
from tests.support.snapshots import starter_snapshot
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service import compiled
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.workloads import PlaceQuery
from trimtab_service.placement.engine import decide
from trimtab_service.rpc.decision_encoder import encode_decision
from trimtab_service.rpc.place_parser import PlaceParser
from trimtab_service.rpc.plain_codec import read_plain, write_plain
from trimtab_service.rpc.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 20, 12, 0, 0, 123_456, tzinfo=UTC)
FAST = compiled.load("wire") is not None


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> CatalogSnapshot:
    """The packaged catalogue."""
    return starter_snapshot(Path(tmp_path_factory.mktemp("starter")))


@pytest.fixture(scope="module")
def vocabulary(snapshot: CatalogSnapshot) -> Vocabulary:
    """Its names."""
    return Vocabulary(snapshot)


def parsed(vocabulary: Vocabulary, request: pb.PlaceRequest) -> PlaceQuery | None:
    """What the parser says; None when it refuses."""
    try:
        return PlaceParser(vocabulary, NOW).parse(request, "p")
    except InvalidArgumentError:
        return None


def read(vocabulary: Vocabulary, request: pb.PlaceRequest) -> PlaceQuery | None:
    """What the short way says."""
    return read_plain(vocabulary, request.SerializeToString(deterministic=True), "p")


def test_plain_requests_are_read_alike(vocabulary: Vocabulary) -> None:
    """Once their lists are known, all of them are read, and as the parser reads them."""
    random = Random(3)
    requests = [plain_request(random, "projects/p") for _ in range(300)]
    for request in requests:
        if random.random() < 0.3:
            request.max_fallbacks = random.randint(0, 8)
        if random.random() < 0.3:
            request.workload.workload_id = "train-7"
        if random.random() < 0.3:
            request.workload.count = random.randint(1, 10_000)
    expected = [parsed(vocabulary, request) for request in requests]
    assert [read(vocabulary, request) for request in requests] == (expected if FAST else [None] * 300)


def test_requests_at_the_edges_are_never_read_otherwise(vocabulary: Vocabulary) -> None:
    """Values past each cap, and fields that the short way does not know: either way gives one query, or refuses."""
    changes: tuple[Callable[[pb.PlaceRequest], object], ...] = (
        lambda r: setattr(r, "max_fallbacks", 9),
        lambda r: setattr(r, "max_fallbacks", -1),
        lambda r: setattr(r, "explain", True),
        lambda r: setattr(r, "request_id", "no uuid"),
        lambda r: setattr(r.workload, "count", -1),
        lambda r: setattr(r.workload, "count", 10_001),
        lambda r: setattr(r.workload, "workload_id", "Not Lower"),
        lambda r: setattr(r.workload, "workload_id", "x" * 129),
        lambda r: setattr(r.workload.duration, "seconds", 0),
        lambda r: setattr(r.workload.duration, "seconds", -5),
        lambda r: setattr(r.workload.duration, "nanos", -5),
        lambda r: setattr(r.workload.duration, "nanos", 1_500_000_000),
        lambda r: setattr(r.workload.duration, "nanos", 999_999_999),
        lambda r: setattr(r.workload.duration, "seconds", 10**12),
        lambda r: r.workload.ClearField("duration"),
        lambda r: r.workload.ClearField("size"),
        lambda r: r.workload.size.Clear(),
        lambda r: setattr(r.workload.size, "vcpus", float("nan")),
        lambda r: setattr(r.workload.size, "vcpus", -1.0),
        lambda r: setattr(r.workload.size, "memory_gib", float("inf")),
        lambda r: setattr(r.workload.size, "instance_type", "m5.large"),
        lambda r: r.workload.purchase_options.MergeFrom(pb.Workload.FromString(b"\x40\x63").purchase_options),
        lambda r: r.workload.purchase_options.append(types_pb2.PURCHASE_OPTION_ON_DEMAND),
        lambda r: setattr(r.workload.data_sets[0], "gib", float("nan")),
        lambda r: setattr(r.workload.data_sets[0], "gib", 2e9),
        lambda r: setattr(r.workload.data_sets[0], "reads", 1e7),
        lambda r: setattr(r.workload.data_sets[0], "reads", 0.5),
        lambda r: setattr(r.workload.data_sets[0].private_rate_per_gib, "units", 1),
        lambda r: setattr(r.workload.data_sets[0].location, "region", "nowhere"),
        lambda r: r.workload.data_sets[0].ClearField("location"),
        lambda r: r.workload.data_sets.extend([r.workload.data_sets[0]] * 64),
        lambda r: setattr(r.workload.size.gpus.add(), "model", "V1000"),
        lambda r: setattr(r.workload.size.gpus.add(), "count", -3),
        lambda r: r.workload.residency.countries.append("Atlantis"),
        lambda r: r.workload.tags.update({"team": "a"}),
        lambda r: setattr(r.workload, "tolerance_fraction", 0.1),
        lambda r: setattr(r.workload.interruption.restart_time, "seconds", 7),
    )
    random = Random(5)
    for number, change in enumerate(changes):
        for _ in range(5):
            request = plain_request(random, "projects/p")
            parsed(vocabulary, request)
            change(request)
            assert read(vocabulary, request) in (None, parsed(vocabulary, request)), number


def test_no_bytes_are_read_otherwise(vocabulary: Vocabulary) -> None:
    """Of 4,000 requests with damaged bytes, those that are messages still give what the parser gives, or nothing."""
    random = Random(11)
    messages = 0
    for _ in range(4_000):
        data = bytearray(plain_request(random, "projects/p").SerializeToString())
        for _ in range(random.randint(1, 3)):
            data[random.randrange(len(data))] = random.randrange(256)
        read_plain(vocabulary, bytes(data), "p")
        read_plain(vocabulary, bytes(data[: random.randrange(len(data))]), "p")
        try:
            request = pb.PlaceRequest.FromString(bytes(data))
        except DecodeError:
            continue
        messages += 1
        expected = parsed(vocabulary, request)
        assert read(vocabulary, request) in (None, expected), data.hex()
    assert messages > 500


@pytest.mark.parametrize("kind", ["plain", "guarded", "full"])
def test_decisions_are_written_alike(snapshot: CatalogSnapshot, kind: str) -> None:
    """Byte for byte, for every decision that the short way writes; of plain ones it writes all that place."""
    requests = Requests(snapshot, 21)
    written = placed = 0
    for number in range(200):
        case: Case = getattr(requests, kind)()
        instant = case.instant + timedelta(microseconds=number * 77_777)
        decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
        if number % 3 == 0:
            decision = decision._replace(
                notes=(*decision.notes, "dearer than it was: 5 \u20ac"), approval_required_by="p/q"
            )
        workload_id = "w-1" if number % 2 else ""
        named = {"name": f"projects/p/decisions/{number}", "workload_id": workload_id}
        data = write_plain(decision, instant=instant, revisions=b"\x0a\x03abc", **named)
        message = encode_decision(decision, instant=instant, revisions=b"\x0a\x03abc", **named)
        assert data in (None, message.SerializeToString(deterministic=True)), case.query
        placed += decision.chosen is not None
        written += data is not None
    if FAST:
        assert written == placed if kind == "plain" else written > 20


def test_costs_of_every_size_are_written_alike(snapshot: CatalogSnapshot) -> None:
    """Zero, fractions of a cent, and a billion dollars."""
    case = Requests(snapshot, 5).plain()
    decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
    while decision.chosen is None:
        case = replace(case, query=Requests(snapshot, 6).plain().query)
        decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
    for micros in (0, 1, 999_999, 1_000_000, 123_456_789_012, 10**15):
        terms = decision.chosen.terms._replace(compute=micros, egress=micros // 3)
        changed = decision._replace(chosen=decision.chosen._replace(terms=terms, risk=micros % 6))
        data = write_plain(changed, name="n", instant=NOW, workload_id="", revisions=b"")
        message = encode_decision(changed, name="n", instant=NOW, workload_id="", revisions=b"")
        assert data == (message.SerializeToString(deterministic=True) if FAST else None)


@pytest.mark.parametrize("micros", [-1, 2**60 + 1, 2**63, 2**70])
def test_costs_beyond_the_short_form_are_left_to_the_whole_one(snapshot: CatalogSnapshot, micros: int) -> None:
    """What 64 bits do not hold is no fault of the request: the short way steps aside."""
    case = Requests(snapshot, 5).plain()
    decision = decide(case.query, snapshot, case.policy, case.state, case.instant)
    assert decision.chosen is not None
    terms = decision.chosen.terms._replace(compute=micros)
    changed = decision._replace(chosen=decision.chosen._replace(terms=terms))
    assert write_plain(changed, name="n", instant=NOW, workload_id="", revisions=b"") is None
