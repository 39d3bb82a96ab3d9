"""The cheapest type that serves, by looking at every offer in turn: shares no code with the engine.

Only plain machines of one region on demand, sized by given demands; none that is burstable, or of another architecture.
"""

from typing import NamedTuple

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import PRICE_BASES, Cloud, PriceBasis


class Cheapest(NamedTuple):
    """A type and its price in nano-USD per hour."""

    name: str
    nanos: int


def cheapest_plain(
    snapshot: CatalogSnapshot, region: str, arch: str, vcpus: float, memory_gib: float, network_gbps: float = 0.0
) -> Cheapest | None:
    """The cheapest plain AWS machine with at least so much; of equal prices the first by name."""
    best: Cheapest | None = None
    number = snapshot.region_index[Cloud.AWS, region]
    for index, name in enumerate(snapshot.type_names):
        if snapshot.type_cloud(index) is not Cloud.AWS or name.startswith(("ml.", "db.", "cache.")):
            continue
        kind = snapshot.types
        if float(kind.gpu_count[index]) > 0 or bool(kind.burstable[index]):
            continue
        if snapshot.arches[int(kind.arch[index])] != arch:
            continue
        if float(kind.vcpus[index]) < vcpus or float(kind.memory_gib[index]) < memory_gib:
            continue
        if float(kind.network_gbps[index]) < network_gbps:  # not a number is not less
            continue
        offer = snapshot.find_offer(0, number, index)
        if offer is None or PRICE_BASES[int(snapshot.offers.basis[offer])] is PriceBasis.LIST_SUPERSEDED:
            continue
        found = Cheapest(name, int(snapshot.offers.price_nanos[offer]))
        if best is None or (found.nanos, found.name) < (best.nanos, best.name):
            best = found
    return best
