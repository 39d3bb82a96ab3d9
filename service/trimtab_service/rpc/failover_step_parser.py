"""Parses the workflows of a plan: stages, steps, and what each does."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import (
    AcquireCapacity,
    Action,
    Approve,
    CheckWatermark,
    ChildPlan,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Wait,
    Workflow,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.fields import FieldPath, Violations, path_text

MAX_STAGES: Final = 64
MAX_STAGE_STEPS: Final = 64
MAX_TARGETS: Final = 16
_MAX_NAME: Final = 253
_MAX_COUNT: Final = 100_000
_MAX_SUCCESSES: Final = 1_000
_WEEK_S: Final = 7 * 86_400.0
_TEXT: Final = 1_000
_DEFAULT_TIMEOUT: Final = timedelta(minutes=10)
_DEFAULT_EXPIRY: Final = timedelta(hours=1)


class StepParser:
    """Parses the steps of one plan; every fault is noted, and ids are unique over all its workflows."""

    def __init__(self, project: str, found: Violations) -> None:
        self._project = project
        self._found = found
        self._seen: set[str] = set()

    @property
    def count(self) -> int:
        """Different step ids so far."""
        return len(self._seen)

    def workflow(self, message: pb.Workflow, at: FieldPath) -> Workflow:
        """A workflow, in its order."""
        if not bounds.few(self._found, (at, "stages"), len(message.stages), MAX_STAGES):
            return Workflow()
        return Workflow(
            tuple(self._stage(stage, (at, f"stages[{place}]")) for place, stage in enumerate(message.stages))
        )

    def _stage(self, message: pb.Stage, at: FieldPath) -> tuple[Step, ...]:
        if not message.steps:
            self._found.add((at, "steps"), ErrorReason.FIELD_REQUIRED, "a stage has at least one step")
        if not bounds.few(self._found, (at, "steps"), len(message.steps), MAX_STAGE_STEPS):
            return ()
        parsed = (self._step(step, (at, f"steps[{place}]")) for place, step in enumerate(message.steps))
        return tuple(step for step in parsed if step is not None)

    def _step(self, message: pb.Step, at: FieldPath) -> Step | None:
        found = self._found
        own = self._id(message.step_id, at)
        kind = message.WhichOneof("action")
        if kind is None:
            found.add((at, "action"), ErrorReason.FIELD_REQUIRED, "say what the step does")
            return None
        action = _ACTIONS[kind](self, getattr(message, kind), (at, kind))
        expected = self.length(message.expected_duration, (at, "expected_duration"))
        return Step(
            step_id=own,
            action=action,
            description=bounds.text(found, (at, "description"), message.description, _TEXT),
            timeout=self.length(message.timeout, (at, "timeout")) or _DEFAULT_TIMEOUT,
            expected_duration=expected if message.HasField("expected_duration") else None,
            graceful_only=message.graceful_only,
        )

    def _id(self, own: str, at: FieldPath) -> str:
        with self._found.gather():
            names.resource_id(own, path_text((at, "step_id")))
        if own in self._seen:
            self._found.add((at, "step_id"), ErrorReason.CONTRADICTION, f"{own!r} is the id of another step")
        self._seen.add(own)
        return own

    def length(self, value: Duration, at: FieldPath, most_s: float = _WEEK_S) -> timedelta:
        """A duration from nothing to a week."""
        bounds.hours(self._found, at, value, most=most_s / 3_600.0)
        if not (bounds.well_formed(value) and 0 <= value.seconds <= most_s):
            return timedelta()  # noted, and past what a timedelta holds
        return timedelta(seconds=value.seconds, microseconds=value.nanos // 1_000)

    def name(self, value: str, at: FieldPath) -> str:
        """A target's name."""
        if not value:
            self._found.add(at, ErrorReason.FIELD_REQUIRED, "name a target")
        return bounds.text(self._found, at, value, _MAX_NAME)

    def _names(self, values: Any, at: FieldPath) -> tuple[str, ...]:  # noqa: ANN401 - a repeated field
        if not values:
            self._found.add(at, ErrorReason.FIELD_REQUIRED, "name at least one")
        if not bounds.few(self._found, at, len(values), MAX_TARGETS):
            return ()
        return tuple(self.name(value, (at, f"[{place}]")) for place, value in enumerate(values))

    def _share(self, value: float, at: FieldPath) -> float:
        return bounds.number(self._found, at, value, 1.0) or 1.0

    def scale(self, message: pb.ScaleCapacity, at: FieldPath) -> Action:
        """`ScaleCapacity`."""
        size = message.WhichOneof("size")
        if size is None:
            self._found.add((at, "size"), ErrorReason.FIELD_REQUIRED, "say a count, or a percentage of the peak")
        count = percent = None
        if size == "count":
            count = int(bounds.number(self._found, (at, "count"), message.count, _MAX_COUNT))
        elif size == "percent_of_peak":
            percent = bounds.number(self._found, (at, "percent_of_peak"), message.percent_of_peak, 1_000.0)
        share = self._share(message.minimum_share, (at, "minimum_share"))
        peak_target = bounds.text(self._found, (at, "peak_target"), message.peak_target, _MAX_NAME)
        if peak_target and size != "percent_of_peak":
            self._found.add((at, "peak_target"), ErrorReason.CONTRADICTION, "only with percent_of_peak")
        return ScaleCapacity(self.name(message.target, (at, "target")), count, percent, share, peak_target)

    def acquire(self, message: pb.AcquireCapacity, at: FieldPath) -> Action:
        """`AcquireCapacity`."""
        count = int(bounds.number(self._found, (at, "count"), message.count, _MAX_COUNT, least=1))
        share = self._share(message.minimum_share, (at, "minimum_share"))
        return AcquireCapacity(self._names(message.targets, (at, "targets")), count, share)

    def promote(self, message: pb.PromoteDataStore, at: FieldPath) -> Action:
        """`PromoteDataStore`."""
        return PromoteDataStore(self.name(message.target, (at, "target")))

    def watermark(self, message: pb.CheckWatermark, at: FieldPath) -> Action:
        """`CheckWatermark`."""
        age = self.length(message.max_age, (at, "max_age")) if message.HasField("max_age") else None
        return CheckWatermark(self.name(message.target, (at, "target")), age)

    def switch(self, message: pb.SwitchTraffic, at: FieldPath) -> Action:
        """`SwitchTraffic`."""
        return SwitchTraffic(self.name(message.target, (at, "target")), self._share(message.weight, (at, "weight")))

    def ttl(self, message: pb.LowerTtl, at: FieldPath) -> Action:
        """`LowerTtl`."""
        if not message.HasField("ttl"):
            self._found.add((at, "ttl"), ErrorReason.FIELD_REQUIRED, "say which")
        return LowerTtl(self.name(message.target, (at, "target")), self.length(message.ttl, (at, "ttl")))

    def health(self, message: pb.RunHealthCheck, at: FieldPath) -> Action:
        """`RunHealthCheck`."""
        successes = int(bounds.number(self._found, (at, "successes"), message.successes, _MAX_SUCCESSES)) or 3
        return RunHealthCheck(self._names(message.probes, (at, "probes")), successes)

    def wait(self, message: pb.WaitStep, at: FieldPath) -> Action:
        """`Wait`."""
        return Wait(self.length(message.duration, (at, "duration")))

    def approve(self, message: pb.ApproveStep, at: FieldPath) -> Action:
        """`Approve`."""
        expiry = self.length(message.expire_after, (at, "expire_after"))
        return Approve(expiry or _DEFAULT_EXPIRY, message.four_eyes)

    def notify(self, message: pb.NotifyStep, at: FieldPath) -> Action:
        """`Notify`."""
        if not message.text:
            self._found.add((at, "text"), ErrorReason.FIELD_REQUIRED, "say what")
        text = bounds.text(self._found, (at, "text"), message.text, _TEXT)
        return Notify(self.name(message.channel, (at, "channel")), text)

    def child(self, message: pb.ChildPlan, at: FieldPath) -> Action:
        """`ChildPlan`, of the same project."""
        with self._found.gather():
            project, _ = names.failover_plan(message.failover_plan, path_text((at, "failover_plan")))
            if project != self._project:
                self._found.add((at, "failover_plan"), ErrorReason.CONTRADICTION, "is of another project")
        return ChildPlan(message.failover_plan)


_ACTIONS: Final[Mapping[str, Callable[[StepParser, Any, FieldPath], Action]]] = {
    "scale_capacity": StepParser.scale,
    "acquire_capacity": StepParser.acquire,
    "promote_data_store": StepParser.promote,
    "check_watermark": StepParser.watermark,
    "switch_traffic": StepParser.switch,
    "lower_ttl": StepParser.ttl,
    "run_health_check": StepParser.health,
    "wait": StepParser.wait,
    "approve": StepParser.approve,
    "notify": StepParser.notify,
    "child_plan": StepParser.child,
}
