"""Replications with their buckets: opened when they are first used."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from trimtab_service.replication.definition import Replication
from trimtab_service.replication.ports import ObjectStore

BACK: Final = ".back"
"""A plan names the way that a reversed replication copies by the name with this."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A replication; `open_source` and `open_destination` answer the same bucket each time they are called."""

    definition: Replication
    open_source: Callable[[], ObjectStore]
    open_destination: Callable[[], ObjectStore]

    def stores(self, *, is_reversed: bool) -> tuple[ObjectStore, ObjectStore]:
        """From where and to where. Raises UnavailableError (SOURCE_FAILED) where a credential cannot be had."""
        ends = self.open_source(), self.open_destination()
        return (ends[1], ends[0]) if is_reversed else ends


class Replications:
    """All of a deployment."""

    def __init__(self, opened: Iterable[Opened]) -> None:
        self._by_name: Mapping[str, Opened] = {one.definition.name: one for one in opened}

    def get(self, name: str) -> Opened:
        """By name. Raises KeyError."""
        return self._by_name[name]

    def of(self, project: str) -> tuple[Opened, ...]:
        """Those of a project, by name."""
        own = (one for one in self._by_name.values() if one.definition.open_to(project))
        return tuple(sorted(own, key=lambda one: one.definition.name))

    def find(self, project: str, name: str) -> Opened | None:
        """One of a project."""
        found = self._by_name.get(name)
        return found if found is not None and found.definition.open_to(project) else None

    def identities(self) -> Mapping[str, str]:
        """What each is, by name."""
        return {name: one.definition.identity for name, one in self._by_name.items()}
