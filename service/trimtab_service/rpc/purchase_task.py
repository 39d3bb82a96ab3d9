"""What a worker process does for a purchase plan: optimise, back-test, encode. It ends when told, or in time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.purchasing import OwnedLevel, PlanOffer
from trimtab_service.purchasing.alternatives import sampled_step
from trimtab_service.purchasing.outcome import PurchasePlan
from trimtab_service.purchasing.plan import optimise_purchase_plan
from trimtab_service.purchasing.plan_request import PlanRequest
from trimtab_service.purchasing.policy_report import policy_report
from trimtab_service.purchasing.program import Floats
from trimtab_service.rpc.demand_parser import ParsedSeries
from trimtab_service.rpc.purchase_billing import bill_of, weekly_use
from trimtab_service.rpc.purchase_encoder import PurchaseEncoder, evidence, policies
from trimtab_service.rpc.purchase_shadow import shadow_prices

LEAST_BACKTEST_HOURS: Final = 60 * 24
_CHECK_S: Final = 0.05
_LEAST_SPARE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Stop:
    """When to stop: at `until` on the machine's clock (seconds since 1970), or once `flag` is gone: the caller left."""

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
                stopped = not self.flag.exists()
            return stopped or now > ends

        return stop


@dataclass(frozen=True, slots=True)
class PlanTask:
    """What is to be planned. `with_backtest`: walk the policies over the same usage too."""

    request: PlanRequest
    currency: str
    with_backtest: bool
    evidence_bytes: int
    stop: Stop


@dataclass(frozen=True, slots=True)
class BillTask:
    """What is to be billed."""

    series: tuple[ParsedSeries, ...]
    plans: tuple[OwnedLevel, ...]
    currency: str
    hourly: bool


@dataclass(frozen=True, slots=True)
class BacktestTask:
    """Which histories are to be walked, at which on-demand over plan price."""

    histories: dict[str, Floats]
    ratio: float
    term_hours: int
    families: dict[str, str]
    stop: Stop


def plan_apart(task: PlanTask) -> bytes:
    """A serialised `PurchasePlan`. Raises what the engine raises."""
    stop, begun = task.stop.asked(), time.monotonic()
    spare = _Spare(stop, begun)
    plan = optimise_purchase_plan(task.request, stop, spare)
    message = PurchaseEncoder(task.currency).plan(plan, task.request, spare.solved_s)
    usage = task.request.usage
    rate = _reference_rate(task.request.offers)
    backtested = False
    if task.with_backtest and rate and usage.hours >= LEAST_BACKTEST_HOURS and not spare():
        pooled = {"all": usage.money.sum(axis=0)}
        found = pb.BacktestPurchasePolicyResponse()
        policies(found, policy_report(pooled, 1.0 / rate, stop=spare))
        message.policies.extend((*found.decisions, *found.ladders))
        backtested = not spare()
    message.certificate.evidence = evidence(plan, task.evidence_bytes)
    message.omissions.extend(_omissions(task, plan, message, backtested=backtested))
    return message.SerializeToString()


def bill_apart(task: BillTask) -> bytes:
    """A serialised `PurchaseBill`."""
    bill, hourly = bill_of(task.series, task.plans, hourly=task.hourly)
    return PurchaseEncoder(task.currency).bill(bill, hourly).SerializeToString()


def backtest_apart(task: BacktestTask) -> bytes:
    """A serialised `BacktestPurchasePolicyResponse`."""
    report = policy_report(
        task.histories, task.ratio, term_hours=task.term_hours, families=task.families, stop=task.stop.asked()
    )
    answer = pb.BacktestPurchasePolicyResponse(months=report.months, months_needed=report.months_needed)
    policies(answer, report)
    return answer.SerializeToString()


def shadow_apart(request: PlanRequest, series: tuple[ParsedSeries, ...], stop: Stop) -> bytes:
    """A serialised `ShadowPrices`. Raises what the engine raises."""
    message = shadow_prices(request, stop.asked())
    for name, shares in weekly_use(series, request.owned).items():
        message.commitments.add(commitment_id=name, used_by_hour_of_week=shares)
    message.demand_notes.extend(note.name for note in request.usage.notes)
    return message.SerializeToString()


class _Spare:
    """What is good to have may take as long as the plan itself did, and at least five seconds; then it is left out."""

    def __init__(self, stop: Callable[[], bool], begun: float) -> None:
        self._stop = stop
        self._begun = begun
        self._ends: float | None = None
        self.solved_s = 0.0

    def __call__(self) -> bool:
        """Whether time is up. Asked first when the plan is there."""
        now = time.monotonic()
        if self._ends is None:
            self.solved_s = now - self._begun
            self._ends = now + max(_LEAST_SPARE_S, self.solved_s)
        return self._stop() or now > self._ends


def _omissions(task: PlanTask, plan: PurchasePlan, message: pb.PurchasePlan, *, backtested: bool) -> Iterator[str]:
    made = {one.name for one in plan.alternatives}
    for name in ("flexible_only", "locked_only"):
        if name not in made:
            yield f"{name}: no time was left for this alternative"
    step = sampled_step(plan.pools)
    if step > 1:
        yield (
            f"flexible_only and locked_only: their amounts were looked for over every {step}. hour, so they may be a "
            "little dearer than need be; what they cost is of all hours"
        )
    if plan.risk is None:
        yield "no time was left for the risk over futures"
    if plan.rebilled is None:
        yield "the bill is as planned: it was not billed again in the provider's order (spot, unequal hours or no time)"
    if task.with_backtest and not backtested:
        short = task.request.usage.hours < LEAST_BACKTEST_HOURS
        why = f"needs {LEAST_BACKTEST_HOURS} hours of usage" if short else "no time, or no offer below on demand"
        yield f"the back-test of policies: {why}"
    if not message.certificate.evidence:
        yield "the certificate comes without its evidence: too large, stopped, or of several scenarios"


def _reference_rate(offers: tuple[PlanOffer, ...]) -> float | None:
    """The plan that a policy of one level would buy: the cheapest flexible one, else the cheapest of all."""
    rates = [offer.rate for offer in offers if not offer.locked] or [offer.rate for offer in offers]
    usable = [rate for rate in rates if 0.0 < rate < 1.0]
    return min(usable, default=None)
