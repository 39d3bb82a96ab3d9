"""The purchasing service."""

import hashlib
from collections.abc import Container, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy import Connection

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, UnsupportedError, Violation
from trimtab_service.domain.purchasing import OwnedLevel, PlanTerms
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.catalog_offers import owned_levels
from trimtab_service.purchasing.ladder_plan import LadderSeries, expected_share, plan_ladder
from trimtab_service.purchasing.plan_request import PlanRequest
from trimtab_service.purchasing.policies import Policy
from trimtab_service.purchasing.policy_report import LADDERS
from trimtab_service.purchasing.ports import ProviderAdvisors
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.advice_keeping import Kept
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.demand_parser import PendingDemand
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.fleet_intake import FleetIntake
from trimtab_service.rpc.inventory_demand import InventoryDemand
from trimtab_service.rpc.purchase_content import content_of_plan, identities_over
from trimtab_service.rpc.purchase_desk import Asked, PurchaseDesk
from trimtab_service.rpc.purchase_encoder import PurchaseEncoder
from trimtab_service.rpc.purchase_parser import PurchaseParser, require_one_scope
from trimtab_service.rpc.purchase_parts import Digest, First, gathered
from trimtab_service.rpc.purchase_provider import provider_answer, provider_question
from trimtab_service.rpc.purchase_task import BacktestTask, BillTask, backtest_apart, bill_apart, shadow_apart
from trimtab_service.store.idempotency import RequestKey, answer_known, once
from trimtab_service.store.writer import GroupCommitWriter

if TYPE_CHECKING:
    from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

_MOST_STEPS: Final = 60
_YEAR_H: Final = 8_760


class PurchasingServicer:
    """Answers from the desk; a plan that says to buy is stored as a recommendation before the answer."""

    def __init__(
        self,
        desk: PurchaseDesk,
        writer: GroupCommitWriter,
        intake: FleetIntake,
        advisors: ProviderAdvisors,
        inventory: InventoryDemand,
    ) -> None:
        self._desk = desk
        self._inventory = inventory
        self._writer = writer
        self._intake = intake
        self._advisors = advisors

    def optimize_purchase_plan(self, request: pb.OptimizePurchasePlanRequest, call: Call) -> pb.PurchasePlan | Kept:
        """The cheapest portfolio of a whole request."""
        names.project_id(request.parent)
        found = Violations()
        demand = self._pending(request.demand, call, found)
        return self._plan(request, (demand, found), hashlib.sha256(request.SerializeToString(deterministic=True)), call)

    def stream_optimize_purchase_plan(
        self,
        first: pb.StreamOptimizePurchasePlanRequest,
        more: Iterator[pb.StreamOptimizePurchasePlanRequest],
        call: Call,
    ) -> pb.PurchasePlan | Kept:
        """The cheapest portfolio of usage that comes in parts; memory is bounded by the cap on hours."""
        demand = self._first(first, call)
        body = gathered(first, more, demand, call)
        return self._plan(first.request, (demand, Violations()), body, call)

    def evaluate_purchase_plan(self, request: pb.EvaluatePurchasePlanRequest, call: Call) -> pb.PurchaseBill:
        """Bill usage under a portfolio, exactly."""
        names.project_id(request.parent)
        return self._bill(request, self._demand(request.demand, call), call)

    def stream_evaluate_purchase_plan(
        self,
        first: pb.StreamEvaluatePurchasePlanRequest,
        more: Iterator[pb.StreamEvaluatePurchasePlanRequest],
        call: Call,
    ) -> pb.PurchaseBill:
        """Bill usage that comes in parts."""
        demand = self._first(first, call)
        gathered(first, more, demand, call)
        return self._bill(first.request, demand, call)

    def backtest_purchase_policy(
        self, request: pb.BacktestPurchasePolicyRequest, call: Call
    ) -> pb.BacktestPurchasePolicyResponse:
        """Walk policies over the caller's own history."""
        names.project_id(request.parent)
        demand = self._demand(request.demand, call)
        found = Violations()
        series = demand.finish(found)
        if not 0.0 < request.rate < 1.0:
            found.add("rate", ErrorReason.OUT_OF_RANGE, "must be above 0 and below 1")
        term = _YEAR_H
        if request.HasField("term"):
            term = max(round(bounds.hours(found, "term", request.term, positive=True)), 1)
        known = {*(policy.value for policy in Policy), *LADDERS}
        for index, name in enumerate(request.policy_ids):
            if name not in known:
                why = f"there are: {', '.join(sorted(known))}"
                found.add(f"policy_ids[{index}]", ErrorReason.UNKNOWN_VALUE, why)
        found.check()
        usage = demand.usage(series)
        histories = {"all": usage.money.sum(axis=0)}
        families: dict[str, str] = {}
        if request.family_locked:
            histories = {str(index): row for index, row in enumerate(usage.money)}
            families = {str(index): key.family for index, key in enumerate(usage.keys)}
        ratio = 1.0 / request.rate
        answer = pb.BacktestPurchasePolicyResponse.FromString(
            self._desk.apart(
                call, lambda stop: (backtest_apart, (BacktestTask(histories, ratio, term, families, stop),))
            )
        )
        if request.policy_ids:
            _keep_only(answer.decisions, request.policy_ids)
            _keep_only(answer.ladders, request.policy_ids)
        return answer

    def plan_ladder(self, request: pb.PlanLadderRequest, call: Call) -> pb.PurchaseLadder:
        """Purchases over the coming months."""
        names.project_id(request.parent)
        demand = self._demand(request.demand, call)
        found = Violations()
        series = demand.finish(found)
        parser = PurchaseParser(demand.currency, found)
        offer = parser.offer(request.offer, "offer")
        owned = parser.owned(list(request.owned), "owned")
        months = 1
        if request.HasField("cadence"):
            months = max(round(bounds.hours(found, "cadence", request.cadence, positive=True) / 730.0), 1)
        changes = parser.changes(list(request.changes))
        if not 0 <= request.steps <= _MOST_STEPS:
            found.add("steps", ErrorReason.OUT_OF_RANGE, f"must be from 0 to {_MOST_STEPS}")
        if not 0.0 < offer.rate < 1.0:
            found.add("offer.rate", ErrorReason.OUT_OF_RANGE, "must be below 1: it is dearer than on demand")
        found.check()
        usage = demand.usage(series)
        levels = [(f"owned[{index}].offer", level.offer) for index, level in enumerate(owned)]
        require_one_scope([("offer", offer), *levels], usage.keys)
        covered = [row for key, row in zip(usage.keys, usage.money, strict=True) if offer.covers(key)]
        if not covered:
            raise UnsupportedError(ErrorReason.UNSUPPORTED, "the offer covers none of the usage")
        history = np.sum(covered, axis=0)
        start = self._desk.next_hour()
        future = expected_share(usage, offer, changes)
        steps = plan_ladder(
            [LadderSeries(offer, history, owned, future=future)],
            start,
            months=(request.steps or 12) * months,
            cadence=months,
        )
        encoder, answer = PurchaseEncoder(demand.currency), pb.PurchaseLadder()
        for index, step in enumerate(steps):
            active = sum(
                (Decimal(repr(one.per_hour)) for one in owned if one.start_time <= step.time < one.end_time), Decimal(0)
            )
            # Portions bought at one instant follow one another.
            active += sum((one.per_hour for one in steps[:index] if step.time < one.end_time), Decimal(0))
            encoder.step(answer.steps.add(), step, active)
        ends = [(one.end_time, one.commitment_id, Decimal(repr(one.per_hour))) for one in owned if one.end_time > start]
        ends += [(one.end_time, one.offer_id, one.per_hour) for one in steps if one.per_hour > 0]
        encoder.expiries(answer.expiries, ends)
        task = {"all": history}
        hours = max(round(offer.term / timedelta(hours=1)), 1)
        tested = pb.BacktestPurchasePolicyResponse.FromString(
            self._desk.apart(
                call, lambda stop: (backtest_apart, (BacktestTask(task, 1.0 / offer.rate, hours, {}, stop),))
            )
        )
        if tested.ladders:
            answer.policy.CopyFrom(tested.ladders[0])
        return answer

    def get_shadow_prices(self, request: pb.GetShadowPricesRequest, call: Call) -> pb.ShadowPrices:
        """What a committed dollar is worth, hour by hour."""
        names.project_id(request.parent)
        return self._shadow(request, self._demand(request.demand, call), call)

    def stream_get_shadow_prices(
        self, first: pb.StreamGetShadowPricesRequest, more: Iterator[pb.StreamGetShadowPricesRequest], call: Call
    ) -> pb.ShadowPrices:
        """The same of usage that comes in parts."""
        demand = self._first(first, call)
        gathered(first, more, demand, call)
        return self._shadow(first.request, demand, call)

    def fetch_provider_recommendation(
        self, request: pb.FetchProviderRecommendationRequest, call: Call
    ) -> pb.ProviderRecommendation:
        """What the provider itself recommends."""
        names.project_id(request.parent)
        question = provider_question(request)
        advisor = self._advisors.advisor(call.project, request.telemetry_source)
        if advisor is None:
            raise UnsupportedError(ErrorReason.UNSUPPORTED, "that account's provider recommends no purchases")
        deadline = self._desk.now() + timedelta(seconds=min(call.time_remaining(), 600.0))
        return provider_answer(advisor.recommend(question, deadline))

    def _pending(self, message: pb.PurchaseDemand, call: Call, found: Violations, at: str = "demand") -> PendingDemand:
        """The usage of a request, from wherever it comes; faults of its series are noted."""
        series, notes = self._inventory.series_of(message, call, at)
        return PendingDemand(series, self._desk.point_cap, found, at, notes)

    def _demand(self, message: pb.PurchaseDemand, call: Call, at: str = "demand") -> PendingDemand:
        found = Violations()
        demand = self._pending(message, call, found, at)
        found.check()
        return demand

    def _first(self, first: First, call: Call) -> PendingDemand:
        """The usage of the request that a stream begins with."""
        if not first.HasField("request"):
            raise InvalidArgumentError([Violation("request", ErrorReason.FIELD_REQUIRED, "comes first")])
        names.project_id(first.request.parent, "request.parent")
        return self._demand(first.request.demand, call, "request.demand")

    def _bill(self, request: pb.EvaluatePurchasePlanRequest, demand: PendingDemand, call: Call) -> pb.PurchaseBill:
        found = Violations()
        series = demand.finish(found)
        plans = PurchaseParser(demand.currency, found).owned(list(request.plans), "plans")
        found.check()
        usage = demand.usage(series)
        require_one_scope(((f"plans[{index}].offer", plan.offer) for index, plan in enumerate(plans)), usage.keys)
        if request.include_project_commitments:
            plans += self._owned(call.project)
        _require_distinct(plans)
        task = BillTask(series, plans, demand.currency, request.hourly)
        bill = pb.PurchaseBill.FromString(self._desk.apart(call, lambda _: (bill_apart, (task,))))
        bill.demand_notes.extend(note.name for note in usage.notes)
        return bill

    def _shadow(self, request: pb.GetShadowPricesRequest, demand: PendingDemand, call: Call) -> pb.ShadowPrices:
        found = Violations()
        series = demand.finish(found)
        plans = PurchaseParser(demand.currency, found).owned(list(request.plans), "plans")
        found.check()
        usage = demand.usage(series)
        require_one_scope(((f"plans[{index}].offer", plan.offer) for index, plan in enumerate(plans)), usage.keys)
        plans += self._owned(call.project)
        _require_distinct(plans)
        terms = PlanTerms(usage.start, max(usage.hours, 1) * timedelta(hours=1))
        asked = PlanRequest(usage, (), terms, plans, with_risk=False)
        return pb.ShadowPrices.FromString(self._desk.apart(call, lambda stop: (shadow_apart, (asked, series, stop))))

    def _owned(self, project: str) -> tuple[OwnedLevel, ...]:
        return owned_levels(self._desk.snapshot(project), self._desk.commitments(project))

    def _plan(
        self,
        request: pb.OptimizePurchasePlanRequest,
        demand: tuple[PendingDemand, Violations],
        body: Digest,
        call: Call,
    ) -> pb.PurchasePlan | Kept:
        key = RequestKey(
            call.project, call.method.rpartition("/")[2], names.request_id(request.request_id), body.digest()
        )
        asked: Asked = self._desk.asked(call.project, request, *demand)
        if request.validate_only:
            return self._desk.plan(asked, request, call)
        if key.request_id:
            known = self._writer.run(lambda conn: answer_known(conn, key, asked.instant), call.time_remaining())
            if known is not None:
                return Kept(known)
        return self._keep(key, self._desk.plan(asked, request, call), asked, call)

    def _keep(self, key: RequestKey, plan: pb.PurchasePlan, asked: Asked, call: Call) -> Kept:
        content = content_of_plan(plan)
        over = identities_over(plan, content, asked.request.usage.keys)
        proof = plan.certificate.evidence
        # Larger than all the rest, and of use to whoever asked first only: what is kept goes without it.
        plan.certificate.evidence = b""
        is_first = False

        def enter(conn: Connection) -> bytes:
            nonlocal is_first
            is_first = True
            if content is not None:
                plan.recommendation = self._intake.take_in_anew(conn, key.project, content, asked.instant)
            for identity in over:
                self._intake.withdraw(conn, key.project, identity, asked.instant)
            return plan.SerializeToString()

        kept = self._writer.run(lambda conn: once(conn, key, asked.instant, lambda: enter(conn)), call.time_remaining())
        if not (is_first and proof):
            return Kept(kept)
        # Serialised messages concatenate.
        return Kept(kept + pb.PurchasePlan(certificate=pb.OptimalityCertificate(evidence=proof)).SerializeToString())


def _require_distinct(plans: Sequence[OwnedLevel]) -> None:
    seen: set[str] = set()
    for index, plan in enumerate(plans):
        if plan.commitment_id in seen:
            why = f"{plan.commitment_id!r} is there twice; overlapping commitments have ids of their own"
            raise InvalidArgumentError([Violation(f"plans[{index}]", ErrorReason.CONTRADICTION, why)])
        seen.add(plan.commitment_id)


def _keep_only(tested: "RepeatedCompositeFieldContainer[pb.PolicyBacktest]", wanted: Container[str]) -> None:
    kept = [one for one in tested if one.policy_id in wanted]
    del tested[:]
    tested.extend(kept)
