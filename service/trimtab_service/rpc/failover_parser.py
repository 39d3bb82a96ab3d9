"""Parses failover plans: every fault of a message at once."""

import re
from collections.abc import Sequence
from dataclasses import fields
from datetime import timedelta
from ipaddress import ip_network
from typing import Final

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import (
    Detection,
    DrillSchedule,
    FailoverPlan,
    Observer,
    PlanDependencies,
    SafetyRules,
    Side,
    TimeWindow,
)
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.failover_step_parser import StepParser
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import CLOUD_OF

MAX_STEPS: Final = 500
_LEAST_SIDES: Final = 2
_MAX_SIDES: Final = 8
_MAX_BLOCKS: Final = 64
_MAX_WINDOWS: Final = 64
_MAX_OBSERVERS: Final = 64
_MAX_SUBJECT: Final = 256
_MAX_IN_A_ROW: Final = 1_000
_SERVICE: Final = re.compile(r"[a-z0-9-]{1,128}\Z")
_TEXT: Final = 1_000
_DEFAULT_COOLDOWN: Final = timedelta(minutes=60)
_DEFAULT_TTL: Final = timedelta(seconds=30)
_YEAR_S: Final = 366 * 86_400.0
_LEAST_EVERY: Final = timedelta(hours=1)


def parse_plan(message: pb.FailoverPlan, project: str, plan_id: str, at: str = "failover_plan") -> FailoverPlan:
    """The plan. Raises InvalidArgumentError with every fault."""
    found = Violations()
    steps = StepParser(project, found)
    sides = _sides(message, found, at)
    activate = steps.workflow(message.activate, (at, "activate"))
    if not message.activate.stages:
        found.add((at, "activate"), ErrorReason.FIELD_REQUIRED, "say what makes a side active")
    deactivate = steps.workflow(message.deactivate, (at, "deactivate"))
    post_recovery = steps.workflow(message.post_recovery, (at, "post_recovery"))
    if steps.count > MAX_STEPS:
        found.add((at, "activate"), ErrorReason.TOO_LARGE, f"the plan has {steps.count} steps; at most {MAX_STEPS}")
    plan = FailoverPlan(
        project=project,
        plan_id=plan_id,
        service_id=_service(message.service_id, found, at),
        sides=sides,
        activate=activate,
        deactivate=deactivate,
        post_recovery=post_recovery,
        rto_target=steps.length(message.rto_target, (at, "rto_target")) if message.HasField("rto_target") else None,
        rpo_target=steps.length(message.rpo_target, (at, "rpo_target")) if message.HasField("rpo_target") else None,
        safety=_safety(message.safety, steps, found, (at, "safety"), len(sides)),
        detection=_detection(message.detection, steps, found, (at, "detection")),
        drills=_drills(message.drills, steps, found, (at, "drills")),
        description=bounds.text(found, (at, "description"), message.description, _TEXT),
        dependencies=_dependencies(message.dependencies, found, (at, "dependencies")),
    )
    found.check()
    return plan


def _service(value: str, found: Violations, at: str) -> str:
    if not _SERVICE.match(value):
        reason = ErrorReason.BAD_FORMAT if value else ErrorReason.FIELD_REQUIRED
        found.add((at, "service_id"), reason, "must be 1 to 128 of a-z, 0-9 and -")
    return value


def _sides(message: pb.FailoverPlan, found: Violations, at: str) -> tuple[Side, ...]:
    if not _LEAST_SIDES <= len(message.sides) <= _MAX_SIDES:
        reason = ErrorReason.TOO_LARGE if message.sides else ErrorReason.FIELD_REQUIRED
        found.add((at, "sides"), reason, f"give {_LEAST_SIDES} to {_MAX_SIDES} sides")
        return ()
    sides: list[Side] = []
    for place, side in enumerate(message.sides):
        where = (at, f"sides[{place}]")
        with found.gather():
            names.resource_id(side.side_id, f"{at}.sides[{place}].side_id")
        if any(one.side_id == side.side_id for one in sides):
            found.add((where, "side_id"), ErrorReason.CONTRADICTION, "is the id of another side")
        cloud = CLOUD_OF.get(side.cloud)
        if cloud is None:
            found.add((where, "cloud"), ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
        if not side.region:
            found.add((where, "region"), ErrorReason.FIELD_REQUIRED, "name a region")
        region = bounds.text(found, (where, "region"), side.region, 64)
        # Where it is missing that is noted, and of the plan nothing is made.
        sides.append(Side(side.side_id, cloud or Cloud.AWS, region, _blocks(side, found, where)))
    return tuple(sides)


def _blocks(side: pb.Side, found: Violations, at: FieldPath) -> tuple[str, ...]:
    if not bounds.few(found, (at, "cidr_blocks"), len(side.cidr_blocks), _MAX_BLOCKS):
        return ()
    for place, block in enumerate(side.cidr_blocks):
        try:
            ip_network(block)
        except ValueError:
            why = f"not a CIDR block: {block[:64]!r} (as 10.0.0.0/16, without bits set past the prefix)"
            found.add((at, f"cidr_blocks[{place}]"), ErrorReason.BAD_FORMAT, why)
    return tuple(side.cidr_blocks)


def _safety(message: pb.SafetyRules, steps: StepParser, found: Violations, at: FieldPath, sides: int) -> SafetyRules:
    healthy = int(bounds.number(found, (at, "minimum_healthy_sides"), message.minimum_healthy_sides, _MAX_SIDES)) or 1
    if sides and healthy > sides:
        found.add((at, "minimum_healthy_sides"), ErrorReason.CONTRADICTION, f"the plan has {sides} sides")
    cooldown = _DEFAULT_COOLDOWN
    if message.HasField("cooldown"):
        cooldown = steps.length(message.cooldown, (at, "cooldown"))
    windows = _windows(message.freeze_windows, found, (at, "freeze_windows"))
    return SafetyRules(healthy, message.disabled, cooldown, windows)


def _detection(message: pb.Detection, steps: StepParser, found: Violations, at: FieldPath) -> Detection:
    observers: list[Observer] = []
    if bounds.few(found, (at, "observers"), len(message.observers), _MAX_OBSERVERS):
        for place, one in enumerate(message.observers):
            cloud = CLOUD_OF.get(one.cloud)
            where = (at, f"observers[{place}]")
            if cloud is None:
                found.add((where, "cloud"), ErrorReason.FIELD_REQUIRED, "say where it stands")
            if not one.observer_id or any(other.observer_id == one.observer_id for other in observers):
                found.add((where, "observer_id"), ErrorReason.CONTRADICTION, "must be given, and of no other")
            observer_id = bounds.text(found, (where, "observer_id"), one.observer_id, 128)
            reporter = bounds.text(found, (where, "reporter"), one.reporter, _MAX_SUBJECT)
            observers.append(Observer(observer_id, cloud or Cloud.AWS, reporter))
    ttl = steps.length(message.report_ttl, (at, "report_ttl"), 3_600.0)
    return Detection(
        observers=tuple(observers),
        quorum=int(bounds.number(found, (at, "quorum"), message.quorum, _MAX_OBSERVERS)),
        failures=int(bounds.number(found, (at, "failures"), message.failures, _MAX_IN_A_ROW)) or 3,
        successes=int(bounds.number(found, (at, "successes"), message.successes, _MAX_IN_A_ROW)) or 10,
        report_ttl=ttl or _DEFAULT_TTL,
        automatic=message.automatic,
    )


def _drills(message: pb.DrillSchedule, steps: StepParser, found: Violations, at: FieldPath) -> DrillSchedule:
    every = steps.length(message.every, (at, "every"), _YEAR_S)
    if timedelta() < every < _LEAST_EVERY:
        found.add((at, "every"), ErrorReason.OUT_OF_RANGE, "an hour is the least: an exercise acquires real capacity")
    return DrillSchedule(
        every=every or None,
        allowed_windows=_windows(message.allowed_windows, found, (at, "allowed_windows")),
        blocked_windows=_windows(message.blocked_windows, found, (at, "blocked_windows")),
    )


def _dependencies(message: pb.PlanDependencies, found: Violations, at: FieldPath) -> PlanDependencies:
    codes = {field.name: getattr(message, field.name) for field in fields(PlanDependencies)}
    for name, code in codes.items():
        if code not in {0, *CLOUD_OF}:
            found.add((at, name), ErrorReason.UNKNOWN_VALUE, "not a cloud")
    return PlanDependencies(**{name: CLOUD_OF.get(code) for name, code in codes.items()})


def _windows(messages: Sequence[pb.FreezeWindow], found: Violations, at: FieldPath) -> tuple[TimeWindow, ...]:
    if not bounds.few(found, at, len(messages), _MAX_WINDOWS):
        return ()
    windows: list[TimeWindow] = []
    for place, one in enumerate(messages):
        where = (at, f"[{place}]")
        start = bounds.instant(found, (where, "start_time"), one.start_time)
        end = bounds.instant(found, (where, "end_time"), one.end_time)
        if start is None or end is None:
            continue
        if end <= start:
            found.add((where, "end_time"), ErrorReason.CONTRADICTION, "is not after start_time")
        windows.append(TimeWindow(start, end))
    return tuple(windows)
