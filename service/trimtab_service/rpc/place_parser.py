"""Parses the calls of the placement service into domain queries."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import PlaceQuery
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.offer_parser import parse_pattern
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.rpc.workload_parser import parse_workload

MAX_FALLBACKS: Final = 8
MAX_OUTCOMES: Final = 1_000
MAX_RESERVE_S: Final = 7 * 86_400.0
_CLOCK_SKEW: Final = timedelta(minutes=1)
_DEFAULT_FALLBACKS: Final = 3
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_REPORTED: Final = {
    PurchaseOption.ON_DEMAND: PurchaseOption.ON_DEMAND,
    PurchaseOption.OWNED_COMMITMENT: PurchaseOption.ON_DEMAND,
    PurchaseOption.SPOT: PurchaseOption.SPOT,
}
"""What an outcome is of: a commitment pays for on-demand capacity, it is not capacity of its own."""


@dataclass(frozen=True, slots=True)
class PlaceParser:
    """Reads `PlaceRequest`s against one vocabulary at one instant."""

    vocabulary: Vocabulary
    instant: datetime

    def parse(self, message: pb.PlaceRequest, project: str, at: FieldPath = "") -> PlaceQuery:
        """The query. `at` is where the request stands in a batch.

        Raises:
            InvalidArgumentError: naming every field at fault.

        """
        found = Violations()
        workload = parse_workload(message.workload, self.vocabulary, self.instant, found, (at, "workload"))
        fallbacks = _DEFAULT_FALLBACKS
        if message.HasField("max_fallbacks"):
            fallbacks = int(bounds.number(found, (at, "max_fallbacks"), message.max_fallbacks, MAX_FALLBACKS))
        held = None
        if message.reserve:
            if message.workload.HasField("latest_start_time"):
                field = (at, "workload.latest_start_time")
                found.add(field, ErrorReason.CONTRADICTION, "room is held from now on; reserve when it is started")
            if not message.request_id:
                found.add((at, "request_id"), ErrorReason.FIELD_REQUIRED, "needed to reserve: a UUID")
            if message.HasField("reserve_duration"):
                field = (at, "reserve_duration")
                held = bounds.seconds(found, field, message.reserve_duration, MAX_RESERVE_S)
        if message.request_id and not _UUID.match(message.request_id):
            found.add((at, "request_id"), ErrorReason.BAD_FORMAT, "must be a UUID")
        found.check()
        return PlaceQuery(
            project=project,
            workload=workload,
            max_fallbacks=fallbacks,
            reserve=message.reserve,
            reserve_seconds=held,
            request_id=message.request_id.lower(),
            explain=message.explain,
        )


def parse_outcomes(message: pb.ReportOutcomeRequest, vocabulary: Vocabulary, now: datetime) -> tuple[Outcome, ...]:
    """What was reported, each with its time.

    Raises:
        InvalidArgumentError: naming every field at fault.

    """
    found = Violations()
    with found.gather():
        names.request_id(message.request_id, required=True)
    if not message.outcomes:
        found.add("outcomes", ErrorReason.FIELD_REQUIRED, "report at least one")
    outcomes: list[Outcome] = []
    if bounds.few(found, "outcomes", len(message.outcomes), MAX_OUTCOMES):
        for index, outcome in enumerate(message.outcomes):
            read = _outcome(outcome, vocabulary, now, found, f"outcomes[{index}]")
            if read is not None:
                outcomes.append(read)
    found.check()
    return tuple(outcomes)


def _outcome(
    message: pb.Outcome, vocabulary: Vocabulary, now: datetime, found: Violations, at: FieldPath
) -> Outcome | None:
    pattern = parse_pattern(message.offer, vocabulary, found, (at, "offer"))
    for field, given in (
        ("cloud", pattern.cloud),
        ("region", pattern.region),
        ("instance_type", pattern.instance_type),
        ("purchase_option", pattern.option),
    ):
        if not given:
            found.add((at, f"offer.{field}"), ErrorReason.FIELD_REQUIRED, "say which offer it was")
    if pattern.option is not None and pattern.option not in _REPORTED:
        found.add((at, "offer.purchase_option"), ErrorReason.OUT_OF_RANGE, "outcomes are of on demand, owned or spot")
    event_time = now
    if message.HasField("event_time"):
        event_time = bounds.instant(found, (at, "event_time"), message.event_time) or now
        if event_time > now + _CLOCK_SKEW:
            found.add((at, "event_time"), ErrorReason.OUT_OF_RANGE, "lies in the future")
        event_time = min(event_time, now)
    interruptions = int(bounds.number(found, (at, "interruptions"), message.interruptions, 1e6))
    hours_run = bounds.number(found, (at, "hours_run"), message.hours_run, 1e8)
    if message.capacity_failure and message.capacity_success:
        found.add((at, "capacity_success"), ErrorReason.CONTRADICTION, "capacity was had, or it was not")
    if not (message.capacity_failure or message.capacity_success or interruptions or hours_run):
        found.add(
            at, ErrorReason.FIELD_REQUIRED, "nothing happened: report a failure, a success, interruptions or hours"
        )
    if pattern.cloud is None or pattern.option is None:
        return None
    return Outcome(
        cloud=pattern.cloud,
        region=pattern.region,
        zone=pattern.zone,
        instance_type=pattern.instance_type,
        option=_REPORTED.get(pattern.option, pattern.option),
        event_time=event_time,
        capacity_failure=message.capacity_failure,
        capacity_success=message.capacity_success,
        interruptions=interruptions,
        hours_run=hours_run,
        family=vocabulary.family_of(pattern.cloud, pattern.instance_type),
    )


def check_batch(message: pb.BatchPlaceRequest, cap: int) -> None:
    """Refuse a batch that is empty, too large, or whose items name another parent.

    Raises:
        InvalidArgumentError: naming the field.

    """
    found = Violations()
    if not message.requests:
        found.add("requests", ErrorReason.FIELD_REQUIRED, "give at least one")
    if bounds.few(found, "requests", len(message.requests), cap):
        for index, item in enumerate(message.requests):
            if item.parent and item.parent != message.parent:
                found.add(f"requests[{index}].parent", ErrorReason.CONTRADICTION, "must be empty or the batch's parent")
    found.check()


def missing_tags(required: frozenset[str], query: PlaceQuery) -> None:
    """Refuse a request that lacks tags which policy asks for.

    Raises:
        InvalidArgumentError: naming the tags.

    """
    given = {key for key, _ in query.workload.tags}
    lacking = sorted(required - given)
    if lacking:
        why = f"policy asks for the tags {', '.join(lacking)}"
        raise InvalidArgumentError([Violation("workload.tags", ErrorReason.POLICY_VIOLATED, why)])
