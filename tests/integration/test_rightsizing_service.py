"""The rightsizing service through a real server: advice, its keeping, batches, streams, sources, policies."""

import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import grpc
import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from tests.support import sizing_requests as asked
from tests.support.contract import Refusal, refusal, refusal_of
from tests.support.fleets import EVERYTHING, Clock, DisturbedSource, Sources, simulated
from tests.support.service import RunningService, running_service
from tests.support.sizing_requests import oversized
from trimtab.v1 import placement_service_pb2, policy_service_pb2, types_pb2
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.bootstrap import Overrides
from trimtab_service.rpc.sizing_work import HEAVY_POINTS

ADVICE = service_pb.RightsizingAdvice
POINT_CAP = 400_000


@pytest.fixture(scope="module")
def clock() -> Clock:
    """Stands still."""
    return Clock()


@pytest.fixture(scope="module")
def sources(clock: Clock) -> dict[str, DisturbedSource]:
    """Two simulated worlds; one is down, one hangs."""
    made = {name: simulated(clock, name) for name in ("broken", "east", "hanging", "west")}
    made["broken"].is_down = True
    return made


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, clock: Clock, sources: dict[str, DisturbedSource]
) -> Iterator[RunningService]:
    """One service for all; each test has a project of its own."""
    overrides = Overrides(clock=clock, sources=Sources(sources))
    directory = tmp_path_factory.mktemp("service")
    with running_service(directory, overrides=overrides, sizing_points=POINT_CAP, stream_budget=4) as running:
        yield running


@pytest.fixture
def parent() -> str:
    """A project that no other test uses."""
    return f"projects/p{uuid.uuid4().hex[:12]}"


def refused(service: RunningService, request: service_pb.RightsizeRequest) -> Refusal:
    """The refusal of a request that must be refused."""
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.Rightsize(request, timeout=30)
    return refusal_of(caught.value)


def test_an_oversized_instance_is_advised_with_price_risk_and_back_test(service: RunningService, parent: str) -> None:
    """Options are ranked, priced against now, and held against the caller's own past."""
    request = oversized(parent)
    request.validate_only = True
    advice = service.rightsizing.Rightsize(request, timeout=30)
    assert advice.finding == ADVICE.FINDING_OVER_PROVISIONED
    assert advice.current.instance_type == "m5.4xlarge"
    assert [option.rank for option in advice.options] == list(range(1, len(advice.options) + 1))
    first = advice.options[0]
    saved = first.monthly_saving.units * 10**9 + first.monthly_saving.nanos
    before, after = advice.current.monthly_cost, first.monthly_cost
    assert saved == (before.units - after.units) * 10**9 + before.nanos - after.nanos > 0
    assert first.back_test.windows > 0
    assert 0.0 <= first.back_test.exceedance_low <= first.back_test.exceedance <= first.back_test.exceedance_high <= 1.0
    assert {one.metric: one.points for one in advice.telemetry.series} == {
        pb.METRIC_CPU: asked.FORTNIGHT,
        pb.METRIC_MEMORY: asked.FORTNIGHT,
    }
    assert advice.resource.resource_id == "i-1"
    assert not advice.recommendation


def test_the_same_question_gets_the_same_bytes(service: RunningService, parent: str) -> None:
    """At one instant, in one world."""
    request = oversized(parent)
    request.validate_only = True
    first, second = (service.rightsizing.Rightsize(request, timeout=30) for _ in range(2))
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)


def test_what_is_advised_is_stored_once(service: RunningService, parent: str) -> None:
    """Asked again, it is the same recommendation; a request id gets its first answer; another body is a mistake."""
    request = oversized(parent)
    request.request_id = str(uuid.uuid4())
    first = service.rightsizing.Rightsize(request, timeout=30)
    assert first.recommendation.startswith(f"{parent}/recommendations/")
    assert service.rightsizing.Rightsize(request, timeout=30) == first
    request.preferences.max_options = 1
    assert refused(service, request).says("request_id") == "REQUEST_ID_REUSED"
    request.request_id = str(uuid.uuid4())
    assert service.rightsizing.Rightsize(request, timeout=30).recommendation == first.recommendation


def test_what_is_stored_outlives_the_service(tmp_path: Path, clock: Clock, parent: str) -> None:
    """The answer comes after the commit."""
    overrides = Overrides(clock=clock)
    with running_service(tmp_path, overrides=overrides) as before:
        first = before.rightsizing.Rightsize(oversized(parent), timeout=30)
    with running_service(tmp_path, overrides=overrides) as after:
        again = after.rightsizing.Rightsize(oversized(parent), timeout=30)
    assert again.recommendation == first.recommendation


def test_nothing_to_do_stores_nothing(service: RunningService, parent: str) -> None:
    """A resource that fits has no recommendation."""
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(instance_type="m5.large"))
    request.telemetry.series.append(asked.on_grid(pb.METRIC_CPU, asked.daily(55.0)))
    request.telemetry.series.append(asked.on_grid(pb.METRIC_MEMORY, asked.daily(55.0)))
    request.preferences.families.append("m5")
    advice = service.rightsizing.Rightsize(request, timeout=30)
    assert advice.finding == ADVICE.FINDING_OPTIMIZED
    assert not advice.recommendation


def test_a_type_of_the_callers_own_is_sized_with_his_price(service: RunningService, parent: str) -> None:
    """Without a price of it nothing can be said: that is unsupported, and no error."""
    request = oversized(parent)
    request.validate_only = True
    request.resource.instance_type = "private.huge"
    assert service.rightsizing.Rightsize(request, timeout=30).finding == ADVICE.FINDING_UNSUPPORTED
    request.resource.capacity.vcpus, request.resource.capacity.memory_gib = 16, 64
    request.resource.price_per_hour.CopyFrom(Money(currency_code="USD", units=1))
    advice = service.rightsizing.Rightsize(request, timeout=30)
    assert advice.finding == ADVICE.FINDING_OVER_PROVISIONED
    assert advice.current.price_basis == types_pb2.PRICE_BASIS_CALLER


def test_a_batch_answers_each_item_in_order(service: RunningService, parent: str) -> None:
    """A wrong item is an error of its own; the others are advised and stored."""
    batch = service_pb.BatchRightsizeRequest(parent=parent, request_id=str(uuid.uuid4()))
    batch.requests.extend(oversized("", f"i-{number}") for number in range(3))
    batch.requests[1].resource.region = "nowhere"
    batch.requests[1].request_id = "not a uuid, and not used"
    reply = service.rightsizing.BatchRightsize(batch, timeout=60)
    assert [result.WhichOneof("result") for result in reply.results] == ["advice", "error", "advice"]
    error = refusal(reply.results[1].error, grpc.StatusCode.INVALID_ARGUMENT)
    assert error.fields == {"requests[1].resource.region": "UNKNOWN_VALUE"}
    names = [reply.results[index].advice.recommendation for index in (0, 2)]
    assert [reply.results[index].advice.resource.resource_id for index in (0, 2)] == ["i-0", "i-2"]
    assert len(set(names)) == 2
    assert service.rightsizing.BatchRightsize(batch, timeout=60) == reply
    single = service.rightsizing.Rightsize(oversized(parent, "i-2"), timeout=30)
    assert single.recommendation == names[1]


def test_one_resource_twice_in_a_batch_is_one_recommendation(service: RunningService, parent: str) -> None:
    """What is said of it last counts."""
    batch = service_pb.BatchRightsizeRequest(parent=parent, requests=[oversized(""), oversized("")])
    reply = service.rightsizing.BatchRightsize(batch, timeout=60)
    assert len({result.advice.recommendation for result in reply.results}) == 1
    assert reply.results[0].advice.recommendation


def test_a_batch_only_asked_about_stores_nothing(service: RunningService, parent: str) -> None:
    """`validate_only` of the batch counts, not of its items."""
    batch = service_pb.BatchRightsizeRequest(parent=parent, validate_only=True, requests=[oversized("")])
    (result,) = service.rightsizing.BatchRightsize(batch, timeout=60).results
    assert result.advice.finding == ADVICE.FINDING_OVER_PROVISIONED
    assert not result.advice.recommendation


@pytest.mark.parametrize(
    ("requests", "field", "reason"),
    [
        ([], "requests", "FIELD_REQUIRED"),
        ([service_pb.RightsizeRequest()] * 257, "requests", "TOO_LARGE"),
    ],
)
def test_a_batch_of_no_or_too_many_items_is_refused(
    service: RunningService, parent: str, requests: list[service_pb.RightsizeRequest], field: str, reason: str
) -> None:
    """1 to 256."""
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.BatchRightsize(
            service_pb.BatchRightsizeRequest(parent=parent, requests=requests), timeout=30
        )
    assert refusal_of(caught.value).fields == {field: reason}


def parts(request: service_pb.RightsizeRequest, size: int) -> Iterator[service_pb.StreamRightsizeRequest]:
    """A request as a stream: heads first, then points, series by series in turn."""
    head = service_pb.RightsizeRequest()
    head.CopyFrom(request)
    for series in head.telemetry.series:
        del series.values[:]
        del series.epoch_seconds[:]
    yield service_pb.StreamRightsizeRequest(request=head)
    longest = max(len(series.values) for series in request.telemetry.series)
    for begin in range(0, longest, size):
        for index, series in enumerate(request.telemetry.series):
            points = service_pb.SeriesPoints(
                series=index,
                values=series.values[begin : begin + size],
                epoch_seconds=series.epoch_seconds[begin : begin + size],
            )
            if points.values:
                yield service_pb.StreamRightsizeRequest(points=points)


def test_a_stream_is_answered_as_one_message_would_be(service: RunningService, parent: str) -> None:
    """Grids go on where they ended; stamped series bring their stamps; the answer is the same to the byte."""
    request = oversized(parent)
    request.validate_only = True
    points = [(-asked.STEP_S * index, 30.0 + index % 7) for index in range(2_000)]
    request.telemetry.series.append(asked.stamped(pb.METRIC_CPU_THROTTLED, ((at, 0.0) for at, _ in points)))
    whole = service.rightsizing.Rightsize(request, timeout=30)
    streamed = service.rightsizing.StreamRightsize(parts(request, 977), timeout=30)
    assert streamed.SerializeToString(deterministic=True) == whole.SerializeToString(deterministic=True)


def test_a_stream_is_stored_once_for_its_request_id(service: RunningService, parent: str) -> None:
    """The points count as part of the body."""
    request = oversized(parent)
    request.request_id = str(uuid.uuid4())
    first = service.rightsizing.StreamRightsize(parts(request, 1_000), timeout=30)
    assert first.recommendation
    assert service.rightsizing.StreamRightsize(parts(request, 1_000), timeout=30) == first
    request.telemetry.series[0].values[7] += 1.0
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(parts(request, 1_000), timeout=30)
    assert refusal_of(caught.value).says("request_id") == "REQUEST_ID_REUSED"


def _points(series: int = 0, values: int = 1, stamps: int = 0) -> service_pb.StreamRightsizeRequest:
    points = service_pb.SeriesPoints(series=series, values=[1.0] * values, epoch_seconds=[1] * stamps)
    return service_pb.StreamRightsizeRequest(points=points)


@pytest.mark.parametrize(
    ("later", "field", "reason"),
    [
        ([service_pb.StreamRightsizeRequest()], "points", "FIELD_REQUIRED"),
        ([_points(series=2)], "points.series", "OUT_OF_RANGE"),
        ([_points(series=-1)], "points.series", "OUT_OF_RANGE"),
        ([_points(values=0)], "points.values", "FIELD_REQUIRED"),
        ([_points(stamps=1)], "points.epoch_seconds", "CONTRADICTION"),
        ([_points(values=POINT_CAP // 2)] * 3, "points.values", "TOO_LARGE"),
    ],
)
def test_what_is_wrong_with_a_stream_is_named(
    service: RunningService,
    parent: str,
    later: list[service_pb.StreamRightsizeRequest],
    field: str,
    reason: str,
) -> None:
    """Whatever comes after the request, it is refused at once and with its field."""
    head = next(parts(oversized(parent), 1))
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(iter([head, *later]), timeout=30)
    assert refusal_of(caught.value).fields == {field: reason}


def test_a_stream_begins_with_its_request(service: RunningService, parent: str) -> None:
    """Which names series of its own, and no source."""
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(iter([_points()]), timeout=30)
    assert refusal_of(caught.value).fields == {"request.parent": "FIELD_REQUIRED"}
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(), telemetry_source="east")
    with pytest.raises(grpc.RpcError) as caught:
        service.rightsizing.StreamRightsize(iter([service_pb.StreamRightsizeRequest(request=request)]), timeout=30)
    assert refusal_of(caught.value).fields == {"request.telemetry_source": "CONTRADICTION"}


def test_large_series_are_advised_on_by_another_process(service: RunningService, parent: str) -> None:
    """The serving process hands them over, so that others are answered meanwhile."""
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(), validate_only=True)
    every_ten = [(-10 * index, 10.0 + index % 5) for index in range(HEAVY_POINTS + 1)]
    request.telemetry.series.append(asked.stamped(pb.METRIC_CPU, every_ten))
    before = len(psutil.Process().children())
    advice = service.rightsizing.StreamRightsize(parts(request, 20_000), timeout=100)
    assert advice.telemetry.series[0].points == HEAVY_POINTS + 1
    assert advice.finding not in {ADVICE.FINDING_UNSUPPORTED, ADVICE.FINDING_SOURCE_FAILED}
    assert len(psutil.Process().children()) > before


def test_a_large_batch_is_advised_on_by_another_process(service: RunningService, parent: str) -> None:
    """Many small resources are much work too; each item gets the answer that it would get alone."""
    count = HEAVY_POINTS // (2 * asked.FORTNIGHT) + 20
    batch = service_pb.BatchRightsizeRequest(parent=parent, validate_only=True)
    batch.requests.extend(oversized("", f"i-{number}") for number in range(count))
    batch.requests[3].resource.region = "nowhere"
    reply = service.rightsizing.BatchRightsize(batch, timeout=100)
    alone = oversized(parent, "i-7")
    alone.validate_only = True
    assert reply.results[7].advice == service.rightsizing.Rightsize(alone, timeout=30)
    assert [index for index, one in enumerate(reply.results) if one.WhichOneof("result") == "error"] == [3]
    assert [one.advice.resource.resource_id for one in reply.results[4:]] == [f"i-{n}" for n in range(4, count)]


def resource_of(source: DisturbedSource) -> pb.CloudResource:
    """The first instance that a source lists, by its id alone."""
    listed = next(iter(source.inner.inventory(EVERYTHING, asked.NOW)))
    cloud = {"aws": types_pb2.CLOUD_AWS, "gcp": types_pb2.CLOUD_GCP, "azure": types_pb2.CLOUD_AZURE}[listed.cloud]
    return pb.CloudResource(resource_id=listed.resource_id, cloud=cloud, region=listed.region)


def test_a_source_is_read_for_the_caller(
    service: RunningService, sources: dict[str, DisturbedSource], parent: str
) -> None:
    """What it knows of the resource, it is asked; the look-back window that holds is read."""
    request = service_pb.RightsizeRequest(
        parent=parent, resource=resource_of(sources["east"]), telemetry_source="east", validate_only=True
    )
    request.preferences.lookback.CopyFrom(Duration(seconds=5 * 86_400))
    advice = service.rightsizing.Rightsize(request, timeout=30)
    assert advice.resource.instance_type
    assert advice.telemetry.series
    window = sources["east"].windows[-1]
    assert window.end - window.start == timedelta(days=5)
    request.resource.resource_id = "i-gone"
    assert refused(service, request).reason == "NOT_FOUND"
    request.resource.instance_type = "m5.large"
    advice = service.rightsizing.Rightsize(request, timeout=30)
    assert advice.finding == ADVICE.FINDING_SOURCE_FAILED
    assert advice.missing


def test_a_source_that_fails_is_a_finding(service: RunningService, parent: str) -> None:
    """It says nothing about savings, names the cause, and stores nothing; a source that is not there is an error."""
    request = service_pb.RightsizeRequest(parent=parent, resource=asked.instance(), telemetry_source="broken")
    request.resource.instance_type = ""
    advice = service.rightsizing.Rightsize(request, timeout=30)
    assert advice.finding == ADVICE.FINDING_SOURCE_FAILED
    assert list(advice.missing) == ["broken does not answer"]
    assert not advice.recommendation
    assert not advice.options
    request.telemetry_source = "unheard-of"
    assert refused(service, request).reason == "NOT_FOUND"


def test_a_source_that_hangs_holds_nobody_else(
    service: RunningService, sources: dict[str, DisturbedSource], parent: str
) -> None:
    """Its item reads as failed; the other item of the batch, and other calls, are answered."""
    hanging = sources["hanging"]
    hanging.hangs = threading.Event()
    batch = service_pb.BatchRightsizeRequest(parent=parent, validate_only=True)
    batch.requests.add(resource=asked.instance("i-9"), telemetry_source="hanging")
    batch.requests.append(oversized(""))
    waiting = service.rightsizing.BatchRightsize.future(batch, timeout=60)
    other = oversized(parent)
    other.validate_only = True
    assert service.rightsizing.Rightsize(other, timeout=30).finding == ADVICE.FINDING_OVER_PROVISIONED
    hanging.hangs.set()
    findings = [result.advice.finding for result in waiting.result().results]
    hanging.hangs = None
    assert findings == [ADVICE.FINDING_SOURCE_FAILED, ADVICE.FINDING_OVER_PROVISIONED]


def test_sources_are_listed_by_pages(service: RunningService, parent: str) -> None:
    """By name, filtered, with tokens that belong to their list."""
    request = service_pb.ListTelemetrySourcesRequest(parent=parent, page_size=3)
    first = service.rightsizing.ListTelemetrySources(request, timeout=30)
    request.page_token = first.next_page_token
    second = service.rightsizing.ListTelemetrySources(request, timeout=30)
    names = [one.telemetry_source for page in (first, second) for one in page.telemetry_sources]
    assert names == ["broken", "east", "hanging", "west"]
    assert not second.next_page_token
    assert {one.kind for one in first.telemetry_sources} == {service_pb.TelemetrySource.KIND_SIMULATED}
    request = service_pb.ListTelemetrySourcesRequest(parent=parent, filter='telemetry_source = "west"')
    (only,) = service.rightsizing.ListTelemetrySources(request, timeout=30).telemetry_sources
    assert (only.telemetry_source, only.account) == ("west", "simulated")
    for bad, field in (
        ({"filter": "colour = 1"}, "filter"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": first.next_page_token, "filter": 'kind = "simulated"'}, "page_token"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            service.rightsizing.ListTelemetrySources(
                service_pb.ListTelemetrySourcesRequest(parent=parent, **bad),
                timeout=30,
            )
        assert refusal_of(caught.value).says(field)


def test_policies_set_preferences_and_the_nearest_level_wins(service: RunningService, parent: str) -> None:
    """Every value that holds is told with where it comes from, in the advice and in the effective policy."""
    for level, policy_id, preferences in (
        (parent, "fleet", pb.RightsizingPreferences(profile="safe", max_options=2)),
        (f"{parent}/workloads/web", "web", pb.RightsizingPreferences(profile="economy")),
    ):
        rules = policy_service_pb2.Rules(
            rightsizing=preferences, apply_approval_threshold=Money(currency_code="USD", units=50)
        )
        service.policy.CreatePolicy(
            policy_service_pb2.CreatePolicyRequest(
                parent=level, policy_id=policy_id, policy=policy_service_pb2.Policy(rules=rules)
            ),
            timeout=30,
        )
    request = oversized(parent)
    request.validate_only = True
    request.resource.workload_id = "web"
    request.preferences.max_risk = 1.0
    advice = service.rightsizing.Rightsize(request, timeout=30)
    told = {rule.field.removeprefix("rightsizing."): (rule.value, rule.source) for rule in advice.preferences}
    assert told["profile"] == ("economy", f"{parent}/workloads/web/policies/web")
    assert told["max_options"] == ("2", f"{parent}/policies/fleet")
    assert told["max_risk"] == ("1", "request")
    assert len(advice.options) <= 2
    assert advice.policy_revision > 0
    workload = placement_service_pb2.Workload(workload_id="web", size=placement_service_pb2.Size(vcpus=1))
    workload.duration.seconds = 3_600
    effective = service.policy.GetEffectivePolicy(
        policy_service_pb2.GetEffectivePolicyRequest(parent=parent, workload=workload), timeout=30
    )
    sources = {rule.field: rule.source for rule in effective.rules}
    assert sources["rightsizing.profile"] == f"{parent}/workloads/web/policies/web"
    assert sources["rightsizing.max_options"] == f"{parent}/policies/fleet"
    assert "apply_approval_threshold" in sources


def test_a_policy_may_ask_for_the_size_of_a_resource(service: RunningService, parent: str) -> None:
    """Conditions see the resource's capacity, from the catalogue where the request does not say it."""
    rules = policy_service_pb2.Rules(rightsizing=pb.RightsizingPreferences(max_options=1))
    for policy_id, condition in (("large", "request.vcpus >= 16.0"), ("small", "request.vcpus < 16.0")):
        service.policy.CreatePolicy(
            policy_service_pb2.CreatePolicyRequest(
                parent=parent, policy_id=policy_id, policy=policy_service_pb2.Policy(condition=condition, rules=rules)
            ),
            timeout=30,
        )
    request = oversized(parent)
    request.validate_only = True
    advice = service.rightsizing.Rightsize(request, timeout=30)
    found = [rule.source for rule in advice.preferences if rule.field == "rightsizing.max_options"]
    assert found == [f"{parent}/policies/large"]
