"""Offers that the catalogue prices, and what the project owns, as a purchase plan reads them.

The catalogue has prices of AWS reservations without upfront, Google resource commitments and Azure reservations;
savings plans and other payment options it has not, and callers bring them. A rate is the reserved price over the
on-demand price of the same type in the same region.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from statistics import median
from typing import Final

import numpy as np

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, Cloud, PurchaseOption
from trimtab_service.domain.purchasing import OwnedLevel, PlanOffer, Service, UsageKey

_ON_DEMAND: Final = PLACEMENT_OPTIONS.index(PurchaseOption.ON_DEMAND)
_TERMS: Final = (
    (PLACEMENT_OPTIONS.index(PurchaseOption.RESERVED_1Y), "1y", timedelta(hours=8_760)),
    (PLACEMENT_OPTIONS.index(PurchaseOption.RESERVED_3Y), "3y", timedelta(hours=3 * 8_760)),
)
_KIND: Final = {
    Cloud.AWS: CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
    Cloud.GCP: CommitmentKind.GCP_RESOURCE_CUD,
    Cloud.AZURE: CommitmentKind.AZURE_RESERVATION,
}
_NANOS: Final = 1e9


def catalog_offers(snapshot: CatalogSnapshot, keys: Iterable[UsageKey]) -> tuple[PlanOffer, ...]:
    """One offer a term for each family and region of `keys` that the catalogue prices both ways, by id.

    Its `rates` are of the SKUs that `keys` name; its own rate is the median over the family's types.
    """
    wanted: dict[tuple[Cloud, str, str], set[str]] = {}
    for key in keys:
        if key.service is Service.COMPUTE:
            wanted.setdefault((key.cloud, key.family, key.region), set()).update({key.sku} - {""})
    offers: list[PlanOffer] = []
    for (cloud, family, region), skus in sorted(wanted.items()):
        index = snapshot.region_index.get((cloud, region))
        types = _types_of(snapshot, cloud, family)
        if index is None or not types:
            continue
        for option, name, term in _TERMS:
            rates = _rates(snapshot, option, index, types)
            if rates:
                offers.append(
                    PlanOffer(
                        offer_id=f"catalog/{cloud}/{region}/{family}/{name}",
                        kind=_KIND[cloud],
                        cloud=cloud,
                        term=term,
                        rate=median(rates.values()),
                        family=family,
                        region=region,
                        rates={sku: rates[sku] for sku in sorted(skus & rates.keys())},
                    )
                )
    return tuple(offers)


def owned_levels(snapshot: CatalogSnapshot, commitments: Sequence[Commitment]) -> tuple[OwnedLevel, ...]:
    """The project's commitments as levels of plan money. One whose price is not known is left out."""
    levels = [_owned(snapshot, commitment) for commitment in commitments if commitment.ended_time is None]
    return tuple(level for level in levels if level is not None)


def _types_of(snapshot: CatalogSnapshot, cloud: Cloud, family: str) -> list[int]:
    if family not in snapshot.families:
        return []
    of_family = snapshot.types.family == snapshot.families.index(family)
    of_cloud = snapshot.types.cloud == CLOUDS.index(cloud)
    return np.flatnonzero(of_family & of_cloud).tolist()


def _rates(snapshot: CatalogSnapshot, option: int, region: int, types: Sequence[int]) -> dict[str, float]:
    rates: dict[str, float] = {}
    for index in types:
        on_demand = snapshot.offer_price_nanos(_ON_DEMAND, region, index)
        reserved = snapshot.offer_price_nanos(option, region, index)
        if on_demand and reserved:
            rates[snapshot.type_names[index]] = reserved / on_demand
    return rates


def _owned(snapshot: CatalogSnapshot, commitment: Commitment) -> OwnedLevel | None:
    rate, per_hour = 1.0 - commitment.discount_fraction, commitment.spend_nanos_per_hour / _NANOS
    sku = ""
    if not commitment.spend_nanos_per_hour:
        on_demand = _on_demand_nanos(snapshot, commitment)
        if not (on_demand and commitment.price_nanos_per_hour):
            return None
        rate = commitment.price_nanos_per_hour / on_demand
        per_hour = commitment.price_nanos_per_hour * commitment.instances / _NANOS
        sku = "" if commitment.size_flexible else commitment.instance_type
    offer = PlanOffer(
        offer_id=commitment.commitment_id,
        kind=commitment.kind,
        cloud=commitment.cloud,
        term=commitment.end_time - commitment.start_time,
        rate=rate,
        family=commitment.family or _family_of(snapshot, commitment),
        region=commitment.region,
        sku=sku,
    )
    free = per_hour * (1.0 - commitment.in_use_fraction)
    return OwnedLevel(commitment.commitment_id, offer, free, commitment.start_time, commitment.end_time)


def _family_of(snapshot: CatalogSnapshot, commitment: Commitment) -> str:
    index = snapshot.type_index.get((commitment.cloud, commitment.instance_type))
    return "" if index is None else snapshot.families[int(snapshot.types.family[index])]


def _on_demand_nanos(snapshot: CatalogSnapshot, commitment: Commitment) -> int | None:
    region = snapshot.region_index.get((commitment.cloud, commitment.region))
    index = snapshot.type_index.get((commitment.cloud, commitment.instance_type))
    return None if region is None or index is None else snapshot.offer_price_nanos(_ON_DEMAND, region, index)
