"""What can be bought: clouds, purchase options, and how far a price can be trusted."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Cloud(StrEnum):
    """A provider that trimtab places on."""

    AWS = "aws"
    AZURE = "azure"
    GCP = "gcp"


CLOUDS: tuple[Cloud, ...] = (Cloud.AWS, Cloud.AZURE, Cloud.GCP)
"""Codes of stored arrays: a cloud's code is its position here. Append only."""


class PurchaseOption(StrEnum):
    """How capacity is bought. The first four are what placement ranks; the others are a cloud's own products."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED_1Y = "reserved_1y"
    RESERVED_3Y = "reserved_3y"
    RESERVED_1Y_NO_UPFRONT = "reserved_1y_no_upfront"
    RESERVED_3Y_NO_UPFRONT = "reserved_3y_no_upfront"
    RESERVED_1Y_PARTIAL_UPFRONT = "reserved_1y_partial_upfront"
    RESERVED_3Y_PARTIAL_UPFRONT = "reserved_3y_partial_upfront"
    RESERVED_1Y_ALL_UPFRONT = "reserved_1y_all_upfront"
    RESERVED_3Y_ALL_UPFRONT = "reserved_3y_all_upfront"
    RESERVED_1Y_CONVERTIBLE_NO_UPFRONT = "reserved_1y_convertible_no_upfront"
    RESERVED_3Y_CONVERTIBLE_NO_UPFRONT = "reserved_3y_convertible_no_upfront"
    CUD_1Y = "cud_1y"
    CUD_3Y = "cud_3y"
    SAVINGS_PLAN_1Y = "savings_plan_1y"
    SAVINGS_PLAN_3Y = "savings_plan_3y"
    OWNED_COMMITMENT = "owned_commitment"

    @property
    def placement_option(self) -> "PurchaseOption | None":
        """The option of the placement axis that this one answers, or None.

        One product of each cloud stands for "reserved": AWS standard without upfront, GCP resource CUD,
        Azure reservation. Convertible, upfront and savings-plan variants are for the purchasing engine.
        """
        return _PLACEMENT_OPTION_OF.get(self)


PURCHASE_OPTIONS: tuple[PurchaseOption, ...] = tuple(PurchaseOption)
"""Codes of stored arrays: position here. Append only."""

PLACEMENT_OPTIONS: tuple[PurchaseOption, ...] = (
    PurchaseOption.ON_DEMAND,
    PurchaseOption.SPOT,
    PurchaseOption.RESERVED_1Y,
    PurchaseOption.RESERVED_3Y,
)
"""The option axis of placement tables, in order."""

_PLACEMENT_OPTION_OF: dict[PurchaseOption, PurchaseOption] = {
    PurchaseOption.ON_DEMAND: PurchaseOption.ON_DEMAND,
    PurchaseOption.SPOT: PurchaseOption.SPOT,
    PurchaseOption.RESERVED_1Y: PurchaseOption.RESERVED_1Y,
    PurchaseOption.RESERVED_3Y: PurchaseOption.RESERVED_3Y,
    PurchaseOption.RESERVED_1Y_NO_UPFRONT: PurchaseOption.RESERVED_1Y,
    PurchaseOption.RESERVED_3Y_NO_UPFRONT: PurchaseOption.RESERVED_3Y,
    PurchaseOption.CUD_1Y: PurchaseOption.RESERVED_1Y,
    PurchaseOption.CUD_3Y: PurchaseOption.RESERVED_3Y,
}


class PriceBasis(StrEnum):
    """Where a price comes from, and so what may be claimed with it."""

    LIST = "list"
    LIST_SUPERSEDED = "list_superseded"
    DERIVED_OD_X_SAVINGS = "derived_od_x_savings"
    ESTIMATED_EASTUS_RATIO = "estimated_eastus_ratio"
    DERIVED_HOST_PLUS_GPU = "derived_host_plus_gpu"
    ESTIMATED_GPU_REGION = "estimated_gpu_region"
    ESTIMATED_CLOUD_MAXIMUM = "estimated_cloud_maximum"
    CALLER = "caller"
    ESTIMATED_NODE_SHARE = "estimated_node_share"

    @property
    def is_estimate(self) -> bool:
        """True where nobody published the figure or its parts."""
        return self in _ESTIMATES

    @property
    def meaning(self) -> str:
        """One sentence for documents and answers."""
        return _BASIS_MEANING[self]


PRICE_BASES: tuple[PriceBasis, ...] = tuple(PriceBasis)
"""Codes of stored arrays: position here. Append only."""

_ESTIMATES = frozenset(
    {
        PriceBasis.ESTIMATED_EASTUS_RATIO,
        PriceBasis.ESTIMATED_GPU_REGION,
        PriceBasis.ESTIMATED_CLOUD_MAXIMUM,
        PriceBasis.ESTIMATED_NODE_SHARE,
    }
)

_BASIS_MEANING: dict[PriceBasis, str] = {
    PriceBasis.LIST: "Published list price.",
    PriceBasis.LIST_SUPERSEDED: "Last published price of a product that has since left the list.",
    PriceBasis.DERIVED_OD_X_SAVINGS: (
        "On-demand list price times one less the published monthly average saving; not a live quote."
    ),
    PriceBasis.ESTIMATED_EASTUS_RATIO: "Regional on-demand price times the discount of the same size in eastus.",
    PriceBasis.DERIVED_HOST_PLUS_GPU: "List price of the host plus list price of the attached GPUs, same region.",
    PriceBasis.ESTIMATED_GPU_REGION: (
        "List price of the host plus the GPU's list price of another region, because none is known here."
    ),
    PriceBasis.ESTIMATED_CLOUD_MAXIMUM: "No figure is known; the highest listed rate of the same cloud is used.",
    PriceBasis.CALLER: "The caller's own price.",
    PriceBasis.ESTIMATED_NODE_SHARE: "A share of the node's list price, by what is requested of it.",
}


@dataclass(frozen=True, slots=True)
class Offer:
    """One priced row of the catalogue.

    `usd_nanos_per_hour` is effective: an upfront payment is spread over its term.
    """

    cloud: Cloud
    region: str
    instance_type: str
    option: PurchaseOption
    usd_nanos_per_hour: int
    upfront_usd_micros: int
    as_of: date
    basis: PriceBasis
    source: str
