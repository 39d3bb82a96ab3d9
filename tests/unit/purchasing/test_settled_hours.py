"""Solving only the hours that are not settled: the same optimum, proved over all hours."""

import numpy as np
import pytest

from tests.support.purchase_programs import published_rates, synthetic_usage
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.interior_point import interior_point
from trimtab_service.purchasing.lower_bound import feasible, lower_bound
from trimtab_service.purchasing.optimiser import CERTIFIED_GAP, Ending, optimise
from trimtab_service.purchasing.program import Program, single_period
from trimtab_service.purchasing.settled_hours import solve_by_parts


def _never() -> bool:
    return False


def _program(families: int, seed: int) -> Program:
    return single_period(synthetic_usage(families, 4_000, seed), *published_rates(families))


@pytest.mark.parametrize("families", [1, 3, 6, 12])
def test_parts_find_what_the_whole_finds(families: int) -> None:
    """Where the parts answer, amounts cost what the whole program's do, and their prices prove it over all hours."""
    program = _program(families, families)
    parts = solve_by_parts(program, 1e-11, _never)
    assert parts is not None
    whole = interior_point(program, 1e-11, _never)
    cost = total_cost(program, parts.amounts)
    assert cost == pytest.approx(total_cost(program, whole.amounts), rel=1e-9)
    assert cost - lower_bound(program, feasible(program, parts.prices)) <= CERTIFIED_GAP * cost


def test_tied_counts_are_solved_whole() -> None:
    """Around a value that half of the hours share nothing is settled: no time is spent on trying."""
    usage = synthetic_usage(4, 4_000, 2, integer=True) // 4
    program = single_period(usage, *published_rates(4))
    assert solve_by_parts(program, 1e-11, _never) is None
    assert optimise(program).ending is Ending.OPTIMAL


def test_an_optimum_outside_the_box_is_found_all_the_same() -> None:
    """A sample that misleads (every fifth hour is idle) costs time, not the optimum."""
    usage = synthetic_usage(3, 4_000, 3)
    usage[:, ::5] = 0.01 * np.arange(1, 801)
    solution = optimise(single_period(usage, *published_rates(3)))
    assert solution.ending is Ending.OPTIMAL
    assert solution.gap <= CERTIFIED_GAP


def test_time_up_over_the_sample_still_answers_with_a_bound() -> None:
    """Stopped while looking at every fifth hour: a plan, a bound under the optimum, and the gap between."""
    program = _program(5, 4)
    best = optimise(program).cost
    asked = iter(range(10_000))
    solution = optimise(program, stop=lambda: next(asked) >= 8)
    assert solution.ending is Ending.STOPPED
    assert 0.0 < solution.bound <= best <= solution.cost
