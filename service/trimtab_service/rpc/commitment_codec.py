"""Commitments: contract to domain and back."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from trimtab.v1 import commitment_service_pb2 as pb
from trimtab_service.domain.accelerators import UnknownAccelerator, read_model
from trimtab_service.domain.commitments import HOURS_OF_WEEK, Commitment, CommitmentKind
from trimtab_service.domain.coverage import RESERVATIONS
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import (
    CLOUD_CODE,
    CLOUD_OF,
    Vocabulary,
    money_of_nanos,
    suggestion,
    timestamp_of,
)
from trimtab_service.store.resources import Resource

KINDS: Final = {getattr(pb.Commitment, f"KIND_{kind.name}"): kind for kind in CommitmentKind}
KIND_CODES: Final = {kind: code for code, kind in KINDS.items()}
_SPEND_KINDS: Final = frozenset(
    {
        CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN,
        CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN,
        CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN,
        CommitmentKind.GCP_FLEXIBLE_CUD,
        CommitmentKind.AZURE_SAVINGS_PLAN,
    }
)
_NOT_ONE: Final = 0.999_999
_MAX_AMOUNT: Final = 1e6
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
"""Stands for a time that is at fault, so that the rest is still checked."""


def parse_commitment(  # noqa: PLR0913, PLR0917 - the message, its name, and where it stands in the request
    message: pb.Commitment, project: str, commitment_id: str, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> Commitment | None:
    """The commitment, or None when a field that nothing else can stand in for is at fault."""
    kind = KINDS.get(message.kind)
    cloud = CLOUD_OF.get(message.cloud)
    if kind is None:
        found.add((at, "kind"), ErrorReason.FIELD_REQUIRED, "say what was bought")
    if cloud is None:
        found.add((at, "cloud"), ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
    if kind is None or cloud is None:
        return None
    if not kind.value.startswith(cloud.value):
        found.add((at, "cloud"), ErrorReason.CONTRADICTION, f"{kind.value} is not sold by {cloud.value}")
    _check_amount(message, kind, found, at)
    _check_place(message, cloud, vocabulary, found, at)
    times = _times(message, found, at)
    resources = message.resources
    commitment = Commitment(
        project=project,
        commitment_id=commitment_id,
        kind=kind,
        cloud=cloud,
        start_time=times[0] if times else _NEVER,
        end_time=times[1] if times else _NEVER,
        region=message.region,
        zone=bounds.text(found, (at, "zone"), message.zone, 64),
        instance_type=bounds.text(found, (at, "instance_type"), message.instance_type),
        family=bounds.text(found, (at, "family"), message.family),
        instances=bounds.number(found, (at, "instances"), message.instances, _MAX_AMOUNT),
        spend_nanos_per_hour=bounds.nanos(found, (at, "spend_per_hour"), message.spend_per_hour, positive=True)
        if message.HasField("spend_per_hour")
        else 0,
        vcpus=bounds.number(found, (at, "resources.vcpus"), resources.vcpus, _MAX_AMOUNT),
        memory_gib=bounds.number(found, (at, "resources.memory_gib"), resources.memory_gib, 1e9),
        gpu_model=_gpu_model(resources.gpu_model, vocabulary, found, (at, "resources.gpu_model")),
        gpus=bounds.number(found, (at, "resources.gpus"), resources.gpus, _MAX_AMOUNT),
        in_use_fraction=bounds.number(found, (at, "in_use_fraction"), message.in_use_fraction, 1.0),
        discount_fraction=bounds.number(found, (at, "discount_fraction"), message.discount_fraction, _NOT_ONE),
        size_flexible=message.size_flexible,
        used_by_hour_of_week=_used_by_hour(message, found, at),
        price_nanos_per_hour=bounds.nanos(found, (at, "price_per_hour"), message.price_per_hour)
        if message.HasField("price_per_hour")
        else 0,
    )
    return _with_type_facts(commitment, vocabulary)


def _with_type_facts(commitment: Commitment, vocabulary: Vocabulary) -> Commitment:
    """A reservation takes over family and vCPUs of its type from the catalogue: size flexibility goes by them."""
    snapshot = vocabulary.snapshot
    known = snapshot.type_index.get((commitment.cloud, commitment.instance_type))
    if commitment.kind not in RESERVATIONS or known is None:
        return commitment
    family = commitment.family or snapshot.families[int(snapshot.types.family[known])]
    return replace(commitment, family=family, vcpus=float(snapshot.types.vcpus[known]))


def _times(message: pb.Commitment, found: Violations, at: FieldPath) -> tuple[datetime, datetime] | None:
    start = bounds.instant(found, (at, "start_time"), message.start_time)
    end = bounds.instant(found, (at, "end_time"), message.end_time)
    if start is None or end is None:
        return None
    for field in ("start_time", "end_time"):
        if not message.HasField(field):
            found.add((at, f"{field}"), ErrorReason.FIELD_REQUIRED, "say when")
    if message.HasField("start_time") and message.HasField("end_time") and end <= start:
        found.add((at, "end_time"), ErrorReason.CONTRADICTION, "is not after start_time")
    return start, end


def _used_by_hour(message: pb.Commitment, found: Violations, at: FieldPath) -> tuple[float, ...]:
    shares = tuple(message.used_by_hour_of_week)
    field = (at, "used_by_hour_of_week")
    if len(shares) not in {0, HOURS_OF_WEEK}:
        found.add(field, ErrorReason.OUT_OF_RANGE, f"has {HOURS_OF_WEEK} values, one an hour of the week, or none")
        return ()
    if any(not 0.0 <= share <= 1.0 for share in shares):
        found.add(field, ErrorReason.OUT_OF_RANGE, "shares are from 0 to 1")
        return ()
    return shares


def _check_amount(message: pb.Commitment, kind: CommitmentKind, found: Violations, at: FieldPath) -> None:
    """The amount must be of the kind's own currency, and above zero."""
    given = message.WhichOneof("amount")
    wanted = "instances"
    if kind in _SPEND_KINDS:
        wanted = "spend_per_hour"
    elif kind is CommitmentKind.GCP_RESOURCE_CUD:
        wanted = "resources"
    if given != wanted:
        reason = ErrorReason.CONTRADICTION if given else ErrorReason.FIELD_REQUIRED
        found.add((at, f"{wanted}"), reason, f"{kind.value} commits to {wanted}")
    elif wanted == "instances" and not message.instances > 0:
        found.add((at, "instances"), ErrorReason.OUT_OF_RANGE, "must be above 0")
    elif wanted == "resources":
        resources = message.resources
        if not (resources.vcpus > 0 or resources.memory_gib > 0 or resources.gpus > 0):
            found.add((at, "resources"), ErrorReason.FIELD_REQUIRED, "commit to vcpus, memory_gib or gpus")
        if (resources.gpus > 0) != bool(resources.gpu_model):
            found.add((at, "resources.gpu_model"), ErrorReason.CONTRADICTION, "gpus and gpu_model go together")
    if wanted == "spend_per_hour" and not message.discount_fraction > 0:
        found.add((at, "discount_fraction"), ErrorReason.FIELD_REQUIRED, "say which discount the spend buys at")
    if wanted == "instances" and not message.instance_type:
        found.add((at, "instance_type"), ErrorReason.FIELD_REQUIRED, "a reservation is of an instance type")


def _check_place(
    message: pb.Commitment, cloud: Cloud, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> None:
    code = CLOUD_CODE[cloud]
    if message.region and vocabulary.region(code, message.region) is None:
        near = vocabulary.nearest_regions(code, message.region[:64])
        why = f"{cloud} has no region {message.region[:64]!r}{near}"
        found.add((at, "region"), ErrorReason.UNKNOWN_VALUE, why)
    if message.zone and not message.region:
        found.add((at, "region"), ErrorReason.FIELD_REQUIRED, "a zone lies in a region")
    if message.family and message.family not in vocabulary.families:
        near = suggestion(message.family, vocabulary.families)
        found.add((at, "family"), ErrorReason.UNKNOWN_VALUE, f"not in the catalogue: {message.family[:64]!r}{near}")


def _gpu_model(name: str, vocabulary: Vocabulary, found: Violations, field: FieldPath) -> str:
    if not name:
        return ""
    reading = read_model(name[:64], also_known=vocabulary.gpu_models)
    if isinstance(reading, UnknownAccelerator) or reading.is_ambiguous:
        found.add(field, ErrorReason.UNKNOWN_VALUE, "must name one GPU model, with its memory")
        return ""
    return reading.models[0]


def encode_commitment(commitment: Commitment, stored: Resource, reserved_fraction: float = 0.0) -> pb.Commitment:
    """The message of a stored commitment."""
    message = pb.Commitment(
        name=commitment.name,
        etag=stored.etag,
        create_time=timestamp_of(stored.create_time),
        update_time=timestamp_of(stored.update_time),
        kind=KIND_CODES[commitment.kind],
        cloud=CLOUD_CODE[commitment.cloud],
        region=commitment.region,
        zone=commitment.zone,
        instance_type=commitment.instance_type,
        family=commitment.family,
        start_time=timestamp_of(commitment.start_time),
        end_time=timestamp_of(commitment.end_time),
        in_use_fraction=commitment.in_use_fraction,
        discount_fraction=commitment.discount_fraction,
        size_flexible=commitment.size_flexible,
        reserved_fraction=reserved_fraction,
        used_by_hour_of_week=commitment.used_by_hour_of_week,
    )
    if commitment.kind in _SPEND_KINDS:
        message.spend_per_hour.CopyFrom(money_of_nanos(commitment.spend_nanos_per_hour))
    elif commitment.kind is CommitmentKind.GCP_RESOURCE_CUD:
        message.resources.CopyFrom(
            pb.CommittedResources(
                vcpus=commitment.vcpus,
                memory_gib=commitment.memory_gib,
                gpu_model=commitment.gpu_model,
                gpus=commitment.gpus,
            )
        )
    else:
        message.instances = commitment.instances
    if commitment.price_nanos_per_hour:
        message.price_per_hour.CopyFrom(money_of_nanos(commitment.price_nanos_per_hour))
    if commitment.ended_time is not None:
        message.ended_time.CopyFrom(timestamp_of(commitment.ended_time))
    return message
