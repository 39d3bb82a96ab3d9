"""Replications as messages."""

from datetime import datetime, timedelta
from typing import Final

from trimtab.v1 import replication_service_pb2 as pb
from trimtab_service.replication.definition import Deletes
from trimtab_service.replication.differences import Difference, Differing
from trimtab_service.replication.journal import Standing
from trimtab_service.replication.opening import Opened
from trimtab_service.replication.progress import PassState
from trimtab_service.rpc.failover_vocabulary import duration_of
from trimtab_service.rpc.vocabulary import timestamp_of

_DELETES: Final = {one: pb.Replication.Deletes.Value(f"DELETES_{one.name}") for one in Deletes}
_KINDS: Final = {one: pb.ReplicationDifference.Kind.Value(f"KIND_{one.name}") for one in Difference}


def encode_replication(project: str, opened: Opened, standing: Standing, now: datetime) -> pb.Replication:
    """How a replication stands. One that was started as something else is paused, and has no progress."""
    definition = opened.definition
    is_this = standing.definition == definition.identity
    ends = (definition.source, definition.destination)
    source, destination = ends[::-1] if is_this and standing.is_reversed else ends
    message = pb.Replication(
        name=f"projects/{project}/replications/{definition.name}",
        source=source,
        destination=destination,
        prefix=definition.prefix,
        deletes=_DELETES[definition.deletes],
        state=pb.Replication.STATE_ACTIVE if is_this and standing.is_active else pb.Replication.STATE_PAUSED,
        reversed=is_this and standing.is_reversed,
        interval=duration_of(definition.every),
        bandwidth_bytes_per_second=definition.bandwidth or 0,
        concurrency=definition.concurrency,
    )
    if definition.rpo_target is not None:
        message.rpo_target.CopyFrom(duration_of(definition.rpo_target))
    if not is_this:
        return message
    progress = standing.progress
    message.fault = progress.fault
    if standing.update_time is not None:
        message.update_time.CopyFrom(timestamp_of(standing.update_time))
    if progress.watermark is not None:
        age = age_of(progress.watermark, now)
        message.watermark_time.CopyFrom(timestamp_of(progress.watermark))
        message.age.CopyFrom(duration_of(age))
        message.within_target = definition.rpo_target is None or age <= definition.rpo_target
    for field, state in (("current_pass", progress.current), ("last_pass", progress.last)):
        if state is not None:
            getattr(message, field).CopyFrom(_pass(state))
    return message


def age_of(watermark: datetime, now: datetime) -> timedelta:
    """What would be lost at most: never negative, whatever clocks say."""
    return max(now - watermark, timedelta())


def encode_difference(one: Differing) -> pb.ReplicationDifference:
    """An object that differs."""
    message = pb.ReplicationDifference(key=one.key, kind=_KINDS[one.difference])
    if one.source_size is not None:
        message.source_bytes = one.source_size
    if one.destination_size is not None:
        message.destination_bytes = one.destination_size
    for field, time in (("source_time", one.source_time), ("destination_time", one.destination_time)):
        if time is not None:
            getattr(message, field).CopyFrom(timestamp_of(time))
    return message


def _pass(state: PassState) -> pb.ReplicationPass:
    counts = state.counts
    message = pb.ReplicationPass(
        begin_time=timestamp_of(state.begin_time),
        source_objects=state.source_objects,
        copied=counts.copied,
        same=counts.same,
        newer_at_destination=counts.newer_there,
        extra=counts.extra,
        deleted=counts.deleted,
        marked=counts.marked,
        vanished=counts.vanished,
        failed=counts.failed,
        sent_bytes=counts.sent_bytes,
        reread_bytes=counts.reread_bytes,
        failures=[pb.ReplicationFailure(key=one.key, cause=one.cause) for one in state.failures],
    )
    if state.end_time is not None:
        message.end_time.CopyFrom(timestamp_of(state.end_time))
    return message
