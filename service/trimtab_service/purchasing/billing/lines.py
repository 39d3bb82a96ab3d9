"""What a bill is made of: usage lines, the plans that may cover them, and the exact unit they are counted in.

Quantities are integer micro-units, prices integer nano-USD per unit, so an amount of money is an integer number of
femto-USD (1e-15). Only a partly covered line makes a fraction; it is kept as one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from fractions import Fraction

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.offers import Cloud

MICRO_UNITS = 1_000_000
FEMTO_PER_USD = 10**15
Exact = int | Fraction
"""An exact number: an integer, or a fraction where a plan ran out inside a line."""


@dataclass(frozen=True, slots=True)
class UsageLine:
    """Hourly use of one SKU by one account: `micro_units` (H,), a unit at `on_demand_nanos` when nothing covers it."""

    line_id: str
    cloud: Cloud
    account: str
    on_demand_nanos: int
    micro_units: Sequence[int]

    def __post_init__(self) -> None:
        if self.on_demand_nanos < 0 or any(units < 0 for units in self.micro_units):
            raise ValueError(f"usage line {self.line_id!r} is negative")


class Turn(IntEnum):
    """When a plan's turn comes within its cloud."""

    RESERVED = 0
    """AWS RIs, GCP resource CUDs, Azure reservations."""
    FAMILY_SPEND = 1
    """AWS EC2 Instance Savings Plans."""
    SPEND = 2
    """AWS Compute and SageMaker Savings Plans, GCP flexible CUDs, Azure savings plans."""


TURN_OF: Mapping[CommitmentKind, Turn] = {
    CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD: Turn.RESERVED,
    CommitmentKind.AWS_RESERVED_INSTANCE_CONVERTIBLE: Turn.RESERVED,
    CommitmentKind.GCP_RESOURCE_CUD: Turn.RESERVED,
    CommitmentKind.AZURE_RESERVATION: Turn.RESERVED,
    CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN: Turn.FAMILY_SPEND,
    CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN: Turn.SPEND,
    CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN: Turn.SPEND,
    CommitmentKind.GCP_FLEXIBLE_CUD: Turn.SPEND,
    CommitmentKind.AZURE_SAVINGS_PLAN: Turn.SPEND,
}


@dataclass(frozen=True, slots=True)
class OwnedPlan:
    """One plan in force in hours [first_hour, last_hour).

    `room` an hour: femto-USD of spend for spend plans (`draws[line]` is nano-USD of room per unit), micro-units of
    the plan's own unit for reservations (`draws[line]` is how many of them one unit of the line takes: a size factor).
    `fee_femto_per_hour` is paid used or not. Lines that are not in `draws` are out of scope. A plan that never ends
    has `last_hour` None. GCP flexible CUDs bought on the on-demand basis draw at on-demand prices and cost a fee below
    their room; on the discounted basis both are the same.
    """

    plan_id: str
    kind: CommitmentKind
    account: str
    room: int
    fee_femto_per_hour: int
    draws: Mapping[str, int]
    first_hour: int = 0
    last_hour: int | None = None

    def __post_init__(self) -> None:
        if self.room < 0 or self.fee_femto_per_hour < 0 or any(draw <= 0 for draw in self.draws.values()):
            raise ValueError(f"plan {self.plan_id!r} has a negative room or fee, or a draw that is not positive")
        if self.last_hour is not None and self.last_hour <= self.first_hour:
            raise ValueError(f"plan {self.plan_id!r} has no term")

    @property
    def turn(self) -> Turn:
        """When it is applied."""
        return TURN_OF[self.kind]
