"""Methods of `FailoverService`."""

from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import partial

import grpc

from trimtab.calls import Caller, follow, fresh_request_id, walk_pages
from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1.failover_service_pb2_grpc import FailoverServiceStub

_PATH = "/trimtab.v1.FailoverService/"


class Failover:
    """Plans, runs, health and evidence. Every method raises `trimtab.errors.CallError` when it fails.

    Plans and runs are named by their resource name or their id. Changes are made once: without a `request_id` each
    call has a fresh one, so that retries of the transport repeat nothing.
    """

    __slots__ = ("_caller", "_stub")

    def __init__(self, channel: grpc.Channel, caller: Caller) -> None:
        self._stub = FailoverServiceStub(channel)
        self._caller = caller

    def create_failover_plan(
        self, plan_id: str, plan: pb.FailoverPlan, *, request_id: str = "", timeout: float | None = None
    ) -> pb.FailoverPlan:
        """Add a plan; one with errors is kept too."""
        request = pb.CreateFailoverPlanRequest(
            parent=self._caller.parent(),
            failover_plan_id=plan_id,
            failover_plan=plan,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.CreateFailoverPlan, _PATH + "CreateFailoverPlan", request, timeout)

    def get_failover_plan(self, name: str, *, timeout: float | None = None) -> pb.FailoverPlan:
        """Read a plan, with the findings of its latest evaluation."""
        request = pb.GetFailoverPlanRequest(name=self._plan(name))
        return self._caller.unary(self._stub.GetFailoverPlan, _PATH + "GetFailoverPlan", request, timeout)

    def list_failover_plans(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.FailoverPlan]:
        """The project's plans, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListFailoverPlansRequest(parent=self._caller.parent(), filter=where, page_size=page_size)
        return walk_pages(
            partial(self.list_failover_plans_page, timeout=timeout), request, lambda page: page.failover_plans
        )

    def list_failover_plans_page(
        self, request: pb.ListFailoverPlansRequest, *, timeout: float | None = None
    ) -> pb.ListFailoverPlansResponse:
        """One page."""
        return self._caller.unary(self._stub.ListFailoverPlans, _PATH + "ListFailoverPlans", request, timeout)

    def update_failover_plan(
        self, plan: pb.FailoverPlan, *, request_id: str = "", timeout: float | None = None
    ) -> pb.FailoverPlan:
        """Change a plan. Its etag, when given, must be the current one."""
        request = pb.UpdateFailoverPlanRequest(failover_plan=plan, request_id=request_id or fresh_request_id())
        request.failover_plan.name = self._plan(plan.name)
        return self._caller.unary(self._stub.UpdateFailoverPlan, _PATH + "UpdateFailoverPlan", request, timeout)

    def delete_failover_plan(
        self, name: str, *, etag: str = "", request_id: str = "", timeout: float | None = None
    ) -> None:
        """Delete a plan that no run uses."""
        request = pb.DeleteFailoverPlanRequest(
            name=self._plan(name), etag=etag, request_id=request_id or fresh_request_id()
        )
        self._caller.unary(self._stub.DeleteFailoverPlan, _PATH + "DeleteFailoverPlan", request, timeout)

    def evaluate_failover_plan(  # noqa: PLR0913 - the fields of its request
        self,
        plan: str | pb.FailoverPlan,
        *,
        from_side: str = "",
        to_side: str = "",
        kind: "pb.FailoverRun.Kind.ValueType" = pb.FailoverRun.KIND_ACTIVATE,
        mode: "pb.FailoverRun.Mode.ValueType" = pb.FailoverRun.MODE_GRACEFUL,
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> pb.PlanEvaluation:
        """Evaluate a stored plan (by name) or the whole of one that is not stored. Changes nothing."""
        message = pb.FailoverPlan(name=self._plan(plan)) if isinstance(plan, str) else plan
        request = pb.EvaluateFailoverPlanRequest(
            parent=self._caller.parent(),
            failover_plan=message,
            from_side=from_side,
            to_side=to_side,
            dry_run=dry_run,
            kind=kind,
            mode=mode,
        )
        return self._caller.unary(self._stub.EvaluateFailoverPlan, _PATH + "EvaluateFailoverPlan", request, timeout)

    def start_failover(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        from_side: str,
        to_side: str,
        *,
        kind: "pb.FailoverRun.Kind.ValueType" = pb.FailoverRun.KIND_ACTIVATE,
        mode: "pb.FailoverRun.Mode.ValueType" = pb.FailoverRun.MODE_GRACEFUL,
        etag: str = "",
        override_reason: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.FailoverRun:
        """Start a run, durably. Give the same `request_id` to ask again."""
        request = pb.StartFailoverRequest(
            name=self._plan(name),
            kind=kind,
            mode=mode,
            from_side=from_side,
            to_side=to_side,
            etag=etag,
            override_reason=override_reason,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.StartFailover, _PATH + "StartFailover", request, timeout)

    def get_failover_run(self, name: str, *, timeout: float | None = None) -> pb.FailoverRun:
        """Read a run."""
        request = pb.GetFailoverRunRequest(name=self._run(name))
        return self._caller.unary(self._stub.GetFailoverRun, _PATH + "GetFailoverRun", request, timeout)

    def list_failover_runs(
        self, *, where: str = "", page_size: int = 0, timeout: float | None = None
    ) -> Iterator[pb.FailoverRun]:
        """The project's runs, newest first, asked for page by page. `where` is an AIP-160 filter."""
        request = pb.ListFailoverRunsRequest(parent=self._caller.parent(), filter=where, page_size=page_size)
        return walk_pages(
            partial(self.list_failover_runs_page, timeout=timeout), request, lambda page: page.failover_runs
        )

    def list_failover_runs_page(
        self, request: pb.ListFailoverRunsRequest, *, timeout: float | None = None
    ) -> pb.ListFailoverRunsResponse:
        """One page."""
        return self._caller.unary(self._stub.ListFailoverRuns, _PATH + "ListFailoverRuns", request, timeout)

    def watch_failover_run(
        self, name: str, *, resume_token: str = "", timeout: float | None = None
    ) -> Iterator[pb.FailoverRunEvent]:
        """Every event of a run to its end, over as many connections as it takes. A token goes on after its event."""

        def stream(token: str, left: float | None) -> Generator[pb.FailoverRunEvent, None, None]:
            request = pb.WatchFailoverRunRequest(name=self._run(name), resume_token=token)
            return self._caller.stream(self._stub.WatchFailoverRun, _PATH + "WatchFailoverRun", request, left)

        return follow(stream, resume_token, timeout)

    def steer_failover_run(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        command: "pb.SteerFailoverRunRequest.Command.ValueType",
        *,
        step_id: str = "",
        mode: "pb.FailoverRun.Mode.ValueType" = pb.FailoverRun.MODE_UNSPECIFIED,
        reason: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.FailoverRun:
        """Pause, resume, retry or skip a step, switch the mode, abort."""
        request = pb.SteerFailoverRunRequest(
            name=self._run(name),
            command=command,
            step_id=step_id,
            mode=mode,
            reason=reason,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.SteerFailoverRun, _PATH + "SteerFailoverRun", request, timeout)

    def decide_failover_step(  # noqa: PLR0913 - the fields of its request
        self,
        name: str,
        step_id: str,
        plan_hash: str,
        *,
        approved: bool,
        comment: str = "",
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.FailoverRun:
        """Approve or reject a step that waits; `plan_hash` is of the plan that was seen."""
        request = pb.DecideFailoverStepRequest(
            name=self._run(name),
            step_id=step_id,
            plan_hash=plan_hash,
            approved=approved,
            comment=comment,
            request_id=request_id or fresh_request_id(),
        )
        return self._caller.unary(self._stub.DecideFailoverStep, _PATH + "DecideFailoverStep", request, timeout)

    def report_health(
        self,
        name: str,
        observer_id: str,
        sides: Mapping[str, bool] | Iterable[pb.SideReport],
        *,
        request_id: str = "",
        timeout: float | None = None,
    ) -> pb.ServiceHealth:
        """Say what an observer saw of each side: `{"virginia": False, "iowa": True}`."""
        request = pb.ReportHealthRequest(
            name=self._plan(name), observer_id=observer_id, request_id=request_id or fresh_request_id()
        )
        if isinstance(sides, Mapping):
            sides = [pb.SideReport(side_id=side, is_healthy=well) for side, well in sides.items()]
        request.sides.extend(sides)
        return self._caller.unary(self._stub.ReportHealth, _PATH + "ReportHealth", request, timeout).health

    def check_service_health(self, name: str, *, timeout: float | None = None) -> pb.ServiceHealth:
        """How a service stands by its observers, and what would be done."""
        request = pb.CheckServiceHealthRequest(name=self._plan(name))
        return self._caller.unary(self._stub.CheckServiceHealth, _PATH + "CheckServiceHealth", request, timeout)

    def export_failover_evidence(self, name: str, *, timeout: float | None = None) -> pb.FailoverEvidence:
        """The evidence of a run; `trimtab.evidence.verify_evidence` checks it without a server."""
        request = pb.ExportFailoverEvidenceRequest(name=self._run(name))
        path = _PATH + "ExportFailoverEvidence"
        return self._caller.unary(self._stub.ExportFailoverEvidence, path, request, timeout)

    def export_runbook(self, name: str, *, timeout: float | None = None) -> str:
        """A plan as Markdown with the present fencing tokens, for the hour when the database is gone."""
        request = pb.ExportRunbookRequest(name=self._plan(name))
        return self._caller.unary(self._stub.ExportRunbook, _PATH + "ExportRunbook", request, timeout).markdown

    def advise_dr_strategy(self, request: pb.AdviseDrStrategyRequest, *, timeout: float | None = None) -> pb.DrAdvice:
        """Which strategies meet the targets, and what each costs."""
        whole = pb.AdviseDrStrategyRequest()
        whole.CopyFrom(request)
        whole.parent = self._caller.parent(request.parent)
        return self._caller.unary(self._stub.AdviseDrStrategy, _PATH + "AdviseDrStrategy", whole, timeout)

    def _plan(self, name: str) -> str:
        return self._caller.name("failoverPlans", name)

    def _run(self, name: str) -> str:
        return self._caller.name("failoverRuns", name)
