"""The plans of the failover service: kept, changed, evaluated, exported as a runbook."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from google.protobuf.empty_pb2 import Empty

from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import RunKind, RunMode
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.prices import machine_nanos_per_hour
from trimtab_service.failover.runbook import runbook_of
from trimtab_service.rpc import names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.failover_evaluation import PlanEvaluator, Sides
from trimtab_service.rpc.failover_keys import key_of
from trimtab_service.rpc.failover_parser import parse_plan
from trimtab_service.rpc.failover_plan_encoder import encode_evaluation, encode_plan
from trimtab_service.rpc.failover_vocabulary import KIND_OF, MODE_OF
from trimtab_service.rpc.failover_way import check_way
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.world import World
from trimtab_service.store.failover_plans import FailoverPlanStore, StoredPlan
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.pages import ListRequest


class FailoverPlans:
    """Answers from the store; a plan is evaluated as soon as it is stored."""

    def __init__(
        self,
        world: World,
        plans: FailoverPlanStore,
        runs: FailoverRunStore,
        evaluator: PlanEvaluator,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self._world = world
        self._plans = plans
        self._runs = runs
        self._evaluator = evaluator
        self._clock = clock

    def create_failover_plan(self, request: pb.CreateFailoverPlanRequest, call: Call) -> pb.FailoverPlan:
        """Add one; one with errors is kept too."""
        project = names.project_id(request.parent)
        own = names.resource_id(request.failover_plan_id, "failover_plan_id")
        plan = parse_plan(request.failover_plan, project, own)
        return self._answer(self._plans.create(plan, self._clock(), key_of(request, call), call.time_remaining()))

    def get_failover_plan(self, request: pb.GetFailoverPlanRequest, call: Call) -> pb.FailoverPlan:
        """One, with the findings of its latest evaluation."""
        del call
        return self._answer(self._plans.get(*names.failover_plan(request.name)))

    def list_failover_plans(self, request: pb.ListFailoverPlansRequest, call: Call) -> pb.ListFailoverPlansResponse:
        """A page, oldest first, without evaluations."""
        names.project_id(request.parent)
        asked = ListRequest(call.method, request.parent, request.filter, request.page_size, request.page_token)
        page = self._plans.list(asked)
        return pb.ListFailoverPlansResponse(
            failover_plans=[encode_plan(stored) for stored in page.items], next_page_token=page.next_page_token
        )

    def update_failover_plan(self, request: pb.UpdateFailoverPlanRequest, call: Call) -> pb.FailoverPlan:
        """A new version; runs keep theirs."""
        project, own = names.failover_plan(request.failover_plan.name, "failover_plan.name")
        plan = parse_plan(request.failover_plan, project, own)
        stored = self._plans.update(
            plan, request.failover_plan.etag, self._clock(), key_of(request, call), call.time_remaining()
        )
        return self._answer(stored)

    def delete_failover_plan(self, request: pb.DeleteFailoverPlanRequest, call: Call) -> Empty:
        """Remove one that no run uses."""
        project, own = names.failover_plan(request.name)
        key = key_of(request, call)
        self._plans.delete(project, own, request.etag, self._clock(), key, call.time_remaining())
        return Empty()

    def evaluate_failover_plan(self, request: pb.EvaluateFailoverPlanRequest, call: Call) -> pb.PlanEvaluation:
        """One that is stored, by its name alone, or the whole of one that is not. Its targets are read now."""
        del call
        project = names.project_id(request.parent)
        message = request.failover_plan
        if message.name and not message.HasField("activate"):
            plan = self._plans.get(*names.failover_plan(message.name, "failover_plan.name")).plan
        else:
            own = names.failover_plan(message.name, "failover_plan.name")[1] if message.name else "unnamed"
            plan = parse_plan(message, project, own)
        found = Violations()
        check_way(plan, request.from_side, request.to_side, found)
        for field, codes in (("kind", KIND_OF), ("mode", MODE_OF)):
            if getattr(request, field) not in {0, *codes}:
                found.add(field, ErrorReason.UNKNOWN_VALUE, "is not known to this service")
        found.check()
        kind = KIND_OF.get(request.kind, RunKind.ACTIVATE)
        sides = Sides(request.from_side, request.to_side, MODE_OF.get(request.mode, RunMode.GRACEFUL), kind)
        snapshot = self._world.view(project).snapshot
        evaluation = self._evaluator.of_plan(plan, sides, dry_run=request.dry_run)
        return encode_evaluation(evaluation, partial(machine_nanos_per_hour, snapshot))

    def export_runbook(self, request: pb.ExportRunbookRequest, call: Call) -> pb.Runbook:
        """What people do when nothing of this answers any more, with the tokens in force."""
        del call
        stored = self._plans.get(*names.failover_plan(request.name))
        record = self._runs.service(stored.plan.project, stored.plan.service_id)
        return pb.Runbook(markdown=runbook_of(stored.plan, stored.plan_hash, record, self._clock()))

    def _answer(self, stored: StoredPlan) -> pb.FailoverPlan:
        return encode_plan(stored, self._evaluator.of_stored(stored))
