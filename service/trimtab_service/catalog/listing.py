"""Offers as a list: filtered by number, then shown one by one.

The order is the catalogue's own: by region (cloud, name), then type, then option, and a position in it is what a
page token holds. A filter is evaluated on arrays: once per name of a vocabulary or per instance type, and then
spread over the offers, so a list over a full catalogue costs milliseconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import I32, Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot, day_of
from trimtab_service.domain.accelerators import UnknownAccelerator, read_model
from trimtab_service.domain.filters import (
    Comparison,
    Conjunction,
    Disjunction,
    FieldKind,
    Filter,
    Negation,
    Operator,
    matches,
)
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PRICE_BASES, Cloud, PriceBasis, PurchaseOption

LISTED_FIELDS: Final = {
    "cloud": FieldKind.TEXT,
    "region": FieldKind.TEXT,
    "country": FieldKind.TEXT,
    "instance_type": FieldKind.TEXT,
    "family": FieldKind.TEXT,
    "gpu_model": FieldKind.TEXT,
    "gpu_count": FieldKind.NUMBER,
    "vcpus": FieldKind.NUMBER,
    "memory_gib": FieldKind.NUMBER,
    "architecture": FieldKind.TEXT,
    "purchase_option": FieldKind.TEXT,
    "price_basis": FieldKind.TEXT,
    "usd_per_hour": FieldKind.NUMBER,
}
"""What a filter may name."""

_NANOS: Final = Decimal(1_000_000_000)


@dataclass(frozen=True, slots=True)
class ListedOffer:
    """An offer with the specification of its type."""

    cloud: Cloud
    region: str
    instance_type: str
    option: PurchaseOption
    nanos_per_hour: int
    basis: PriceBasis
    as_of: date
    family: str
    vcpus: float
    memory_gib: float
    gpu_model: str
    gpu_count: float
    gpu_memory_gib: float
    architecture: str
    zones: tuple[str, ...]


def list_offers(
    snapshot: CatalogSnapshot, tree: Filter | None, *, after: int = -1, limit: int
) -> tuple[list[ListedOffer], int | None]:
    """Up to `limit` placement offers behind position `after`, and the last one's position if more follow."""
    order, region, option = _order(snapshot)
    view = _View(snapshot, order, region, option)
    positions = np.flatnonzero(view.mask(tree))
    positions = positions[np.searchsorted(positions, after, side="right") :]
    shown = positions[:limit].tolist()
    last = shown[-1] if len(positions) > limit else None
    return [view.offer(position) for position in shown], last


@lru_cache(maxsize=2)
def _order(snapshot: CatalogSnapshot) -> tuple[I32, I32, I32]:
    """Offer index k by list position, and region and option of every k."""
    starts = np.asarray(snapshot.offers.cell_start)
    cells = np.repeat(np.arange(starts.size - 1, dtype=np.int32), np.diff(starts))
    region = (cells % snapshot.region_count).astype(np.int32)
    option = (cells // snapshot.region_count).astype(np.int32)
    order = np.lexsort((option, np.asarray(snapshot.offers.type_index), region)).astype(np.int32)
    return order, region, option


class _View:
    """Columns of one listing, read by list position."""

    def __init__(self, snapshot: CatalogSnapshot, order: I32, region: I32, option: I32) -> None:
        self._snapshot = snapshot
        self._order = order
        self._region = region[order]
        self._option = option[order]
        self._type = np.asarray(snapshot.offers.type_index)[order]

    def mask(self, tree: Filter | None) -> Bools:
        """Positions that the filter accepts."""
        match tree:
            case None:
                return np.ones(self._order.size, dtype=np.bool_)
            case Conjunction(terms):
                return np.asarray(np.logical_and.reduce([self.mask(term) for term in terms]), dtype=np.bool_)
            case Disjunction(terms):
                return np.asarray(np.logical_or.reduce([self.mask(term) for term in terms]), dtype=np.bool_)
            case Negation(term):
                return ~self.mask(term)
            case Comparison():
                return self._compared(tree)

    def _compared(self, comparison: Comparison) -> Bools:
        snapshot, types = self._snapshot, self._snapshot.types
        per_region: dict[str, Callable[[int], object]] = {
            "cloud": lambda r: snapshot.regions[r].cloud.value,
            "region": lambda r: snapshot.regions[r].name,
            "country": lambda r: snapshot.regions[r].country,
        }
        per_type: dict[str, Callable[[int], object]] = {
            "instance_type": lambda t: snapshot.type_names[t],
            "family": lambda t: snapshot.families[int(types.family[t])],
            "gpu_model": lambda t: _gpu_model(snapshot, t),
            "gpu_count": lambda t: Decimal(str(float(types.gpu_count[t]))),
            "vcpus": lambda t: Decimal(str(float(types.vcpus[t]))),
            "memory_gib": lambda t: Decimal(str(float(types.memory_gib[t]))),
            "architecture": lambda t: snapshot.arches[int(types.arch[t])],
        }
        field = comparison.field
        if field == "gpu_model" and comparison.operator in {Operator.EQUAL, Operator.NOT_EQUAL}:
            accepted = _of_gpu_model(snapshot, str(comparison.value))[self._type]
            return accepted if comparison.operator is Operator.EQUAL else ~accepted
        if field in per_region:
            return _spread(comparison, per_region[field], len(snapshot.regions))[self._region]
        if field in per_type:
            return _spread(comparison, per_type[field], len(snapshot.type_names))[self._type]
        if field == "purchase_option":
            accepted = _spread(comparison, lambda o: PLACEMENT_OPTIONS[o].value, len(PLACEMENT_OPTIONS))
            return accepted[self._option]
        if field == "price_basis":
            accepted = _spread(comparison, lambda b: PRICE_BASES[b].value, len(PRICE_BASES))
            return accepted[np.asarray(snapshot.offers.basis)[self._order]]
        prices, inverse = np.unique(np.asarray(snapshot.offers.price_nanos)[self._order], return_inverse=True)
        return _spread(comparison, lambda p: Decimal(int(prices[p])) / _NANOS, prices.size)[inverse]

    def offer(self, position: int) -> ListedOffer:
        """The offer at a position."""
        snapshot = self._snapshot
        k, r, t = int(self._order[position]), int(self._region[position]), int(self._type[position])
        region, types = snapshot.regions[r], snapshot.types
        return ListedOffer(
            cloud=region.cloud,
            region=region.name,
            instance_type=snapshot.type_names[t],
            option=PLACEMENT_OPTIONS[int(self._option[position])],
            nanos_per_hour=int(snapshot.offers.price_nanos[k]),
            basis=PRICE_BASES[int(snapshot.offers.basis[k])],
            as_of=day_of(int(snapshot.offers.as_of[k])),
            family=snapshot.families[int(types.family[t])],
            vcpus=float(types.vcpus[t]),
            memory_gib=float(types.memory_gib[t]),
            gpu_model=_gpu_model(snapshot, t),
            gpu_count=float(types.gpu_count[t]),
            gpu_memory_gib=float(types.gpu_memory_gib[t]),
            architecture=snapshot.arches[int(types.arch[t])],
            zones=snapshot.zones_of(t, r),
        )


def _gpu_model(snapshot: CatalogSnapshot, type_index: int) -> str:
    index = int(snapshot.types.gpu_model[type_index])
    return snapshot.gpu_models[index] if index >= 0 else ""


def _of_gpu_model(snapshot: CatalogSnapshot, name: str) -> Bools:
    """Types that have the GPU of a name, read as a request's is: `V100` is every V100, an alias what it stands for."""
    reading = read_model(name, also_known=snapshot.gpu_models)
    models = {name} if isinstance(reading, UnknownAccelerator) else set(reading.models)
    known = [index for index, model in enumerate(snapshot.gpu_models) if model in models]
    if not name:
        known.append(-1)
    return np.isin(np.asarray(snapshot.types.gpu_model), known)


def _spread(comparison: Comparison, read: Callable[[int], object], size: int) -> Bools:
    """The comparison's answer for each entry of a vocabulary."""
    return np.fromiter((matches(comparison, lambda _, i=i: read(i)) for i in range(size)), dtype=np.bool_, count=size)  # type: ignore[misc] # mypy cannot infer a lambda with a bound default
