"""What can be bought in one region under one purchase option, as arrays: made once a catalogue, then only read."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from trimtab_service.catalog.arrays import F64, I8, I16, I32, I64, Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot, day_number
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import PRICE_BASES, Cloud, PriceBasis
from trimtab_service.domain.regions import Region
from trimtab_service.domain.resources import OwnOffer
from trimtab_service.rightsizing.present import SERVICE_PREFIXES, Present, machine_of

N = TypeVar("N", bound=np.generic)

_KEPT: Final = 512
"""Regions and options of recent catalogues that stay ready."""

_SUPERSEDED: Final = PRICE_BASES.index(PriceBasis.LIST_SUPERSEDED)


class Ladder(NamedTuple):
    """The distinct sizes of the offers, NaN last, and where each offer stands among them [k]: dozens, not hundreds."""

    sizes: F64
    at: I64

    @classmethod
    def of(cls, sizes: F64) -> Self:
        """The ladder of the offers' sizes [k]."""
        found, at = np.unique(sizes, return_inverse=True)
        return cls(found, at.astype(np.int64, copy=False))


@dataclass(frozen=True, slots=True, eq=False)
class RegionOffers:
    """Offers [k] of one cell, ascending by (price, type). Sizes are of one instance; missing numbers are NaN.

    `on_demand_nanos` is 0 where the region lists no on-demand price of the type. `is_superseded`: the product has left
    the price list, so nobody can newly take it. `prefix` is the code of a managed service in `SERVICE_PREFIXES`, -1 for
    plain machines.
    """

    region: Region
    option: int
    snapshot: CatalogSnapshot
    type_index: I16
    names: tuple[str, ...]
    family: I16
    arch: I8
    vcpus: F64
    memory_gib: F64
    gpu_model: I16
    gpus: F64
    gpu_memory_gib: F64
    network_gbps: F64
    burstable: Bools
    price_nanos: I64
    price: F64
    on_demand_nanos: I64
    as_of: I32
    basis: I8
    is_superseded: Bools
    prefix: I8
    position: dict[int, int]
    """Offer by type."""
    ladders: dict[Dimension, Ladder]
    _facts: dict[int, OfferFacts] = field(default_factory=dict)
    """Made when first asked for; equal values, whoever makes them."""
    by_own_name: dict[str, int] = field(default_factory=dict)
    """Offer by name, of the caller's own."""

    def at(self, present: Present) -> int | None:
        """Where the present type stands; None where it is not offered."""
        own = self.by_own_name.get(present.resource.instance_type)
        if own is not None or present.type_index is None:
            return own
        return self.position.get(present.type_index)

    def facts(self, at: int) -> OfferFacts:
        """What coverage by owned commitments looks at."""
        known = self._facts.get(at)
        if known is None:
            known = self._facts[at] = self._facts_of(at)
        return known

    def _facts_of(self, at: int) -> OfferFacts:
        snapshot, kind = self.snapshot, int(self.type_index[at])
        model = int(self.gpu_model[at])
        return OfferFacts(
            self.region.cloud,
            self.region.name,
            self.names[at],
            snapshot.families[int(self.family[at])],
            float(self.vcpus[at]),
            float(self.memory_gib[at]),
            snapshot.gpu_models[model] if model >= 0 else "",
            float(self.gpus[at]),
            int(self.on_demand_nanos[at]),
            snapshot.zones_of(kind, snapshot.region_index[self.region.cloud, self.region.name]),
        )


_ready: OrderedDict[tuple[str, int, int], RegionOffers] = OrderedDict()


def region_offers(snapshot: CatalogSnapshot, cloud: Cloud, region: str, option: int) -> RegionOffers | None:
    """The offers of a region under a placement option; None for a region that the catalogue does not hold.

    Kept by the catalogue's version: the same version is the same content, so this is a function of its arguments.
    """
    number = snapshot.region_index.get((cloud, region))
    if number is None:
        return None
    key = (snapshot.version, number, option)
    known = _ready.get(key)
    if known is None:
        known = _ready[key] = _made(snapshot, number, option)
        if len(_ready) > _KEPT:
            _ready.popitem(last=False)
    return known


def _made(snapshot: CatalogSnapshot, region: int, option: int) -> RegionOffers:
    offers = snapshot.offers
    cell = snapshot.cell(option, region)
    here = slice(int(offers.cell_start[cell]), int(offers.cell_start[cell + 1]))
    kinds = offers.type_index[here]
    names = tuple(snapshot.type_names[kind] for kind in kinds.tolist())
    prices = _Prices(
        offers.price_nanos[here], _on_demand(snapshot, region, kinds), offers.as_of[here], offers.basis[here]
    )
    return _of_types(snapshot, region, option, kinds, names, prices)


class _Prices(NamedTuple):
    """What offers [k] cost, and on which grounds."""

    nanos: I64
    on_demand: I64
    as_of: I32
    basis: I8


def _of_types(  # noqa: PLR0913, PLR0917 - where, and what is offered
    snapshot: CatalogSnapshot, region: int, option: int, kinds: I16, names: tuple[str, ...], prices: _Prices
) -> RegionOffers:
    """Offers in the order of (price, type); those of a managed service have the facts of the machines beneath."""
    types = snapshot.types
    prefixes = [next((i for i, p in enumerate(SERVICE_PREFIXES) if name.startswith(p)), -1) for name in names]
    model = types.gpu_model[kinds]
    vcpus, memory_gib, network_gbps = types.vcpus[kinds], types.memory_gib[kinds], types.network_gbps[kinds]
    return RegionOffers(
        region=snapshot.regions[region],
        option=option,
        snapshot=snapshot,
        type_index=kinds,
        names=names,
        family=types.family[kinds],
        arch=types.arch[kinds],
        vcpus=vcpus,
        memory_gib=memory_gib,
        gpu_model=model,
        gpus=np.where(model >= 0, types.gpu_count[kinds], 0.0),
        gpu_memory_gib=np.where(model >= 0, types.gpu_memory_gib[kinds], 0.0),
        network_gbps=network_gbps,
        burstable=types.burstable[kinds],
        price_nanos=prices.nanos,
        price=prices.nanos.astype(np.float64),
        on_demand_nanos=prices.on_demand,
        as_of=prices.as_of,
        basis=prices.basis,
        is_superseded=prices.basis == _SUPERSEDED,
        prefix=np.asarray(prefixes, dtype=np.int8),
        position={kind: at for at, kind in enumerate(kinds.tolist()) if names[at] == snapshot.type_names[kind]},
        ladders={
            Dimension.CPU: Ladder.of(vcpus),
            Dimension.MEMORY: Ladder.of(memory_gib),
            Dimension.NETWORK: Ladder.of(network_gbps),
        },
    )


@lru_cache(maxsize=64)
def with_own(offers: RegionOffers, own: tuple[OwnOffer, ...], today: date) -> RegionOffers:
    """The offers with the caller's own prices, which go before the catalogue's of the same type.

    A type without a machine in the catalogue is left out: nothing is known of its size.
    """
    snapshot, cloud = offers.snapshot, offers.region.cloud
    found = [(one, machine_of(cloud, one.instance_type, snapshot)) for one in own]
    known = [(one, kind) for one, kind in found if kind is not None]
    named = {one.instance_type for one, _ in known}
    kept = np.array([name not in named for name in offers.names], dtype=bool)
    nanos = np.array([one.price_nanos for one, _ in known], dtype=np.int64)
    names = [name for name in offers.names if name not in named] + [one.instance_type for one, _ in known]
    kinds = np.concatenate(
        (offers.type_index[kept], np.array([kind for _, kind in known], dtype=offers.type_index.dtype))
    )
    price = np.concatenate((offers.price_nanos[kept], nanos))
    order = np.array(sorted(range(len(names)), key=lambda at: (int(price[at]), names[at])), dtype=np.int64)

    def merged(theirs: NDArray[N], ours: I64 | int) -> NDArray[N]:
        """One column of all, in their order."""
        added = np.broadcast_to(np.asarray(ours, dtype=theirs.dtype), (len(known),))
        whole: NDArray[N] = np.concatenate((theirs[kept], added))[order]
        return whole

    prices = _Prices(
        price[order],
        merged(offers.on_demand_nanos, nanos),
        merged(offers.as_of, day_number(today)),
        merged(offers.basis, PRICE_BASES.index(PriceBasis.CALLER)),
    )
    sorted_names = tuple(names[at] for at in order.tolist())
    number = snapshot.region_index[cloud, offers.region.name]
    made = _of_types(snapshot, number, offers.option, kinds[order], sorted_names, prices)
    made.by_own_name.update((name, at) for at, name in enumerate(sorted_names) if name in named)
    return made


def _on_demand(snapshot: CatalogSnapshot, region: int, kinds: I16) -> I64:
    offers = snapshot.offers
    cell = snapshot.cell(0, region)
    here = slice(int(offers.cell_start[cell]), int(offers.cell_start[cell + 1]))
    prices = np.zeros(len(snapshot.type_names), dtype=np.int64)
    prices[offers.type_index[here]] = offers.price_nanos[here]
    found: I64 = prices[kinds]
    return found
