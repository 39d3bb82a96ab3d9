"""The lifecycle through a real server: who may do what to which recommendation, and what comes of it."""

import threading
import time
from dataclasses import replace
from typing import Any

import grpc
import pytest

from tests.support.contract import refusal_of
from tests.support.findings import content, resource, stopping
from tests.support.lifecycles import CODE, House, claimed, found, named, refused, states
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1 import rightsizing_pb2
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub


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
    series = rightsizing_pb2.Telemetry(series=[rightsizing_pb2.MetricSeries(values=[1.0])])
    verify = pb.VerifyRecommendationRequest(
        name=made.name, request_id="x", running_hours=-1, telemetry_source="s", telemetry=series
    )
    assert refused(rpc.VerifyRecommendation, verify, ada).fields.keys() >= {
        "request_id",
        "running_hours",
        "telemetry_source",
        "telemetry.series[0].metric",
    }
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
