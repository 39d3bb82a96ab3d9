"""What is bought is entered among the project's commitments, so that later plans and placements reckon with it."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from trimtab.v1 import commitment_service_pb2 as commitment_pb
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.coverage import RESERVATIONS
from trimtab_service.domain.errors import AlreadyExistsError
from trimtab_service.domain.money import nanos_from_usd
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Actuator, Actuators, Effect, Observed
from trimtab_service.rpc.commitment_codec import KINDS
from trimtab_service.rpc.commitments import draft_of
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.resources import ResourceId, ResourceStore

_ID_LENGTH: Final = 24


class PurchaseBook:
    """Enters purchases through the store of commitments, each once: its id is made of plan and offer."""

    def __init__(self, store: ResourceStore, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    def enter(self, project: str, resource: CloudResource, operation: Operation) -> str:
        """The commitment's id. Raises UnavailableError where it cannot be stored; entering it again changes nothing."""
        said = {change.field: change.after for change in operation.changes}
        name = hashlib.sha256(f"{said['PlanHash']}/{operation.resource_id}".encode()).hexdigest()
        own, now = f"bought-{name[:_ID_LENGTH]}", self._clock()
        kind, nanos = (
            KINDS[commitment_pb.Commitment.Kind.Value(said["Kind"])],
            nanos_from_usd(Decimal(said["CommitmentPerHour"])),
        )
        units = float(said.get("Units") or 0.0) if kind in RESERVATIONS else 0.0
        commitment = Commitment(
            project=project,
            commitment_id=own,
            kind=kind,
            cloud=resource.cloud,
            start_time=now,
            end_time=now + timedelta(seconds=int(said["TermSeconds"])),
            region=said.get("Region", ""),
            family=said.get("Family", ""),
            instance_type=said.get("Sku", "") if units else "",
            instances=units,
            price_nanos_per_hour=round(nanos / units) if units else 0,
            spend_nanos_per_hour=0 if units else nanos,
            discount_fraction=0.0 if units else max(1.0 - float(said["Rate"]), 0.0),
        )
        key = ResourceId(project, f"projects/{project}", own)
        with contextlib.suppress(AlreadyExistsError):
            self._store.create(key, draft_of(commitment), now, RequestKey(project, "BookPurchase", "", b""))
        return own


@dataclass(frozen=True, slots=True)
class BookedActuators:
    """Implements `Actuators` over others: their purchases are booked before they are said to be done."""

    actuators: Actuators
    book: PurchaseBook

    def find(self, project: str, resource: CloudResource, operation: Operation) -> Actuator | None:
        """As the port says."""
        found = self.actuators.find(project, resource, operation)
        if found is None or operation.kind is not OperationKind.PURCHASE_COMMITMENT:
            return found
        return _Booked(found, self.book, project)


@dataclass(frozen=True, slots=True)
class _Booked:
    actuator: Actuator
    book: PurchaseBook
    project: str

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        return self.actuator.handles(resource, operation)

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """What stands is booked: the process may have died between buying and booking."""
        seen = self.actuator.observe(resource, operation, deadline)
        now = dict(seen.fields)
        if seen.exists and operation.changes and all(now.get(one.field) == one.after for one in operation.changes):
            self.book.enter(self.project, resource, operation)
        return seen

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """Buy, then book."""
        effect = self.actuator.carry_out(resource, operation, token, deadline)
        own = self.book.enter(self.project, resource, operation)
        return Effect(effect.is_changed, f"{effect.detail}; entered as commitment {own}")
