"""A map that is never changed, and of which a changed copy costs little however large it is."""

from collections.abc import Hashable, Iterator
from itertools import chain
from typing import Any, Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SHARD_COUNT: Final = 256
_MASK: Final = SHARD_COUNT - 1
_NO_SHARDS: Final[tuple[dict[Any, Any], ...]] = ({},) * SHARD_COUNT


class ShardedMap(Generic[K, V]):
    """Immutable. `set` copies one of 256 small dictionaries: some 4 us at 100,000 keys.

    Where a key lies depends on the process (string hashes are salted); nothing of that shows but the order of
    `items`, which is undefined.
    """

    __slots__ = ("_shards", "_size")

    def __init__(self) -> None:
        self._shards: tuple[dict[K, V], ...] = _NO_SHARDS
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def get(self, key: K) -> V | None:
        """The value of a key, or None."""
        return self._shards[hash(key) & _MASK].get(key)

    def set(self, key: K, value: V) -> "ShardedMap[K, V]":
        """A map in which `key` has `value`; this one stays as it is."""
        number = hash(key) & _MASK
        shard = self._shards[number]
        changed: ShardedMap[K, V] = ShardedMap()
        changed._size = self._size + (key not in shard)
        changed._shards = (*self._shards[:number], {**shard, key: value}, *self._shards[number + 1 :])
        return changed

    def without(self, key: K) -> "ShardedMap[K, V]":
        """A map without `key`; this one when it has no such key."""
        number = hash(key) & _MASK
        shard = self._shards[number]
        if key not in shard:
            return self
        kept = {k: v for k, v in shard.items() if k != key}
        changed: ShardedMap[K, V] = ShardedMap()
        changed._size = self._size - 1
        changed._shards = (*self._shards[:number], kept, *self._shards[number + 1 :])
        return changed

    def keys(self) -> Iterator[K]:
        """Every key, in no defined order."""
        for shard in self._shards:
            yield from shard

    def items(self) -> Iterator[tuple[K, V]]:
        """Every key with its value, in no defined order."""
        return chain.from_iterable(map(dict.items, filter(None, self._shards)))

    def since(self, old: "ShardedMap[K, V]") -> list[tuple[K, V]] | None:
        """All that was set since `old` was this map, with some that was not; None where a key of `old` is missing.

        Takes as long as what was set, and a look at 256 shards.
        """
        found: list[tuple[K, V]] = []
        for mine, theirs in zip(self._shards, old._shards, strict=True):  # noqa: SLF001 - another of this class
            if mine is not theirs:
                if not theirs.keys() <= mine.keys():
                    return None
                found.extend(mine.items())
        return found
