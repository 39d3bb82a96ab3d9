"""Buying for one AWS account: looked up first, quoted again, held against the caps, and bought once.

The part of the day is taken in the store before anything is asked of AWS, in one transaction with looking at what the
day holds, so two processes that buy at once cannot pass the cap together. It stays taken unless AWS refused the first
attempt for certain: what a lost answer leaves open is looked up by the next attempt.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import fields_of
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.purchase_orders import Held, Order, Product, order_of
from trimtab_service.clouds.aws.reserved_instances import ReservedInstances
from trimtab_service.clouds.aws.savings_plans import SavingsPlans
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.recommendations import Operation
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed, Purchase, PurchaseBudget

_DAY: Final = timedelta(hours=24)
_NANOS: Final = 1e9


@dataclass(frozen=True, slots=True)
class Purchases:
    """Implements `Change` for purchases of Savings Plans and Reserved Instances."""

    calls: AwsCalls
    budget: PurchaseBudget

    def sells(self, operation: Operation) -> bool:
        """Whether it can be bought here."""
        order = order_of(operation)
        return order is not None and any(product.sells(order) for product in self._products())

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As it would be bought. `state` holds the offering.

        Refuses, as a purchase would, what is beyond a cap or no longer quoted as it was: a dry run shows it.
        """
        del resource
        order, product = self._of(operation)
        known = product.found(order, self.budget.attempted(self.calls.account.account, order.key), deadline)
        if known is not None:
            fields = {change.field: change.after for change in operation.changes}
            return Observed(exists=True, fields=fields_of(operation, fields), state=known.state)
        offering = product.quoted(order, deadline)
        self._require_one(order)
        day = self._day(deadline)
        self._require_daily(order, sum(nanos for key, nanos in day.items() if key != order.key))
        product.rehearse(order, offering, deadline)
        return Observed(exists=True, fields=fields_of(operation, {}), state=f"offering {offering}")

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """Buy it, unless it stands. The quote and the caps are looked at just before."""
        del resource
        order, product = self._of(operation)
        account = self.calls.account
        attempted = self.budget.attempted(account.account, order.key)
        known = product.found(order, attempted, deadline)
        if known is not None:
            return Effect(is_changed=False, detail=f"{known.id} stands already")
        offering = product.quoted(order, deadline)
        self._require_one(order)
        wanted = Purchase(account.account, order.key, order.nanos_per_hour)
        since = self.calls.patience.clock() - _DAY
        full = self.budget.take(wanted, self._day(deadline), account.max_daily_purchase_nanos_per_hour, since)
        if full is not None:
            self._require_daily(order, full)
        try:
            made = product.buy(order, offering, token, deadline)
        except (RefusedError, FailedPreconditionError):
            # An earlier attempt whose answer was lost may still turn up, and is then known by what it took.
            if attempted is None:
                self.budget.give_back(account.account, order.key)
            raise
        return Effect(is_changed=True, detail=f"bought {made}")

    def _products(self) -> tuple[Product, ...]:
        return SavingsPlans(self.calls), ReservedInstances(self.calls)

    def _of(self, operation: Operation) -> tuple[Order, Product]:
        order = order_of(operation)
        if order is not None:
            for product in self._products():
                if product.sells(order):
                    return order, product
        raise refused(f"{operation.resource_id}: not a purchase of a Savings Plan or of Reserved Instances")

    def _day(self, deadline: datetime) -> dict[str, int]:
        """What the account shows as bought within 24 hours, by whoever bought it."""
        since = self.calls.patience.clock() - _DAY
        return {held.key: held.nanos_per_hour for held in self._held(deadline) if held.start_time >= since}

    def _held(self, deadline: datetime) -> Iterator[Held]:
        for product in self._products():
            yield from product.held(tuple(sorted(self.calls.account.regions)), deadline)

    def _require_one(self, order: Order) -> None:
        most = self.calls.account.max_purchase_nanos_per_hour
        if order.nanos_per_hour > most:
            raise refused(
                f"{order.offer_id}: {order.commitment:f} USD an hour; one purchase may have {most / _NANOS:g}"
            )

    def _require_daily(self, order: Order, day_nanos: int) -> None:
        most = self.calls.account.max_daily_purchase_nanos_per_hour
        if day_nanos + order.nanos_per_hour > most:
            raise refused(
                f"{order.offer_id}: {order.commitment:f} USD an hour on top of the {day_nanos / _NANOS:g} of the last "
                f"24 hours; {most / _NANOS:g} may be bought in that time"
            )
