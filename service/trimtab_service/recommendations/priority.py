"""How pressing advice is.

P1: it hurts now: memory runs out, or the present size carries a risk of 3 or more of 4.
P2: the present size is too small, or a month saves 1,000 USD or more.
P3: a month saves 50 USD or more.
P4: everything else.

What rests on little data (confidence below one half) is one step less pressing, but for P1: waiting for more data
would cost an outage.
"""

from collections.abc import Collection
from typing import Final

from trimtab_service.domain.money import MICROS_PER_USD
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.recommendations import Priority
from trimtab_service.domain.rightsizing import Finding

HURTS_FROM_RISK: Final = 3.0
LARGE_MICROS: Final = 1_000 * MICROS_PER_USD
WORTHWHILE_MICROS: Final = 50 * MICROS_PER_USD
SURE_FROM: Final = 0.5

_LESS: Final = {Priority.P2: Priority.P3, Priority.P3: Priority.P4, Priority.P4: Priority.P4}


def priority_of(
    finding: Finding,
    reasons: Collection[AdviceReason],
    current_risk: float,
    monthly_saving_micros: int,
    confidence: float,
) -> Priority:
    """The priority by the rules above; `current_risk` is of the present size, 0 to 4."""
    too_small = finding is Finding.UNDER_PROVISIONED
    if too_small and (current_risk >= HURTS_FROM_RISK or AdviceReason.MEMORY_KILLS in reasons):
        return Priority.P1
    if too_small or monthly_saving_micros >= LARGE_MICROS:
        found = Priority.P2
    else:
        found = Priority.P3 if monthly_saving_micros >= WORTHWHILE_MICROS else Priority.P4
    return found if confidence >= SURE_FROM else _LESS[found]
