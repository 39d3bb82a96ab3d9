# ruff: noqa: ANN401 - fields of any request
"""The lifecycle through a real server: who may do what to which recommendation, and what comes of it."""

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from tests.support.contract import Refusal, refusal_of
from tests.support.findings import content, resource, stopping
from tests.support.lifecycles import House, lifecycle_house, named, states
from trimtab.v1 import policy_service_pb2, rightsizing_pb2
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from trimtab_service.domain.recommendations import Recommendation

CODE: Final = grpc.StatusCode
_numbers = count(100)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for the module; every test has a project and machines of its own."""
    with lifecycle_house(tmp_path_factory.mktemp("lifecycle"), poll_interval=timedelta(milliseconds=50)) as made:
        yield made


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"p{uuid.uuid4().hex[:12]}"


@pytest.fixture
def rpc(house: House) -> RecommendationServiceStub:
    """The stub."""
    return house.service.recommendation


def found(house: House, project: str) -> Recommendation:
    """A resize of a machine of its own, which runs."""
    number = next(_numbers)
    house.machines.add(f"i-{number:08}")
    (made,) = house.take_in(project, content(number))
    return made


def refused(call: Any, request: Any, metadata: Any) -> Refusal:
    """The refusal of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as failed:
        call(request, metadata=metadata, timeout=30)
    return refusal_of(failed.value)


def claimed(house: House, rpc: RecommendationServiceStub, made: Recommendation, who: str = "ada") -> pb.Recommendation:
    """Claimed by somebody."""
    answer: pb.Recommendation = rpc.ClaimRecommendation(
        pb.ClaimRecommendationRequest(**named(made)), metadata=house.as_one(who), timeout=30
    )
    return answer


def apply(rpc: RecommendationServiceStub, made: Recommendation, who: Any, **fields: Any) -> Any:
    """Carried out."""
    return rpc.ApplyRecommendation(
        pb.ApplyRecommendationRequest(**named(made, execute=True) | fields), metadata=who, timeout=60
    )


def test_a_recommendation_says_what_it_is_about(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """Impact, operations, options, sentence, card; and its name is its own."""
    made = found(house, project)
    read = rpc.GetRecommendation(pb.GetRecommendationRequest(name=made.name), metadata=house.as_one("v", "viewer"))
    assert (read.name, read.etag) == (made.name, made.etag)
    assert (read.primary_impact.cost.units, read.primary_impact.cost.nanos) == (-140, -160_000_000)
    assert [one.kind for one in read.operation_groups[0].operations] == [
        pb.Operation.KIND_STOP_INSTANCE,
        pb.Operation.KIND_MODIFY_INSTANCE_TYPE,
        pb.Operation.KIND_START_INSTANCE,
    ]
    assert read.rightsizing_option.back_test.exceedance == pytest.approx(0.004)
    assert read.summary.startswith("Resize i-")
    assert read.card.lines[0] == read.summary
    assert [action.method for action in read.card.actions] == ["ClaimRecommendation", "DismissRecommendation"]
    assert [step.reason for step in read.history] == [pb.TRANSITION_REASON_ADVISED]


def test_the_whole_way_is_written_down(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """Dismissed, reopened, claimed, failed, reopened, claimed, succeeded: actor, reason and comment of each."""
    made = found(house, project)
    ada, bob = house.as_one("ada", "scheduler"), house.as_one("bob", "scheduler")
    steps: list[tuple[Any, Any, Any]] = [
        (rpc.DismissRecommendation, pb.DismissRecommendationRequest, {"reason": pb.TRANSITION_REASON_LATER}),
        (rpc.ReopenRecommendation, pb.ReopenRecommendationRequest, {}),
        (rpc.ClaimRecommendation, pb.ClaimRecommendationRequest, {"comment": "mine"}),
        (
            rpc.MarkRecommendationFailed,
            pb.MarkRecommendationFailedRequest,
            {"reason": pb.TRANSITION_REASON_CLOUD_FAILED},
        ),
        (rpc.ReopenRecommendation, pb.ReopenRecommendationRequest, {}),
        (rpc.ClaimRecommendation, pb.ClaimRecommendationRequest, {}),
        (
            rpc.MarkRecommendationSucceeded,
            pb.MarkRecommendationSucceededRequest,
            {"state_metadata": {"ticket": "42"}},
        ),
    ]
    answers = [call(kind(**named(made, **fields)), metadata=ada) for call, kind, fields in steps]
    assert states(answers) == [
        f"STATE_{name}" for name in ("DISMISSED", "ACTIVE", "CLAIMED", "FAILED", "ACTIVE", "CLAIMED", "SUCCEEDED")
    ]
    assert len({one.etag for one in answers}) == len(answers)
    last = rpc.GetRecommendation(pb.GetRecommendationRequest(name=made.name), metadata=bob)
    assert last == answers[-1]
    assert [step.actor for step in last.history] == ["trimtab"] + ["oidc:ada"] * 7
    assert [step.reason for step in last.history] == [
        pb.TRANSITION_REASON_ADVISED,
        pb.TRANSITION_REASON_LATER,
        pb.TRANSITION_REASON_JUDGED_ANEW,
        pb.TRANSITION_REASON_TAKEN,
        pb.TRANSITION_REASON_CLOUD_FAILED,
        pb.TRANSITION_REASON_JUDGED_ANEW,
        pb.TRANSITION_REASON_TAKEN,
        pb.TRANSITION_REASON_DONE_ELSEWHERE,
    ]
    assert last.history[3].comment == "mine"
    assert dict(last.state_metadata) == {"ticket": "42"}


def test_who_holds_it_counts(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """Another scheduler may not mark it; an operator may."""
    made = found(house, project)
    claimed(house, rpc, made)
    done = pb.MarkRecommendationSucceededRequest(**named(made))
    assert (
        refused(rpc.MarkRecommendationSucceeded, done, house.as_one("bob", "scheduler")).code is CODE.PERMISSION_DENIED
    )
    again = refused(rpc.ClaimRecommendation, pb.ClaimRecommendationRequest(**named(made)), house.as_one("bob"))
    assert (again.code, again.reason) == (CODE.FAILED_PRECONDITION, "STATE_CONFLICT")
    answer = rpc.MarkRecommendationSucceeded(done, metadata=house.as_one("olga"))
    assert answer.history[-1].actor == "oidc:olga"


def test_a_stale_etag_aborts_and_a_replay_answers_as_before(
    house: House, rpc: RecommendationServiceStub, project: str
) -> None:
    """Whatever happened in between; the same id with another body is refused."""
    made, ada = found(house, project), house.as_one("ada")
    claim = pb.ClaimRecommendationRequest(**named(made, etag=made.etag))
    first = rpc.ClaimRecommendation(claim, metadata=ada)
    rpc.MarkRecommendationSucceeded(pb.MarkRecommendationSucceededRequest(**named(made)), metadata=ada)
    assert rpc.ClaimRecommendation(claim, metadata=ada) == first
    stale = refused(rpc.ReopenRecommendation, pb.ReopenRecommendationRequest(**named(made, etag=made.etag)), ada)
    assert (stale.code, stale.reason) == (CODE.ABORTED, "ETAG_MISMATCH")
    claim.comment = "other"
    assert refused(rpc.ClaimRecommendation, claim, ada).says("request_id") == "REQUEST_ID_REUSED"


def test_bad_requests_name_their_fields(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """All at once, before anything is looked up."""
    made, ada = found(house, project), house.as_one("ada")
    request = pb.MarkRecommendationFailedRequest(
        name=made.name,
        request_id="x",
        reason=pb.TRANSITION_REASON_ADVISED,
        comment="x" * 1_001,
        state_metadata={str(number): "" for number in range(65)},
    )
    answer = refused(rpc.MarkRecommendationFailed, request, ada)
    assert answer.fields.keys() == {"request_id", "reason", "comment", "state_metadata"}
    assert refused(rpc.DismissRecommendation, pb.DismissRecommendationRequest(**named(made)), ada).says("reason")
    execute = pb.ApplyRecommendationRequest(name=made.name, execute=True)
    assert refused(rpc.ApplyRecommendation, execute, ada).says("request_id") == "FIELD_REQUIRED"
    approve = pb.ApproveRecommendationRequest(**named(made))
    assert refused(rpc.ApproveRecommendation, approve, house.as_one("g", "approver")).says("etag") == "FIELD_REQUIRED"
    missing = pb.GetRecommendationRequest(name=f"projects/{project}/recommendations/none")
    assert refused(rpc.GetRecommendation, missing, ada).code is CODE.NOT_FOUND
    parent = f"projects/{project}"
    for field, wrong in (("filter", "nonsense"), ("order_by", "name"), ("page_token", "AAAA"), ("page_size", -1)):
        listing = pb.ListRecommendationsRequest(parent=parent, **{field: wrong})  # type: ignore[arg-type] # of each field
        assert refused(rpc.ListRecommendations, listing, ada).says(field)
    totals = pb.SummarizeRecommendationsRequest(parent=parent, group_by=[99])  # type: ignore[list-item] # not of the enum
    assert refused(rpc.SummarizeRecommendations, totals, ada).says("group_by[0]") == "UNKNOWN_VALUE"


def test_lists_have_pages_filters_and_orders(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """Without histories, in the words of the contract."""
    contents = [content(number, confidence=number / 10) for number in range(1, 8)] + [stopping(9)]
    house.take_in(project, *contents)
    viewer, parent = house.as_one("v", "viewer"), f"projects/{project}"
    names: list[str] = []
    asked = pb.ListRecommendationsRequest(parent=parent, filter='kind = "rightsize"', page_size=3)
    while True:
        page = rpc.ListRecommendations(asked, metadata=viewer)
        names += [one.resource.resource_id for one in page.recommendations]
        assert not any(one.history for one in page.recommendations)
        if not page.next_page_token:
            break
        asked.page_token = page.next_page_token
    assert sorted(names) == [f"i-{number:08}" for number in range(1, 8)]
    best = rpc.ListRecommendations(
        pb.ListRecommendationsRequest(parent=parent, order_by="monthly_saving desc", page_size=1), metadata=viewer
    )
    assert best.recommendations[0].kind == pb.Recommendation.KIND_STOP


def test_totals_add_up(house: House, rpc: RecommendationServiceStub, project: str) -> None:
    """Per team and state; the sum of the rows is the total."""
    house.take_in(project, content(1), content(2), replace(content(3), resource=resource(3, team="speech")))
    kind = pb.SummarizeRecommendationsRequest
    answer = rpc.SummarizeRecommendations(
        kind(parent=f"projects/{project}", group_by=[kind.GROUP_BY_TEAM, kind.GROUP_BY_STATE]),
        metadata=house.as_one("v", "viewer"),
    )
    assert [(row.team, row.count, row.promised_monthly_saving.units) for row in answer.rows] == [
        ("vision", 2, 280),
        ("speech", 1, 140),
    ]
    assert (answer.total.count, answer.total.promised_monthly_saving.units) == (3, 420)


def test_a_watch_tells_what_comes_and_resumes_where_it_was(
    house: House, rpc: RecommendationServiceStub, project: str
) -> None:
    """Changes made while nobody watched included; another project's are not told."""
    viewer, parent = house.as_one("v", "viewer"), f"projects/{project}"
    first = found(house, project)
    watch = rpc.WatchRecommendations(pb.WatchRecommendationsRequest(parent=parent), metadata=viewer, timeout=60)
    seen: list[pb.RecommendationEvent] = []
    reader = threading.Thread(target=lambda: seen.append(next(iter(watch))))
    reader.start()
    while not seen:
        found(house, "elsewhere")
        claimed(house, rpc, first)
        rpc.ReopenRecommendation(pb.ReopenRecommendationRequest(**named(first)), metadata=house.as_one("ada"))
        time.sleep(0.1)
    reader.join()
    watch.cancel()
    assert seen[0].recommendation.name == first.name
    second = found(house, project)
    claimed(house, rpc, second)
    again = rpc.WatchRecommendations(
        pb.WatchRecommendationsRequest(
            parent=parent,
            resume_token=seen[0].resume_token,
            filter=f'resource_id = "{second.content.resource.resource_id}"',
        ),
        metadata=viewer,
        timeout=60,
    )
    event = next(iter(again))
    again.cancel()
    assert (event.recommendation.name, event.recommendation.state) == (second.name, pb.Recommendation.STATE_CLAIMED)
    assert len(event.recommendation.history) == 2
    other = pb.WatchRecommendationsRequest(parent="projects/other", resume_token=event.resume_token)
    with pytest.raises(grpc.RpcError) as failed:
        next(iter(rpc.WatchRecommendations(other, metadata=viewer, timeout=30)))
    assert refusal_of(failed.value).says("resume_token") == "PAGE_TOKEN_INVALID"


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

    def run(request: dict[str, Any]) -> Any:
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
    assert list(apply(rpc, made, ada).obstacles) == ["APPROVAL_REQUIRED"]
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
