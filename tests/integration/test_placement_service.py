"""Placement as a caller sees it: outcomes, replay and the log, through the real service."""

import copy
import uuid
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from tests.support import whole_requests as whole
from tests.support.catalog_sources import CatalogSource, good_source
from tests.support.contract import CATALOG, COMMITMENT, PLACEMENT, POLICY, answered
from tests.support.placement_house import (
    ONLY_IRELAND,
    OWNED,
    PLACED,
    House,
    own,
    place,
    report,
    reserving,
)
from tests.support.whole_requests import place_request
from trimtab.v1 import catalog_service_pb2, commitment_service_pb2, policy_service_pb2, types_pb2
from trimtab.v1 import placement_service_pb2 as pb

BATCH: Final = PLACEMENT + "BatchPlace"


EXPLAIN: Final = PLACEMENT + "ExplainPlacement"


REPORT: Final = PLACEMENT + "ReportOutcome"


RELEASE: Final = PLACEMENT + "ReleaseDecision"


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


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
