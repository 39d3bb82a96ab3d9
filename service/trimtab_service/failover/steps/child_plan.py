"""Run another plan, one level deep."""

from dataclasses import dataclass

from trimtab_service.domain.failover import ChildPlan, RunState
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.steps.call import Call, Effect
from trimtab_service.failover.steps.outage import confirm_outage


@dataclass(frozen=True, slots=True)
class ChildPlanStep:
    """The child is a run of its own, of another service, and whoever has room carries it out."""

    action: ChildPlan

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Start it, once, and wait for its end."""
        del reach
        return self._followed(call)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """The child of a drill is a drill."""
        del reach
        return self._followed(call)

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Abort what is under way; what it has finished, a person decides."""
        del reach
        return self._aborted(call)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """A finished exercise needs no undoing."""
        del reach
        child = call.children.find(call.run, self._plan_id)
        if child is None:
            return Effect("no child run was started")
        call.children.abort(child, f"its parent {call.run.name} was aborted")
        return Effect(f"{child.name}: aborted")

    @property
    def _plan_id(self) -> str:
        return self.action.failover_plan.rsplit("/", 1)[-1]

    def _followed(self, call: Call) -> Effect:
        call.hold.check()
        if call.children.find(call.run, self._plan_id) is None:
            confirm_outage(call)
        mode = call.run.mode
        child = call.children.start(call.run, self._plan_id)
        while not child.state.is_over:
            call.next_look()
            if call.hold.mode is not mode:
                # Only what changed is passed on: a person may have switched the child alone.
                mode = call.hold.mode
                call.children.switch_mode(child, mode)
            child = call.children.get(child)
        if child.state is RunState.SUCCEEDED:
            return Effect(f"{child.name} succeeded")
        if child.state is RunState.COMPLETED_WITH_EXCEPTIONS:
            return Effect(f"{child.name} completed with exceptions", is_exception=True)
        raise StepFailedError(f"{child.name} ended as {child.state.value}: {child.reason}")

    def _aborted(self, call: Call) -> Effect:
        child = call.children.find(call.run, self._plan_id)
        if child is None:
            return Effect("no child run was started")
        if child.state in {RunState.SUCCEEDED, RunState.COMPLETED_WITH_EXCEPTIONS}:
            raise StepFailedError(f"{child.name} has finished: whether to go back is a person's decision")
        call.children.abort(child, f"its parent {call.run.name} was aborted")
        while not child.state.is_over:
            call.next_look()
            child = call.children.get(child)
        if child.state is RunState.ABORTED:
            return Effect(f"{child.name} went back to its safe state")
        raise StepFailedError(f"{child.name} ended as {child.state.value}: {child.reason}")
