"""Decisions as records of the log, and back."""

from datetime import datetime
from functools import lru_cache
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
    response: bytes,
    workload_id: str,
    catalog_version: str,
    revisions: tuple[int, int, int],
    decision: Decision,
    reserved: bool,
    prior_draws: tuple[Draw, ...] = NO_DRAWS,
) -> DecisionRecord:
    """The record of one decision. `revisions` are those of policy, learned state and commitments."""
    chosen = decision.chosen
    cloud = region = instance_type = option = ""
    cost = None
    if chosen is not None:
        offer = chosen.offer
        cloud, region, option = offer.cloud.value, offer.region, offer.option.value
        instance_type = offer.instance_type
        cost = min(chosen.terms.total, INT64_MAX)
    # By position, because this is done for every decision: names would take three times as long.
    return DecisionRecord(
        project,
        decision_id,
        instant,
        workload_id,
        decision.verdict.value,
        request,
        response,
        catalog_version,
        max(revisions),
        *revisions,
        cloud,
        region,
        instance_type,
        option,
        cost,
        decision.valid_until,
        reserved,
        context=_context(prior_draws),
    )


@lru_cache(maxsize=4_096)
def revisions_bytes(  # noqa: PLR0913, PLR0917 - the fields of the message
    catalog: str, policy: int, learned: int, commitment: int, hours_per_month: float, hours_per_year: float
) -> bytes:
    """What a decision depended on, as its serialised `Revisions`."""
    return pb.Revisions(
        catalog_version=catalog,
        policy_revision=policy,
        learned_revision=learned,
        commitment_revision=commitment,
        hours_per_month=hours_per_month,
        hours_per_year=hours_per_year,
    ).SerializeToString(deterministic=True)


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
