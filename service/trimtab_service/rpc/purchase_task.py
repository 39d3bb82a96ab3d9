"""What a worker process does for a purchase plan: optimise, back-test, encode. It ends when told, or in time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.purchasing import PlanOffer
from trimtab_service.purchasing.plan import optimise_purchase_plan
from trimtab_service.purchasing.plan_request import PlanRequest
from trimtab_service.purchasing.policy_report import policy_report
from trimtab_service.rpc.purchase_encoder import PurchaseEncoder, policies

_LEAST_BACKTEST_HOURS: Final = 60 * 24
_CHECK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Stop:
    """When to stop: at `until` on the machine's clock (seconds since 1970), or once `flag` exists: the caller left."""

    until: float
    flag: Path

    def asked(self) -> Callable[[], bool]:
        """Tells whether to stop, from now on. The file is looked for at most every twentieth of a second."""
        # The task may have waited for a worker; the caller has waited with it.
        ends = time.monotonic() + self.until - time.time()
        looked = 0.0
        stopped = False

        def stop() -> bool:
            nonlocal looked, stopped
            now = time.monotonic()
            if not stopped and now - looked > _CHECK_S:
                looked = now
                stopped = self.flag.exists()
            return stopped or now > ends

        return stop


@dataclass(frozen=True, slots=True)
class PlanTask:
    """What is to be planned. `with_backtest`: walk the policies over the same usage too."""

    request: PlanRequest
    currency: str
    with_backtest: bool
    stop: Stop


def plan_apart(task: PlanTask) -> bytes:
    """A serialised `PurchasePlan`. Raises what the engine raises."""
    stop = task.stop.asked()
    begun = time.monotonic()
    plan = optimise_purchase_plan(task.request, stop)
    message = PurchaseEncoder(task.currency).plan(plan, task.request.offers, time.monotonic() - begun)
    usage = task.request.usage
    rate = _reference_rate(task.request.offers)
    if task.with_backtest and rate and usage.hours >= _LEAST_BACKTEST_HOURS and not stop():
        pooled = {"all": usage.money.sum(axis=0)}
        found = pb.BacktestPurchasePolicyResponse()
        policies(found, policy_report(pooled, 1.0 / rate, stop=stop))
        message.policies.extend((*found.decisions, *found.ladders))
    return message.SerializeToString()


def _reference_rate(offers: tuple[PlanOffer, ...]) -> float | None:
    """The plan that a policy of one level would buy: the cheapest flexible one, else the cheapest of all."""
    rates = [offer.rate for offer in offers if not offer.locked] or [offer.rate for offer in offers]
    usable = [rate for rate in rates if 0.0 < rate < 1.0]
    return min(usable, default=None)
