"""A resource of a cloud or cluster that advice is given on."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud, PurchaseOption

NODE_TYPE_TAG: Final = "kubernetes:node-type"
"""Tag of a container: the instance type of its nodes, which its price is a share of."""


class ResourceKind(StrEnum):
    """What a resource is."""

    INSTANCE = "instance"
    INSTANCE_GROUP = "instance_group"
    ENDPOINT = "endpoint"
    TRAINING_JOB = "training_job"
    CONTAINER = "container"
    DATABASE = "database"


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one instance has; None is not known. `gpus` is below 1 for a slice; `gpu_memory_gib` is per whole GPU."""

    vcpus: float | None = None
    memory_gib: float | None = None
    gpu_model: str = ""
    gpus: float = 0.0
    gpu_memory_gib: float | None = None
    network_gbps: float | None = None
    disk_iops: float | None = None
    disk_mibps: float | None = None


@dataclass(frozen=True, slots=True)
class Autoscaling:
    """How a group scales by itself: the target is a ratio of one instance, held fixed by any advice."""

    min_count: int
    max_count: int
    target_dimension: Dimension
    target_utilization: float


@dataclass(frozen=True, slots=True)
class CloudResource:
    """The resource as it is now.

    `count` is the size of a group (1 else). `capacity` and `price_nanos_per_hour` (of one instance) are the
    caller's where the catalogue does not know `instance_type`. `running_hours_per_month` None is all of them.
    `tags` are sorted pairs.
    """

    resource_id: str
    cloud: Cloud
    region: str
    kind: ResourceKind = ResourceKind.INSTANCE
    zone: str = ""
    account: str = ""
    instance_type: str = ""
    count: int = 1
    capacity: Capacity | None = None
    price_nanos_per_hour: int | None = None
    option: PurchaseOption = PurchaseOption.ON_DEMAND
    running_hours_per_month: float | None = None
    tags: tuple[tuple[str, str], ...] = ()
    autoscaling: Autoscaling | None = None
    workload_id: str = ""
    team: str = ""
    start_time: datetime | None = None
    arm_ready: bool = False

    @property
    def key(self) -> str:
        """Identifies the resource over runs: `cloud/account/region/kind/id`."""
        return f"{self.cloud}/{self.account}/{self.region}/{self.kind}/{self.resource_id}"


@dataclass(frozen=True, slots=True)
class OwnOffer:
    """What another type costs the caller for an hour of one instance, where the resource is and as it is bought."""

    instance_type: str
    price_nanos: int
