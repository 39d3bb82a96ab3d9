"""Owned commitments: what they cover, and what a covered hour costs.

A commitment is paid for whether it is used or not, so its unused room costs nothing at the margin. Room is
counted in the commitment's own currency: instances, spend per hour, or resources; `rooms` of it are drawn by
`Draw`s, each an amount in milli-units so that sums are exact integers.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from trimtab_service.domain.offers import Cloud

MILLI = 1_000
HOURS_OF_WEEK = 168


def hour_of_week(instant: datetime) -> int:
    """0 is Monday 00:00 UTC; `instant` is in UTC."""
    return instant.weekday() * 24 + instant.hour


class CommitmentKind(StrEnum):
    """The providers' products."""

    AWS_RESERVED_INSTANCE_STANDARD = "aws_reserved_instance_standard"
    AWS_RESERVED_INSTANCE_CONVERTIBLE = "aws_reserved_instance_convertible"
    AWS_EC2_INSTANCE_SAVINGS_PLAN = "aws_ec2_instance_savings_plan"
    AWS_COMPUTE_SAVINGS_PLAN = "aws_compute_savings_plan"
    AWS_SAGEMAKER_SAVINGS_PLAN = "aws_sagemaker_savings_plan"
    GCP_RESOURCE_CUD = "gcp_resource_cud"
    GCP_FLEXIBLE_CUD = "gcp_flexible_cud"
    AZURE_RESERVATION = "azure_reservation"
    AZURE_SAVINGS_PLAN = "azure_savings_plan"


@dataclass(frozen=True, slots=True)
class Commitment:
    """One owned commitment. Exactly one of `instances`, `spend_nanos_per_hour` and the resources is set.

    `discount_fraction` is off the on-demand price, for spend commitments: an hour of an instance draws
    `on_demand x (1 - discount)` of spend. `used_by_hour_of_week` is empty, or has for each of 168 hours from Monday
    00:00 UTC on the share that other workloads use of what `in_use_fraction` leaves.
    """

    project: str
    commitment_id: str
    kind: CommitmentKind
    cloud: Cloud
    start_time: datetime
    end_time: datetime
    region: str = ""
    zone: str = ""
    instance_type: str = ""
    family: str = ""
    instances: float = 0.0
    spend_nanos_per_hour: int = 0
    vcpus: float = 0.0
    memory_gib: float = 0.0
    gpu_model: str = ""
    gpus: float = 0.0
    in_use_fraction: float = 0.0
    discount_fraction: float = 0.0
    size_flexible: bool = False
    price_nanos_per_hour: int = 0
    ended_time: datetime | None = None
    used_by_hour_of_week: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """`projects/{project}/commitments/{commitment}`."""
        return f"projects/{self.project}/commitments/{self.commitment_id}"

    def is_active(self, instant: datetime) -> bool:
        """Whether it covers anything at `instant`."""
        return self.start_time <= instant < self.end_time and (self.ended_time is None or instant < self.ended_time)


@dataclass(frozen=True, slots=True)
class Draw:
    """`amount_milli` of the room named `room_key`, whose whole is `capacity_milli`, in the room's unit."""

    room_key: str
    amount_milli: int
    capacity_milli: int
