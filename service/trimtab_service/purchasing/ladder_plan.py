"""The purchases of the coming months: what to buy when, how long each can be undone, when it ends.

Each step tops up what is still in force to the level that the standing rule expects then: today's, carried along the
trusted trend. Only the first step is advice to act on; the later ones say what is to come and are decided again with
what is known by then. A purchase is cut into portions small enough to be handed back, where the provider takes them.
"""

import calendar
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Final

import numpy as np

from trimtab_service.domain.purchasing import ChangeKind, DeclaredChange, OwnedLevel, PlanOffer
from trimtab_service.purchasing.demand import HourlyUsage
from trimtab_service.purchasing.migrations import held_back
from trimtab_service.purchasing.policies import top_up
from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.timeline import changes_key, moved_key
from trimtab_service.purchasing.tranches import RETURN_MOST_PER_HOUR, STEP, return_until
from trimtab_service.purchasing.trend import trend_of

_HOUR: Final = timedelta(hours=1)
_WEEK_HOURS: Final = 168.0
_MONTHS: Final = 12
_LOOK_BACK: Final = 720


@dataclass(frozen=True, slots=True, eq=False)
class LadderSeries:
    """One offer and its usage: hourly on-demand `history`, what is `owned` of it, the same family elsewhere.

    `future` holds what is declared: from each instant on (in order) that share of today's usage is expected.
    """

    offer: PlanOffer
    history: Floats
    owned: tuple[OwnedLevel, ...] = ()
    siblings: tuple[Floats, ...] = ()
    future: tuple[tuple[datetime, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One portion: `per_hour` plan money bought at `time`, in force until `end_time`.

    It can be undone until `return_until` (None: never). `firm` is true of the first step alone; `held_back`
    marks a step where nothing is bought because the family is leaving elsewhere.
    """

    time: datetime
    offer_id: str
    per_hour: Decimal
    end_time: datetime
    return_until: datetime | None
    firm: bool
    held_back: bool = False


def month_after(start: datetime, months: int) -> datetime:
    """The same day and time `months` later, the month's last day where it is shorter."""
    years, month = divmod(start.month - 1 + months, _MONTHS)
    year = start.year + years
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)


def plan_ladder(
    series: Sequence[LadderSeries], start: datetime, *, months: int = 12, cadence: int = 1, spread: int = 1
) -> tuple[LadderStep, ...]:
    """Steps every `cadence` months over `months`.

    With `spread` s a step buys at most 1/s of its level, so that expirations spread over s steps; 1 closes the whole
    gap at once, which history favours. Raises ValueError for a cadence, spread or number of months under one.
    """
    if min(months, cadence, spread) < 1:
        raise ValueError("months, cadence and spread are one at least")
    steps: list[LadderStep] = []
    for entry in series:
        steps += _steps(entry, start, range(0, months, cadence), spread)
    return tuple(sorted(steps, key=lambda step: (step.time, step.offer_id)))


def _steps(entry: LadderSeries, start: datetime, months: range, spread: int) -> list[LadderStep]:
    offer = entry.offer
    hours = offer.term // _HOUR
    level = top_up(entry.history, hours, 1.0 / offer.rate) * offer.rate
    trend = trend_of(entry.history)
    weekly = trend.trusted_slope / trend.recent if trend.recent > 0.0 else 0.0
    waiting = bool(entry.siblings) and held_back(entry.history, entry.siblings)
    bought: list[tuple[datetime, Decimal]] = []
    steps: list[LadderStep] = []
    for month in months:
        now = month_after(start, month)
        weeks = (now - start) / _HOUR / _WEEK_HOURS
        share = _share_worth(entry, now)
        target = Decimal(repr(max(level * (1.0 + weekly * weeks) * share, 0.0)))
        active = sum(
            (Decimal(repr(own.per_hour)) for own in entry.owned if own.start_time <= now < own.end_time), Decimal(0)
        )
        active += sum((amount for time, amount in bought if now < time + offer.term), Decimal(0))
        amount = min(target - active, target / spread).quantize(STEP, rounding=ROUND_DOWN)
        if amount <= 0:
            continue
        if waiting:
            steps.append(LadderStep(now, offer.offer_id, Decimal(0), now, None, month == 0, held_back=True))
            continue
        bought.append((now, amount))
        steps += [
            LadderStep(now, offer.offer_id, part, now + offer.term, return_until(offer.kind, part, now), month == 0)
            for part in _portions(offer, amount)
        ]
    return steps


def expected_share(
    usage: HourlyUsage, offer: PlanOffer, changes: Sequence[DeclaredChange]
) -> tuple[tuple[datetime, float], ...]:
    """Usage in the offer's scope from each change on, as a share of that of the last 30 days; empty without changes."""
    if not changes:
        return ()
    # Sums, for only their proportion counts, and usage may have no hour yet.
    recent = {key: float(row[-_LOOK_BACK:].sum()) for key, row in zip(usage.keys, usage.money, strict=True)}
    whole = sum(money for key, money in recent.items() if offer.covers(key))
    shares = []
    for change in sorted(changes, key=lambda one: one.effective):
        for key in [key for key in recent if changes_key(change, key)]:
            money = recent.pop(key)
            if change.kind is ChangeKind.SCALES:
                recent[key] = money * change.factor
            elif change.kind is ChangeKind.MIGRATES:
                there = moved_key(key, change)
                recent[there] = recent.get(there, 0.0) + money * change.factor
        left = sum(money for key, money in recent.items() if offer.covers(key))
        shares.append((change.effective, left / whole if whole > 0.0 else 1.0))
    return tuple(shares)


def _share_worth(entry: LadderSeries, now: datetime) -> float:
    """The largest share of today's usage that holds for as much of a term from `now` on as it takes to break even."""
    end = now + entry.offer.term
    stretches: list[tuple[float, timedelta]] = []
    current = next((share for time, share in reversed(entry.future) if time <= now), 1.0)
    cursor = now
    for time, share in entry.future:
        if now < time < end:
            stretches.append((current, time - cursor))
            cursor, current = time, share
    stretches.append((current, end - cursor))
    held = timedelta()
    for share, span in sorted(stretches, reverse=True):
        held += span
        if held >= entry.offer.term * entry.offer.rate:
            return share
    return 0.0


def _portions(offer: PlanOffer, amount: Decimal) -> list[Decimal]:
    """Equal portions that can be handed back; one where the provider takes nothing back."""
    if return_until(offer.kind, Decimal(0), datetime(2000, 1, 1)) is None:  # noqa: DTZ001 - only the kind matters
        return [amount]
    count = max(math.ceil(amount / RETURN_MOST_PER_HOUR), 1)
    part = (amount / count).quantize(STEP, rounding=ROUND_DOWN)
    return [part] * (count - 1) + [amount - part * (count - 1)]


def expirations(steps: Sequence[LadderStep]) -> dict[str, Decimal]:
    """Plan money per hour that ends in each month (YYYY-MM), in order."""
    ends: dict[str, Decimal] = {}
    for step in steps:
        if step.per_hour > 0:
            month = f"{step.end_time:%Y-%m}"
            ends[month] = ends.get(month, Decimal(0)) + step.per_hour
    return dict(sorted(ends.items()))


def expected_levels(steps: Sequence[LadderStep], start: datetime, months: int) -> Floats:
    """(months,): plan money per hour of the ladder's own purchases in force at the start of each month."""
    instants = [month_after(start, month) for month in range(months)]
    return np.array(
        [float(sum((s.per_hour for s in steps if s.time <= now < s.end_time), Decimal(0))) for now in instants]
    )
