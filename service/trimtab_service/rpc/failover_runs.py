"""The runs of the failover service: started, followed, steered, approved, handed over as evidence."""

from collections.abc import Callable, Iterator
from typing import Final

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.errors import FailedPreconditionError, InvalidArgumentError, Violation
from trimtab_service.domain.failover import RunKind, RunMode
from trimtab_service.domain.reasons import ErrorReason, RunRefusal
from trimtab_service.failover.admission import StartRequest
from trimtab_service.failover.chain import Link
from trimtab_service.failover.documents import plan_bytes
from trimtab_service.failover.evidence import evidence_of
from trimtab_service.failover.run import Command, Decision, Run, Steering, Trigger
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.failover_evaluation import PlanEvaluator, Sides
from trimtab_service.rpc.failover_health import FailoverHealth
from trimtab_service.rpc.failover_keys import key_of, sequence_of, token_of
from trimtab_service.rpc.failover_measures import FailoverMeasures
from trimtab_service.rpc.failover_run_encoder import encode_comparison, encode_event, encode_run
from trimtab_service.rpc.failover_vocabulary import COMMAND_OF, KIND_OF, MODE_OF
from trimtab_service.rpc.failover_way import check_way
from trimtab_service.rpc.fields import Violations
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.pages import ListRequest

_PAGE: Final = 500
_WATCH_S: Final = 0.1
_TEXT: Final = 1_000
_WITH_STEP: Final = frozenset({Command.RETRY_STEP, Command.SKIP_STEP})
_WITH_REASON: Final = frozenset({Command.SKIP_STEP, Command.ABORT})


class FailoverRuns:
    """Answers from the store; a worker of some process carries the runs out."""

    def __init__(  # noqa: PLR0913 - its collaborators, each a seam for a test
        self,
        plans: FailoverPlanStore,
        runs: FailoverRunStore,
        evaluator: PlanEvaluator,
        health: FailoverHealth,
        measures: FailoverMeasures,
        *,
        wake: Callable[[], None],
    ) -> None:
        """`wake` tells the worker of this process that there may be something to do."""
        self._plans = plans
        self._runs = runs
        self._evaluator = evaluator
        self._health = health
        self._measures = measures
        self._wake = wake

    def start_failover(self, request: pb.StartFailoverRequest, call: Call) -> pb.FailoverRun:
        """Take it in, durably; what the latest evaluation holds against it needs a reason to be overridden."""
        project, own = names.failover_plan(request.name)
        key = key_of(request, call, required=True)
        found = Violations()
        reason = bounds.text(found, "override_reason", request.override_reason, _TEXT)
        for field in ("from_side", "to_side"):
            if not getattr(request, field):
                found.add(field, ErrorReason.FIELD_REQUIRED, "name a side")
        for field, known in (("kind", KIND_OF), ("mode", MODE_OF)):
            if getattr(request, field) not in {0, *known}:
                # What a newer client means is not known here: it is never taken for a run that moves traffic.
                found.add(field, ErrorReason.UNKNOWN_VALUE, "is not known to this service")
        found.check()
        kind = KIND_OF.get(request.kind, RunKind.ACTIVATE)
        mode = MODE_OF.get(request.mode, RunMode.GRACEFUL)
        stored = self._plans.get(project, own)
        sides = Sides(request.from_side, request.to_side, mode, kind)
        evaluation = self._evaluator.before_start(stored, sides)
        asked = StartRequest(
            project=project,
            plan_id=own,
            from_side=request.from_side,
            to_side=request.to_side,
            started_by=call.principal.subject,
            kind=kind,
            mode=mode,
            # An exercise gives way to a real event, whoever asked for it.
            trigger=Trigger.DRILL if kind is RunKind.DRILL else Trigger.MANUAL,
            etag=request.etag,
            errors=evaluation.errors,
            findings=evaluation.record,
            override_reason=reason,
            healthy_sides=self._health.healthy_sides(stored.plan),
            # Looked at where it matters only: its name server may be slow, and a failover waits for nobody.
            active_side=self._health.active_side(stored.plan) if kind is RunKind.DEACTIVATE else "",
        )
        try:
            run = self._runs.start(asked, key, call.time_remaining())
        except FailedPreconditionError as refusal:
            # Here and not before: the same request again is answered as it was, whatever the plan has become.
            if refusal.metadata.get("refusal") == RunRefusal.UNKNOWN_SIDE.name:
                check_way(stored.plan, asked.from_side, asked.to_side, found)
                found.check()
            raise
        self._wake()
        return encode_run(run)

    def get_failover_run(self, request: pb.GetFailoverRunRequest, call: Call) -> pb.FailoverRun:
        """One."""
        del call
        run = self._runs.get(*names.failover_run(request.name))
        message = encode_run(run)
        comparison = self._measures.with_last_drill(run)
        if comparison is not None:
            message.last_drill.CopyFrom(encode_comparison(comparison))
        return message

    def list_failover_runs(self, request: pb.ListFailoverRunsRequest, call: Call) -> pb.ListFailoverRunsResponse:
        """A page, newest first."""
        project = names.project_id(request.parent)
        asked = ListRequest(call.method, request.parent, request.filter, request.page_size, request.page_token)
        page = self._runs.list(project, asked)
        return pb.ListFailoverRunsResponse(
            failover_runs=[encode_run(run) for run in page.items], next_page_token=page.next_page_token
        )

    def watch_failover_run(self, request: pb.WatchFailoverRunRequest, call: Call) -> Iterator[pb.FailoverRunEvent]:
        """Every event once, in order; with the last one at hand the run as it stands."""
        project, own = names.failover_run(request.name)
        after = sequence_of(request.resume_token)
        while True:
            # Read before the events: when it is over, no event comes after those that are read now.
            run = self._runs.get(project, own)
            links = self._runs.events(project, own, after, _PAGE)
            for link in links:
                after = link.sequence
                event = encode_event(link, token_of(after))
                if link is links[-1] and len(links) < _PAGE:
                    event.failover_run.CopyFrom(encode_run(run))
                yield event
            if len(links) == _PAGE:
                call.check()
            elif run.state.is_over or not call.wait(_WATCH_S):
                return

    def steer_failover_run(self, request: pb.SteerFailoverRunRequest, call: Call) -> pb.FailoverRun:
        """Do as a person says."""
        project, own = names.failover_run(request.name)
        said = _steering(request, call.principal.subject)
        run = self._runs.steer(project, own, said, key_of(request, call), call.time_remaining())
        self._wake()
        return encode_run(run)

    def decide_failover_step(self, request: pb.DecideFailoverStepRequest, call: Call) -> pb.FailoverRun:
        """Approve or reject."""
        project, own = names.failover_run(request.name)
        found = Violations()
        for field in ("step_id", "plan_hash"):
            if not getattr(request, field):
                found.add(field, ErrorReason.FIELD_REQUIRED, "say which was seen")
        comment = bounds.text(found, "comment", request.comment, _TEXT)
        found.check()
        said = Decision(request.step_id, request.plan_hash, request.approved, call.principal.subject, comment)
        run = self._runs.decide(project, own, said, key_of(request, call), call.time_remaining())
        self._wake()
        return encode_run(run)

    def export_failover_evidence(self, request: pb.ExportFailoverEvidenceRequest, call: Call) -> pb.FailoverEvidence:
        """The chain, with the plan as run and the figures that follow."""
        project, own = names.failover_run(request.name)
        run = self._runs.get(project, own)
        stored = self._plans.version(project, run.plan_id, run.plan_revision)
        evidence = evidence_of(run, stored.plan, plan_bytes(stored.plan), self._chain(run, call))
        return pb.FailoverEvidence(
            evidence_json=evidence.document, report_html=evidence.report_html, chain_hash=evidence.chain_hash
        )

    def _chain(self, run: Run, call: Call) -> list[Link]:
        chain: list[Link] = []
        while True:
            call.check()
            page = self._runs.events(run.project, run.run_id, len(chain), _PAGE)
            chain += page
            if len(page) < _PAGE:
                return chain


def _steering(request: pb.SteerFailoverRunRequest, actor: str) -> Steering:
    found = Violations()
    command = COMMAND_OF.get(request.command)
    if command is None:
        found.add("command", ErrorReason.FIELD_REQUIRED, "say what")
    if command in _WITH_STEP and not request.step_id:
        found.add("step_id", ErrorReason.FIELD_REQUIRED, "say which step")
    if command in _WITH_REASON and not request.reason:
        found.add("reason", ErrorReason.FIELD_REQUIRED, "say why")
    mode = MODE_OF.get(request.mode)
    if command is Command.SWITCH_MODE and mode is None:
        found.add("mode", ErrorReason.FIELD_REQUIRED, "say which mode")
    reason = bounds.text(found, "reason", request.reason, _TEXT)
    found.check()
    if command is None:
        raise InvalidArgumentError([Violation("command", ErrorReason.FIELD_REQUIRED, "say what")])
    return Steering(command, actor, request.step_id, mode, reason)
