"""What failovers act on in the simulated clouds: names, groups, stores, copies, probes and channels."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.failover import Side
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.ports import (
    CapacityState,
    Fencing,
    StaleTokenError,
    Traffic,
)

if TYPE_CHECKING:
    from trimtab_service.clouds.simulated.failover import SimulatedClouds


class SimulatedName:
    """A TrafficTarget: a DNS name whose record refuses older tokens."""

    def __init__(self, world: "SimulatedClouds", name: str) -> None:
        self._world = world
        self._name = name
        self._facts = world.layout.names[name]

    @property
    def fencing(self) -> Fencing:
        """As the port says."""
        return self._facts.fencing

    def observe(self, deadline: datetime) -> Traffic:
        """As the port says."""
        del deadline
        with self._world.look(self._facts.cloud) as state:
            return _traffic(state["names"][self._name])

    def switch(self, side: Side, weight: float, token: int, key: str, deadline: datetime) -> Traffic:
        """As the port says."""
        del deadline
        with self._world.change(self._facts.cloud) as state:
            record = state["names"][self._name]
            _fence(record, token, self._name)
            others = {name: share for name, share in record["weights"].items() if name != side.side_id}
            rest = sum(others.values())
            left = {name: (1.0 - weight) * share / rest for name, share in others.items() if rest and weight < 1.0}
            wanted = {side.side_id: weight, **left}
            if wanted != record["weights"]:
                self._world.enter(state, self._name, f"switch {side.side_id} {weight:g}", token, key)
            record["weights"] = wanted
            return _traffic(record)

    def set_ttl(self, ttl: timedelta, token: int, key: str, deadline: datetime) -> None:
        """As the port says."""
        del deadline
        with self._world.change(self._facts.cloud) as state:
            record = state["names"][self._name]
            _fence(record, token, self._name)
            if record["ttl"] != ttl.total_seconds():
                self._world.enter(state, self._name, f"ttl {ttl.total_seconds():g}", token, key)
            record["ttl"] = ttl.total_seconds()


class SimulatedGroup:
    """A CapacityTarget: machines that take a while to boot, within stock and quota."""

    def __init__(self, world: "SimulatedClouds", name: str) -> None:
        self._world = world
        self._name = name
        self._facts = world.layout.groups[name]

    def observe(self, deadline: datetime) -> CapacityState:
        """As the port says."""
        del deadline
        with self._world.look(self._facts.cloud) as state:
            return self._standing(state)

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:
        """As the port says."""
        del deadline
        facts = self._facts
        if facts.quota is not None and count > facts.quota:
            message = f"{count} machines are over the quota of {facts.quota}"
            raise FailedPreconditionError(ErrorReason.STATE_CONFLICT, message, metadata={"quota": str(facts.quota)})
        with self._world.change(facts.cloud) as state:
            group = state["groups"][self._name]
            if count != group["desired"]:
                self._world.enter(state, self._name, f"scale {count}", token, key)
            group["desired"] = count
            given = min(count, facts.stock)
            boots = group["boots"][:given]
            boots += self._world.boots(self._name, len(boots), given - len(boots))
            group["boots"] = boots
            return self._standing(state)

    def _standing(self, state: Mapping[str, Any]) -> CapacityState:
        return CapacityState(
            desired=state["groups"][self._name]["desired"],
            ready=self._world.ready(state, self._name),
            peak=self._facts.peak,
            quota=self._facts.quota,
            is_reserved=self._facts.is_reserved,
            instance_type=self._facts.instance_type,
            region=self._facts.region,
        )


class SimulatedStore:
    """A DataStoreTarget: a replica that can be promoted for good."""

    def __init__(self, world: "SimulatedClouds", name: str) -> None:
        self._world = world
        self._name = name
        self._cloud = world.layout.stores[name].cloud

    def is_primary(self, deadline: datetime) -> bool:
        """As the port says."""
        del deadline
        with self._world.look(self._cloud) as state:
            return bool(state["stores"][self._name])

    def promote(self, token: int, key: str, deadline: datetime) -> None:
        """As the port says."""
        del deadline
        with self._world.change(self._cloud) as state:
            if not state["stores"][self._name]:
                self._world.enter(state, self._name, "promote", token, key)
            state["stores"][self._name] = True


class SimulatedCopy:
    """A ReplicationTarget: a copy some time behind its source, which stands still while that is down."""

    def __init__(self, world: "SimulatedClouds", name: str) -> None:
        self._world = world
        self._facts = world.layout.copies[name]

    def watermark(self, deadline: datetime) -> datetime | None:
        """As the port says."""
        del deadline
        facts = self._facts
        with self._world.look(facts.cloud) as state:
            newest = (self._world.down_since(state, facts.source_cloud) or self._world.clock()) - facts.lag
        every = facts.every.total_seconds()
        return datetime.fromtimestamp(newest.timestamp() // every * every, UTC)


class SimulatedProbe:
    """A Probe of a group's machines."""

    def __init__(self, world: "SimulatedClouds", name: str) -> None:
        self._world = world
        self._name = name

    def check(self, deadline: datetime) -> bool:
        """As the port says."""
        del deadline
        return self._world.check(self._name)


class SimulatedChannel:
    """A Notifier that keeps what it was told, once a key."""

    def __init__(self, world: "SimulatedClouds", name: str) -> None:
        self._world = world
        self._name = name

    def tell(self, text: str, key: str, deadline: datetime) -> None:
        """As the port says."""
        del deadline
        with self._world.change("") as state:
            state["told"].setdefault(key, f"{self._name}: {text}")


def _traffic(record: Mapping[str, Any]) -> Traffic:
    return Traffic(tuple(record["weights"].items()), record["token"], timedelta(seconds=record["ttl"]))


def _fence(record: dict[str, Any], token: int, name: str) -> None:
    if token < record["token"]:
        raise StaleTokenError(f"{name} has seen token {record['token']}, newer than {token}")
    record["token"] = token
