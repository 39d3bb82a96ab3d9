"""Families that leave: what one region did, others of the same owner tend to do next.

Hardware generations are replaced region by region. When a family's usage in one region falls to under half of what it
was a quarter before, commitments for the same family elsewhere are held back for a year: a plan bought in between is
stranded for most of its term, while waiting costs the discount of a few months on what would have been added.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from trimtab_service.purchasing.program import Floats

MONTH_HOURS: Final = 730
_QUARTER: Final = 3
_HELD_MONTHS: Final = 12
_FALL: Final = 0.5


def collapsed(history: Floats) -> bool:
    """Whether a month within the last year fell under half of the month a quarter before it."""
    months = history.size // MONTH_HOURS
    if months <= _QUARTER:
        return False
    means = history[history.size - months * MONTH_HOURS :].reshape(months, MONTH_HOURS).mean(axis=1)
    recent = means[max(months - _HELD_MONTHS, _QUARTER) :]
    before = means[max(months - _HELD_MONTHS, _QUARTER) - _QUARTER : months - _QUARTER]
    return bool(np.any((before > 0.0) & (recent < _FALL * before)))


def held_back(own: Floats, siblings: Sequence[Floats]) -> bool:
    """Whether a purchase waits: a sibling collapsed, this one has not, and it is not what the sibling moved to."""
    return not collapsed(own) and any(collapsed(sibling) for sibling in siblings)
