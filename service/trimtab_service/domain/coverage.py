"""Which offers an owned commitment covers, and how much of its room one instance draws.

Rules of the products, as their providers publish them:

- AWS Reserved Instance: its type in its region, in its zone when it is zonal. A size-flexible one (regional only)
  covers its whole family by AWS's normalisation factors (large 4, xlarge 8, n-xlarge 8n).
- AWS EC2 Instance Savings Plan: one family in one region. Compute Savings Plan: EC2 anywhere. SageMaker Savings
  Plan: `ml.*` types, which the other products never cover.
- Google resource-based committed use: vCPUs, memory and GPUs of one family in one region. Resources of several
  commitments pool. An instance is covered only as far as all it uses is: a GPU is not paid by committed vCPUs.
- Google flexible committed use: spend on vCPUs and memory; types with GPUs are left out.
- Azure reservation: its type in its region; a size-flexible one covers its family by vCPUs. Azure's own ratios are
  a published table that follows vCPUs within a group, and its groups are approximated by the catalogue's families.
- Azure savings plan: all compute, anywhere.

Spot capacity is covered by none. Where a commitment names a region or a family, it is kept to it in any case.
"""

import re
from typing import Final, NamedTuple

from trimtab_service.domain.commitments import MILLI, Commitment, CommitmentKind
from trimtab_service.domain.offers import Cloud

SAGEMAKER_PREFIX: Final = "ml."

VCPUS: Final = "vcpus"
MEMORY: Final = "memory"
GPUS: Final = "gpus"
"""Resources that Google commits by."""

RESERVATIONS: Final = frozenset(
    {
        CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
        CommitmentKind.AWS_RESERVED_INSTANCE_CONVERTIBLE,
        CommitmentKind.AZURE_RESERVATION,
    }
)
"""Kinds whose room is counted in instances of `instance_type`."""

_BILLING_RANK: Final = {
    CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD: 0,
    CommitmentKind.AWS_RESERVED_INSTANCE_CONVERTIBLE: 0,
    CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN: 1,
    CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN: 1,
    CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN: 2,
    CommitmentKind.GCP_RESOURCE_CUD: 0,
    CommitmentKind.GCP_FLEXIBLE_CUD: 1,
    CommitmentKind.AZURE_RESERVATION: 0,
    CommitmentKind.AZURE_SAVINGS_PLAN: 1,
}

DUST: Final = 1e-6  # 1 - 0.9 is a little under 0.1: three tenths must stay three tenths

_AWS_FACTORS: Final = {"nano": 0.25, "micro": 0.5, "small": 1.0, "medium": 2.0, "large": 4.0, "xlarge": 8.0}
_AWS_MULTIPLE: Final = re.compile(r"(\d+)xlarge\Z")


class OfferFacts(NamedTuple):
    """What decides coverage of an offer. `zones` are those it may run in; `on_demand_nanos` 0 is not known."""

    cloud: Cloud
    region: str
    instance_type: str
    family: str
    vcpus: float
    memory_gib: float
    gpu_model: str = ""
    gpus: float = 0.0
    on_demand_nanos: int = 0
    zones: tuple[str, ...] = ()


class Resource(NamedTuple):
    """One currency of a commitment's room: `name` is empty where it has only one."""

    name: str
    capacity_milli: int


BillingKey = tuple[int, bool, bool, float, str]


def billing_key(commitment: Commitment) -> BillingKey:
    """Sorts commitments as the provider applies them to usage.

    AWS: reservations (zonal before regional, of exactly the type before size-flexible), then EC2 Instance and
    SageMaker Savings Plans, then Compute; the highest saving first. Google: resource-based before flexible.
    Azure: reservations before the savings plan. Ties by id, so that the order is one.
    """
    rank = _BILLING_RANK[commitment.kind]
    return rank, not commitment.zone, commitment.size_flexible, -commitment.discount_fraction, commitment.commitment_id


def rooms_of(commitment: Commitment) -> tuple[Resource, ...]:
    """Rooms of a commitment that other workloads leave free, in milli-units, rounded down.

    Units: instances of its type; micro-USD per hour of committed spend (a milli-unit is a nano-USD); vCPUs, GiB, GPUs.
    """
    free = 1.0 - commitment.in_use_fraction
    if commitment.kind is CommitmentKind.GCP_RESOURCE_CUD:
        amounts = ((VCPUS, commitment.vcpus), (MEMORY, commitment.memory_gib), (GPUS, commitment.gpus))
        return tuple(Resource(name, int(amount * MILLI * free + DUST)) for name, amount in amounts if amount > 0.0)
    if commitment.kind in RESERVATIONS:
        return (Resource("", int(commitment.instances * MILLI * free + DUST)),)
    return (Resource("", int(commitment.spend_nanos_per_hour * free + DUST)),)


def room_key(commitment: Commitment, resource: str) -> str:
    """Global key of a room: the commitment's name, with the resource where it has several."""
    return f"{commitment.name}/{resource}" if resource else commitment.name


def draw_milli(commitment: Commitment, facts: OfferFacts) -> tuple[int, ...] | None:
    """What one instance draws of each of `rooms_of`, in milli-units; None where it is not covered at all.

    A zero says that the instance uses nothing of that resource. What the offer uses and this commitment does not
    hold (a GPU, memory) must come from another one: see `needs`.
    """
    if not in_scope(commitment, facts):
        return None
    kind = commitment.kind
    if kind in RESERVATIONS:
        return _reservation(commitment, facts)
    if kind is CommitmentKind.GCP_RESOURCE_CUD:
        return _resources(commitment, facts)
    if facts.on_demand_nanos <= 0 or (kind is CommitmentKind.GCP_FLEXIBLE_CUD and facts.gpus > 0.0):
        return None
    return (max(1, round(facts.on_demand_nanos * (1.0 - commitment.discount_fraction))),)


def in_scope(commitment: Commitment, facts: OfferFacts) -> bool:
    """Whether cloud, region and product are right, and the family and type where it names them (see `draw_milli`)."""
    if commitment.cloud is not facts.cloud or (commitment.region and commitment.region != facts.region):
        return False
    is_sagemaker = facts.instance_type.startswith(SAGEMAKER_PREFIX)
    if is_sagemaker is not (commitment.kind is CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN):
        return False
    if commitment.kind in RESERVATIONS:
        return True
    return commitment.family in {"", facts.family} and commitment.instance_type in {"", facts.instance_type}


def needs(facts: OfferFacts) -> dict[str, int]:
    """What one instance uses of each resource that Google commits by, in milli-units; zero uses are left out."""
    amounts = {VCPUS: facts.vcpus, MEMORY: facts.memory_gib, GPUS: facts.gpus}
    return {name: max(1, round(amount * MILLI)) for name, amount in amounts.items() if amount > 0.0}


def _reservation(commitment: Commitment, facts: OfferFacts) -> tuple[int] | None:
    if commitment.zone:
        same = commitment.instance_type == facts.instance_type and commitment.zone in facts.zones
        return (MILLI,) if same else None
    if commitment.instance_type == facts.instance_type:
        return (MILLI,)
    if not commitment.size_flexible or not commitment.family or commitment.family != facts.family:
        return None
    ratio = _size_ratio(commitment, facts)
    return None if ratio is None else (max(1, round(ratio * MILLI)),)


def _size_ratio(commitment: Commitment, facts: OfferFacts) -> float | None:
    if commitment.cloud is Cloud.AWS:
        own, other = aws_size_factor(commitment.instance_type), aws_size_factor(facts.instance_type)
        if own is not None and other is not None:
            return other / own
    if commitment.vcpus > 0.0 and facts.vcpus > 0.0:
        return facts.vcpus / commitment.vcpus
    return None


def aws_size_factor(instance_type: str) -> float | None:
    """AWS's normalisation factor of a type's size; None for sizes without one by name (metal)."""
    size = instance_type.rpartition(".")[2]
    multiple = _AWS_MULTIPLE.match(size)
    return 8.0 * int(multiple[1]) if multiple else _AWS_FACTORS.get(size)


def _resources(commitment: Commitment, facts: OfferFacts) -> tuple[int, ...] | None:
    used = needs(facts)
    drawn = tuple(
        used.get(room.name, 0) if room.name != GPUS or commitment.gpu_model == facts.gpu_model else 0
        for room in rooms_of(commitment)
    )
    return drawn if any(drawn) else None
