"""Turns the engine's decision into the contract's message.

Messages are filled in place: handing a nested message to a constructor makes the runtime serialise and parse
it again on every level, which costs three times as much (48 against 17 us a decision). Offers repeat from
answer to answer, so their bytes are kept and merged.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.domain.decisions import (
    ChosenOffer,
    CostTerms,
    Decision,
    Explanation,
    FailureDomain,
    Placement,
    StartAdvice,
    Verdict,
)
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.rpc.vocabulary import (
    BASIS_CODE,
    CLOUD_CODE,
    OPTION_CODE,
    date_of,
    duration_of_hours,
    money_of_nanos,
    set_micros,
    set_timestamp,
)

_VERDICT = {
    Verdict.PLACED: pb.Decision.VERDICT_PLACED,
    Verdict.STAY: pb.Decision.VERDICT_STAY,
    Verdict.INFEASIBLE: pb.Decision.VERDICT_INFEASIBLE,
    Verdict.UNSUPPORTED: pb.Decision.VERDICT_UNSUPPORTED,
}
DIFFERS = {
    FailureDomain.ZONE: pb.FAILURE_DOMAIN_ZONE,
    FailureDomain.REGION: pb.FAILURE_DOMAIN_REGION,
    FailureDomain.CLOUD: pb.FAILURE_DOMAIN_CLOUD,
}
_MOST_OFFERS = 65_536


KEPT_OFFERS: Final[dict[int, tuple[ChosenOffer, bytes]]] = {}
"""Serialised offers by identity: the engine gives the same object for the same offer, and hashing one costs as much as
encoding it. An entry holds its offer, so an identity is never of another while it is here."""


def offer_bytes(offer: ChosenOffer) -> bytes:
    """The offer's message, serialised."""
    kept = KEPT_OFFERS.get(id(offer))
    if kept is not None:
        return kept[1]
    encoded = types_pb2.Offer(
        cloud=CLOUD_CODE[offer.cloud],
        region=offer.region,
        zone=offer.zone,
        instance_type=offer.instance_type,
        purchase_option=OPTION_CODE[offer.option],
        price_per_hour=money_of_nanos(offer.nanos_per_hour),
        price_basis=BASIS_CODE[offer.basis],
        price_as_of=None if offer.as_of is None else date_of(offer.as_of),
    ).SerializeToString(deterministic=True)
    if len(KEPT_OFFERS) >= _MOST_OFFERS:
        KEPT_OFFERS.clear()
    KEPT_OFFERS[id(offer)] = (offer, encoded)
    return encoded


def encode_decision(
    decision: Decision, *, name: str, instant: datetime, workload_id: str, revisions: bytes
) -> pb.Decision:
    """The decision under its name; `revisions` is a serialised `Revisions`. Same arguments, same message."""
    message = pb.Decision(name=name, verdict=_VERDICT[decision.verdict], workload_id=workload_id)
    set_timestamp(message.create_time, instant)
    set_timestamp(message.valid_until, decision.valid_until)
    if decision.chosen is not None:
        fill_placement(message.chosen, decision.chosen)
    for fallback in decision.fallbacks:
        fill_fallback(message.fallbacks.add(), fallback.placement, DIFFERS[fallback.differs_by])
    _fill_counts(message.rejected_regions, decision.rejected_regions)
    message.revisions.MergeFromString(revisions)
    if decision.notes:
        message.notes.extend(decision.notes)
    for relaxation in decision.relaxations:
        change = message.relaxations.add()
        change.field = relaxation.field
        change.change = relaxation.change
        change.reason = relaxation.reason.name
        fill_fallback(change.place, relaxation.place)
    if decision.explanation is not None:
        _fill_explanation(message.explanation, decision.explanation)
    if decision.approval_required_by:
        message.approval_required_by = decision.approval_required_by
    return message


def fill_placement(message: pb.Placement, placement: Placement) -> None:
    """A place with its terms."""
    message.offer.MergeFromString(offer_bytes(placement.offer))
    for zone, count in placement.zones:
        share = message.zones.add()
        share.zone = zone
        share.count = count
    set_micros(message.expected_cost, placement.terms.total)
    _fill_terms(message.terms, placement.terms)
    message.billed_hours = placement.billed_hours
    message.expected_interruptions = placement.expected_interruptions
    if placement.checkpoint_interval_hours is not None:
        message.checkpoint_interval.CopyFrom(duration_of_hours(placement.checkpoint_interval_hours))
    message.price_age_days = placement.price_age_days
    if placement.commitments:
        message.commitments.extend(placement.commitments)
        message.covered_instances = placement.covered_instances
    message.latency_ms = placement.latency_ms
    message.risk = placement.risk


def fill_fallback(
    message: pb.Fallback,
    placement: Placement,
    differs_by: "pb.FailureDomain.ValueType" = pb.FAILURE_DOMAIN_UNSPECIFIED,
) -> None:
    """A place in short."""
    message.offer.MergeFromString(offer_bytes(placement.offer))
    set_micros(message.expected_cost, placement.terms.total)
    message.risk = placement.risk
    message.differs_by = differs_by


def fill_start_advice(message: pb.StartAdvice, advice: StartAdvice) -> None:
    """When work that may wait is best started."""
    set_timestamp(message.start_time, advice.start_time)
    message.offer.MergeFromString(offer_bytes(advice.offer))
    set_micros(message.expected_cost, advice.terms.total)
    _fill_terms(message.terms, advice.terms)
    if advice.cost_now is not None:
        set_micros(message.cost_now, advice.cost_now)
        set_micros(message.saving, advice.cost_now - advice.terms.total)
    message.covered_instance_hours = advice.covered_hours
    message.instance_hours = advice.instance_hours
    message.commitments.extend(advice.commitments)
    message.starts = advice.starts


def _fill_terms(messages: RepeatedCompositeFieldContainer[types_pb2.CostTerm], terms: CostTerms) -> None:
    """The terms that are not zero; compute always, for a zero there says that it is covered."""
    for kind, micros in (
        (types_pb2.COST_KIND_COMPUTE, terms.compute),
        (types_pb2.COST_KIND_INTERRUPTION, terms.interruption),
        (types_pb2.COST_KIND_EGRESS, terms.egress),
        (types_pb2.COST_KIND_STORAGE, terms.storage),
        (types_pb2.COST_KIND_MOVING, terms.moving),
        (types_pb2.COST_KIND_PREFERENCE, terms.preference),
    ):
        if micros or kind == types_pb2.COST_KIND_COMPUTE:
            term = messages.add()
            term.kind = kind
            set_micros(term.amount, micros)


def _fill_counts(
    messages: RepeatedCompositeFieldContainer[types_pb2.RejectionCount],
    counts: Iterable[tuple[RejectionReason, int]],
) -> None:
    for reason, count in counts:
        message = messages.add()
        message.reason = reason.name
        message.count = count


def _fill_explanation(message: pb.Explanation, explanation: Explanation) -> None:
    message.offers = explanation.offers
    message.feasible_offers = explanation.feasible_offers
    _fill_counts(message.rejected_offers, explanation.rejected_offers)
    for candidate in explanation.candidates:
        rejected = message.candidates.add()
        rejected.offer.MergeFromString(offer_bytes(candidate.placement.offer))
        set_micros(rejected.expected_cost, candidate.placement.terms.total)
        rejected.reason = candidate.reason.name
        rejected.would_win = candidate.would_win
