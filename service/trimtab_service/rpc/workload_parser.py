"""Parses a workload of the contract into the domain's, collecting every violation on the way."""

import re
from datetime import datetime

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import HOURS_PER_MONTH, HOURS_PER_YEAR, Interruption, Workload
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.offer_parser import parse_blocked, parse_caller_offers, parse_options, parse_quotas
from trimtab_service.rpc.residency_parser import parse_residency
from trimtab_service.rpc.size_parser import parse_size
from trimtab_service.rpc.surroundings_parser import (
    parse_current,
    parse_data_sets,
    parse_interruption,
    parse_month_to_date,
    parse_services,
    parse_users,
)
from trimtab_service.rpc.vocabulary import Vocabulary

MAX_TAGS = 64
MAX_TAG_KEY = 128
MAX_PARTITIONS = 16
MAX_WAITING_H = 168.0
MAX_SPREAD = 16
MAX_MONTH = 744.0
"""Hours of 31 days."""

_WORKLOAD_ID = re.compile(r"[a-z0-9-]{1,128}\Z")
_NO_INTERRUPTION = Interruption()


def parse_workload(
    message: pb.Workload, vocabulary: Vocabulary, instant: datetime, found: Violations, at: FieldPath = "workload"
) -> Workload:
    """The workload, in full when `found` stays empty; `at` is its path in the request.

    `instant` is the time of the decision: a deadline must lie after it.
    """
    readings: list[str] = []
    caller = parse_caller_offers(message, vocabulary, found, at) if message.caller_offers else ()
    private_types = frozenset(offer.instance_type for offer in caller)
    hours, is_service = _usage(message, found, at)
    return Workload(
        size=parse_size(message.size, vocabulary, found, (at, "size"), readings, required=True),
        hours=hours,
        is_service=is_service,
        workload_id=_workload_id(message.workload_id, found, at) if message.workload_id else "",
        tags=_tags(message, found, at) if message.tags else (),
        count=_whole(found, (at, "count"), message.count, bounds.MAX_COUNT) if message.count else 1,
        spread_zones=_whole(found, (at, "spread_zones"), message.spread_zones, MAX_SPREAD)
        if message.spread_zones
        else 1,
        options=parse_options(message.purchase_options, found, (at, "purchase_options")),
        interruption=parse_interruption(message.interruption, vocabulary, found, (at, "interruption"))
        if message.HasField("interruption")
        else _NO_INTERRUPTION,
        deadline=_deadline(message, instant, found, at) if message.HasField("deadline") else None,
        data_sets=parse_data_sets(message, vocabulary, found, at) if message.data_sets else (),
        users=parse_users(message.users, vocabulary, found, (at, "users")) if message.HasField("users") else None,
        residency=parse_residency(message.residency, vocabulary, found, (at, "residency"), private_types)
        if message.HasField("residency")
        else None,
        services=parse_services(message, vocabulary, found, at) if message.services else (),
        current=parse_current(message.current, vocabulary, found, (at, "current"))
        if message.HasField("current")
        else None,
        quotas=parse_quotas(message, vocabulary, found, at) if message.quotas else (),
        blocked_offers=parse_blocked(message, vocabulary, found, at) if message.blocked_offers else (),
        caller_offers=caller,
        tolerance_fraction=bounds.number(found, (at, "tolerance_fraction"), message.tolerance_fraction, 1.0)
        if message.tolerance_fraction
        else None,
        month_to_date_egress=parse_month_to_date(message, vocabulary, found, at)
        if message.month_to_date_egress
        else (),
        hours_per_month=bounds.number(found, (at, "hours_per_month"), message.hours_per_month, MAX_MONTH, least=1.0)
        if message.hours_per_month
        else HOURS_PER_MONTH,
        hours_per_year=bounds.number(found, (at, "hours_per_year"), message.hours_per_year, 8_784.0, least=1.0)
        if message.hours_per_year
        else HOURS_PER_YEAR,
        partitions=_partitions(message, vocabulary, found, at) if message.partitions else frozenset(),
        allow_estimated_prices=not message.HasField("allow_estimated_prices") or message.allow_estimated_prices,
        latest_start=_latest_start(message, hours, instant, found, at)
        if message.HasField("latest_start_time")
        else None,
        readings=tuple(readings),
    )


def _whole(found: Violations, field: FieldPath, value: int, most: int) -> int:
    return int(bounds.number(found, field, value, most))


def _usage(message: pb.Workload, found: Violations, at: FieldPath) -> tuple[float, bool]:
    given = message.WhichOneof("usage")
    if given == "duration":
        return bounds.hours(found, (at, "duration"), message.duration, positive=True), False
    if given == "service_hours_per_month":
        field, value = (at, "service_hours_per_month"), message.service_hours_per_month
        month = message.hours_per_month if 1.0 <= message.hours_per_month <= MAX_MONTH else HOURS_PER_MONTH
        return bounds.number(found, field, value, month, least=bounds.LEAST_HOURS), True
    found.add((at, "duration"), ErrorReason.FIELD_REQUIRED, "give duration, or service_hours_per_month")
    return 0.0, False


def _workload_id(value: str, found: Violations, at: FieldPath) -> str:
    if not _WORKLOAD_ID.match(value):
        found.add((at, "workload_id"), ErrorReason.BAD_FORMAT, "must be 1 to 128 characters of a-z, 0-9 and -")
        return ""
    return value


def _tags(message: pb.Workload, found: Violations, at: FieldPath) -> tuple[tuple[str, str], ...]:
    if not bounds.few(found, (at, "tags"), len(message.tags), MAX_TAGS):
        return ()
    for key, value in message.tags.items():
        if not key or len(key) > MAX_TAG_KEY or len(value) > bounds.MAX_TEXT:
            found.add((at, "tags"), ErrorReason.TOO_LARGE, f"key {key[:32]!r}: 1 to 128 characters, value up to 256")
    return tuple(sorted(message.tags.items()))


def _deadline(message: pb.Workload, instant: datetime, found: Violations, at: FieldPath) -> datetime | None:
    field = (at, "deadline")
    if message.WhichOneof("usage") == "service_hours_per_month":
        found.add(field, ErrorReason.CONTRADICTION, "a service has no deadline; give a duration instead")
        return None
    deadline = bounds.instant(found, field, message.deadline)
    if deadline is None:
        return None
    if deadline <= instant:
        found.add(field, ErrorReason.OUT_OF_RANGE, "lies in the past")
        return None
    return deadline


def _latest_start(
    message: pb.Workload, hours: float, instant: datetime, found: Violations, at: FieldPath
) -> datetime | None:
    field = (at, "latest_start_time")
    if message.WhichOneof("usage") == "service_hours_per_month":
        found.add(field, ErrorReason.CONTRADICTION, "a service does not wait; give a duration instead")
    elif hours > MAX_WAITING_H:
        found.add((at, "duration"), ErrorReason.OUT_OF_RANGE, f"at most {MAX_WAITING_H:g} hours for work that may wait")
    if message.HasField("current"):
        found.add((at, "current"), ErrorReason.CONTRADICTION, "work that runs already has been started")
    latest = bounds.instant(found, field, message.latest_start_time)
    if latest is not None and not 0.0 <= (latest - instant).total_seconds() <= MAX_WAITING_H * 3_600.0:
        found.add(field, ErrorReason.OUT_OF_RANGE, f"lies within {MAX_WAITING_H:g} hours from now")
        return None
    return latest


def _partitions(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> frozenset[str]:
    if not bounds.few(found, (at, "partitions"), len(message.partitions), MAX_PARTITIONS):
        return frozenset()
    for index, name in enumerate(message.partitions):
        if name not in vocabulary.partitions:
            known = ", ".join(sorted(vocabulary.partitions))
            here = (at, f"partitions[{index}]")
            found.add(here, ErrorReason.UNKNOWN_VALUE, f"no such partition: {name[:64]!r}; known: {known}")
    return frozenset(message.partitions) & vocabulary.partitions
