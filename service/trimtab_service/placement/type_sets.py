"""Sets of instance types as integers: bit t stands for type t of one catalogue.

"At least 8 vCPUs" is a set kept ready for each distinct number of vCPUs; a size is the intersection of a few.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64, Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import CLOUDS
from trimtab_service.domain.workloads import Size

TypeSet = int
"""Bit t is type t."""


class AtLeast:
    """Types by a number of theirs: those with at least, or with more than, a given amount. NaN is in none."""

    __slots__ = ("_sets", "_values")

    def __init__(self, amounts: F64) -> None:
        self._values: list[float] = np.unique(amounts[~np.isnan(amounts)]).tolist()
        self._sets: list[TypeSet] = [_pack(amounts >= value) for value in self._values]
        self._sets.append(0)

    @property
    def values(self) -> Sequence[float]:
        """The amounts that there are, ascending."""
        return self._values

    def __call__(self, amount: float) -> TypeSet:
        """Types with at least `amount`."""
        return self._sets[bisect_left(self._values, amount)]

    def more_than(self, amount: float) -> TypeSet:
        """Types with more than `amount`."""
        return self._sets[bisect_right(self._values, amount)]

    def above_milli(self, limit_milli: int, factor: float) -> TypeSet:
        """Types whose amount times `factor`, in whole milli-units, is above `limit_milli`."""
        return self._sets[bisect_right(self._values, limit_milli, key=lambda value: round(value * factor * 1000.0))]


class ModelMemory(NamedTuple):
    """Least and most memory per GPU, in GiB, over the types of one GPU model."""

    least: float
    most: float


class TypeSets:
    """The sets that sizes and rules are made of, for one catalogue."""

    __slots__ = (
        "_names",
        "all",
        "by_arch",
        "by_cloud",
        "by_family",
        "by_model",
        "count",
        "disk",
        "gpu_memory",
        "gpus",
        "memory",
        "model_memory",
        "network",
        "no_gpu",
        "vcpus",
    )

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        types = snapshot.types
        self.count = len(snapshot.type_names)
        self.all: TypeSet = (1 << self.count) - 1
        self.vcpus = AtLeast(types.vcpus)
        self.memory = AtLeast(types.memory_gib)
        self.gpus = AtLeast(types.gpu_count)
        self.gpu_memory = AtLeast(types.gpu_memory_gib)
        self.disk = AtLeast(types.local_storage_gb)
        self.network = AtLeast(types.network_gbps)
        self.no_gpu = _pack(types.gpu_model < 0)
        self.by_arch = {name: _pack(types.arch == i) for i, name in enumerate(snapshot.arches)}
        self.by_model = {name: _pack(types.gpu_model == i) for i, name in enumerate(snapshot.gpu_models)}
        self.by_cloud = {cloud: _pack(types.cloud == i) for i, cloud in enumerate(CLOUDS)}
        self.model_memory: dict[str, ModelMemory] = {}
        for i, name in enumerate(snapshot.gpu_models):
            memory = types.gpu_memory_gib[types.gpu_model == i]
            if memory.size:
                self.model_memory[name] = ModelMemory(float(memory.min()), float(memory.max()))
        self.by_family: dict[str, TypeSet] = {}
        self._names: dict[str, TypeSet] = {}
        for t, (name, family) in enumerate(zip(snapshot.type_names, types.family.tolist(), strict=True)):
            bit = 1 << t
            label = snapshot.families[family]
            self.by_family[label] = self.by_family.get(label, 0) | bit
            self._names[name] = self._names.get(name, 0) | bit

    def of_families(self, families: Iterable[str]) -> TypeSet:
        """Types of any of the families, whatever the cloud."""
        found = 0
        for family in families:
            found |= self.by_family.get(family, 0)
        return found

    def named(self, name: str) -> TypeSet:
        """Types of that name, in any cloud; empty for a name the catalogue does not know."""
        return self._names.get(name, 0)

    def of_names(self, names: Iterable[str]) -> TypeSet:
        """Types of any of the names."""
        found = 0
        for name in names:
            found |= self._names.get(name, 0)
        return found

    def with_gpus(self, size: Size) -> TypeSet:
        """Types whose accelerators are what `size` asks for: one of its models, enough of it, or none at all.

        A pinned type without a word about GPUs may have any.
        """
        if not size.gpus:
            return self.all if size.instance_type else self.no_gpu
        found = 0
        for need in size.gpus:
            models = 0
            for model in need.models:
                models |= self.by_model.get(model, 0)
            found |= models & self.gpus(need.count) & self.gpu_memory(need.memory_gib)
        return found

    def large_enough(self, size: Size) -> TypeSet:
        """Types with enough vCPUs and memory."""
        return self.vcpus(size.vcpus) & self.memory(size.memory_gib)

    def to_bools(self, types: TypeSet) -> Bools:
        """[t] true where the set holds."""
        packed = np.frombuffer(types.to_bytes((self.count + 7) // 8, "little"), dtype=np.uint8)
        return np.unpackbits(packed, count=self.count, bitorder="little").view(np.bool_)

    @staticmethod
    def of_bools(chosen: Bools) -> TypeSet:
        """Types where `chosen` [t] is true."""
        return _pack(chosen)

    @staticmethod
    def members(types: TypeSet) -> list[int]:
        """Indices of the types of a (small) set, ascending."""
        found = []
        while types:
            low = types & -types
            found.append(low.bit_length() - 1)
            types ^= low
        return found


def _pack(chosen: Bools) -> TypeSet:
    return int.from_bytes(np.packbits(chosen, bitorder="little").tobytes(), "little")
