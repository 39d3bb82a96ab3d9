"""Make a data store the primary one."""

from dataclasses import dataclass

from trimtab_service.domain.failover import PromoteDataStore
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.steps.call import Call, Effect
from trimtab_service.failover.steps.outage import confirm_outage


@dataclass(frozen=True, slots=True)
class PromoteDataStoreStep:
    """Promotion cannot be taken back by a program: two primaries are worse than a person called."""

    action: PromoteDataStore

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Promote, and wait until it takes writes."""
        target = reach.data_store(self.action.target)
        call.hold.check()
        if target.is_primary(call.deadline):
            return Effect(f"{self.action.target} is primary")
        confirm_outage(call)
        call.note({"promoted": True})
        call.hold.check()
        target.promote(call.token, call.key, call.deadline)
        while not target.is_primary(call.deadline):
            call.next_look()
        return Effect(f"{self.action.target} was promoted")

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """Look at it."""
        call.hold.check()
        primary = reach.data_store(self.action.target).is_primary(call.deadline)
        return Effect(f"{self.action.target} {'is primary' if primary else 'would be promoted'}")

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Nothing, when it was not promoted here; else a person must."""
        del reach
        if not call.step.memo:
            return Effect("it was not promoted by this run")
        raise StepFailedError(f"{self.action.target} was promoted; which copy counts now is a person's decision")

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")
