"""What failover needs of the outside. Targets are configured by the deployment and named in plans.

Every method that changes something carries the run's fencing `token` (strictly increasing over all runs of a service)
and a `key` that is equal for every repetition of one step. A target that holds a fence refuses an older token, whatever
clocks say. `deadline` is aware UTC. Errors: UnavailableError (SOURCE_FAILED) when the outcome is not known or the
target does not answer, FailedPreconditionError when it refuses; both with words that are safe to show.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol

from trimtab_service.domain.failover import Side

CAUSE: Final = "cause"
PERMISSION: Final = "permission"
"""An error whose metadata hold this cause says that the service may not do what it was asked for."""


class Fencing(StrEnum):
    """How well a target refuses a stale controller."""

    NONE = "none"
    WEAK = "weak"
    STRONG = "strong"


@dataclass(frozen=True, slots=True)
class Traffic:
    """Where traffic points: side and its share; `token` is the fence that the target holds (0: none yet)."""

    weights: tuple[tuple[str, float], ...]
    token: int
    ttl: timedelta


class StaleTokenError(Exception):
    """The target has seen a newer token: whoever holds this one must stop."""


class TrafficTarget(Protocol):
    """A DNS name or a load balancer."""

    @property
    def fencing(self) -> Fencing:
        """STRONG where the token is compared in the same atomic change."""
        ...

    def observe(self, deadline: datetime) -> Traffic:
        """As it stands, by observation where that is possible, not by an API's word."""
        ...

    def switch(self, side: Side, weight: float, token: int, key: str, deadline: datetime) -> Traffic:
        """Give `side` that share of the traffic, the rest what is left. Again is as once. Raises StaleTokenError."""
        ...

    def set_ttl(self, ttl: timedelta, token: int, key: str, deadline: datetime) -> None:
        """Set the TTL. Raises StaleTokenError."""
        ...


@dataclass(frozen=True, slots=True)
class CapacityState:
    """A group: what is asked for, what is ready, the most of the last 24 hours, and the quota (None: unknown).

    `instance_type` and `region` are what one more of it costs; empty: not known.
    """

    desired: int
    ready: int
    peak: int
    quota: int | None = None
    is_reserved: bool = False
    instance_type: str = ""
    region: str = ""


class CapacityTarget(Protocol):
    """A group of machines. Absolute numbers are set, so a repetition changes nothing."""

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands."""
        ...

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:
        """Ask for `count` and answer at once; `observe` tells when they are ready."""
        ...


class DataStoreTarget(Protocol):
    """A database that can be made primary."""

    def is_primary(self, deadline: datetime) -> bool:
        """Whether it takes writes."""
        ...

    def promote(self, token: int, key: str, deadline: datetime) -> None:
        """Make it primary. Again is as once."""
        ...


class ReplicationTarget(Protocol):
    """A copy of data elsewhere."""

    def watermark(self, deadline: datetime) -> datetime | None:
        """Stamp of the newest canary that is readable at the copy; None: none ever was."""
        ...


class Probe(Protocol):
    """A check of a service from outside."""

    def check(self, deadline: datetime) -> bool:
        """Whether it answers well."""
        ...


class Notifier(Protocol):
    """Somebody who is told."""

    def tell(self, text: str, key: str, deadline: datetime) -> None:
        """Tell. Twice with one key is told at most twice."""
        ...


class Targets(Protocol):
    """What the deployment has configured, by the names that plans use; None where there is none for the project."""

    def traffic(self, project: str, name: str) -> TrafficTarget | None:
        """By name."""
        ...

    def capacity(self, project: str, name: str) -> CapacityTarget | None:
        """By name."""
        ...

    def data_store(self, project: str, name: str) -> DataStoreTarget | None:
        """By name."""
        ...

    def replication(self, project: str, name: str) -> ReplicationTarget | None:
        """By name."""
        ...

    def probe(self, project: str, name: str) -> Probe | None:
        """By name."""
        ...

    def notifier(self, project: str, name: str) -> Notifier | None:
        """By name."""
        ...

    def cloud_of(self, project: str, name: str) -> str:
        """The cloud whose control plane a target is changed through; empty: none."""
        ...
