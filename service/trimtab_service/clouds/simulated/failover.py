"""Three clouds in which failovers are rehearsed: machines boot, capacity runs out, a cloud goes down, DNS has a fence.

Deterministic: what happens follows from the layout, the seed, the clock that is passed in and the calls. Every effect
is kept with its token and key, so that a test can check what a stale controller achieved: nothing.
"""

import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from trimtab_service.clouds.patience import not_permitted
from trimtab_service.clouds.simulated.failover_state import WorldState
from trimtab_service.clouds.simulated.failover_targets import (
    SimulatedChannel,
    SimulatedCopy,
    SimulatedGroup,
    SimulatedName,
    SimulatedProbe,
    SimulatedStore,
)
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.ports import (
    CapacityTarget,
    DataStoreTarget,
    Fencing,
    Notifier,
    Probe,
    ReplicationTarget,
    TrafficTarget,
)

_BOOT_SPREAD: Final = 0.2
"""Boot times differ by this share, either way."""


@dataclass(frozen=True, slots=True)
class Group:
    """Machines of one side. `stock` is how many its cloud has to give; a boot takes about `boot`."""

    cloud: str
    side_id: str
    ready: int
    peak: int
    boot: timedelta = timedelta()
    quota: int | None = None
    stock: int = 1_000
    is_reserved: bool = False
    instance_type: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """A DNS name: where it points at first. Its servers stand outside of the three clouds unless `cloud` says so."""

    side_id: str
    ttl: timedelta = timedelta(seconds=30)
    cloud: str = ""
    fencing: Fencing = Fencing.STRONG


@dataclass(frozen=True, slots=True)
class Copy:
    """A replica of data of `source_cloud`, standing in `cloud`: a canary every `every`, readable after `lag`."""

    source_cloud: str
    cloud: str
    every: timedelta = timedelta(seconds=60)
    lag: timedelta = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Store:
    """A database and whether it is primary at first."""

    cloud: str
    is_primary: bool = False


@dataclass(frozen=True, slots=True)
class ProbeOf:
    """A probe of a side: well when its cloud is up and at least `machines` of `group` are ready."""

    group: str
    machines: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """All targets, by the names that plans use."""

    groups: Mapping[str, Group] = field(default_factory=dict)
    names: Mapping[str, Name] = field(default_factory=dict)
    copies: Mapping[str, Copy] = field(default_factory=dict)
    stores: Mapping[str, Store] = field(default_factory=dict)
    probes: Mapping[str, ProbeOf] = field(default_factory=dict)
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """Something that was really changed."""

    time: datetime
    target: str
    change: str
    token: int
    key: str


class SimulatedClouds:
    """The world, and its targets as plans name them. Safe to use from many threads; with a file, from processes."""

    def __init__(
        self, layout: Layout, *, clock: Callable[[], datetime], seed: int = 0, path: Path | None = None
    ) -> None:
        """`path` keeps what happened, so that a process that is killed finds the world as it was."""
        self.layout = layout
        self.clock = clock
        self._seed = seed
        self._state = WorldState(_initial(layout), path)

    def fail(self, cloud: str) -> None:
        """The cloud goes down: no answer, no probe, no replication."""
        with self._state.change() as state:
            state["down"].setdefault(cloud, self.clock().timestamp())

    def recover(self, cloud: str) -> None:
        """It comes back, its machines with it."""
        with self._state.change() as state:
            state["down"].pop(cloud, None)

    def refuse(self, cloud: str) -> None:
        """The service's credential there is good for nothing any more."""
        with self._state.change() as state:
            state.setdefault("refused", []).append(cloud)

    def trust(self, cloud: str) -> None:
        """It has a new credential."""
        with self._state.change() as state:
            state["refused"] = [one for one in state.get("refused", []) if one != cloud]

    def effects(self) -> tuple[Effect, ...]:
        """What was changed, in order."""
        with self._state.look() as state:
            return tuple(Effect(datetime.fromtimestamp(at, UTC), *rest) for at, *rest in state["effects"])

    def told(self) -> tuple[str, ...]:
        """What somebody was told, in order."""
        with self._state.look() as state:
            return tuple(state["told"].values())

    def is_well(self, side_id: str) -> bool:
        """Whether a side serves, as an observer outside sees it."""
        return any(
            self.check(name)
            for name, probe in self.layout.probes.items()
            if self.layout.groups[probe.group].side_id == side_id
        )

    def check(self, probe: str) -> bool:
        """Whether a probe would succeed now."""
        asked = self.layout.probes[probe]
        group = self.layout.groups[asked.group]
        with self._state.look() as state:
            return group.cloud not in state["down"] and self.ready(state, asked.group) >= asked.machines

    def ready(self, state: Mapping[str, Any], group: str) -> int:
        """Machines of a group that have booted."""
        now = self.clock().timestamp()
        return sum(1 for at in state["groups"][group]["boots"] if at <= now)

    def boots(self, group: str, first: int, count: int) -> list[float]:
        """When machines that are asked for now will be ready."""
        now = self.clock().timestamp()
        chance = random.Random(f"{self._seed}/{group}/{first}")  # noqa: S311 - a simulation
        base = self.layout.groups[group].boot.total_seconds()
        return [now + base * (1.0 + chance.uniform(-_BOOT_SPREAD, _BOOT_SPREAD)) for _ in range(count)]

    def look(self, cloud: str) -> AbstractContextManager[dict[str, Any]]:
        """The state, to be read through a cloud's own interface. Raises UnavailableError while the cloud is down."""
        self._answering(cloud)
        return self._state.look()

    def change(self, cloud: str) -> AbstractContextManager[dict[str, Any]]:
        """The same, to be changed."""
        self._answering(cloud)
        return self._state.change()

    def enter(self, state: dict[str, Any], target: str, change: str, token: int, key: str) -> None:
        """Note an effect."""
        state["effects"].append([self.clock().timestamp(), target, change, token, key])

    def down_since(self, state: Mapping[str, Any], cloud: str) -> datetime | None:
        """Since when a cloud is down; None while it is up."""
        since = state["down"].get(cloud)
        return None if since is None else datetime.fromtimestamp(since, UTC)

    def traffic(self, project: str, name: str) -> TrafficTarget | None:
        """By name; every project sees the same world."""
        del project
        return SimulatedName(self, name) if name in self.layout.names else None

    def capacity(self, project: str, name: str) -> CapacityTarget | None:
        """By name."""
        del project
        return SimulatedGroup(self, name) if name in self.layout.groups else None

    def data_store(self, project: str, name: str) -> DataStoreTarget | None:
        """By name."""
        del project
        return SimulatedStore(self, name) if name in self.layout.stores else None

    def replication(self, project: str, name: str) -> ReplicationTarget | None:
        """By name."""
        del project
        return SimulatedCopy(self, name) if name in self.layout.copies else None

    def probe(self, project: str, name: str) -> Probe | None:
        """By name."""
        del project
        return SimulatedProbe(self, name) if name in self.layout.probes else None

    def notifier(self, project: str, name: str) -> Notifier | None:
        """By name."""
        del project
        return SimulatedChannel(self, name) if name in self.layout.channels else None

    def cloud_of(self, project: str, name: str) -> str:
        """The cloud of a target; empty for DNS outside of the clouds, for probes and for channels."""
        del project
        layout = self.layout
        found = layout.groups.get(name) or layout.stores.get(name) or layout.names.get(name) or layout.copies.get(name)
        return "" if found is None else found.cloud

    def _answering(self, cloud: str) -> None:
        with self._state.look() as state:
            if cloud in state["down"]:
                raise UnavailableError(ErrorReason.SOURCE_FAILED, f"{cloud} does not answer", metadata={"cloud": cloud})
            if cloud in state.get("refused", []):
                raise not_permitted(f"the credential of {cloud} may not do this")


def _initial(layout: Layout) -> dict[str, Any]:
    return {
        "down": {},
        "refused": [],
        "effects": [],
        "told": {},
        "groups": {
            name: {"desired": group.ready, "boots": [0.0] * group.ready} for name, group in layout.groups.items()
        },
        "names": {
            name: {"weights": {record.side_id: 1.0}, "token": 0, "ttl": record.ttl.total_seconds()}
            for name, record in layout.names.items()
        },
        "stores": {name: store.is_primary for name, store in layout.stores.items()},
    }
