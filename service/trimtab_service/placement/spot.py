"""What interruptible capacity costs one request, by interruption rate.

Most offers share one of a handful of rates, so the outlook of a rate is worked out once a request.
"""

from math import inf
from typing import Final, NamedTuple

from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import Workload
from trimtab_service.placement.interruptions import (
    BUCKET_RATES,
    UNKNOWN_BUCKET_RATE,
    SpotOutlook,
    outlook,
    risk_class,
)

DECISION_TICK_HOURS: Final = 0.25
"""How long an answer stands by default: the time that may pass before anyone asks again."""

RATE_OF_BUCKET: Final[tuple[float, ...]] = (*BUCKET_RATES, UNKNOWN_BUCKET_RATE)
"""Prior rate by bucket code; the code of an unknown bucket is -1, the last."""


class SpotCase(NamedTuple):
    """One rate. `extra` times nano-USD per hour is the interruption term in micros, before rounding.

    `barred` says why such an offer is no candidate where the workload runs already or has no place yet,
    `barred_moving` where it would have to move there first; None where it is one.
    """

    outlook: SpotOutlook
    risk: int
    extra: float
    barred: RejectionReason | None
    barred_moving: RejectionReason | None


class SpotRules:
    """Rates to cases for one request.

    Spot is late when the expected finish, waits for capacity included, is past the deadline, and also when the
    slack (time left less the work itself) is no more than two restarts and one decision tick: one interruption
    more could not be caught up with on demand any longer.
    """

    __slots__ = ("_cases", "_left", "_limit", "_workload")

    def __init__(self, workload: Workload, left_hours: float | None, max_interruptions: float | None) -> None:
        """`left_hours` are those to the deadline, `max_interruptions` the most that may be expected; None: any."""
        self._workload = workload
        self._left = left_hours
        self._limit = max_interruptions
        self._cases: dict[float, SpotCase] = {}

    def case(self, rate: float) -> SpotCase:
        """The case of a rate in interruptions per hour of one instance."""
        known = self._cases.get(rate)
        if known is not None:
            return known
        work = self._workload
        hours = work.hours
        mean = 1.0 / rate if rate > 0.0 else None
        seen = outlook(hours, mean, work.interruption, work.count, is_service=work.is_service)
        billed = seen.billed_hours
        barred: RejectionReason | None = None
        if billed == inf:
            barred = RejectionReason.NEVER_FINISHES
        elif self._limit is not None and seen.expected_interruptions > self._limit:
            barred = RejectionReason.INTERRUPTION_RISK
        barred_moving = barred
        if barred is None and self._left is not None:
            barred = self._late(seen, self._left)
            changeover = 0.0 if work.current is None else work.current.changeover_hours
            barred_moving = self._late(seen, self._left - changeover) if changeover else barred
        known = SpotCase(seen, risk_class(rate), (billed - hours) * work.count / 1000.0, barred, barred_moving)
        self._cases[rate] = known
        return known

    def _late(self, seen: SpotOutlook, left: float) -> RejectionReason | None:
        slack = left - self._workload.hours
        tight = slack <= 2.0 * self._workload.interruption.restart_hours + DECISION_TICK_HOURS
        return RejectionReason.DEADLINE if tight or seen.elapsed_hours > left else None
