"""What is bought alone is a quantile: the same cost as the search finds, over all hours."""

import numpy as np
import pytest

from tests.support.purchase_programs import synthetic_usage
from trimtab_service.purchasing.closed_form import best_amounts
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.optimiser import optimise
from trimtab_service.purchasing.program import Program, single_period
from trimtab_service.purchasing.variants import with_columns


def program(seed: int, *, integer: bool = False) -> Program:
    """Five families over 1,000 hours, locked plans and a flexible one."""
    rng = np.random.default_rng(seed)
    locked = rng.uniform(0.4, 0.7, 5)
    return single_period(synthetic_usage(5, 1_000, seed, integer=integer), locked, locked + rng.uniform(0.03, 0.2, 5))


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("is_locked", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_it_costs_what_the_search_finds(seed: int, is_locked: bool, integer: bool) -> None:
    """To 1e-9, with ties and without; and no less, for the search proves that nothing costs less."""
    whole = program(seed, integer=integer)
    part = with_columns(whole, (whole.columns.slot < whole.classes) == is_locked)
    exact = best_amounts(part)
    assert exact is not None
    found = optimise(part)
    assert found.gap <= 1e-9
    assert total_cost(part, exact) == pytest.approx(found.cost, rel=1e-9)
    assert total_cost(part, exact) >= found.bound * (1.0 - 1e-12)


def test_what_is_bought_together_needs_a_search() -> None:
    """Locked and flexible plans side by side have no such form."""
    assert best_amounts(program(1)) is None
