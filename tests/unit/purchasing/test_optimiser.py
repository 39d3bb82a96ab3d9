"""The optimiser against HiGHS, against an independent checker, and on the inputs where methods break."""

import numpy as np
import pytest

from tests.support.highs_reference import solve_with_highs
from tests.support.purchase_programs import published_rates, random_program, synthetic_usage
from tests.support.shared_data import shared_demand
from trimtab import certificates
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.lower_bound import feasible, lower_bound
from trimtab_service.purchasing.optimiser import CERTIFIED_GAP, Ending, optimise
from trimtab_service.purchasing.program import Floats, Program, single_period
from trimtab_service.purchasing.statement import prices_of, problem_of


def _checked(program: Program) -> tuple[float, float]:
    """Cost and bound, after the checker has found the same from the statement alone."""
    solution = optimise(program)
    problem = problem_of(program)
    bound = certificates.lower_bound(problem, prices_of(program, solution.prices))
    assert bound == pytest.approx(solution.bound, rel=1e-10, abs=1e-9)
    if program.budgets <= 1:
        assert certificates.cost(problem, solution.amounts.tolist()) == pytest.approx(
            solution.cost, rel=1e-12, abs=1e-9
        )
    return solution.cost, bound


@pytest.mark.parametrize("seed", range(60))
def test_random_programs_meet_highs_and_the_checker(seed: int) -> None:
    """Bound and objective equal the linear program's to 1e-9; with one budget the cost does too."""
    program = random_program(seed)
    cost, bound = _checked(program)
    reference = solve_with_highs(program, "simplex").cost
    scale = max(reference, 1e-9)
    assert abs(bound - reference) <= 2e-9 * scale + 1e-9
    assert cost >= reference - 1e-8 * scale
    if program.budgets <= 1:
        assert abs(cost - reference) <= 2e-9 * scale + 1e-9


@pytest.mark.parametrize(("region", "cost"), [(1, 2722014.454701), (2, 2947088.368483)], ids=["region 1", "region 2"])
def test_the_published_instance_has_its_optimum(region: int, cost: float) -> None:
    """Real counts of a year with fixed rates: the least cost is known to twelve digits."""
    usage = shared_demand().last_year(region)
    solution = optimise(single_period(usage, *published_rates(usage.shape[0])))
    assert solution.cost == pytest.approx(cost, rel=1e-12)
    assert solution.gap <= CERTIFIED_GAP
    assert solution.ending is Ending.OPTIMAL


_FLAT = np.full((3, 40), 7.0)

EDGES: dict[str, tuple[Floats, Floats, Floats | None]] = {
    "one hour": (np.array([[3.0], [5.0]]), np.array([0.5, 0.6]), np.array([0.6, 0.7])),
    "one family": (synthetic_usage(1, 200, 1), np.array([0.5]), np.array([0.6])),
    "equal rates": (synthetic_usage(4, 200, 2), np.full(4, 0.5), np.full(4, 0.6)),
    "locked and flexible at the same rate": (synthetic_usage(3, 200, 3), np.full(3, 0.5), np.full(3, 0.5)),
    "flexible cheaper than locked": (synthetic_usage(3, 200, 3), np.full(3, 0.6), np.full(3, 0.5)),
    "ties": (np.tile(np.array([[1.0, 1.0, 2.0, 2.0, 0.0]]), (4, 30)), np.full(4, 0.5), np.full(4, 0.6)),
    "flat": (_FLAT, np.full(3, 0.4), np.full(3, 0.5)),
    "zeros": (np.vstack([np.zeros(50), np.arange(50.0)]), np.array([0.5, 0.5]), np.array([0.6, 0.6])),
    "all zero": (np.zeros((2, 30)), np.array([0.5, 0.5]), np.array([0.6, 0.6])),
    "no flexible plan": (synthetic_usage(3, 100, 4), np.array([0.4, 0.5, 0.6]), None),
    "tiny money": (1e-7 * synthetic_usage(2, 100, 5), np.array([0.5, 0.5]), np.array([0.6, 0.6])),
    "huge money": (1e8 * synthetic_usage(2, 100, 6), np.array([0.5, 0.5]), np.array([0.6, 0.6])),
    "one huge family": (synthetic_usage(2, 100, 7) * np.array([[1e6], [1e-3]]), np.full(2, 0.5), np.full(2, 0.6)),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_certified(name: str) -> None:
    """Where other methods stall or divide by zero the gap is still certified."""
    usage, locked, flexible = EDGES[name]
    cost, bound = _checked(single_period(usage, locked, flexible))
    assert bound <= cost * (1 + 1e-14)  # sums of the same numbers in another order
    assert cost - bound <= CERTIFIED_GAP * cost


def test_nothing_is_bought_where_enough_is_owned() -> None:
    """Existing levels at or above the optimum leave nothing to buy, exactly nothing."""
    program = single_period(synthetic_usage(4, 300, 8), np.full(4, 0.5), np.full(4, 0.6))
    bought = optimise(program).amounts
    owned = Program(
        usage=program.usage,
        weights=program.weights,
        segments=program.segments,
        rates=program.rates,
        existing=1.01 * bought[:, None],
        columns=program.columns,
        spot_price=program.spot_price,
        spot_room=None,
        caps=program.caps,
        cap_limits=program.cap_limits,
    )
    solution = optimise(owned)
    assert not solution.amounts.any()
    assert solution.gap <= CERTIFIED_GAP


@pytest.mark.parametrize("seed", range(8))
def test_cost_is_convex_and_no_price_proves_too_much(seed: int) -> None:
    """Along random segments the middle is under the chord; no bound is above the cost of random amounts."""
    program = random_program(4 * seed)
    rng = np.random.default_rng(seed)
    size = float(program.usage.sum(axis=0).mean()) + 1e-9
    count = program.columns.cost.size
    left, right = rng.uniform(0, size, count), rng.uniform(0, size, count)
    if program.budgets <= 1:
        middle = total_cost(program, (left + right) / 2)
        assert middle <= (total_cost(program, left) + total_cost(program, right)) / 2 * (1 + 1e-12) + 1e-9
    prices = optimise(program, stop=lambda: True).prices
    bound = lower_bound(program, feasible(program, prices))
    held = left * 0.0 if program.cap_limits.size else left
    assert bound <= total_cost(program, held) * (1 + 1e-12) + 1e-9


def test_a_stopped_solve_answers_with_its_gap() -> None:
    """A deadline in the middle gives a feasible plan whose bound is still true, marked as stopped."""
    program = single_period(synthetic_usage(6, 500, 9), np.full(6, 0.5), np.full(6, 0.6))
    best = optimise(program).cost
    asked = iter(range(1000))
    solution = optimise(program, stop=lambda: next(asked) >= 4)
    assert solution.ending is Ending.STOPPED
    assert solution.gap > CERTIFIED_GAP
    assert solution.bound <= best <= solution.cost


def test_scaling_all_usage_scales_the_plan() -> None:
    """Twice the usage needs twice the commitments and costs twice as much."""
    usage = synthetic_usage(3, 300, 10)
    once = optimise(single_period(usage, np.full(3, 0.5), np.array([0.6, 0.62, 0.64])))
    twice = optimise(single_period(2 * usage, np.full(3, 0.5), np.array([0.6, 0.62, 0.64])))
    assert twice.cost == pytest.approx(2 * once.cost, rel=1e-12)
    assert twice.amounts == pytest.approx(2 * once.amounts, rel=1e-9)


def test_a_dearer_rate_never_lowers_the_cost() -> None:
    """Cost is monotone in every locked and flexible rate."""
    usage = synthetic_usage(3, 300, 11)
    base = optimise(single_period(usage, np.full(3, 0.5), np.full(3, 0.6))).cost
    for k in range(3):
        dearer = np.full(3, 0.5)
        dearer[k] = 0.55
        assert optimise(single_period(usage, dearer, np.full(3, 0.6))).cost >= base * (1 - 1e-11)
        flexible = np.full(3, 0.6)
        flexible[k] = 0.65
        assert optimise(single_period(usage, np.full(3, 0.5), flexible)).cost >= base * (1 - 1e-11)
