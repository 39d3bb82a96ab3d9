"""Writes purchase plans as messages."""

import gzip
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
import orjson
from google.type.money_pb2 import Money

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.purchasing import CommitmentBasis, DroppedOffer, Payment, PlanOffer
from trimtab_service.purchasing.billing.biller import Bill, usd_of
from trimtab_service.purchasing.hourly_cost import total_cost
from trimtab_service.purchasing.ladder_plan import LadderStep
from trimtab_service.purchasing.optimiser import Ending
from trimtab_service.purchasing.outcome import Figures, PurchasePlan, RiskFigures, Tranche
from trimtab_service.purchasing.periods import periods, savings
from trimtab_service.purchasing.plan_request import PlanRequest
from trimtab_service.purchasing.policy_report import PolicyReport
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.tranches import STEP
from trimtab_service.rpc.commitment_codec import KIND_CODES
from trimtab_service.rpc.vocabulary import CLOUD_CODE, duration_of_hours, set_timestamp

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

_NANOS: Final = Decimal(1_000_000_000)
_HOUR: Final = timedelta(hours=1)
_CURVE_POINTS: Final = 40
_MOST_PERIODS: Final = 400
_STEP: Final = float(STEP)
_MANY_CELLS: Final = 1_000_000
_THOROUGH: Final = 6
_FAST: Final = 1
"""Levels of compression: thorough takes a second for a million class-hours of their own."""

_MOST_CELLS_A_BYTE: Final = 100
"""Usage that is all alike compresses to about that; more cells than this are known not to fit."""

_CURVE_HOURS: Final = 2_000_000
"""Class-hours above which the curve is left out: it is a picture, and not worth as long as the plan took."""

_ENDINGS: Final[Mapping[Ending, pb.OptimalityCertificate.Ending.ValueType]] = {
    Ending.OPTIMAL: pb.OptimalityCertificate.ENDING_OPTIMAL,
    Ending.RELAXED: pb.OptimalityCertificate.ENDING_OPTIMAL,
    Ending.STOPPED: pb.OptimalityCertificate.ENDING_STOPPED,
    Ending.STALLED: pb.OptimalityCertificate.ENDING_STALLED,
}
_PAYMENT_CODES: Final[Mapping[Payment, pb.PaymentOption.ValueType]] = {
    Payment.NO_UPFRONT: pb.PAYMENT_OPTION_NO_UPFRONT,
    Payment.PARTIAL_UPFRONT: pb.PAYMENT_OPTION_PARTIAL_UPFRONT,
    Payment.ALL_UPFRONT: pb.PAYMENT_OPTION_ALL_UPFRONT,
}
_BASIS_CODES: Final[Mapping[CommitmentBasis, pb.CommitmentBasis.ValueType]] = {
    CommitmentBasis.DISCOUNTED: pb.COMMITMENT_BASIS_DISCOUNTED,
    CommitmentBasis.ON_DEMAND: pb.COMMITMENT_BASIS_ON_DEMAND,
}


class PurchaseEncoder:
    """Writes the amounts of one answer, in its one currency."""

    def __init__(self, currency: str) -> None:
        self._currency = currency

    def money(self, amount: Decimal | float) -> Money:
        """The nearest nano, ties to even."""
        exact = amount if isinstance(amount, Decimal) else Decimal(repr(float(amount)))
        nanos = int((exact * _NANOS).to_integral_value(rounding=ROUND_HALF_EVEN))
        sign = -1 if nanos < 0 else 1
        units, rest = divmod(abs(nanos), int(_NANOS))
        return Money(currency_code=self._currency, units=sign * units, nanos=sign * rest)

    def plan(self, plan: PurchasePlan, request: PlanRequest, solve_seconds: float) -> pb.PurchasePlan:
        """The message, without what only the caller of the engine knows (hash, instant, recommendation, evidence)."""
        known = {offer.offer_id: offer for offer in request.offers}
        message = pb.PurchasePlan(verdict=_verdict(plan, request.offers), hours=request.usage.hours)
        message.horizon.CopyFrom(duration_of_hours(request.terms.horizon / _HOUR))
        for tranche in plan.tranches:
            self._purchase(message.purchases.add(), tranche, known)
        self._certificate(message.certificate, plan, solve_seconds)
        self._bill(message.bill, plan)
        for figures in (*plan.alternatives, plan.figures):
            self._alternative(message.alternatives.add(), figures)
        if plan.risk is not None:
            self._risk(message, plan.risk)
        ends = [(one.end_time, one.offer_id, one.per_hour) for one in plan.tranches]
        ends += [
            (owned.end_time, owned.commitment_id, Decimal(repr(owned.per_hour)))
            for owned in request.owned
            if owned.end_time > request.terms.start
        ]
        self.expiries(message.expiries, ends)
        message.dropped_offers.extend(_dropped(one) for one in plan.dropped)
        message.demand_notes.extend(note.name for note in plan.notes)
        message.on_demand_cost.CopyFrom(self.money(plan.figures.on_demand))
        message.effective_savings_rate = plan.figures.effective_savings_rate
        message.coverage = plan.figures.coverage
        message.utilization = plan.figures.utilisation
        message.upfront_cost.CopyFrom(self.money(sum((one.upfront for one in plan.tranches), Decimal(0))))
        message.total_cost.CopyFrom(self.money(plan.figures.cost))
        message.cost_curve.extend(self._curve(plan))
        self._over_time(message, plan, request.terms.start)
        return message

    def expiries(
        self, into: "RepeatedCompositeFieldContainer[pb.PlanExpiry]", ends: Sequence[tuple[datetime, str, Decimal]]
    ) -> None:
        """What ends when, in order of time."""
        for end, name, per_hour in sorted(ends, key=lambda one: one[:2]):
            expiry = into.add(plan=name)
            set_timestamp(expiry.end_time, end)
            expiry.commitment_per_hour.CopyFrom(self.money(per_hour))

    def offer(self, message: pb.PurchaseOffer, offer: PlanOffer) -> None:
        """An offer as it came."""
        message.offer_id = offer.offer_id
        message.kind = KIND_CODES[offer.kind]
        message.cloud = CLOUD_CODE[offer.cloud]
        message.family, message.region, message.sku = offer.family, offer.region, offer.sku
        message.term.CopyFrom(duration_of_hours(offer.term / timedelta(hours=1)))
        message.payment = _PAYMENT_CODES[offer.payment]
        message.upfront_fraction = offer.upfront_fraction
        message.rate = offer.rate
        for name, rate in offer.rates.items():
            message.rates[name] = rate
        message.commitment_basis = _BASIS_CODES[offer.basis]
        if offer.unit_per_hour:
            message.unit_price_per_hour.CopyFrom(self.money(offer.unit_per_hour))
        if offer.quote is not None:
            message.quote.usage_type = offer.quote.usage_type
            message.quote.rate.CopyFrom(self.money(Decimal(offer.quote.rate_nanos) / _NANOS))

    def bill(self, bill: Bill, hourly: tuple[Sequence[float], Sequence[float]] | None) -> pb.PurchaseBill:
        """An exact bill; `hourly` are what is uncovered and what is not used, where asked for."""
        message = pb.PurchaseBill(
            total_cost_exact=f"{bill.usd:f}",
            coverage=bill.coverage,
            utilization=bill.utilisation,
            effective_savings_rate=bill.effective_savings_rate,
        )
        for field, amount in (
            ("on_demand_equivalent", bill.equivalent),
            ("commitment_cost", bill.fees),
            ("uncovered_cost", bill.on_demand),
            ("total_cost", bill.total),
        ):
            getattr(message, field).CopyFrom(self.money(usd_of(amount)))
        unused = Decimal(0)
        for use in bill.plans:
            fee = usd_of(use.fee)
            used = fee * Decimal(repr(use.utilisation))
            unused += fee - used
            one = message.plans.add(commitment_id=use.plan_id, utilization=use.utilisation)
            one.cost.CopyFrom(self.money(fee))
            one.used.CopyFrom(self.money(used))
            one.covered.CopyFrom(self.money(usd_of(use.covered)))
        message.unused_cost.CopyFrom(self.money(unused))
        if hourly is not None:
            message.hourly_uncovered.extend(hourly[0])
            message.hourly_unused.extend(hourly[1])
        return message

    def step(self, message: pb.LadderStep, step: LadderStep, before: Decimal) -> None:
        """One step of a ladder; `before` is what is in force per hour."""
        set_timestamp(message.purchase_time, step.time)
        set_timestamp(message.end_time, step.end_time)
        if step.return_until is not None:
            set_timestamp(message.return_until, step.return_until)
        message.before_per_hour.CopyFrom(self.money(before))
        message.buy_per_hour.CopyFrom(self.money(step.per_hour))
        message.target_per_hour.CopyFrom(self.money(before + step.per_hour))

    def _purchase(self, message: pb.PlannedPurchase, tranche: Tranche, offers: Mapping[str, PlanOffer]) -> None:
        self.offer(message.offer, offers[tranche.offer_id])
        set_timestamp(message.purchase_time, tranche.start_time)
        set_timestamp(message.end_time, tranche.end_time)
        message.commitment_per_hour.CopyFrom(self.money(tranche.per_hour))
        message.units = tranche.units
        message.upfront_cost.CopyFrom(self.money(tranche.upfront))
        message.total_cost.CopyFrom(self.money(tranche.total))
        message.utilization = tranche.utilisation
        message.break_even_utilization = tranche.break_even_utilisation
        if tranche.break_even_month is not None:
            message.break_even_month = tranche.break_even_month
        message.fall_tolerance = tranche.fall_tolerance
        if tranche.return_until is not None:
            set_timestamp(message.return_until, tranche.return_until)

    def _certificate(self, message: pb.OptimalityCertificate, plan: PurchasePlan, solve_seconds: float) -> None:
        proof = plan.certificate
        # The certified cost is of the amounts found; the plan's own, rounded to what is sold, is the billed one.
        cost = proof.bound / (1.0 - proof.gap) if proof.gap < 1.0 else plan.figures.cost
        message.cost.CopyFrom(self.money(cost))
        message.lower_bound.CopyFrom(self.money(proof.bound))
        message.gap = proof.gap
        message.is_relaxation = proof.ending is Ending.RELAXED
        message.ending = _ENDINGS[proof.ending]
        message.solve_seconds = solve_seconds
        if plan.rebilled is not None:
            message.billed_cost.CopyFrom(self.money(plan.rebilled.cost))
            message.billed_gap = plan.rebilled.gap_to_bound

    def _bill(self, message: pb.PurchaseBill, plan: PurchasePlan) -> None:
        """As billed; where no provider's order says it (spot, unequal hours), as planned."""
        message.on_demand_equivalent.CopyFrom(self.money(plan.figures.on_demand))
        message.coverage = plan.figures.coverage
        message.utilization = plan.figures.utilisation
        message.effective_savings_rate = plan.figures.effective_savings_rate
        if plan.rebilled is None:
            total = Decimal(repr(plan.figures.cost))
            fees = sum((float(p.program.columns.cost @ a) for p, a in _pooled(plan)), 0.0)
            message.commitment_cost.CopyFrom(self.money(fees))
            message.uncovered_cost.CopyFrom(self.money(plan.figures.cost - fees))
        else:
            made = plan.rebilled.bill
            total = made.cost
            message.commitment_cost.CopyFrom(self.money(made.fees))
            message.uncovered_cost.CopyFrom(self.money(made.uncovered))
            message.unused_cost.CopyFrom(self.money(made.unused))
            for one in made.purchases:
                use = message.plans.add(commitment_id=one.offer_id, utilization=one.utilisation)
                use.cost.CopyFrom(self.money(one.cost))
                use.used.CopyFrom(self.money(one.cost * Decimal(repr(one.utilisation))))
                use.covered.CopyFrom(self.money(one.covered))
        message.total_cost.CopyFrom(self.money(total))
        message.total_cost_exact = f"{total:f}"

    def _over_time(self, message: pb.PurchasePlan, plan: PurchasePlan, start: datetime) -> None:
        amounts = plan.certificate.amounts
        saved = [savings(pool, bought) for pool, bought in _pooled(plan)]
        flat = np.concatenate([np.empty(0), *saved])
        bought = np.concatenate([np.empty(0), *amounts])
        # Purchases are the columns of which something is bought, in order; rounding may have left one with nothing.
        names = [purchase.offer.offer.offer_id for pool in plan.pools for purchase in pool.purchases]
        times = [purchase.time for pool in plan.pools for purchase in pool.purchases]
        column = {(names[i], times[i]): i for i in range(bought.size)}
        chosen = [column[tranche.offer_id, tranche.start_time] for tranche in plan.tranches]
        slots = () if plan.risk is None else zip(plan.pools, plan.risk.below_break_even_by_slot, strict=True)
        below = np.concatenate([np.empty(0), *(shares[pool.program.columns.slot] for pool, shares in slots)])
        for purchase, index in zip(message.purchases, chosen, strict=True):
            purchase.saving.CopyFrom(self.money(float(flat[index])))
            if below.size:
                purchase.probability_below_break_even = below[index]
        found = periods(plan.pools, amounts, _MOST_PERIODS)
        covered = found.covered[chosen] if chosen else np.empty((0, found.usage.size))
        for index in range(found.usage.size):
            one = message.periods.add(
                usage=found.usage[index],
                covered_by_owned=found.owned[index],
                covered=covered[:, index].tolist(),
                uncovered=found.uncovered[index],
                committed=found.committed[index],
                used=found.used[index],
            )
            set_timestamp(one.start_time, start + index * found.hours_each * _HOUR)

    def _alternative(self, message: pb.PlanAlternative, figures: Figures) -> None:
        """`plan` is what was found, before it is rounded to what is sold."""
        message.alternative_id = figures.name
        message.cost.CopyFrom(self.money(figures.cost))
        message.effective_savings_rate = figures.effective_savings_rate
        message.commitment_per_hour.CopyFrom(self.money(figures.per_hour))

    def _risk(self, message: pb.PurchasePlan, risk: RiskFigures) -> None:
        message.cvar_95.CopyFrom(self.money(risk.cvar_95))
        for scenario in risk.scenarios:
            one = message.scenarios.add(
                scenario_id=scenario.name, regret=scenario.regret, utilization=scenario.utilisation
            )
            one.cost.CopyFrom(self.money(scenario.cost))
            one.best_cost.CopyFrom(self.money(scenario.best))

    def _curve(self, plan: PurchasePlan) -> list[pb.CostPoint]:
        size = sum(pool.program.usage.size for pool in plan.pools)
        per_hour = float(sum((one.per_hour for one in plan.tranches), Decimal(0)))
        if not per_hour or size > _CURVE_HOURS:
            return []
        points = []
        for scale in np.linspace(0.0, 2.0, _CURVE_POINTS + 1).tolist():
            cost = sum(
                total_cost(pool.program, amounts * scale)
                for pool, amounts in zip(plan.pools, plan.certificate.amounts, strict=True)
            )
            point = pb.CostPoint()
            point.commitment_per_hour.CopyFrom(self.money(per_hour * scale))
            point.cost.CopyFrom(self.money(cost))
            points.append(point)
        return points


def policies(message: pb.BacktestPurchasePolicyResponse, report: PolicyReport) -> None:
    """What each policy would have cost."""
    for one in report.one_decision:
        message.decisions.add(
            policy_id=one.policy.value,
            decisions=one.decisions,
            mean_regret=one.mean_regret,
            worst_regret=one.worst_regret,
            ratio_to_hindsight=1.0 + one.mean_regret,
        )
    for ladder in report.ladders:
        message.ladders.add(policy_id=ladder.name, ratio_to_hindsight=ladder.ratio, mean_regret=ladder.ratio - 1.0)


def hash_of(facts: Iterable[bytes], message: pb.PurchasePlan) -> str:
    """Names a plan with everything it was made from: what is approved is this plan and no other.

    Of the plan it takes what is bought, when and for how much; not the figures that people judge it by.
    """
    digest = hashlib.sha256()
    for fact in (*facts, *(_bought(one) for one in message.purchases)):
        digest.update(len(fact).to_bytes(8, "big"))
        digest.update(fact)
    return digest.hexdigest()


def _bought(purchase: pb.PlannedPurchase) -> bytes:
    kept = pb.PlannedPurchase(
        offer=purchase.offer,
        purchase_time=purchase.purchase_time,
        end_time=purchase.end_time,
        commitment_per_hour=purchase.commitment_per_hour,
        units=purchase.units,
        upfront_cost=purchase.upfront_cost,
    )
    return kept.SerializeToString(deterministic=True)


def _verdict(plan: PurchasePlan, offers: Sequence[PlanOffer]) -> pb.PurchasePlan.Verdict.ValueType:
    if plan.figures.on_demand <= 0.0:
        return pb.PurchasePlan.VERDICT_NO_USAGE
    if plan.tranches:
        return pb.PurchasePlan.VERDICT_BUY
    no_usage = {one.offer_id for one in plan.dropped if one.reason.name == "NO_USAGE"}
    if len(no_usage) == len(offers):
        return pb.PurchasePlan.VERDICT_UNSUPPORTED
    return pb.PurchasePlan.VERDICT_BUY_NOTHING


def _pooled(plan: PurchasePlan) -> list[tuple[Pool, Floats]]:
    return list(zip(plan.pools, plan.certificate.amounts, strict=True))


def _dropped(one: DroppedOffer) -> pb.DroppedPurchaseOffer:
    return pb.DroppedPurchaseOffer(offer_id=one.offer_id, reason=one.reason.name, dominated_by=one.by)


def evidence(plan: PurchasePlan, most_bytes: int) -> bytes:
    """What a checker needs, as compressed JSON: the same plan gives the same bytes. Empty where it would be larger."""
    proof = plan.certificate
    cells = sum(len(problem["usage"]) * len(problem["weights"]) for problem in proof.statements)
    if not proof.statements or cells > most_bytes * _MOST_CELLS_A_BYTE:
        return b""
    document = {
        "problems": proof.statements,
        "prices": proof.prices,
        "amounts": [amounts.tolist() for amounts in proof.amounts],
        "bought": [
            [
                {
                    "offer": one.offer.offer.offer_id,
                    "time": int(one.time.timestamp()),
                    "unit": one.unit,
                    "step": one.offer.offer.unit_per_hour or _STEP,
                }
                for one in pool.purchases
            ]
            for pool in plan.pools
        ],
    }
    level = _THOROUGH if cells < _MANY_CELLS else _FAST
    body = gzip.compress(orjson.dumps(document), compresslevel=level, mtime=0)
    return body if len(body) <= most_bytes else b""
