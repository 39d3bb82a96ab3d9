"""Shares of traffic by side."""

from collections.abc import Mapping
from typing import Final

from trimtab_service.clouds.patience import refused
from trimtab_service.domain.errors import TrimtabError

Shares = Mapping[str, float]
"""Share of each configured side, which add up to 1; all 0 where the name does not exist yet."""

_DIGITS: Final = 6


def shares_after(now: Shares, side_id: str, share: float) -> dict[str, float]:
    """`side_id` gets `share`; the others keep their proportions in the rest, or have equal parts where they had none.

    Applied twice it is as once. Raises FailedPreconditionError for a side that the target does not know, and where
    nobody is left to take the rest.
    """
    if side_id not in now:
        raise refused(f"the target knows the sides {', '.join(sorted(now))}, not {side_id}")
    if not 0 <= share <= 1:
        raise refused("a share of traffic is from 0 to 1")
    others = {side: held for side, held in now.items() if side != side_id}
    if not others and share < 1:
        raise refused("the target has no other side that could take the rest")
    held = sum(others.values())
    rest = 1 - share
    after = {side: round(rest * (had / held if held > 0 else 1 / len(others)), _DIGITS) for side, had in others.items()}
    return {side: after.get(side, round(share, _DIGITS)) for side in now}


def sole_side(shares: Shares, what: str) -> str:
    """The side that has all. Raises FailedPreconditionError where several share: `what` cannot be divided."""
    taken = [side for side, share in shares.items() if share > 0]
    if len(taken) != 1:
        raise unweighted(what)
    return taken[0]


def unweighted(what: str) -> TrimtabError:
    """The error of a division that the provider cannot express."""
    return refused(f"{what} knows no shares: give one side all of the traffic, or none of it to one of two")
