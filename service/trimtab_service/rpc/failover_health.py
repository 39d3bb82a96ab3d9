"""What observers say of a service, the verdict that follows, and the run that it may start by itself."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    PermissionDeniedError,
    TrimtabError,
    Violation,
)
from trimtab_service.domain.failover import FailoverPlan, RunMode, SwitchTraffic
from trimtab_service.domain.reasons import ErrorReason, HealthReason
from trimtab_service.failover.admission import Load, ServiceRecord, StartRequest, admit
from trimtab_service.failover.detection import Observed, Report, ServiceHealth, judge, may_start_alone
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.run import Trigger
from trimtab_service.failover.watching import Seen, Watch
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.failover_evaluation import PlanEvaluator, Sides
from trimtab_service.rpc.failover_keys import key_of
from trimtab_service.rpc.failover_vocabulary import VERDICT_CODE
from trimtab_service.rpc.fields import Violations
from trimtab_service.store.failover_plans import FailoverPlanStore, StoredPlan
from trimtab_service.store.failover_reports import FailoverReportStore
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.idempotency import RequestKey

DETECTION: Final = "detection"
"""Who started a run that no person asked for."""

_LOOK_FOR: Final = timedelta(seconds=2)
_SEEN_FOR: Final = timedelta(seconds=5)
_AHEAD: Final = timedelta(seconds=5)
"""How far an observer's clock may be ahead."""

_LOG: Final = structlog.get_logger("trimtab.failover")


@dataclass(frozen=True, slots=True)
class _Seen:
    side: str
    time: datetime


@dataclass(frozen=True, slots=True)
class _Begun:
    """A run by name, or why there is none; both empty: none was due."""

    run: str = ""
    refusal: str = ""


class FailoverHealth:
    """Takes reports and judges by all of them."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        plans: FailoverPlanStore,
        runs: FailoverRunStore,
        reports: FailoverReportStore,
        evaluator: PlanEvaluator,
        targets: Targets,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._plans = plans
        self._runs = runs
        self._reports = reports
        self._evaluator = evaluator
        self._targets = targets
        self._clock = clock
        self._wake: Callable[[], None] | None = None
        self._seen: dict[str, _Seen] = {}
        self._told: dict[str, str] = {}

    def call_on_start(self, wake: Callable[[], None]) -> None:
        """Name whom to tell of a run that was started; the one who carries runs out asks this object as well."""
        self._wake = wake

    def report_health(self, request: pb.ReportHealthRequest, call: Call) -> pb.ReportHealthResponse:
        """Take a report; an automatic plan starts a run when a quorum says so."""
        stored = self._plans.get(*names.failover_plan(request.name))
        report = self._report(request, stored.plan)
        _check_reporter(stored.plan, report.observer_id, call.principal.subject)
        health, begun = self._take(stored, report, key_of(request, call), call.time_remaining())
        return pb.ReportHealthResponse(health=_encode(health, begun))

    def observe(self, seen: Seen) -> None:
        """Take what a probe of the service itself has seen, for every plan of its service that knows the observer.

        It counts as a report of that observer would. Raises UnavailableError when the database does not answer.
        """
        watch = seen.watch
        key = RequestKey(watch.project, "probe", "", b"")
        report = Report(watch.observer_id, seen.time, ((watch.side_id, seen.is_healthy),))
        for stored in self._plans.of_service(watch.project, watch.service_id):
            if _is_observed_by(stored.plan, watch):
                self._take(stored, report, key, None)

    def _take(
        self, stored: StoredPlan, report: Report, key: RequestKey, timeout_s: float | None
    ) -> tuple[ServiceHealth, _Begun]:
        observed = self._reports.take(stored.plan, report, key, timeout_s)
        health = self._judge(stored.plan, observed)
        if may_start_alone(stored.plan, health):
            return health, self._started(stored, health)
        # The next outage is told again, also where the same thing is in its way.
        self._told.pop(stored.plan.name, None)
        return health, _Begun()

    def check_service_health(self, request: pb.CheckServiceHealthRequest, call: Call) -> pb.ServiceHealth:
        """How it stands."""
        del call
        stored = self._plans.get(*names.failover_plan(request.name))
        plan = stored.plan
        health = self._judge(plan, self._reports.read(plan))
        record = self._runs.service(plan.project, plan.service_id)
        if record.live is not None:
            return _encode(health, _Begun(f"projects/{plan.project}/failoverRuns/{record.live.run_id}"))
        return _encode(health, _Begun(refusal=self._refusal(stored, health, record)))

    def healthy_sides(self, plan: FailoverPlan) -> frozenset[str] | None:
        """Sides that a quorum sees well; None where too few observe to say."""
        if not plan.detection.observers:
            return None
        health = self._judge(plan, self._reports.read(plan))
        if HealthReason.TOO_FEW_OBSERVERS in health.reasons:
            return None
        return frozenset(side.side_id for side in health.sides if side.is_well)

    def judged(self, plan: FailoverPlan, side_id: str) -> ServiceHealth | None:
        """The verdict for traffic that is at the side, whatever is known of where it is."""
        return judge(plan, self._reports.read(plan), side_id, self._clock())

    def _judge(self, plan: FailoverPlan, observed: Observed) -> ServiceHealth:
        return judge(plan, observed, self.active_side(plan), self._clock())

    def active_side(self, plan: FailoverPlan) -> str:
        """As the last run confirmed it; before the first one, as the target itself says."""
        known = self._runs.service(plan.project, plan.service_id).active_side
        if known:
            return known
        now = self._clock()
        seen = self._seen.get(plan.name)
        if seen is None or not timedelta() <= now - seen.time < _SEEN_FOR:
            # A name server that does not answer has not moved the traffic.
            side = self._look(plan, now + _LOOK_FOR) or ("" if seen is None else seen.side)
            seen = self._seen[plan.name] = _Seen(side, now)
        return seen.side

    def _look(self, plan: FailoverPlan, deadline: datetime) -> str:
        for step in plan.activate.steps:
            if isinstance(step.action, SwitchTraffic):
                target = self._targets.traffic(plan.project, step.action.target)
                try:
                    weights = target.observe(deadline).weights if target is not None else ()
                except TrimtabError:
                    continue
                if weights:
                    return max(weights, key=lambda one: one[1])[0]
        return ""

    def _started(self, stored: StoredPlan, health: ServiceHealth) -> _Begun:
        """The run that was started, or that is under way; else what the rules say against one."""
        plan = stored.plan
        to_side = health.candidates[0]
        record = self._runs.service(plan.project, plan.service_id)
        if record.live is not None and record.live.trigger is not Trigger.DRILL:
            return _Begun(f"projects/{plan.project}/failoverRuns/{record.live.run_id}")
        asked = self._asked(stored, health)
        # One id for one outage as seen from this state of the service: processes that decide together start one run.
        since = f"{record.token}/{record.end_time}"
        own = uuid.uuid5(uuid.NAMESPACE_URL, f"{plan.name}/{stored.etag}/{since}/{to_side}")
        key = RequestKey(plan.project, "detection", str(own), own.bytes)
        try:
            run = self._runs.start(asked, key)
        except FailedPreconditionError as refusal:
            self._tell(plan, refusal.message)
            return _Begun(refusal.metadata.get("failover_run", ""), refusal.message)
        self._told.pop(plan.name, None)
        if self._wake is not None:
            self._wake()
        return _Begun(run.name)

    def _asked(self, stored: StoredPlan, health: ServiceHealth) -> StartRequest:
        plan, to_side = stored.plan, health.candidates[0]
        evaluation = self._evaluator.before_start(stored, Sides(health.active_side, to_side, RunMode.UNGRACEFUL))
        return StartRequest(
            project=plan.project,
            plan_id=plan.plan_id,
            from_side=health.active_side,
            to_side=to_side,
            started_by=DETECTION,
            mode=RunMode.UNGRACEFUL,
            trigger=Trigger.AUTOMATIC,
            errors=evaluation.errors,
            findings=evaluation.record,
            healthy_sides=frozenset(side.side_id for side in health.sides if side.is_well),
        )

    def _refusal(self, stored: StoredPlan, health: ServiceHealth, record: ServiceRecord) -> str:
        """What a run by itself would be refused for, whatever else is under way in the deployment."""
        if not may_start_alone(stored.plan, health):
            return ""
        try:
            admit(self._asked(stored, health), stored.plan, record, Load(0, 1), self._clock())
        except FailedPreconditionError as refusal:
            return refusal.message
        return ""

    def _tell(self, plan: FailoverPlan, refusal: str) -> None:
        """Once, and not with every report of an outage."""
        if self._told.get(plan.name) != refusal:
            self._told[plan.name] = refusal
            _LOG.warning("failover_not_started", plan=plan.name, cause=refusal)

    def _report(self, request: pb.ReportHealthRequest, plan: FailoverPlan) -> Report:
        found = Violations()
        now = self._clock()
        at = bounds.instant(found, "observe_time", request.observe_time) if request.HasField("observe_time") else now
        if at is not None and at > now + _AHEAD:
            found.add("observe_time", ErrorReason.OUT_OF_RANGE, "lies in the future")
        if all(one.observer_id != request.observer_id for one in plan.detection.observers):
            found.add("observer_id", ErrorReason.UNKNOWN_VALUE, "is no observer of the plan")
        known = {side.side_id for side in plan.sides}
        told = [side.side_id for side in request.sides]
        if not told:
            found.add("sides", ErrorReason.FIELD_REQUIRED, "say what was seen")
        elif len(told) != len(set(told)) or not set(told) <= known:
            found.add("sides", ErrorReason.CONTRADICTION, "each side of the plan, once at most")
        found.check()
        if at is None:
            raise InvalidArgumentError([Violation("observe_time", ErrorReason.BAD_FORMAT, "is no time")])
        return Report(request.observer_id, min(at, now), tuple((one.side_id, one.is_healthy) for one in request.sides))


def _check_reporter(plan: FailoverPlan, observer_id: str, subject: str) -> None:
    """Raises PermissionDeniedError when the plan names somebody else as the one who reports for the observer."""
    for one in plan.detection.observers:
        if one.observer_id == observer_id and one.reporter not in {"", subject}:
            raise PermissionDeniedError(
                ErrorReason.NOT_THE_REPORTER,
                f"the plan lets another credential than {subject} report for {observer_id}",
                metadata={"observer": observer_id, "subject": subject},
            )


def _is_observed_by(plan: FailoverPlan, watch: Watch) -> bool:
    """Whether the plan has the side, and knows the observer where the probe says that it stands."""
    knows = any(one.observer_id == watch.observer_id and one.cloud is watch.cloud for one in plan.detection.observers)
    return knows and any(side.side_id == watch.side_id for side in plan.sides)


def _encode(health: ServiceHealth, begun: _Begun) -> pb.ServiceHealth:
    return pb.ServiceHealth(
        sides=[
            pb.SideHealth(
                side_id=side.side_id, down_votes=side.down_votes, well_votes=side.well_votes, is_down=side.is_down
            )
            for side in health.sides
        ],
        active_side=health.active_side,
        verdict=VERDICT_CODE[health.verdict],
        reasons=[reason.name for reason in health.reasons],
        failover_run=begun.run,
        refusal=begun.refusal,
    )
