"""What interruptible capacity costs one request, by interruption rate.

Most offers share one of a handful of rates, so the outlook of a rate is worked out once a request.
"""

from typing import Final, NamedTuple

from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import Interruption
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

    __slots__ = ("_cases", "_changeover", "_count", "_hours", "_interruption", "_is_service", "_left", "_limit")

    def __init__(  # noqa: PLR0913 - facts of a request
        self,
        interruption: Interruption,
        hours: float,
        count: int,
        *,
        is_service: bool,
        left_hours: float | None,
        changeover_hours: float,
        max_interruptions: float | None,
    ) -> None:
        self._interruption = interruption
        self._hours = hours
        self._count = count
        self._is_service = is_service
        self._left = left_hours
        self._changeover = changeover_hours
        self._limit = max_interruptions
        self._cases: dict[float, SpotCase] = {}

    def case(self, rate: float) -> SpotCase:
        """The case of a rate in interruptions per hour of one instance."""
        known = self._cases.get(rate)
        if known is None:
            mean = 1.0 / rate if rate > 0.0 else None
            seen = outlook(self._hours, mean, self._interruption, self._count, is_service=self._is_service)
            barred = barred_moving = self._barred(seen)
            if barred is None and self._left is not None:
                barred = self._late(seen, 0.0)
                barred_moving = self._late(seen, self._changeover) if self._changeover else barred
            extra = (seen.billed_hours - self._hours) * self._count / 1000.0
            known = SpotCase(seen, risk_class(rate), extra, barred, barred_moving)
            self._cases[rate] = known
        return known

    def _barred(self, seen: SpotOutlook) -> RejectionReason | None:
        if seen.billed_hours == float("inf"):
            return RejectionReason.NEVER_FINISHES
        if self._limit is not None and seen.expected_interruptions > self._limit:
            return RejectionReason.INTERRUPTION_RISK
        return None

    def _late(self, seen: SpotOutlook, changeover: float) -> RejectionReason | None:
        left = (self._left or 0.0) - changeover
        slack = left - self._hours
        tight = slack <= 2.0 * self._interruption.restart_hours + DECISION_TICK_HOURS
        return RejectionReason.DEADLINE if tight or seen.elapsed_hours > left else None
