"""An account whose running resources a test lists by hand; it measures nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, TelemetrySource, Window


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """A TelemetrySource that lists, or (`is_down`) fails to."""

    name: str
    resources: tuple[CloudResource, ...] = ()
    is_down: bool = False
    account: str = "123456789012"
    kind: SourceKind = SourceKind.SIMULATED

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """All of them."""
        del scope, deadline
        if self.is_down:
            raise UnavailableError(ErrorReason.SOURCE_FAILED, f"{self.name} does not answer")
        return iter(self.resources)

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """Nothing."""
        del resources, window
        return ReadCost()

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """Every reading fails."""
        del window, deadline
        return (Reading(one, None, "this account measures nothing") for one in resources)

    def spent(self) -> ReadCost:
        """Nothing."""
        return ReadCost()


@dataclass(frozen=True, slots=True)
class ListedAccounts:
    """TelemetrySources of one project."""

    project: str
    accounts: tuple[ListedAccount, ...]

    def of_project(self, project: str) -> Sequence[TelemetrySource]:
        """Its own."""
        return self.accounts if project == self.project else ()

    def get(self, project: str, name: str) -> TelemetrySource | None:
        """One of its own."""
        return next((one for one in self.of_project(project) if one.name == name), None)

    def own_offers(self, project: str, name: str, region: str) -> tuple[OwnOffer, ...]:
        """None."""
        del project, name, region
        return ()

    def max_read_cost_nanos(self, project: str, name: str) -> int | None:
        """No cap."""
        del project, name
        return None
