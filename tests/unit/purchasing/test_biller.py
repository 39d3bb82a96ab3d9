"""The exact biller against the providers' published examples and bills computed by hand."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.offers import Cloud
from trimtab_service.purchasing.billing.biller import bill
from trimtab_service.purchasing.billing.lines import FEMTO_PER_USD, MICRO_UNITS, OwnedPlan, UsageLine

_NANO = 10**9
COMPUTE = CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN
INSTANCE = CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN
RESERVED = CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD


def _line(name: str, usd: str, *units: float, account: str = "owner", cloud: Cloud = Cloud.AWS) -> UsageLine:
    return UsageLine(name, cloud, account, int(Decimal(usd) * _NANO), [round(u * MICRO_UNITS) for u in units])


def _spend(name: str, kind: CommitmentKind, usd: str, draws: dict[str, str], account: str = "owner") -> OwnedPlan:
    femto = int(Decimal(usd) * FEMTO_PER_USD)
    return OwnedPlan(name, kind, account, femto, femto, {line: int(Decimal(d) * _NANO) for line, d in draws.items()})


def _usage() -> list[UsageLine]:
    """The provider's example: one hour of two instances and of Fargate."""
    return [
        _line("c5.9xlarge", "4.00", 1),
        _line("c5.24xlarge windows dedicated", "10.00", 1),
        _line("fargate vcpu", "1.50", 10),
        _line("fargate gb", "2.00", 5),
    ]


_COMPUTE_RATES = {
    "c5.9xlarge": "2.00",
    "c5.24xlarge windows dedicated": "8.00",
    "fargate vcpu": "1.00",
    "fargate gb": "1.00",
}
_INSTANCE_RATES = {"c5.9xlarge": "1.00", "c5.24xlarge windows dedicated": "6.00"}


def test_the_published_example_is_covered_whole() -> None:
    """A Compute Savings Plan of 25.00 an hour covers 2 + 8 + 10 + 5 and leaves nothing."""
    result = bill(_usage(), [_spend("csp", COMPUTE, "25.00", _COMPUTE_RATES)])
    assert result.usd == Decimal("25.00")
    assert result.on_demand == 0
    assert result.utilisation == 1.0
    assert result.equivalent == 39 * FEMTO_PER_USD


def test_too_small_a_plan_goes_to_the_highest_savings() -> None:
    """10.00: c5.9xlarge and Fargate GB save half, then 3 of 10 vCPUs; what is left is 7 x 1.50 + 10.00."""
    result = bill(_usage(), [_spend("csp", COMPUTE, "10.00", _COMPUTE_RATES)])
    assert result.usd == Decimal("10.00") + Decimal("10.50") + Decimal("10.00")


def test_the_instance_plan_comes_before_the_compute_plan() -> None:
    """EC2 Instance 7.00 takes both instances at 1 + 6; Compute 16.00 finds 10 + 5 and wastes 1."""
    result = bill(
        _usage(),
        [_spend("csp", COMPUTE, "16.00", _COMPUTE_RATES), _spend("eisp", INSTANCE, "7.00", _INSTANCE_RATES)],
    )
    assert result.usd == Decimal("23.00")
    assert {use.plan_id: use.utilisation for use in result.plans} == {"csp": 15 / 16, "eisp": 1.0}


def test_a_reserved_instance_comes_before_every_plan() -> None:
    """The reserved c5.9xlarge leaves 23.00 of compute rates: a plan of 25.00 wastes 2.00."""
    reserved = OwnedPlan("ri", RESERVED, "owner", MICRO_UNITS, FEMTO_PER_USD, {"c5.9xlarge": 1})
    result = bill(_usage(), [_spend("csp", COMPUTE, "25.00", _COMPUTE_RATES), reserved])
    assert result.usd == Decimal("26.00")
    assert result.plans[0].used == 23 * FEMTO_PER_USD


def test_a_plan_that_runs_out_inside_a_line_stays_exact() -> None:
    """1.00 at 3.00 a unit covers a third of a unit: two thirds of 7.00 are left, no cent lost."""
    result = bill([_line("x", "7.00", 1)], [_spend("p", COMPUTE, "1.00", {"x": "3.00"})])
    assert result.on_demand == Fraction(14, 3) * FEMTO_PER_USD
    assert result.total == Fraction(17, 3) * FEMTO_PER_USD
    assert result.usd == Decimal("5.666666666666667")


def test_the_owner_account_is_served_before_a_higher_saving_elsewhere() -> None:
    """The owner's line saves 20 %, another account's 50 %: the owner's goes first all the same."""
    lines = [_line("mine", "10.00", 1), _line("theirs", "10.00", 1, account="other")]
    result = bill(lines, [_spend("p", COMPUTE, "8.00", {"mine": "8.00", "theirs": "5.00"})])
    assert result.usd == Decimal("18.00")


def test_two_plans_of_one_kind_are_applied_together_by_saving() -> None:
    """Term and payment do not matter: the plan with the higher saving on a line takes it, bought first or not."""
    lines = [_line("a", "1.00", 10), _line("b", "1.00", 10)]
    three_years = _spend("three years", COMPUTE, "4.00", {"a": "0.40", "b": "0.50"})
    one_year = _spend("one year", COMPUTE, "6.00", {"a": "0.60", "b": "0.60"})
    result = bill(lines, [one_year, three_years])
    assert result.usd == Decimal("10.00")
    assert result.on_demand == 0


def test_hours_are_billed_apart_and_waste_is_not_carried_over() -> None:
    """What is idle in one hour does not help in the next; a plan costs nothing before and after its term."""
    plan = _spend("p", COMPUTE, "1.00", {"x": "0.50"})
    lines = [_line("x", "1.00", 0, 4, 2)]
    assert bill(lines, [plan]).usd == Decimal("5.00")
    part = OwnedPlan("p", COMPUTE, "owner", plan.room, plan.fee_femto_per_hour, plan.draws, 1, 2)
    assert bill(lines, [part]).usd == Decimal("5.00")
    assert bill(lines, [part]).hourly == (0, 3 * FEMTO_PER_USD, 2 * FEMTO_PER_USD)


def test_size_factors_let_a_reservation_cover_parts_of_a_larger_size() -> None:
    """Four units of the smallest size cover one xlarge's half of eight."""
    lines = [_line("m.small", "1.00", 1), _line("m.large", "4.00", 2)]
    reserved = OwnedPlan("ri", RESERVED, "owner", 5 * MICRO_UNITS, 3 * FEMTO_PER_USD, {"m.small": 1, "m.large": 4})
    assert bill(lines, [reserved]).usd == Decimal("7.00")


def test_google_resource_before_flexible_on_either_basis() -> None:
    """46 % off: 54 an hour discounted is 100 an hour on demand; both cover the same and cost the same."""
    lines = [_line("n2 vcpu", "1.00", 120, cloud=Cloud.GCP)]
    cud = OwnedPlan("cud", CommitmentKind.GCP_RESOURCE_CUD, "p", 20 * MICRO_UNITS, 9 * FEMTO_PER_USD, {"n2 vcpu": 1})
    flexible = CommitmentKind.GCP_FLEXIBLE_CUD
    discounted = _spend("flex", flexible, "54.00", {"n2 vcpu": "0.54"})
    on_demand = OwnedPlan("flex", flexible, "p", 100 * FEMTO_PER_USD, 54 * FEMTO_PER_USD, {"n2 vcpu": _NANO})
    for plan in (discounted, on_demand):
        result = bill(lines, [plan, cud])
        assert result.usd == Decimal("63.00")
        assert result.on_demand == 0


def test_azure_reservations_before_savings_plans() -> None:
    """The reservation takes two of three machines, the savings plan the third."""
    lines = [_line("D4s", "0.20", 3, cloud=Cloud.AZURE)]
    reserved = OwnedPlan("r", CommitmentKind.AZURE_RESERVATION, "s", 2 * MICRO_UNITS, FEMTO_PER_USD // 5, {"D4s": 1})
    plan = _spend("sp", CommitmentKind.AZURE_SAVINGS_PLAN, "0.14", {"D4s": "0.14"})
    assert bill(lines, [plan, reserved]).usd == Decimal("0.34")


def test_lines_of_different_lengths_are_refused() -> None:
    """Hours must match; ids must be unique."""
    with pytest.raises(ValueError, match="different numbers of hours"):
        bill([_line("a", "1", 1), _line("b", "1", 1, 2)], [])
    plan = _spend("p", COMPUTE, "1.00", {"a": "0.5"})
    with pytest.raises(ValueError, match="same id"):
        bill([_line("a", "1", 1)], [plan, plan])


_MONEY = st.integers(1, 10**10)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.lists(st.integers(0, 10**7), min_size=3, max_size=3), min_size=1, max_size=4),
    prices=st.lists(_MONEY, min_size=4, max_size=4),
    draws=st.lists(_MONEY, min_size=8, max_size=8),
    rooms=st.lists(st.integers(0, 10**18), min_size=2, max_size=2),
)
def test_every_cent_is_somewhere(units: list[list[int]], prices: list[int], draws: list[int], rooms: list[int]) -> None:
    """Covered plus left is the on-demand equivalent, exactly; no plan is used past its room; hours add up."""
    lines = [
        UsageLine(f"l{i}", Cloud.AWS, "a", price, hours)
        for i, (price, hours) in enumerate(zip(prices, units, strict=False))
    ]
    plans = [
        OwnedPlan(f"p{p}", COMPUTE, "a", room, room, {f"l{i}": draws[4 * p + i] for i in range(len(lines))})
        for p, room in enumerate(rooms)
    ]
    result = bill(lines, plans)
    assert sum(use.covered for use in result.plans) + result.on_demand == result.equivalent
    assert all(0 <= use.used <= use.room for use in result.plans)
    assert sum(result.hourly) == result.total
