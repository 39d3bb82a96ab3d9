"""Placement as a caller sees it: reservations, joint batches, outcomes, replay, the log: the real service."""

import copy
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from tests.support import whole_requests as whole
from tests.support.catalog_sources import CatalogSource, good_source
from tests.support.contract import CATALOG, COMMITMENT, PLACEMENT, POLICY, Refusal, answered, call, refused
from tests.support.service import RunningService, running_service
from tests.support.whole_requests import place_request
from trimtab.v1 import catalog_service_pb2, commitment_service_pb2, policy_service_pb2, types_pb2
from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.bootstrap import Overrides

PLACE: Final = PLACEMENT + "Place"
BATCH: Final = PLACEMENT + "BatchPlace"
EXPLAIN: Final = PLACEMENT + "ExplainPlacement"
REPORT: Final = PLACEMENT + "ReportOutcome"
RELEASE: Final = PLACEMENT + "ReleaseDecision"
OWNED: Final = types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT
PLACED: Final = pb.Decision.VERDICT_PLACED
ONLY_IRELAND: Final = {"regions": [{"cloud": "CLOUD_AWS", "region": "eu-west-1"}], "instanceTypes": ["m5.large"]}


@dataclass
class Clock:
    """A clock that tests move."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        """The time that the service sees."""
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class House:
    """A service, its clock and the directory of its catalogue."""

    service: RunningService
    clock: Clock
    catalog: Path

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the service."""
        return self.service.channel


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for the module; every test has a project of its own."""
    root, clock = tmp_path_factory.mktemp("placement"), Clock()
    directory = good_source().write(root / "catalog")
    with running_service(root / "data", overrides=Overrides(clock=clock), catalog_dir=directory) as service:
        yield House(service, clock, directory)


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


def reserving(project: str, **fields: Any) -> pb.PlaceRequest:  # noqa: ANN401 - fields of a workload
    """A request that draws."""
    request = place_request(project, residency=ONLY_IRELAND, **fields)
    request.reserve, request.request_id = True, str(uuid.uuid4())
    return request


def own(house: House, project: str, instances: float = 2, **changes: object) -> commitment_service_pb2.Commitment:
    """The project owns instances of m5.large in Ireland."""
    document = {
        "kind": "KIND_AWS_RESERVED_INSTANCE_STANDARD",
        "cloud": "CLOUD_AWS",
        "region": "eu-west-1",
        "instanceType": "m5.large",
        "startTime": "2020-01-01T00:00:00Z",
        "endTime": "2099-01-01T00:00:00Z",
        "instances": instances,
        **changes,
    }
    request = commitment_service_pb2.CreateCommitmentRequest(parent=f"projects/{project}", commitment_id="ri")
    ParseDict(document, request.commitment)
    made: commitment_service_pb2.Commitment = answered(house.channel, COMMITMENT + "CreateCommitment", request)
    return made


def reserved_fraction(house: House, project: str) -> float:
    """How much of it is drawn."""
    request = commitment_service_pb2.GetCommitmentRequest(name=f"projects/{project}/commitments/ri")
    return float(answered(house.channel, COMMITMENT + "GetCommitment", request).reserved_fraction)


def place(house: House, request: pb.PlaceRequest) -> pb.Decision:
    """A decision."""
    decision: pb.Decision = answered(house.channel, PLACE, request)
    return decision


def report(house: House, project: str, decision: pb.Decision, **happened: Any) -> int:  # noqa: ANN401 - of an outcome
    """Report on what was chosen; the learned revision."""
    offer = decision.chosen.offer
    pattern = pb.OfferPattern(
        cloud=offer.cloud,
        region=offer.region,
        instance_type=offer.instance_type,
        purchase_option=offer.purchase_option,
    )
    request = pb.ReportOutcomeRequest(
        parent=f"projects/{project}",
        decision=decision.name,
        outcomes=[pb.Outcome(offer=pattern, **happened)],
        request_id=str(uuid.uuid4()),
    )
    return int(answered(house.channel, REPORT, request).learned_revision)


def test_reservation_draws_until_it_is_released(house: House, project: str) -> None:
    """Owned room is free until drawn, drawn once for one request id, and free again when it is given back."""
    own(house, project)
    look = place_request(project, residency=ONLY_IRELAND, count=2)
    assert place(house, look).chosen.offer.purchase_option == OWNED
    assert reserved_fraction(house, project) == 0.0
    request = reserving(project, count=2)
    decision = place(house, request)
    assert (decision.reserved, decision.chosen.offer.purchase_option) == (True, OWNED)
    assert decision.chosen.commitments == [f"projects/{project}/commitments/ri"]
    assert reserved_fraction(house, project) == 1.0
    again = place(house, request)
    assert again.SerializeToString(deterministic=True) == decision.SerializeToString(deterministic=True)
    assert place(house, look).chosen.offer.purchase_option != OWNED
    released = answered(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
    assert (released.reserved, released.HasField("release_time")) == (False, True)
    assert reserved_fraction(house, project) == 0.0
    assert place(house, look).chosen.offer.purchase_option == OWNED
    twice = answered(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
    assert twice == released
    # The id is still taken, and its answer is the first one.
    assert place(house, request).name == decision.name


def test_reservation_expires(house: House, project: str) -> None:
    """At `valid_until`, which is the duration asked for, or a quarter of an hour."""
    own(house, project)
    request = reserving(project, count=2)
    request.reserve_duration.seconds = 60
    decision = place(house, request)
    held = decision.valid_until.ToDatetime() - decision.create_time.ToDatetime()
    assert held == timedelta(seconds=60)
    look = place_request(project, residency=ONLY_IRELAND, count=2)
    house.clock.ahead += timedelta(seconds=59)
    assert place(house, look).chosen.offer.purchase_option != OWNED
    house.clock.ahead += timedelta(seconds=2)
    assert place(house, look).chosen.offer.purchase_option == OWNED
    by_default = place(house, reserving(project, count=2))
    assert by_default.valid_until.ToDatetime() - by_default.create_time.ToDatetime() == timedelta(minutes=15)


def test_answer_of_a_reservation_outlives_its_deadline(house: House, project: str) -> None:
    """A caller that asks again after the workload's deadline still learns what it holds; a new one is refused."""
    own(house, project)
    request = reserving(project)
    request.workload.duration.FromSeconds(60)
    request.workload.deadline.FromDatetime(house.clock() + timedelta(hours=1))
    decision = place(house, request)
    house.clock.ahead += timedelta(hours=2)
    assert place(house, request) == decision
    late = copy.deepcopy(request)
    late.request_id = str(uuid.uuid4())
    assert refused(house.channel, PLACE, late).fields == {"workload.deadline": "OUT_OF_RANGE"}
    other = copy.deepcopy(request)
    other.workload.size.vcpus = 1
    assert refused(house.channel, PLACE, other).reason == "REQUEST_ID_REUSED"


def test_release_of_what_holds_nothing_is_refused(house: House, project: str) -> None:
    """A decision that reserved nothing has nothing to give back."""
    decision = place(house, place_request(project))
    answer = refused(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
    assert (answer.code, answer.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "STATE_CONFLICT")


def test_last_unit_of_room_is_drawn_once(house: House, project: str) -> None:
    """Of sixteen schedulers at once on three instances and a quota of five, three own and five are placed."""
    own(house, project, instances=3)
    quota = {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "unit": "UNIT_INSTANCES", "left": 5}
    requests = [reserving(project, quotas=[quota]) for _ in range(16)]
    decisions: list[Any] = [None] * len(requests)
    together = threading.Barrier(len(requests))

    def ask(number: int) -> None:
        together.wait()
        decisions[number] = call(house.channel, PLACE, requests[number])
        while isinstance(decisions[number], Refusal):
            assert decisions[number].reason == "ROOM_CONFLICT"
            decisions[number] = call(house.channel, PLACE, requests[number])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    placed = [decision for decision in decisions if decision.verdict == PLACED]
    assert len(placed) == 5
    assert sum(decision.chosen.offer.purchase_option == OWNED for decision in placed) == 3
    assert all(decision.verdict == pb.Decision.VERDICT_INFEASIBLE for decision in decisions if decision not in placed)
    assert reserved_fraction(house, project) == 1.0


@pytest.mark.parametrize("joint", [True, False])
def test_joint_batch_gives_no_room_twice(house: House, project: str, joint: bool) -> None:
    """Items compete in order for commitments and quotas when joint; each sees all of it when not; nothing is drawn."""
    own(house, project)
    quota = {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "unit": "UNIT_INSTANCES", "left": 3}
    item = place_request(project, residency=ONLY_IRELAND, quotas=[quota])
    batch = pb.BatchPlaceRequest(parent=f"projects/{project}", requests=[item] * 5, joint=joint)
    decisions = [result.decision for result in answered(house.channel, BATCH, batch).results]
    owned = [decision.chosen.offer.purchase_option == OWNED for decision in decisions]
    placed = [decision.verdict == PLACED for decision in decisions]
    if joint:
        assert owned == [True, True, False, False, False]
        assert placed == [True, True, True, False, False]
    else:
        assert owned == placed == [True] * 5
    assert reserved_fraction(house, project) == 0.0
    for decision in decisions:
        asked = pb.ExplainPlacementRequest(parent=f"projects/{project}", decision=decision.name)
        assert answered(house.channel, EXPLAIN, asked).replay_identical


def test_joint_batch_that_reserves_draws_in_order(house: House, project: str) -> None:
    """Reserved items take room from the store, and items that only look leave alone what those before them drew."""
    own(house, project, instances=3)
    look = place_request(project, residency=ONLY_IRELAND)
    requests = [reserving(project), look, reserving(project), look]
    batch = pb.BatchPlaceRequest(parent=f"projects/{project}", requests=requests, joint=True)
    decisions = [result.decision for result in answered(house.channel, BATCH, batch).results]
    assert [decision.chosen.offer.purchase_option == OWNED for decision in decisions] == [True, True, True, False]
    assert [decision.reserved for decision in decisions] == [True, False, True, False]
    assert reserved_fraction(house, project) == pytest.approx(2 / 3)
    repeated = [result.decision for result in answered(house.channel, BATCH, batch).results]
    assert [repeated[0], repeated[2]] == [decisions[0], decisions[2]]
    assert reserved_fraction(house, project) == pytest.approx(2 / 3)


def test_capacity_failure_blocks_the_very_next_decision(house: House, project: str) -> None:
    """Of the same bytes asked before, in one process; the block ends with a success, or decays."""
    request = place_request(project)
    first = [place(house, request) for _ in range(3)][-1]
    revision = report(house, project, first, capacity_failure=True)
    second = place(house, request)
    assert second.chosen.offer != first.chosen.offer
    assert second.revisions.learned_revision == revision
    report(house, project, first, capacity_success=True)
    assert place(house, request).chosen.offer == first.chosen.offer
    report(house, project, first, capacity_failure=True)
    assert place(house, request).chosen.offer == second.chosen.offer
    house.clock.ahead += timedelta(minutes=5, seconds=1)
    assert place(house, request).chosen.offer == first.chosen.offer


def test_every_block_of_the_cheapest_leads_on(house: House, project: str) -> None:
    """One failure after the other until nothing is left, each in force at once; explanation and relaxations say why."""
    request = place_request(project, residency={"clouds": ["CLOUD_AWS"]})
    request.explain = True
    seen: list[types_pb2.Offer] = []
    while (decision := place(house, request)).verdict == PLACED:
        assert len(seen) < 50
        assert decision.chosen.offer not in seen
        seen.append(decision.chosen.offer)
        report(house, project, decision, capacity_failure=True)
    assert len(seen) >= 4
    assert decision.verdict == pb.Decision.VERDICT_INFEASIBLE
    assert "BLOCKED_BY_OUTCOME" in {count.reason for count in decision.explanation.rejected_offers}


def test_interruptions_make_spot_dearer(house: House, project: str) -> None:
    """What was learned is in the next decision's expected interruptions, and of no other region's."""
    request = place_request(project, purchaseOptions=["PURCHASE_OPTION_SPOT"], residency=ONLY_IRELAND)
    before = place(house, request)
    report(house, project, before, interruptions=40, hours_run=100)
    after = place(house, request)
    assert after.chosen.expected_interruptions > before.chosen.expected_interruptions
    assert after.chosen.risk > before.chosen.risk


def many_kinds(house: House, project: str) -> list[pb.Decision]:
    """Decisions that depend on all that a decision can depend on."""
    parent = f"projects/{project}"
    soon = house.clock() + timedelta(hours=30)
    spot = ["PURCHASE_OPTION_SPOT", "PURCHASE_OPTION_ON_DEMAND"]
    dated = place_request(project, workloadId="train", purchaseOptions=spot)
    dated.workload.deadline.FromDatetime(soon)
    gpu = place_request(project, size={"gpus": [{"model": "V100"}]}, purchaseOptions=spot, workloadId="train")
    whole_place, whole_service = whole.whole_place(project), whole.whole_service(project)
    for request in (whole_place, whole_service):
        request.request_id = str(uuid.uuid4())
    quota = {"location": {"cloud": "CLOUD_AWS", "region": "eu-west-1"}, "unit": "UNIT_INSTANCES", "left": 3}
    item = place_request(project, residency=ONLY_IRELAND, quotas=[quota])
    batch = pb.BatchPlaceRequest(parent=parent, requests=[item, reserving(project), item, dated, item], joint=True)
    looked = pb.ExplainPlacementRequest(parent=parent, request=gpu)
    service = place_request(project)
    service.workload.service_hours_per_month = 500
    impossible = place_request(project, size={"vcpus": 9_000})
    unsupported = place_request(project, size={"vcpus": 1, "instanceType": "x99.huge"})
    singles = [dated, gpu, whole_place, whole_service, reserving(project), service, impossible, unsupported, dated]
    decisions = [place(house, request) for request in singles]
    decisions += [result.decision for result in answered(house.channel, BATCH, batch).results]
    decisions.append(answered(house.channel, EXPLAIN, looked).decision)
    return decisions


def changed_prices(factor: float) -> CatalogSource:
    """The catalogue with other prices, so of another version."""
    source = good_source()
    for row in source.tables["prices"]:
        row["usd_per_hour"] = float(str(row["usd_per_hour"])) * factor
    return source


def test_replay_gives_the_same_bytes_whatever_has_happened_since(house: House, project: str) -> None:
    """After outcomes, changes of policies and commitments, releases, time and another catalogue: byte for byte."""
    parent = f"projects/{project}"
    own(house, project, instances=4)
    decisions = many_kinds(house, project)
    policy = policy_service_pb2.CreatePolicyRequest(parent=f"{parent}/workloads/train", policy_id="cheap")
    policy.policy.rules.max_cost.units = 5
    policy.policy.rules.approval_threshold.units = 1
    policy.policy.condition = "request.gpu_count == 0"
    answered(house.channel, POLICY + "CreatePolicy", policy)
    decisions += many_kinds(house, project)
    report(house, project, decisions[0], capacity_failure=True, interruptions=3, hours_run=50)
    decisions += many_kinds(house, project)
    policy.policy.name = f"{parent}/workloads/train/policies/cheap"
    policy.policy.rules.max_cost.units = 1
    answered(house.channel, POLICY + "UpdatePolicy", policy_service_pb2.UpdatePolicyRequest(policy=policy.policy))
    decisions += many_kinds(house, project)
    answered(
        house.channel,
        COMMITMENT + "EndCommitment",
        commitment_service_pb2.EndCommitmentRequest(name=f"{parent}/commitments/ri"),
    )
    answered(house.channel, POLICY + "DeletePolicy", policy_service_pb2.DeletePolicyRequest(name=policy.policy.name))
    version = place(house, place_request(project)).revisions.catalog_version
    changed_prices(0.5).write(house.catalog)
    refreshed = answered(house.channel, CATALOG + "RefreshCatalog", catalog_service_pb2.RefreshCatalogRequest())
    assert refreshed.name != f"catalogs/{version}"
    assert place(house, place_request(project)).revisions.catalog_version != version
    house.clock.ahead += timedelta(days=2)
    for decision in decisions:
        if decision.reserved:
            answered(house.channel, RELEASE, pb.ReleaseDecisionRequest(name=decision.name))
        asked = pb.ExplainPlacementRequest(parent=parent, decision=decision.name)
        explained = answered(house.channel, EXPLAIN, asked)
        assert explained.replay_identical, decision
        assert explained.decision.HasField("explanation")
        again = copy.deepcopy(explained.decision)
        if not decision.HasField("explanation"):
            again.ClearField("explanation")
        assert again == decision
    assert {decision.verdict for decision in decisions} >= {
        PLACED,
        pb.Decision.VERDICT_INFEASIBLE,
        pb.Decision.VERDICT_UNSUPPORTED,
    }
    assert len({decision.revisions.SerializeToString(deterministic=True) for decision in decisions}) >= 6


def test_answers_to_the_same_bytes_follow_the_world(house: House, project: str) -> None:
    """Asked again and again, a request is answered by the policies, commitments and catalogue of that moment."""
    request = place_request(project, residency={"clouds": ["CLOUD_AWS"]})

    def asked() -> pb.Decision:
        answers = [place(house, request) for _ in range(3)]
        assert len({answer.name for answer in answers}) == 3
        bare = []
        for answer in answers:
            known = answered(house.channel, PLACEMENT + "GetDecision", pb.GetDecisionRequest(name=answer.name))
            assert known == answer
            assert answer.create_time.ToDatetime() < answer.valid_until.ToDatetime()
            for name in ("name", "create_time", "valid_until"):
                answer.ClearField(name)
            bare.append(answer)
        assert bare[0] == bare[1] == bare[2]
        return bare[0]

    plain = asked()
    own(house, project, instanceType="m5.xlarge")
    owning = asked()
    assert owning.chosen.offer.purchase_option == OWNED
    assert plain.chosen.offer.purchase_option != OWNED
    policy = policy_service_pb2.CreatePolicyRequest(parent=f"projects/{project}", policy_id="p")
    policy.policy.rules.residency.denied_clouds.append(types_pb2.CLOUD_AWS)
    answered(house.channel, POLICY + "CreatePolicy", policy)
    assert asked().verdict == pb.Decision.VERDICT_INFEASIBLE
    name = f"projects/{project}/policies/p"
    answered(house.channel, POLICY + "DeletePolicy", policy_service_pb2.DeletePolicyRequest(name=name))
    assert asked().chosen == owning.chosen


def test_list_of_decisions_filters_and_pages(house: House, project: str) -> None:
    """Newest first, each once over all pages, and what the filter says."""
    own(house, project)
    requests = [place_request(project, workloadId=f"w{number % 3}") for number in range(7)]
    requests += [place_request(project, workloadId="w9", size={"vcpus": 9_000}), reserving(project, workloadId="w0")]
    decisions = [place(house, request) for request in requests]
    answered(house.channel, PLACEMENT + "GetDecision", pb.GetDecisionRequest(name=decisions[-1].name))

    def listed(**fields: Any) -> list[str]:  # noqa: ANN401 - fields of the request
        names: list[str] = []
        asked = pb.ListDecisionsRequest(parent=f"projects/{project}", **fields)
        while True:
            page = answered(house.channel, PLACEMENT + "ListDecisions", asked)
            names += [decision.name for decision in page.decisions]
            assert len(page.decisions) <= (fields.get("page_size") or 50)
            asked.page_token = page.next_page_token
            if not page.next_page_token:
                return names

    every = [decision.name for decision in sorted(decisions, key=_newest, reverse=True)]
    assert listed() == every
    for size in (1, 2, 3, 9, 1_000):
        assert listed(page_size=size) == every
    for text, holds in (
        ('workload_id = "w0"', lambda decision: decision.workload_id == "w0"),
        ('verdict = "infeasible"', lambda decision: decision.verdict == pb.Decision.VERDICT_INFEASIBLE),
        ("reserved = true", lambda decision: decision.reserved),
        ("NOT reserved = true", lambda decision: not decision.reserved),
        ('purchase_option = "on_demand"', lambda d: d.chosen.offer.purchase_option == 1),
        ('cloud = "aws" AND region = "eu-west-1"', lambda d: d.chosen.offer.region == "eu-west-1"),
        ('create_time < "2000-01-01T00:00:00Z"', lambda _: False),
    ):
        expected = [decision.name for decision in sorted(decisions, key=_newest, reverse=True) if holds(decision)]
        assert listed(filter=text, page_size=2) == expected, text


def _newest(decision: pb.Decision) -> tuple[datetime, str]:
    return decision.create_time.ToDatetime(), decision.name
