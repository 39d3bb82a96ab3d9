"""Quotas that a request names: which offers they count, and the rooms that they are."""

from typing import Final

from trimtab_service.domain.commitments import MILLI, Draw
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.workloads import Quota

VCPUS: Final = "vcpus"
INSTANCES: Final = "instances"
GPUS: Final = "gpus"


def quota_key(project: str, quota: Quota) -> str:
    """The room that a quota is: the same cloud, region, family, GPU model, options and unit are the same room.

    `projects/{project}/quota/{cloud}/{region}/{family|*}/{gpu|*}/{options|*}/{unit}`; options are sorted and
    joined by `+`.
    """
    options = "+".join(sorted(quota.options)) or "*"
    at = quota.location
    return (
        f"projects/{project}/quota/{at.cloud}/{at.region}/{quota.family or '*'}/{quota.gpu_model or '*'}"
        f"/{options}/{quota.unit}"
    )


def quota_counts(quota: Quota, facts: OfferFacts, option: PurchaseOption) -> bool:
    """Whether instances of this offer count against the quota. Owned room is run as on-demand capacity."""
    return (
        quota.location.cloud is facts.cloud
        and quota.location.region == facts.region
        and quota.family in {"", facts.family}
        and quota.gpu_model in {"", facts.gpu_model}
        and (
            not quota.options
            or option in quota.options
            or (option is PurchaseOption.OWNED_COMMITMENT and PurchaseOption.ON_DEMAND in quota.options)
        )
    )


def quota_need_milli(quota: Quota, facts: OfferFacts, count: int) -> int:
    """Milli-units of the quota that `count` instances use."""
    each = facts.vcpus if quota.unit == VCPUS else facts.gpus if quota.unit == GPUS else 1.0
    return round(each * count * MILLI)


def quota_draw(project: str, quota: Quota, facts: OfferFacts, count: int) -> Draw:
    """The draw that reserves `count` instances against the quota; its capacity is what the caller says is left."""
    capacity = int(quota.left * MILLI)
    return Draw(quota_key(project, quota), quota_need_milli(quota, facts, count), capacity)
