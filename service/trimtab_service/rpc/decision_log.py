"""Decisions as records of the log, and back."""

from datetime import datetime
from typing import Final

import orjson

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.decisions import Decision
from trimtab_service.domain.money import INT64_MAX
from trimtab_service.rpc.vocabulary import timestamp_of
from trimtab_service.store.decisions import DecisionRecord

NO_DRAWS: Final[tuple[Draw, ...]] = ()


def record_of(  # noqa: PLR0913 - what a record is made of
    *,
    project: str,
    decision_id: str,
    instant: datetime,
    request: bytes,
    message: pb.Decision,
    decision: Decision,
    state_revision: int,
    prior_draws: tuple[Draw, ...] = NO_DRAWS,
) -> DecisionRecord:
    """The record of one decision."""
    chosen, revisions = decision.chosen, message.revisions
    offer = None if chosen is None else chosen.offer
    return DecisionRecord(
        project=project,
        decision_id=decision_id,
        create_time=instant,
        workload_id=message.workload_id,
        verdict=decision.verdict.value,
        request=request,
        response=message.SerializeToString(deterministic=True),
        catalog_version=revisions.catalog_version,
        state_revision=state_revision,
        policy_revision=revisions.policy_revision,
        learned_revision=revisions.learned_revision,
        commitment_revision=revisions.commitment_revision,
        cloud="" if offer is None else offer.cloud.value,
        region="" if offer is None else offer.region,
        instance_type="" if offer is None else offer.instance_type,
        purchase_option="" if offer is None else offer.option.value,
        expected_cost_micros=None if chosen is None else min(chosen.terms.total, INT64_MAX),
        valid_until=decision.valid_until,
        reserved=message.reserved,
        context=_context(prior_draws),
    )


def logged_decision(record: DecisionRecord) -> pb.Decision:
    """The decision as it was answered, with what has become of it since."""
    message = pb.Decision.FromString(record.response)
    if record.release_time is not None:
        message.release_time.CopyFrom(timestamp_of(record.release_time))
        message.reserved = False
    return message


def prior_draws(record: DecisionRecord) -> tuple[Draw, ...]:
    """What items before it in a joint batch had drawn."""
    if record.context is None:
        return NO_DRAWS
    return tuple(Draw(key, amount, capacity) for key, amount, capacity in orjson.loads(record.context)["draws"])


def _context(draws: tuple[Draw, ...]) -> bytes | None:
    if not draws:
        return None
    return orjson.dumps({"draws": [[draw.room_key, draw.amount_milli, draw.capacity_milli] for draw in draws]})
