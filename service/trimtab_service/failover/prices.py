"""What a standby costs by the catalogue: machines by list price, replication by its transfer rates."""

import math

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.money import NANOS_PER_MICRO
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, Cloud, PurchaseOption
from trimtab_service.failover.findings import Machines


def machine_nanos_per_hour(snapshot: CatalogSnapshot, machines: Machines) -> int | None:
    """List price of one of these on demand, nano-USD an hour; None: its type, or a price there, is not known."""
    if not machines.instance_type or machines.cloud not in set(Cloud):
        return None
    cloud = Cloud(machines.cloud)
    region = snapshot.region_index.get((cloud, machines.region))
    type_index = snapshot.type_index.get((cloud, machines.instance_type))
    if region is None or type_index is None:
        return None
    return snapshot.offer_price_nanos(PLACEMENT_OPTIONS.index(PurchaseOption.ON_DEMAND), region, type_index)


def transfer_micros(snapshot: CatalogSnapshot, source: int, destination: int, gib: float) -> int:
    """Micro-USD of sending `gib` in one month from region to region (indices of the snapshot).

    Within a region nothing, within a cloud the rate of the pair, between clouds the internet tiers of the source
    from the first GiB of the month.
    """
    egress = snapshot.egress
    if source == destination or gib <= 0.0:
        return 0
    if snapshot.region_cloud[source] == snapshot.region_cloud[destination]:
        return round(int(egress.pair_nanos[source, destination]) * gib / NANOS_PER_MICRO)
    geography = int(egress.region_geography[destination])
    starts = egress.internet_tier_from_gib[source, geography].tolist()
    rates = egress.internet_tier_nanos[source, geography].tolist()
    edges = [*starts[1:], math.inf]
    return sum(
        round(rate * (min(gib, end) - start) / NANOS_PER_MICRO)
        for start, end, rate in zip(starts, edges, rates, strict=True)
        if start < gib
    )
