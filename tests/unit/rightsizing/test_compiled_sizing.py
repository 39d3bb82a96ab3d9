"""The compiled form of sizing says what the interpreted one does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import numpy as np
import pytest

from tests.support.sizing_forms import CASES
from trimtab_service import compiled
from trimtab_service.rightsizing.backtest import cuts_of
from trimtab_service.rightsizing.levels import level_of_least_regret
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.population import WORKING_DAYS, Weighting
from trimtab_service.rightsizing.sketches import DailySketch

_ROOT: Final = Path(__file__).parents[3]
_DECIMAL: Final = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
_ROUNDING: Final = 1e-12
"""Sums of a thousand samples, added in another order."""


def told(**environment: str) -> list[str]:
    """What a fresh interpreter advises on every case."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.sizing_forms"],
        cwd=_ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_both_forms_advise_alike() -> None:
    """Word for word and count for count; shares that are sums over samples, to a part in 10^12."""
    fast, plain = told(**{compiled.INTERPRETED: ""}), told(**{compiled.INTERPRETED: "1"})
    assert len(fast) == len(plain) == CASES
    assert sum("rule_exceedance" in one for one in plain) > CASES // 2
    for ours, theirs in zip(fast, plain, strict=True):
        assert _DECIMAL.sub("#", ours) == _DECIMAL.sub("#", theirs)
        numbers = [list(map(float, _DECIMAL.findall(one))) for one in (ours, theirs)]
        np.testing.assert_allclose(numbers[0], numbers[1], rtol=_ROUNDING, atol=_ROUNDING)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("beyond", [None, 400.0])
def test_levels_of_least_regret_are_those_of_the_distribution(seed: int, beyond: float | None) -> None:
    """To the bit, in every window and at every cut, whatever is missing."""
    random = np.random.default_rng(seed)
    per_day = int(random.choice([4, 24, 72]))
    values = random.exponential(3.0, (int(random.integers(1, 6)), per_day * int(random.integers(2, 30))))
    values[random.random(values.shape) < random.choice([0.0, 0.2, 0.95])] = np.nan
    values[0] *= random.choice([0.0, 1.0])
    loads = Loads.of(values, 1_764_000_000 + seed * 86_400, 86_400 // per_day)
    cuts = cuts_of(loads.days)
    for weighting in (Weighting(), Weighting(14.0), Weighting(3.0, None, WORKING_DAYS), Weighting(1.0)):
        ours = DailySketch.of(loads, cuts, weighting).least_regret(20.0, beyond, 0.005)
        theirs = level_of_least_regret(DailySketch.of(loads, cuts, weighting).masses(), 20.0, beyond, 0.005)
        np.testing.assert_array_equal(ours, theirs)
