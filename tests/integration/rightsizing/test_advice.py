"""Advice through a real server, its keeping, its sources, and the policies that bind it."""

import threading
import uuid
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.type.money_pb2 import Money

from tests.support import sizing_requests as asked
from tests.support.contract import Refusal, refusal_of
from tests.support.fleets import EVERYTHING, Clock, DisturbedSource
from tests.support.service import RunningService, running_service
from tests.support.sizing_requests import oversized
from trimtab.v1 import placement_service_pb2, policy_service_pb2, types_pb2
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb
from trimtab_service.bootstrap import Overrides

ADVICE = service_pb.RightsizingAdvice


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
