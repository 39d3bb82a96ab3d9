"""The way that a run is asked to go: from one side of its plan to another."""

from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.fields import Violations


def check_way(plan: FailoverPlan, from_side: str, to_side: str, found: Violations) -> None:
    """Add what is wrong with `from_side` and `to_side`; an empty one is any."""
    known = {side.side_id for side in plan.sides}
    for field, side in (("from_side", from_side), ("to_side", to_side)):
        if side and side not in known:
            found.add(field, ErrorReason.UNKNOWN_VALUE, f"the plan's sides are {', '.join(sorted(known))}")
    if to_side and from_side == to_side:
        found.add("to_side", ErrorReason.CONTRADICTION, "is the side that would be left")
