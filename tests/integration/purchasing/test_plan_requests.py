"""Purchase plans: what a request may hold, by stream or at once, and what is refused."""

from datetime import datetime, timedelta
from functools import partial

import grpc
import pytest

from tests.support import purchase_requests as asked
from tests.support.contract import refusal_of
from tests.support.planning import NOW, PLAN, amount, parts, planned, proof_of, refused
from tests.support.purchase_requests import demand, offer, owned, question, usd
from tests.support.service import RunningService
from trimtab.v1 import commitment_service_pb2, types_pb2
from trimtab.v1 import purchasing_service_pb2 as pb


def test_a_stream_is_answered_as_one_message(service: RunningService, parent: str) -> None:
    """To the byte, but for how long it took; and stored."""
    request = question(parent)
    whole = planned(service, request)
    streamed = service.purchasing.StreamOptimizePurchasePlan(parts(request), timeout=60)
    for plan in (whole, streamed):
        plan.certificate.solve_seconds = 0.0
    assert streamed == whole


@pytest.mark.parametrize(
    ("first", "field"),
    [(False, "request.parent"), (True, "hours.series")],
)
def test_a_stream_out_of_order_is_refused(service: RunningService, parent: str, first: bool, field: str) -> None:
    """Hours before the request, and hours of a series that is not there."""
    stray = pb.StreamOptimizePurchasePlanRequest(hours=pb.DemandHours(series=7, hourly_usage=[1.0]))
    messages = [*parts(question(parent, hours=24)), stray] if first else [stray]
    with pytest.raises(grpc.RpcError) as caught:
        service.purchasing.StreamOptimizePurchasePlan(iter(messages), timeout=60)
    assert field in refusal_of(caught.value).fields


def test_missing_and_repeated_hours_are_told(service: RunningService, parent: str) -> None:
    """An hour that comes twice is summed, one that is missing is none; both are said."""
    request = question(parent, hours=48)
    request.demand.ClearField("start_time")
    begin = int(asked.START.timestamp())
    for series in request.demand.series:
        series.epoch_seconds.extend(begin + 3_600 * index for index in range(48))
        series.epoch_seconds[5] = series.epoch_seconds[4]
    notes = set(planned(service, request).demand_notes)
    assert notes == {"MISSING_HOURS_ZERO", "DUPLICATE_HOURS_SUMMED", "SHORT_HISTORY"}


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), 1e13, 1.1e9])
def test_usage_that_cannot_be_is_refused(service: RunningService, parent: str, value: float) -> None:
    """Negative, no number, infinite, or more than any bill holds; the field and the hour are named."""
    request = question(parent, hours=48)
    request.demand.series[1].hourly_usage[7] = value
    assert refused(service, request).says("demand.series[1].hourly_usage[7]") == "OUT_OF_RANGE"


def test_the_smallest_and_the_largest_usage_are_planned(service: RunningService, parent: str) -> None:
    """What is too little for any bill is none; a sum of more digits than a decimal has by default is exact."""
    tiny = pb.OptimizePurchasePlanRequest(
        parent=parent, demand=demand(("m5", [1e-300] * 24)), offers=[offer("one", 0.6)], only_given_offers=True
    )
    assert planned(service, tiny).verdict == PLAN.VERDICT_NO_USAGE
    hours = [1e9] * 20_000
    large = pb.EvaluatePurchasePlanRequest(parent=parent, demand=demand(("m5", hours)))
    bill = service.purchasing.EvaluatePurchasePlan(large, timeout=60)
    assert bill.total_cost_exact == "20000000000000.000000000000000"


def test_what_binds_to_a_family_does_not_float(service: RunningService, parent: str) -> None:
    """An EC2 Instance plan without family would cover whichever is in use; no such plan is sold, nor billed."""
    request = question(parent, hours=48)
    loose = offer("loose", 0.5, kind=asked.LOCKED)
    request.offers.append(loose)
    request.owned.append(owned("old", loose, 1))
    fields = refused(service, request).fields
    assert fields == {"offers[3].family": "CONTRADICTION", "owned[0].offer.family": "CONTRADICTION"}
    plans = [owned("old", loose, 1)]
    bill = pb.EvaluatePurchasePlanRequest(parent=parent, demand=request.demand, plans=plans)
    shadow = pb.GetShadowPricesRequest(parent=parent, demand=request.demand, plans=plans)
    ladder = pb.PlanLadderRequest(parent=parent, demand=request.demand, offer=loose)
    for call, field in (
        (partial(service.purchasing.EvaluatePurchasePlan, bill), "plans[0].offer.family"),
        (partial(service.purchasing.GetShadowPrices, shadow), "plans[0].offer.family"),
        (partial(service.purchasing.PlanLadder, ladder), "offer.family"),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(timeout=60)
        assert refusal_of(caught.value).fields == {field: "CONTRADICTION"}
    one_family = pb.OptimizePurchasePlanRequest(
        parent=parent, demand=demand(("m5", [10.0] * 48)), offers=[loose], only_given_offers=True
    )
    assert planned(service, one_family).purchases[0].offer.offer_id == "loose"


@pytest.mark.parametrize("value", [1e-300, 1e-9])
def test_rates_and_factors_that_leave_nothing_are_refused(service: RunningService, parent: str, value: float) -> None:
    """Their products with usage would be no numbers any more."""
    request = question(parent, hours=48)
    request.offers[0].rate = value
    request.offers[1].rates["c5"] = value
    request.scenarios.add(scenario_id="one", probability=1.0, scale=value, family_scales={"m5": value})
    fields = refused(service, request).fields
    wanted = ("offers[0].rate", "offers[1].rates['c5']", "scenarios[0].scale", "scenarios[0].family_scales['m5']")
    assert fields == dict.fromkeys(wanted, "OUT_OF_RANGE")


def test_other_faults_are_named_all_at_once(service: RunningService, parent: str) -> None:
    """Currencies mixed, a term of 0, an unknown product, probabilities that do not sum to 1."""
    request = question(parent, hours=48)
    request.demand.currency_code = "EUR"
    request.demand.series[0].unit_price.CopyFrom(usd(1))
    request.offers[0].term.FromTimedelta(timedelta())
    request.offers[1].kind = KINDLESS
    request.offers[2].rate = 0.0
    request.purchase_times.add().FromDatetime(datetime(2026, 12, 1, 0, 30))  # noqa: DTZ001 - protobuf's are naive
    fields = refused(service, request).fields
    assert fields["demand.series[0].unit_price"] == "CONTRADICTION"
    assert fields["offers[0].term"] == "OUT_OF_RANGE"
    assert fields["offers[1].kind"] == "FIELD_REQUIRED"
    assert fields["offers[2].rate"] == "FIELD_REQUIRED"


KINDLESS = commitment_service_pb2.Commitment.KIND_UNSPECIFIED


def test_scenarios_are_parsed_with_the_rest(service: RunningService, parent: str) -> None:
    """Probabilities that do not sum to 1 are a fault of the request; those that do give a plan over the futures."""
    request = question(parent, hours=240)
    request.validate_only = True
    request.scenarios.add(scenario_id="flat", probability=0.5)
    assert "scenarios" in refused(service, request).fields
    request.scenarios.add(scenario_id="half", probability=0.5, scale=0.5)
    request.risk_preference = pb.RISK_PREFERENCE_CVAR
    plan = planned(service, request)
    assert plan.verdict == PLAN.VERDICT_BUY
    assert plan.certificate.gap <= 1e-6
    if plan.certificate.evidence:
        assert proof_of(plan)[1] == pytest.approx(float(amount(plan.certificate.lower_bound)), rel=1e-9)


def test_the_same_commitment_twice_is_refused_and_overlapping_ones_are_not(
    service: RunningService, parent: str
) -> None:
    """Ids tell them apart."""
    request = question(parent, hours=240)
    request.owned.append(owned("a", offer("", 0.66), 5, start=NOW))
    request.owned.append(owned("b", offer("", 0.66), 5, start=NOW))
    both = planned(service, request)
    assert {one.plan for one in both.expiries} >= {"a", "b"}
    request.owned[1].commitment_id = "a"
    assert refused(service, request).says("owned[1]") == "CONTRADICTION"


def test_no_usage_is_a_verdict_and_no_hours_an_error(service: RunningService, parent: str) -> None:
    """Two of the four different answers."""
    request = question(parent, hours=48)
    for series in request.demand.series:
        series.hourly_usage[:] = [0.0] * 48
    plan = planned(service, request)
    assert plan.verdict == PLAN.VERDICT_NO_USAGE
    assert not plan.purchases
    for series in request.demand.series:
        del series.hourly_usage[:]
    assert refused(service, request).says("demand.series") == "FIELD_REQUIRED"
    del request.demand.series[:]
    assert refused(service, request).says("demand.series") == "FIELD_REQUIRED"


def test_usage_that_no_offer_covers_is_unsupported(service: RunningService, parent: str) -> None:
    """Neither an error nor nothing to do."""
    request = question(parent, hours=48)
    del request.offers[:]
    request.offers.append(offer("elsewhere", 0.4, family="p4d"))
    assert planned(service, request).verdict == PLAN.VERDICT_UNSUPPORTED


def test_ten_years_are_planned_and_eleven_refused(service: RunningService, parent: str) -> None:
    """The cap is told with the field."""
    years = 10 * 8_784
    request = pb.OptimizePurchasePlanRequest(
        parent=parent,
        demand=demand(("m5", [float(5 + index % 5) for index in range(years)])),
        offers=[offer("one", 0.5, family="m5")],
        only_given_offers=True,
        validate_only=True,
    )
    assert planned(service, request).verdict == PLAN.VERDICT_BUY
    request.demand.series[0].hourly_usage.extend([1.0] * 8_784)
    assert refused(service, request).says("demand.series[0].hourly_usage") == "TOO_LARGE"


def test_more_than_memory_holds_is_refused_before_it_is_taken(service: RunningService, parent: str) -> None:
    """Few values, but a grid of 4,096 series over ten years: the matrix is never made."""
    request = pb.OptimizePurchasePlanRequest(parent=parent, offers=[offer("flexible", 0.6)], only_given_offers=True)
    first, last = int(asked.START.timestamp()), int(asked.START.timestamp()) + 3_600 * 87_000
    for index in range(4_096):
        request.demand.series.add(
            cloud=types_pb2.CLOUD_AWS,
            family=f"f{index}",
            region="us-east-1",
            hourly_usage=[1.0, 1.0],
            epoch_seconds=[first, last],
        )
    assert refused(service, request).says("demand.series") == "TOO_LARGE"
    request = question(parent, hours=48)
    request.demand.series[0].hourly_usage.extend([1.0] * 400_000)
    assert "TOO_LARGE" in refused(service, request).fields.values()
