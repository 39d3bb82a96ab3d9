"""The deployment's telemetry sources and actuators, each open to some projects, connected when first used."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.batches import failed
from trimtab_service.clouds.kinds import Connect, Connection, connect
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import NotFoundError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.purchasing.ports import ProviderAdvisor
from trimtab_service.recommendations.ports import Actuator, Effect, Observed
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, TelemetrySource, Window


class _Connected:
    """The connection of one account, made by the first caller that needs it; the others wait for that."""

    def __init__(self, make: Callable[[], Connection]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Connection | None = None

    @property
    def made(self) -> Connection | None:
        return self._made

    def get(self) -> Connection:
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._make()
        return self._made


@dataclass(frozen=True, slots=True)
class _Source:
    """A source that can be listed without its SDK."""

    configured: CloudAccount
    connected: _Connected = field(repr=False)

    @property
    def name(self) -> str:
        return self.configured.name

    @property
    def kind(self) -> SourceKind:
        return self.configured.kind

    @property
    def account(self) -> str:
        return self.configured.account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        return self.connected.get().source.inventory(scope, deadline)

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        return self.connected.get().source.estimate(resources, window)

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        try:
            source = self.connected.get().source
        except TrimtabError as error:
            yield from (failed(one, error.message) for one in {one.key: one for one in resources}.values())
            return
        yield from source.read(resources, window, deadline)

    def spent(self) -> ReadCost:
        made = self.connected.made
        return ReadCost() if made is None else made.source.spent()


@dataclass(frozen=True, slots=True)
class _Actuator:
    """The actuator of one account, for resources of that account in its regions only."""

    configured: CloudAccount
    connected: _Connected = field(repr=False)

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        of = self.configured
        # What is bought lies in no region; where the advice names no account, one that may buy is the account.
        buys = operation.kind is OperationKind.PURCHASE_COMMITMENT
        accounts = {of.account, ""} if buys and of.max_purchase_nanos_per_hour else {of.account}
        if of.cloud not in {None, resource.cloud} or resource.account not in accounts:
            return False
        if of.regions and resource.region not in of.regions and not buys:
            return False
        actuator = self.connected.get().actuator
        return actuator is not None and actuator.handles(resource, operation)

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        return self._actuator.observe(resource, operation, deadline)

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        return self._actuator.carry_out(resource, operation, token, deadline)

    @property
    def _actuator(self) -> Actuator:
        actuator = self.connected.get().actuator
        if actuator is None:
            raise ValueError(f"{self.configured.name} changes nothing: ask `handles` first")
        return actuator


@dataclass(frozen=True, slots=True)
class ConfiguredSources:
    """Implements `rightsizing.ports.TelemetrySources`."""

    sources: tuple[_Source, ...]

    def of_project(self, project: str) -> tuple[TelemetrySource, ...]:
        """Those that the project may use, by name."""
        return tuple(source for source in self.sources if source.configured.open_to(project))

    def get(self, project: str, name: str) -> TelemetrySource | None:
        """One; None when there is none of that name that the project may use."""
        return self._get(project, name)

    def max_read_cost_nanos(self, project: str, name: str) -> int | None:
        """The deployment's cap on what one analysis may pay to it, in nano-USD; None: no cap, or no such source."""
        found = self._get(project, name)
        return None if found is None else found.configured.max_read_cost_nanos

    def own_offers(self, project: str, name: str, region: str) -> tuple[OwnOffer, ...]:
        """As the port says."""
        found = self._get(project, name)
        return () if found is None else dict(found.configured.prices).get(region, ())

    def _get(self, project: str, name: str) -> _Source | None:
        usable = (source for source in self.sources if source.configured.open_to(project))
        return next((source for source in usable if source.name == name), None)


@dataclass(frozen=True, slots=True)
class ConfiguredActuators:
    """Implements `recommendations.ports.Actuators`."""

    actuators: tuple[_Actuator, ...]

    def find(self, project: str, resource: CloudResource, operation: Operation) -> Actuator | None:
        """The one that may carry the operation out for the project; None where there is none."""
        for actuator in self.actuators:
            if actuator.configured.open_to(project) and actuator.handles(resource, operation):
                return actuator
        return None


@dataclass(frozen=True, slots=True)
class ConfiguredAdvisors:
    """Implements `purchasing.ports.ProviderAdvisors`."""

    sources: tuple[_Source, ...]

    def advisor(self, project: str, name: str) -> ProviderAdvisor | None:
        """As the port says."""
        for source in self.sources:
            if source.name == name and source.configured.open_to(project):
                return source.connected.get().advisor
        raise NotFoundError(
            ErrorReason.NOT_FOUND, f"no account {name!r} that this project may use", metadata={"telemetry_source": name}
        )


@dataclass(frozen=True, slots=True)
class Clouds:
    """Everything that the configured accounts offer."""

    sources: ConfiguredSources
    actuators: ConfiguredActuators
    advisors: ConfiguredAdvisors


def open_clouds(accounts: Sequence[CloudAccount], patience: Patience, connect_to: Connect = connect) -> Clouds:
    """Sources and actuators of accounts (`configuration.load_accounts`). Nothing is connected yet.

    Only accounts with `changes` have an actuator.
    """
    connected = [(one, _connected(one, patience, connect_to)) for one in sorted(accounts, key=lambda one: one.name)]
    sources = tuple(_Source(account, link) for account, link in connected)
    return Clouds(
        sources=ConfiguredSources(sources),
        advisors=ConfiguredAdvisors(sources),
        actuators=ConfiguredActuators(
            tuple(_Actuator(account, link) for account, link in connected if account.changes)
        ),
    )


def _connected(account: CloudAccount, patience: Patience, connect_to: Connect) -> _Connected:
    return _Connected(lambda: connect_to(account, patience))
