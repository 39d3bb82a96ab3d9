"""Recommendations are carried out: what is looked at before, who must approve, and what comes of it."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.contract import Refusal, refusal_of
from tests.support.lifecycles import CODE, House, apply, claimed, found, lifecycle_house, named, refused
from trimtab.v1 import policy_service_pb2, rightsizing_pb2
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub


def test_a_dry_run_shows_the_difference_and_changes_nothing(
    house: House, rpc: RecommendationServiceStub, project: str
) -> None:
    """Unclaimed it says that too."""
    made = found(house, project)
    looked = rpc.ApplyRecommendation(
        pb.ApplyRecommendationRequest(name=made.name), metadata=house.as_one("ada"), timeout=30
    )
    assert (looked.executed, list(looked.obstacles)) == (False, ["NOT_CLAIMED"])
    assert [(one.operation.changes[0].before, one.operation.changes[0].after) for one in looked.operations] == [
        ("running", "stopped"),
        ("m5.2xlarge", "m5.xlarge"),
        ("stopped", "running"),
    ]
    assert {one.outcome for one in looked.operations} == {pb.AppliedOperation.OUTCOME_UNSPECIFIED}, "all would be done"
    assert looked.recommendation.state == pb.Recommendation.STATE_ACTIVE
    own = made.content.resource.resource_id
    assert house.machines.fields(own)["InstanceType"] == "m5.2xlarge"


def test_applied_verified_and_rolled_back(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """The machine changes and changes back; every operation is in the journal, every step in the history."""
    made, ada = found(house, project), house.as_one("ada")
    own = made.content.resource.resource_id
    claimed(house, rpc, made)
    request = named(made, execute=True)
    done = apply(rpc, made, ada, **request)
    assert (done.executed, list(done.obstacles)) == (True, [])
    assert done.recommendation.state == pb.Recommendation.STATE_SUCCEEDED
    assert [one.outcome for one in done.operations] == [pb.AppliedOperation.OUTCOME_DONE] * 3
    assert house.machines.fields(own) == {"State": "running", "InstanceType": "m5.xlarge"}
    assert apply(rpc, made, ada, **request) == done
    measured = rpc.VerifyRecommendation(
        pb.VerifyRecommendationRequest(**named(made), running_hours=10.0), metadata=ada, timeout=30
    )
    assert measured.realized_impact.reason == "NOT_MEASURED_YET"
    assert measured.realized_impact.promised_saving.units == 1
    looked = rpc.RollBackRecommendation(pb.RollBackRecommendationRequest(name=made.name), metadata=ada, timeout=30)
    assert (looked.executed, list(looked.obstacles)) == (False, [])
    back = rpc.RollBackRecommendation(
        pb.RollBackRecommendationRequest(**named(made, execute=True)), metadata=ada, timeout=30
    )
    assert back.recommendation.state == pb.Recommendation.STATE_FAILED
    assert back.recommendation.history[-1].reason == pb.TRANSITION_REASON_ROLLED_BACK
    assert house.machines.fields(own) == {"State": "running", "InstanceType": "m5.2xlarge"}
    assert [one.rollback for one in back.recommendation.applied_operations] == [False] * 3 + [True] * 3
    nothing = rpc.RollBackRecommendation(
        pb.RollBackRecommendationRequest(**named(made, execute=True)), metadata=ada, timeout=30
    )
    assert (nothing.executed, list(nothing.obstacles)) == (False, ["NOT_APPLIED"])


def test_what_the_cloud_refuses_is_put_back_and_failed(
    house: House, rpc: RecommendationServiceStub, project: str
) -> None:
    """With what it said, for people."""
    made, ada = found(house, project), house.as_one("ada")
    own = made.content.resource.resource_id
    claimed(house, rpc, made)
    house.machines.fail(refuse=["modify_instance_type"])
    try:
        done = apply(rpc, made, ada)
    finally:
        house.machines.fail(refuse=[])
    assert (done.executed, done.recommendation.state) == (True, pb.Recommendation.STATE_FAILED)
    assert "no capacity" in done.recommendation.history[-1].comment
    assert house.machines.fields(own) == {"State": "running", "InstanceType": "m5.2xlarge"}
    reopened = rpc.ReopenRecommendation(pb.ReopenRecommendationRequest(**named(made)), metadata=ada)
    assert reopened.state == pb.Recommendation.STATE_ACTIVE
    claimed(house, rpc, made)
    assert apply(rpc, made, ada).recommendation.state == pb.Recommendation.STATE_SUCCEEDED


@pytest.mark.parametrize("fault", ["gone", "protected", "changed"])
def test_what_is_not_as_it_was_is_not_touched(
    house: House, rpc: RecommendationServiceStub, project: str, fault: str
) -> None:
    """It stays claimed, and the obstacle is named; the request id may be tried again."""
    made, ada = found(house, project), house.as_one("ada")
    own = made.content.resource.resource_id
    claimed(house, rpc, made)
    if fault == "gone":
        house.machines.remove(own)
    elif fault == "protected":
        house.machines.protect(own)
    else:
        house.machines.add(own, InstanceType="c5.large")
    request = named(made, execute=True)
    done = apply(rpc, made, ada, **request)
    assert (done.executed, list(done.obstacles)) == (False, [f"RESOURCE_{fault.upper()}"])
    assert done.recommendation.state == pb.Recommendation.STATE_CLAIMED
    house.machines.add(own)
    assert apply(rpc, made, ada, **request).executed


def test_two_who_apply_at_once_change_the_resource_once(
    house: House, rpc: RecommendationServiceStub, project: str
) -> None:
    """The same request waits for the run; another one finds the resource busy or the recommendation changed."""
    made, ada = found(house, project), house.as_one("ada")
    claimed(house, rpc, made)
    before = len(house.machines.changes())
    house.machines.fail(slow_s={"stop_instance": 0.5})
    same = named(made, execute=True)

    def run(request: dict[str, Any]) -> Any:  # noqa: ANN401 - an answer or a refusal
        try:
            return apply(rpc, made, ada, **request)
        except grpc.RpcError as error:
            return refusal_of(error)

    try:
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(run, [same] * 4 + [named(made, execute=True) for _ in range(4)]))
    finally:
        house.machines.fail(slow_s={})
    assert len(house.machines.changes()) - before == 3
    done = [one for one in answers if not isinstance(one, Refusal) and one.executed]
    assert done
    assert all(one == done[0] for one in done if one in answers[:4])
    for other in answers:
        if isinstance(other, Refusal):
            assert other.code is CODE.ABORTED
        elif not other.executed:
            assert set(other.obstacles) <= {"BUSY", "NOT_CLAIMED"}


def careful(house: House, project: str) -> None:
    """A policy that asks for an approval above 100 USD a month."""
    policy = policy_service_pb2.Policy()
    policy.rules.apply_approval_threshold.units = 100
    policy.rules.apply_approval_threshold.currency_code = "USD"
    house.service.policy.CreatePolicy(
        policy_service_pb2.CreatePolicyRequest(parent=f"projects/{project}", policy_id="careful", policy=policy),
        metadata=house.as_one("olga"),
        timeout=30,
    )


def test_an_approval_is_by_another_of_this_content_and_used_once(
    house: House, rpc: RecommendationServiceStub, project: str
) -> None:
    """Where the policy asks for one. Nobody approves what he claimed; a stale etag approves nothing."""
    careful(house, project)
    made, ada, grace = found(house, project), house.as_one("ada"), house.as_one("grace", "approver")
    early = pb.ApproveRecommendationRequest(**named(made, etag=made.etag))
    assert refused(rpc.ApproveRecommendation, early, grace).code is CODE.FAILED_PRECONDITION
    held = claimed(house, rpc, made)
    assert held.approval_source == f"projects/{project}/policies/careful"
    asked = apply(rpc, made, ada)
    assert list(asked.obstacles) == ["APPROVAL_REQUIRED"]
    assert list(asked.obstacle_details) == [f"asked for by projects/{project}/policies/careful"]
    stale = pb.ApproveRecommendationRequest(**named(made, etag=made.etag))
    assert refused(rpc.ApproveRecommendation, stale, grace).code is CODE.ABORTED
    approve = pb.ApproveRecommendationRequest(**named(made, etag=held.etag))
    assert refused(rpc.ApproveRecommendation, approve, house.as_one("bob")).code is CODE.PERMISSION_DENIED
    assert refused(rpc.ApproveRecommendation, approve, house.as_one("ada", "admin")).code is CODE.PERMISSION_DENIED
    approved = rpc.ApproveRecommendation(approve, metadata=grace)
    assert approved.approval.approver == "oidc:grace"
    assert (
        refused(rpc.ApplyRecommendation, pb.ApplyRecommendationRequest(name=made.name), grace).code
        is CODE.PERMISSION_DENIED
    )
    assert list(apply(rpc, made, house.as_one("bob")).obstacles) == ["NOT_CLAIMED"]
    house.machines.fail(refuse=["stop_instance"])
    try:
        failed = apply(rpc, made, ada)
    finally:
        house.machines.fail(refuse=[])
    assert failed.recommendation.state == pb.Recommendation.STATE_FAILED
    assert "approved by oidc:grace" in failed.recommendation.history[-1].comment
    rpc.ReopenRecommendation(pb.ReopenRecommendationRequest(**named(made)), metadata=ada)
    claimed(house, rpc, made)
    assert list(apply(rpc, made, ada).obstacles) == ["APPROVAL_REQUIRED"]


def test_an_approval_runs_out(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """And says so."""
    careful(house, project)
    made = found(house, project)
    held = claimed(house, rpc, made)
    approve = pb.ApproveRecommendationRequest(**named(made, etag=held.etag))
    approve.valid_for.nanos = 1_000_000
    rpc.ApproveRecommendation(approve, metadata=house.as_one("grace", "approver"))
    time.sleep(0.05)
    assert list(apply(rpc, made, house.as_one("ada")).obstacles) == ["APPROVAL_EXPIRED"]


def cpu(since: datetime, hours: int, percent: float) -> rightsizing_pb2.Telemetry:
    """CPU of one instance, a point an hour."""
    series = rightsizing_pb2.MetricSeries(
        metric=rightsizing_pb2.METRIC_CPU, unit=rightsizing_pb2.UNIT_PERCENT, values=[percent] * hours
    )
    series.statistic = rightsizing_pb2.STATISTIC_MAXIMUM
    series.start_time.FromDatetime(since)
    series.step.FromTimedelta(timedelta(hours=1))
    return rightsizing_pb2.Telemetry(series=[series])


def test_a_regression_raises_a_rollback_that_can_be_applied(tmp_path: Path) -> None:
    """Measured on the caller's series after two days: the new size is exceeded all the time, and undone."""
    now = [datetime(2026, 11, 23, 12, tzinfo=UTC)]
    with lifecycle_house(tmp_path, clock=lambda: now[0]) as house:
        rpc, ada, project = house.service.recommendation, house.as_one("ada"), "measured"
        made = found(house, project)
        own = made.content.resource.resource_id
        claimed(house, rpc, made)
        apply(rpc, made, ada)
        start, now[0] = now[0], now[0] + timedelta(hours=49)
        calm = rpc.VerifyRecommendation(
            pb.VerifyRecommendationRequest(**named(made), telemetry=cpu(start + timedelta(hours=1), 47, 60.0)),
            metadata=ada,
            timeout=30,
        )
        assert (calm.realized_impact.regression, calm.realized_impact.reason) == (False, "")
        assert calm.realized_impact.running_hours == pytest.approx(49, abs=0.1)
        worse = rpc.VerifyRecommendation(
            pb.VerifyRecommendationRequest(**named(made), telemetry=cpu(start + timedelta(hours=1), 47, 100.0)),
            metadata=ada,
            timeout=30,
        )
        impact = worse.realized_impact
        assert (impact.regression, impact.reason) == (True, "EXCEEDS_MORE")
        rollback = rpc.GetRecommendation(pb.GetRecommendationRequest(name=impact.rollback_recommendation), metadata=ada)
        assert (rollback.kind, rollback.rolls_back) == (pb.Recommendation.KIND_ROLLBACK, made.name)
        claim = pb.ClaimRecommendationRequest(name=rollback.name)
        rpc.ClaimRecommendation(claim, metadata=ada)
        undone = rpc.ApplyRecommendation(
            pb.ApplyRecommendationRequest(name=rollback.name, execute=True, request_id=str(uuid.uuid4())),
            metadata=ada,
            timeout=30,
        )
        assert undone.recommendation.state == pb.Recommendation.STATE_SUCCEEDED
        assert house.machines.fields(own)["InstanceType"] == "m5.2xlarge"
        first = rpc.GetRecommendation(pb.GetRecommendationRequest(name=made.name), metadata=ada)
        assert (first.state, first.history[-1].reason) == (
            pb.Recommendation.STATE_FAILED,
            pb.TRANSITION_REASON_ROLLED_BACK,
        )
