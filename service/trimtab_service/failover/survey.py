"""What a plan's targets are and how they stand: read once, then reasoned on without touching them again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.failover import (
    AcquireCapacity,
    Action,
    CheckWatermark,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    Step,
    SwitchTraffic,
)
from trimtab_service.failover.ports import CAUSE, PERMISSION, CapacityState, Fencing, Targets, Traffic
from trimtab_service.failover.side_by_side import answered


class TargetKind(StrEnum):
    """What a target is for."""

    TRAFFIC = "traffic"
    CAPACITY = "capacity"
    DATA_STORE = "data_store"
    REPLICATION = "replication"
    PROBE = "probe"
    NOTIFIER = "notifier"


@dataclass(frozen=True, slots=True)
class TargetRef:
    """A target by kind and the name that plans use."""

    kind: TargetKind
    name: str


Standing = Traffic | CapacityState | bool | datetime | None
"""Traffic, capacity, whether a data store is primary, the watermark of a replica; None: nothing is known."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one target stands. `is_known`: it is configured; `fault`: why it was not read; `cloud`: empty for none.

    `is_denied`: the fault is that the service lacks a permission.
    """

    is_known: bool
    standing: Standing = None
    cloud: str = ""
    fault: str = ""
    fencing: Fencing = Fencing.NONE
    is_denied: bool = False


Survey = Mapping[TargetRef, Reading]
"""Every target of some steps."""


def targets_of(action: Action) -> tuple[TargetRef, ...]:  # noqa: PLR0911 - one a kind of action
    """The targets that an action names; none for waits, approvals and child plans."""
    match action:
        case SwitchTraffic(target=name) | LowerTtl(target=name):
            return (TargetRef(TargetKind.TRAFFIC, name),)
        case ScaleCapacity(target=name, peak_target=peak):
            names = (name, peak) if peak else (name,)
            return tuple(TargetRef(TargetKind.CAPACITY, one) for one in names)
        case AcquireCapacity(targets=names):
            return tuple(TargetRef(TargetKind.CAPACITY, name) for name in names)
        case PromoteDataStore(target=name):
            return (TargetRef(TargetKind.DATA_STORE, name),)
        case CheckWatermark(target=name):
            return (TargetRef(TargetKind.REPLICATION, name),)
        case RunHealthCheck(probes=names):
            return tuple(TargetRef(TargetKind.PROBE, name) for name in names)
        case Notify(channel=name):
            return (TargetRef(TargetKind.NOTIFIER, name),)
        case _:
            return ()


def survey(
    steps: Iterable[Step], targets: Targets, project: str, deadline: datetime, patience_s: float = 10.0
) -> Survey:
    """Read every target of the steps once, side by side: one that hangs takes nothing from the others.

    What cannot be read, or is not read within `patience_s` (the time left to `deadline`), says so; nothing is raised.
    """
    wanted = dict.fromkeys(ref for step in steps for ref in targets_of(step.action))
    calls = {ref: partial(_read, ref, targets, project, deadline) for ref in wanted}
    read = answered(calls, patience_s)
    return {ref: read.get(ref) or _unread(ref, targets, project) for ref in wanted}


def _unread(ref: TargetRef, targets: Targets, project: str) -> Reading:
    return Reading(is_known=True, cloud=targets.cloud_of(project, ref.name), fault="it did not answer in time")


def _read(ref: TargetRef, targets: Targets, project: str, deadline: datetime) -> Reading:
    cloud = targets.cloud_of(project, ref.name)
    try:
        look = _look(ref, targets, project)
        if look is None:
            return Reading(is_known=False)
        fencing, observe = look
    except TrimtabError as error:
        return Reading(is_known=True, cloud=cloud, fault=error.message, is_denied=_is_denied(error))
    try:
        standing = observe(deadline)
    except TrimtabError as error:
        return Reading(is_known=True, cloud=cloud, fault=error.message, fencing=fencing, is_denied=_is_denied(error))
    return Reading(is_known=True, standing=standing, cloud=cloud, fencing=fencing)


def _is_denied(error: TrimtabError) -> bool:
    return error.metadata.get(CAUSE) == PERMISSION


def _look(ref: TargetRef, targets: Targets, project: str) -> tuple[Fencing, Callable[[datetime], Standing]] | None:
    """How well the target is fenced, and how it is read; None where it is not configured."""
    match ref.kind:
        case TargetKind.TRAFFIC:
            traffic = targets.traffic(project, ref.name)
            return None if traffic is None else (traffic.fencing, traffic.observe)
        case TargetKind.CAPACITY:
            group = targets.capacity(project, ref.name)
            return None if group is None else (Fencing.WEAK, group.observe)
        case TargetKind.DATA_STORE:
            store = targets.data_store(project, ref.name)
            return None if store is None else (Fencing.WEAK, store.is_primary)
        case TargetKind.REPLICATION:
            replica = targets.replication(project, ref.name)
            return None if replica is None else (Fencing.NONE, replica.watermark)
        # Probes and notifiers are only asked whether they exist: a check of a standby that is off would fail.
        case TargetKind.PROBE:
            return None if targets.probe(project, ref.name) is None else (Fencing.NONE, _nothing)
        case TargetKind.NOTIFIER:
            return None if targets.notifier(project, ref.name) is None else (Fencing.NONE, _nothing)


def _nothing(deadline: datetime) -> Standing:
    del deadline
    return None
