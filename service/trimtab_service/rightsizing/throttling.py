"""The level by its price: what an hour of want costs, against what a larger size costs.

Where an hour of want has a price, what merely slows down is not sized by a percentile: every size that carries the
typical load (the median) is a candidate, and costs its price plus that of the share of hours in which it fell short in
the caller's past, in the dimension that fell short most. Memory is sized by its peaks as ever: want of it kills.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.rightsizing.backtest import cuts_of, walked
from trimtab_service.rightsizing.candidates import graded
from trimtab_service.rightsizing.estimators import Percentile
from trimtab_service.rightsizing.needs import ROUNDING, Need, Needs, highest_of, is_compressible
from trimtab_service.rightsizing.options import Size, Teller
from trimtab_service.rightsizing.sketches import DailySketch

TYPICAL: Final = 0.5
"""Below the median the typical hour itself does not fit."""


def priced_needs(needs: Needs, capacities: Sequence[float] | None = None) -> Needs:
    """Needs whose level is the median; with the capacities chosen, the level that these come to."""
    rated = [None] * len(needs.of) if capacities is None else list(capacities)
    return replace(needs, of=tuple(_priced(need, rate) for need, rate in zip(needs.of, rated, strict=True)))


def _priced(need: Need, capacity: float | None) -> Need:
    if need.is_assumed or not is_compressible(need.dimension):
        return need
    if capacity is None or np.isnan(capacity):
        return replace(need, demand=need.percentile(TYPICAL) * need.target)
    met = int(np.searchsorted(need.values, capacity * (1 + ROUNDING), side="right"))
    share = max(TYPICAL, met / need.values.size)
    return replace(_walked(need, share), demand=need.percentile(share))


def _walked(need: Need, share: float) -> Need:
    """With the walk of the percentile that the price came to."""
    if need.loads is None or need.walk is None:
        return need
    loads = need.loads
    cuts = cuts_of(loads.days)
    sketch = DailySketch.of(loads, cuts)
    levels = Percentile(min(100.0, share * 100)).levels(sketch) * highest_of(loads)
    return replace(need, walk=walked(levels, loads, cuts))


def want_of(needs: Needs, teller: Teller, size: Size, preferences: RightsizingPreferences, hours: float) -> float:
    """Micro-USD a month of the hours in which a size fell short; nought where they have no price."""
    hourly = preferences.throttled_hour_cost_micros
    if hourly is None:
        return 0.0
    worst = 0.0
    for need in needs.measured:
        exceedance, _ = graded(need, np.asarray([teller.capacity_of(size, need)]))
        worst = max(worst, float(exceedance[0]))
    return worst * hourly * hours
