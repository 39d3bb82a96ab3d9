"""In which order a provider applies plans to usage.

AWS: reserved instances, then EC2 Instance Savings Plans, then Compute and SageMaker ones; inside a turn the plan's own
account first, then the rest of the organisation; inside that the highest saving first, ties to the lower plan rate, all
plans of the turn together whatever their term and payment (Savings Plans user guide, "Understanding how Savings Plans
apply to your usage"). GCP: resource CUDs, then flexible ones. Azure: reservations, then savings plans.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction

from trimtab_service.domain.offers import Cloud
from trimtab_service.purchasing.billing.lines import OwnedPlan, Turn, UsageLine

Application = tuple[OwnedPlan, int]
"""A plan and the index of the line it is applied to."""


def applications(plans: Sequence[OwnedPlan], lines: Sequence[UsageLine]) -> Iterator[Application]:
    """Every plan on every line in its scope, in the provider's order; total, so the same input bills the same."""
    for turn in Turn:
        mine = [plan for plan in plans if plan.turn is turn]
        pairs = [(plan, index) for plan in mine for index, line in enumerate(lines) if line.line_id in plan.draws]
        yield from sorted(pairs, key=lambda pair: _rank(pair[0], lines[pair[1]]))


def _rank(plan: OwnedPlan, line: UsageLine) -> tuple[bool, Fraction, int, str, str]:
    draw = plan.draws[line.line_id]
    elsewhere = line.cloud is Cloud.AWS and plan.account != line.account
    if plan.turn is Turn.RESERVED:
        # A reservation goes to the smallest size first, which AWS documents for size-flexible instances.
        return elsewhere, Fraction(draw), 0, plan.plan_id, line.line_id
    paid = Fraction(draw, line.on_demand_nanos) if line.on_demand_nanos else Fraction(1)
    return elsewhere, paid * _fee_share(plan), draw, plan.plan_id, line.line_id


def _fee_share(plan: OwnedPlan) -> Fraction:
    """Plan money per unit of room: under 1 where room is counted at on-demand prices."""
    return Fraction(plan.fee_femto_per_hour, plan.room) if plan.room else Fraction(1)
