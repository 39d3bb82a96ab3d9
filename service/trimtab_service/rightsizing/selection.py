"""Which candidates are offered, and in which order.

A candidate that serves has a risk within the limit. Against a present size that serves it must also save: more than the
money floor, and enough for the disruption. Of those, one is dropped when another costs no more (net of owned
commitments), carries no more risk and takes no more effort. The rest are ranked by net cost, then risk, then effort,
then by cloud, region, type and number, so that the order is one.

With a price of a throttled hour, cost is that of the size plus that of the hours in which it fell short in the past.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64, I8, I64
from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.rightsizing.candidates import Candidates, Sized
from trimtab_service.rightsizing.ownership import Ownership
from trimtab_service.rightsizing.permissions import CODE, REASONS
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.pricing import monthly_micros

DISRUPTION: Final = np.array([0.1, 0.2, 0.4, 0.8])
"""By effort, very low to high: the contract's figures."""

_RATE_ROUNDING: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Standing:
    """The present size as the others are held against it, a month: costs in micro-USD, `want` of hours too short.

    `serves`: it has what is needed, at a risk within the limit.
    """

    sized: Sized
    net_micros: int
    want_micros: float
    serves: bool


class Pick(NamedTuple):
    """One candidate to offer; `at` is its position in the offers of its region."""

    candidates: Candidates
    at: int
    net_micros: int
    covered_milli: int
    objective: float
    risk: float
    effort: int

    @property
    def key(self) -> tuple[float, float, int, str, str, str, int]:
        """The order of ranking."""
        region = self.candidates.offers.region
        name = self.candidates.offers.names[self.at]
        count = int(self.candidates.count[self.at])
        return self.objective, self.risk, self.effort, region.cloud.value, region.name, name, count


def select(  # noqa: PLR0913, PLR0917 - all that is weighed
    regions: Sequence[Candidates],
    present: Present,
    standing: Standing,
    preferences: RightsizingPreferences,
    ownership: Ownership,
    hours: float,
) -> tuple[list[Pick], Counter[AdviceReason]]:
    """What to offer, best first, and how many candidates were not, by reason."""
    picks: list[Pick] = []
    rejected: Counter[AdviceReason] = Counter()
    for candidates in regions:
        found = _feasible(candidates, present, standing, preferences)
        picks += _worthwhile(candidates, found, standing, preferences, ownership, hours)
        codes = candidates.reason[candidates.reason >= 0]
        for code, count in enumerate(np.bincount(codes).tolist()):
            if count:
                rejected[REASONS[code]] += count
    kept = _undominated(sorted(picks, key=_key))
    dominated = len(picks) - len(kept)
    if dominated:
        rejected[AdviceReason.COSTLIER] += dominated
    return kept, rejected


def _key(pick: Pick) -> tuple[float, float, int, str, str, str, int]:
    return pick.key


def _feasible(candidates: Candidates, present: Present, standing: Standing, preferences: RightsizingPreferences) -> I64:
    """Positions of those that serve; the present size itself is none."""
    offers = candidates.offers
    if preferences.never_shrink:
        candidates.reject(candidates.shrinking(present, standing.sized), AdviceReason.SHRINK_FORBIDDEN)
    limit = 4.0 if preferences.max_risk is None else preferences.max_risk
    candidates.reject(candidates.risk > limit, AdviceReason.RISK_LIMIT)
    open_ = candidates.reason < 0
    here = (offers.region.cloud, offers.region.name) == (present.resource.cloud, present.resource.region)
    if here:
        at = offers.at(present)
        if at is not None and int(candidates.count[at]) == standing.sized.count:
            open_[at] = False
    found: I64 = np.flatnonzero(open_)
    return found


def _worthwhile(  # noqa: PLR0913, PLR0917 - all that is weighed
    candidates: Candidates,
    found: I64,
    standing: Standing,
    preferences: RightsizingPreferences,
    ownership: Ownership,
    hours: float,
) -> Iterable[Pick]:
    """Those of `found` that are worth the change, with their costs."""
    if not found.size:
        return []
    count = candidates.count[found]
    cost: F64 = candidates.offers.price[found] * count * (hours / MILLI)
    covered = np.zeros(found.size, dtype=np.int64)
    if not ownership.is_empty:
        for place, at in enumerate(found.tolist()):
            covered[place] = ownership.option(candidates.offers.facts(at), int(count[place]))
        cost *= 1.0 - covered / (count * MILLI)
    hourly = preferences.throttled_hour_cost_micros
    want = np.zeros(found.size) if hourly is None else candidates.exceedance[found] * hourly * hours
    objective = cost + want
    effort = candidates.effort[found]
    code = np.full(found.size, -1, dtype=np.int8)
    if standing.serves:
        before = standing.net_micros + standing.want_micros
        saving = before - objective
        floor = preferences.minimum_monthly_saving_micros or 0
        wanted = (preferences.minimum_saving_to_disruption or 0.0) * DISRUPTION[effort]
        # A micro-dollar is the least that money is counted in.
        costlier = saving < 1.0
        # The first reason that applies is the one that is written last.
        code[saving < (wanted - _RATE_ROUNDING) * before] = CODE[AdviceReason.NOT_WORTH_THE_DISRUPTION]
        code[saving < floor] = CODE[AdviceReason.SAVING_UNDER_FLOOR]
        code[costlier] = CODE[AdviceReason.COSTLIER]
    worth = np.flatnonzero(code < 0)
    risk = candidates.risk[found]
    # Offers stand in the order of (price, type), and the sort is stable: equal ones keep that order.
    order = worth[np.lexsort((effort[worth], risk[worth], objective[worth]))]
    chosen = _front(order, risk, effort)
    code[worth] = CODE[AdviceReason.COSTLIER]
    code[chosen] = -1
    candidates.reason[found] = code
    return [
        Pick(
            candidates,
            at := int(found[place]),
            _net(candidates, at, int(covered[place]), hours),
            int(covered[place]),
            float(objective[place]),
            float(risk[place]),
            int(effort[place]),
        )
        for place in chosen
    ]


def _front(order: I64, risk: F64, effort: I8) -> list[int]:
    """Of places in ranking order those that no earlier one matches in risk and effort."""
    least = [float("inf")] * len(DISRUPTION)
    kept: list[int] = []
    for place, own, level in zip(order.tolist(), risk[order].tolist(), effort[order].tolist(), strict=True):
        if min(least[: level + 1]) > own:
            kept.append(place)
            least[level] = own
            if not own and not level:
                break  # without risk and without effort: nothing is better in anything
    return kept


def _net(candidates: Candidates, at: int, covered_milli: int, hours: float) -> int:
    price = int(candidates.offers.price_nanos[at])
    return monthly_micros(price, int(candidates.count[at]) * MILLI - covered_milli, hours)


def _undominated(picks: Sequence[Pick]) -> list[Pick]:
    """Of picks in ranking order, those that no earlier one matches in risk and effort."""
    kept: list[Pick] = []
    for pick in picks:
        if not any(other.risk <= pick.risk and other.effort <= pick.effort for other in kept):
            kept.append(pick)
    return kept
