"""What rightsizing needs of the outside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.rightsizing.telemetry import Telemetry


class SourceKind(StrEnum):
    """What a telemetry source speaks."""

    CLOUDWATCH = "cloudwatch"
    CLOUD_MONITORING = "cloud_monitoring"
    AZURE_MONITOR = "azure_monitor"
    PROMETHEUS = "prometheus"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class Window:
    """Half-open interval of time to read, aware UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """Which resources: of these regions (empty: all) and with all of these tags."""

    regions: frozenset[tuple[Cloud, str]] = frozenset()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ReadCost:
    """API calls and metrics asked for, and their price at the cloud's list price of its monitoring API."""

    api_calls: int = 0
    metrics: int = 0
    cost_nanos: int = 0

    def __add__(self, other: "ReadCost") -> "ReadCost":
        return ReadCost(
            self.api_calls + other.api_calls, self.metrics + other.metrics, self.cost_nanos + other.cost_nanos
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source gave for one resource.

    Exactly one of `telemetry` and `failure` is set. A resource without any series has an empty telemetry: that is
    not enough data, and not a failure. `failure` is words that are safe to show (never a credential). `missing` names
    what the source could not tell although the resource has it (`memory: no CloudWatch agent`).
    """

    resource: CloudResource
    telemetry: Telemetry | None
    failure: str = ""
    missing: tuple[str, ...] = ()


class TelemetrySource(Protocol):
    """One account (subscription, cloud project, cluster) of one monitoring system.

    Every call takes `deadline` (aware UTC by the source's own clock argument) and gives up then. Throttling is
    retried with back-off inside the deadline. Implementations are used by several threads.
    """

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    @property
    def kind(self) -> SourceKind:
        """What it speaks."""
        ...

    @property
    def account(self) -> str:
        """The account it reads."""
        ...

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """Every resource of the scope, by pages, in a stable order.

        Raises UnavailableError (SOURCE_FAILED) when the listing cannot be completed: a part is never given as all.
        """
        ...

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """What `read` of the same arguments would take. Calls nothing."""
        ...

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """One reading a resource, in any order; each is given exactly once, and none raises for another.

        Past the deadline the rest read as failed.
        """
        ...

    def spent(self) -> ReadCost:
        """What all calls since its creation took."""
        ...


class TelemetrySources(Protocol):
    """The configured sources, as far as a project may use them."""

    def of_project(self, project: str) -> Sequence[TelemetrySource]:
        """Its sources by name."""
        ...

    def get(self, project: str, name: str) -> TelemetrySource | None:
        """One; None when there is none of that name that the project may use."""
        ...

    def max_read_cost_nanos(self, project: str, name: str) -> int | None:
        """The deployment's cap on what one analysis may pay to it, in nano-USD; None: no cap, or no such source."""
        ...

    def own_offers(self, project: str, name: str, region: str) -> tuple[OwnOffer, ...]:
        """What types cost in an account and region, as the deployment says; none where it says nothing."""
        ...
