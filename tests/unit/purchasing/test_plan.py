"""The plan as a whole: pools, screening, changes, terms, owned levels, limits, rounding, re-billing, scenarios."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from tests.support.purchase_programs import published_rates, synthetic_usage
from tests.support.shared_data import shared_demand
from trimtab import certificates
from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.purchasing import (
    ChangeKind,
    CommitmentBasis,
    DeclaredChange,
    OwnedLevel,
    Payment,
    PlanOffer,
    PlanTerms,
    Preference,
    PurchaseLimits,
    RiskAim,
    Scenario,
    Service,
    SpotShare,
    UsageKey,
)
from trimtab_service.domain.reasons import DroppedReason, ErrorReason
from trimtab_service.purchasing.demand import HourlyUsage
from trimtab_service.purchasing.optimiser import Ending
from trimtab_service.purchasing.outcome import PurchasePlan
from trimtab_service.purchasing.plan import optimise_purchase_plan
from trimtab_service.purchasing.plan_request import PlanRequest
from trimtab_service.purchasing.program import Floats

START = datetime(2026, 1, 1, tzinfo=UTC)
YEAR = timedelta(hours=8_760)
LOCKED = CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN
FLEXIBLE = CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN


def _family(k: int) -> str:
    return f"f{k:02d}"


def _usage(money: Floats, cloud: Cloud = Cloud.AWS) -> HourlyUsage:
    keys = tuple(UsageKey(cloud, _family(k), "r1") for k in range(money.shape[0]))
    return HourlyUsage(START - timedelta(hours=money.shape[1]), keys, money)


def _locked(k: int, rate: float, term: timedelta = YEAR) -> PlanOffer:
    return PlanOffer(f"locked-{k:02d}", LOCKED, Cloud.AWS, term, rate, family=_family(k))


def _flexible(rate: float, name: str = "flexible", **more: object) -> PlanOffer:
    return replace(PlanOffer(name, FLEXIBLE, Cloud.AWS, YEAR, rate), **more)  # type: ignore[arg-type] # fields by name


def _request(money: Floats, *offers: PlanOffer, **more: object) -> PlanRequest:
    terms = PlanTerms(START, timedelta(hours=money.shape[1]))
    return replace(PlanRequest(_usage(money), offers, terms, with_risk=False), **more)  # type: ignore[arg-type] # by name


def _verified(plan: PurchasePlan) -> float:
    """The bound as the independent checker finds it from what the plan states."""
    certificate = plan.certificate
    pairs = zip(certificate.statements, certificate.prices, strict=True)
    bound = sum(certificates.lower_bound(problem, prices) for problem, prices in pairs)
    assert bound == pytest.approx(certificate.bound, rel=1e-10, abs=1e-9)
    return bound


def test_the_published_instance_as_a_plan() -> None:
    """Real usage, a locked plan a family and one flexible plan: the known cost, savings and corners."""
    money = shared_demand().last_year(1)
    locked, flexible = published_rates(money.shape[0])
    rates = {_family(k): float(rate) for k, rate in enumerate(flexible)}
    offers = [_locked(k, float(rate)) for k, rate in enumerate(locked)]
    plan = optimise_purchase_plan(_request(money, *offers, _flexible(0.6, rates=rates)))
    assert plan.figures.cost == pytest.approx(2722014.454701, rel=1e-12)
    assert plan.figures.effective_savings_rate == pytest.approx(0.423200, abs=5e-7)
    assert plan.certificate.ending is Ending.OPTIMAL
    assert plan.figures.cost - _verified(plan) <= 1e-9 * plan.figures.cost
    assert {tranche.offer_id: tranche.per_hour for tranche in plan.tranches}["flexible"] == Decimal("21.92000")
    assert plan.rebilled is not None
    assert abs(plan.rebilled.gap_to_bound) < 1e-8
    savings = {figures.name: figures.effective_savings_rate for figures in plan.alternatives}
    assert savings["flexible_only"] == pytest.approx(0.340742, abs=5e-7)
    assert savings["locked_only"] == pytest.approx(0.411903, abs=5e-7)
    assert savings["none"] == 0.0


def test_dominated_and_dear_offers_are_dropped_with_their_reason() -> None:
    """Of 200 offers 190 are dominated and say by which; the plan is that of the ten."""
    money = synthetic_usage(10, 200, 1)
    good = [_locked(k, 0.5) for k in range(10)]
    worse = [replace(good[i % 10], offer_id=f"worse-{i:03d}", rate=0.51 + 0.001 * i) for i in range(190)]
    dear = _flexible(1.0, "dear")
    plan = optimise_purchase_plan(_request(money, *good, *worse, dear))
    reasons = [drop.reason for drop in plan.dropped]
    assert reasons.count(DroppedReason.DOMINATED) == 190
    assert next(drop.reason for drop in plan.dropped if drop.offer_id == "dear") is DroppedReason.DEARER_THAN_ON_DEMAND
    assert all(drop.by.startswith("locked") for drop in plan.dropped if drop.reason is DroppedReason.DOMINATED)
    assert plan.figures.cost == pytest.approx(optimise_purchase_plan(_request(money, *good)).figures.cost, rel=1e-12)


def test_limits_of_term_payment_and_scope_drop_offers() -> None:
    """What is not allowed or finds no usage says so."""
    money = synthetic_usage(1, 100, 2)
    limits = PurchaseLimits(terms=frozenset({YEAR}), payments=frozenset({Payment.NO_UPFRONT}))
    offers = (
        _flexible(0.5, "three years", term=3 * YEAR),
        _flexible(0.5, "upfront", payment=Payment.ALL_UPFRONT),
        _flexible(0.5, "elsewhere", region="r9"),
        _flexible(0.5, "sagemaker", kind=CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN),
        _flexible(0.6, "kept"),
    )
    plan = optimise_purchase_plan(_request(money, *offers, limits=limits))
    assert {drop.offer_id: drop.reason for drop in plan.dropped} == {
        "three years": DroppedReason.TERM_NOT_ALLOWED,
        "upfront": DroppedReason.PAYMENT_NOT_ALLOWED,
        "elsewhere": DroppedReason.NO_USAGE,
        "sagemaker": DroppedReason.NO_USAGE,
    }
    assert [tranche.offer_id for tranche in plan.tranches] == ["kept"]


def test_one_family_is_the_order_statistic() -> None:
    """A single class and plan: the quantile that leaves at most rate x hours above, to the cent."""
    money = np.arange(1.0, 101.0)[None, :]
    plan = optimise_purchase_plan(_request(money, _locked(0, 0.5)))
    assert plan.tranches[0].per_hour == Decimal("25.00000")
    assert plan.figures.cost == pytest.approx(100 * 25.0 + float(np.arange(1, 51).sum()), rel=1e-12)


def test_clouds_and_services_are_decided_apart() -> None:
    """Usage of another cloud or of SageMaker does not draw from a compute plan; the parts add up."""
    money = synthetic_usage(3, 150, 3)
    keys = (
        UsageKey(Cloud.AWS, "a", "r1"),
        UsageKey(Cloud.AWS, "b", "r1", service=Service.SAGEMAKER),
        UsageKey(Cloud.GCP, "c", "r1"),
    )
    offers = (
        _flexible(0.6),
        _flexible(0.6, "sagemaker", kind=CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN),
        PlanOffer("cud", CommitmentKind.GCP_FLEXIBLE_CUD, Cloud.GCP, YEAR, 0.6, basis=CommitmentBasis.DISCOUNTED),
    )
    request = replace(_request(money, *offers), usage=HourlyUsage(START, keys, money))
    plan = optimise_purchase_plan(request)
    assert len(plan.pools) == 3
    assert {tranche.offer_id for tranche in plan.tranches} == {"flexible", "sagemaker", "cud"}
    capped = optimise_purchase_plan(replace(request, limits=PurchaseLimits(commitment_per_hour=1e9)))
    assert len(capped.pools) == 1
    assert capped.figures.cost == pytest.approx(plan.figures.cost, rel=1e-9)


def test_a_limit_on_commitment_binds_and_is_certified() -> None:
    """Half of the free commitment: the limit is met, costs more, and the bound knows the limit's price."""
    money = synthetic_usage(4, 300, 4)
    offers = (*(_locked(k, 0.5) for k in range(4)), _flexible(0.6))
    free = optimise_purchase_plan(_request(money, *offers))
    limit = float(sum(tranche.per_hour for tranche in free.tranches)) / 2
    plan = optimise_purchase_plan(_request(money, *offers, limits=PurchaseLimits(commitment_per_hour=limit)))
    assert float(sum(tranche.per_hour for tranche in plan.tranches)) == pytest.approx(limit, abs=1e-3)
    assert plan.figures.cost > free.figures.cost
    assert plan.figures.cost - _verified(plan) <= 2e-9 * plan.figures.cost


def test_paying_ahead_costs_its_interest() -> None:
    """All upfront at the same nominal price loses to no upfront once capital costs; at none they tie."""
    money = synthetic_usage(1, 200, 5)
    upfront = _flexible(0.58, "upfront", payment=Payment.ALL_UPFRONT, upfront_fraction=1.0)
    monthly = _flexible(0.60, "monthly")
    terms = PlanTerms(START, timedelta(hours=200))
    cheap = optimise_purchase_plan(_request(money, upfront, monthly, terms=terms))
    dear = optimise_purchase_plan(_request(money, upfront, monthly, terms=replace(terms, cost_of_capital=0.12)))
    assert [tranche.offer_id for tranche in cheap.tranches] == ["upfront"]
    assert [tranche.offer_id for tranche in dear.tranches] == ["monthly"]
    first = cheap.tranches[0]
    assert first.upfront == pytest.approx(first.total, abs=Decimal("0.01"))
    assert first.break_even_month is not None
    assert 0.0 < first.break_even_month < 12.0


def test_nothing_to_buy_where_enough_is_owned_and_its_end_is_seen() -> None:
    """Owned past the horizon: nothing is bought. Ending halfway: bought for what comes after."""
    money = np.full((1, 1_000), 10.0) + np.arange(1_000.0) % 7.0
    terms = PlanTerms(
        START, timedelta(hours=1_000), renewed=False, purchase_times=(START, START + timedelta(hours=500))
    )
    offer = _locked(0, 0.5, timedelta(hours=500))
    level = OwnedLevel("own", offer, 8.0, START - YEAR, START + YEAR)
    covered = optimise_purchase_plan(_request(money, offer, terms=terms, owned=(level,)))
    assert covered.tranches == ()
    assert covered.certificate.ending is Ending.OPTIMAL
    ending = replace(level, end_time=START + timedelta(hours=500))
    later = optimise_purchase_plan(_request(money, offer, terms=terms, owned=(ending,)))
    assert [tranche.start_time for tranche in later.tranches] == [START + timedelta(hours=500)]
    assert later.figures.cost - _verified(later) <= 1e-9 * later.figures.cost


def test_a_declared_retirement_is_not_bought_into() -> None:
    """A family that ends after a tenth of the horizon is left on demand; a migration is bought for where it goes."""
    money = np.full((2, 1_000), 10.0)
    offers = (_locked(0, 0.5), _locked(1, 0.5))
    soon = START + timedelta(hours=100)
    gone = DeclaredChange(ChangeKind.RETIRES, Cloud.AWS, _family(0), soon)
    plan = optimise_purchase_plan(_request(money, *offers, changes=(gone,)))
    assert [tranche.offer_id for tranche in plan.tranches] == ["locked-01"]
    moved = DeclaredChange(ChangeKind.MIGRATES, Cloud.AWS, _family(0), soon, factor=0.8, to_family=_family(1))
    plan = optimise_purchase_plan(_request(money, *offers, changes=(moved,)))
    assert {tranche.offer_id: tranche.per_hour for tranche in plan.tranches} == {"locked-01": Decimal("9.00000")}
    grown = DeclaredChange(ChangeKind.SCALES, Cloud.AWS, _family(0), START, factor=2.0)
    plan = optimise_purchase_plan(_request(money, *offers, changes=(grown,)))
    assert sum(tranche.per_hour for tranche in plan.tranches) == Decimal("15.00000")


def test_spot_layers_keep_the_certificate() -> None:
    """Part of a family may run at a third of the price: less is committed, and the bound still meets the cost."""
    money = synthetic_usage(3, 300, 6)
    offers = (*(_locked(k, 0.5) for k in range(3)), _flexible(0.6))
    spot = (SpotShare(Cloud.AWS, _family(0), 0.5, 0.33),)
    plain = optimise_purchase_plan(_request(money, *offers))
    plan = optimise_purchase_plan(_request(money, *offers, spot=spot))
    assert plan.figures.cost < plain.figures.cost
    assert plan.rebilled is None
    assert plan.figures.cost - _verified(plan) <= 1e-9 * plan.figures.cost


def test_two_plans_that_are_not_proportional_say_that_the_bound_is_a_relaxation() -> None:
    """Comparative advantage between two flexible plans: the cost is a provider's fill, the bound is below it, said."""
    money = synthetic_usage(3, 200, 7)
    first = _flexible(0.5, "first", rates={_family(0): 0.40, _family(1): 0.60, _family(2): 0.55})
    second = _flexible(0.5, "second", rates={_family(0): 0.55, _family(1): 0.45, _family(2): 0.60})
    plan = optimise_purchase_plan(_request(money, first, second))
    assert _verified(plan) <= plan.figures.cost * (1 + 1e-12)
    assert plan.certificate.ending in {Ending.RELAXED, Ending.OPTIMAL}
    assert (plan.certificate.ending is Ending.RELAXED) == (plan.certificate.gap > 1e-9)
    assert plan.certificate.gap < 0.05


@pytest.mark.parametrize("aim", [RiskAim(Preference.CVAR, 0.3), RiskAim(Preference.MAXIMUM_REGRET), RiskAim()])
def test_scenarios_are_certified_in_their_own_measure(aim: RiskAim) -> None:
    """Expected cost, CVaR and regret over three futures: the bound meets the measure to 1e-8."""
    money = synthetic_usage(3, 150, 8)
    futures = (Scenario("flat", 0.5), Scenario("more", 0.3, 1.3), Scenario("b ends", 0.2, 1.0, {_family(1): 0.0}))
    offers = (*(_locked(k, 0.5) for k in range(3)), _flexible(0.62))
    plan = optimise_purchase_plan(_request(money, *offers, aim=aim, scenarios=futures))
    assert plan.certificate.gap <= 1e-8
    if aim.preference is Preference.MAXIMUM_REGRET:
        assert plan.certificate.statements == ()  # the bound takes each future's own optimum besides
    else:
        _verified(plan)


@pytest.mark.parametrize("seed", range(4))
def test_the_bill_is_the_optimum_where_rates_are_proportional(seed: int) -> None:
    """Locked before flexible, highest saving first, is the program's own fill: bill and bound meet but for rounding."""
    rng = np.random.default_rng(seed)
    money = np.round(synthetic_usage(4, 120, seed), 6)
    rates = {_family(k): round(float(rate), 3) for k, rate in enumerate(rng.uniform(0.5, 0.7, 4))}
    dearer = {family: round(1.1 * rate, 4) for family, rate in rates.items()}
    offers = [_locked(k, round(rates[_family(k)] - 0.08, 3)) for k in range(4)]
    owned = OwnedLevel("own", _flexible(0.6, "was", rates=dearer), 20.0, START - YEAR, START + YEAR)
    plan = optimise_purchase_plan(_request(money, *offers, _flexible(0.6, rates=rates), owned=(owned,)))
    assert plan.rebilled is not None
    assert abs(plan.rebilled.gap_to_bound) < 1e-6
    assert plan.certificate.gap <= 1e-9


def test_whole_units_are_rounded_down_and_billed_again() -> None:
    """Instances come whole: 2.9 of them are two, and the bill with two is what is answered."""
    money = np.full((1, 100), 2.9)
    offer = replace(_locked(0, 0.5), unit_per_hour=0.5)
    plan = optimise_purchase_plan(_request(money, offer))
    assert [(tranche.units, tranche.per_hour) for tranche in plan.tranches] == [(2, Decimal("1.0"))]
    assert plan.rebilled is not None
    assert plan.rebilled.cost == Decimal(190)
    assert plan.rebilled.gap_to_bound > 0.3


def test_a_deadline_marks_the_plan() -> None:
    """Stopped before it began: a plan without proof of optimality, whose bound still holds."""
    money = synthetic_usage(5, 300, 9)
    offers = (*(_locked(k, 0.5) for k in range(5)), _flexible(0.6))
    request = _request(money, *offers)
    plan = optimise_purchase_plan(request, stop=lambda: True)
    assert plan.certificate.ending is Ending.STOPPED
    assert plan.certificate.bound <= optimise_purchase_plan(request).figures.cost <= plan.figures.cost
    assert plan.risk is None


def test_risk_says_how_bad_it_may_get() -> None:
    """The fan's tail is dearer than its mean, no scenario has negative regret, tolerance is a share."""
    money = synthetic_usage(3, 3_000, 10)
    offers = (*(_locked(k, 0.5) for k in range(3)), _flexible(0.6))
    plan = optimise_purchase_plan(replace(_request(money, *offers), with_risk=True))
    assert plan.risk is not None
    assert plan.risk.cvar_95 >= plan.risk.expected_cost > 0.0
    assert [figure.name for figure in plan.risk.scenarios] == [
        "flat",
        "drift",
        "minus_20_percent",
        "largest_family_migrates",
    ]
    assert all(figure.regret >= -1e-9 for figure in plan.risk.scenarios)
    assert all(0.0 < tranche.fall_tolerance < 1.0 for tranche in plan.tranches)
    assert all(tranche.utilisation > tranche.break_even_utilisation for tranche in plan.tranches)


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"offers": (_flexible(0.5, term=timedelta(0)),)}, "offers[0].term", ErrorReason.OUT_OF_RANGE),
        ({"offers": (_flexible(float("nan")),)}, "offers[0].rate", ErrorReason.OUT_OF_RANGE),
        ({"offers": (_flexible(0.5), _flexible(0.6))}, "offers", ErrorReason.CONTRADICTION),
        (
            {"offers": (_flexible(0.5), _flexible(0.6, "euro", currency="EUR"))},
            "offers",
            ErrorReason.CONTRADICTION,
        ),
        ({"memory_limit_bytes": 1_000}, "usage", ErrorReason.TOO_LARGE),
        ({"terms": PlanTerms(START, timedelta(0))}, "horizon", ErrorReason.OUT_OF_RANGE),
        ({"spot": (SpotShare(Cloud.AWS, "f00", 1.5, 0.3),)}, "spot[0]", ErrorReason.OUT_OF_RANGE),
        ({"aim": RiskAim(Preference.CVAR)}, "scenarios", ErrorReason.FIELD_REQUIRED),
        ({"scenarios": (Scenario("half", 0.5),)}, "scenarios", ErrorReason.OUT_OF_RANGE),
        (
            {"owned": (OwnedLevel("x", _flexible(0.5), 1.0, START, START),)},
            "owned[0]",
            ErrorReason.OUT_OF_RANGE,
        ),
    ],
)
def test_what_cannot_be_right_is_named(change: dict[str, object], field: str, reason: ErrorReason) -> None:
    """Every fault says its field and its reason."""
    with pytest.raises(InvalidArgumentError) as raised:
        optimise_purchase_plan(replace(_request(np.ones((1, 50)), _flexible(0.5)), **change))  # type: ignore[arg-type] # by name
    assert [(violation.field, violation.reason) for violation in raised.value.violations] == [(field, reason)]


def test_the_same_commitment_twice_is_refused_and_overlapping_ones_add_up() -> None:
    """Two ids overlap and count together; one id twice is a contradiction."""
    money = np.full((1, 100), 10.0)
    offer = _locked(0, 0.5)
    half = OwnedLevel("a", offer, 2.5, START - YEAR, START + YEAR)
    both = optimise_purchase_plan(_request(money, offer, owned=(half, replace(half, commitment_id="b"))))
    assert both.tranches == ()
    with pytest.raises(InvalidArgumentError):
        optimise_purchase_plan(_request(money, offer, owned=(half, half)))
