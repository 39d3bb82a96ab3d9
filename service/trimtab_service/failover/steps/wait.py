"""Wait."""

from dataclasses import dataclass

from trimtab_service.domain.failover import Wait
from trimtab_service.failover.reach import DrillReach, ProductionReach
from trimtab_service.failover.steps.call import Call, Effect


@dataclass(frozen=True, slots=True)
class WaitStep:
    """The time counts from the first begin, whoever goes on."""

    action: Wait

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Wait."""
        return self.rehearse(call, reach.harmless)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """The same."""
        del reach
        duration_s = self.action.duration.total_seconds()
        passed_s = (call.clock() - call.step.begin_time).total_seconds() if call.step.begin_time else 0.0
        # A clock set meanwhile changes nothing; one behind the database's, or set back, does not prolong it.
        call.hold.wait(duration_s - min(max(passed_s, 0.0), duration_s))
        return Effect(f"waited {duration_s:g} s")

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Nothing was done."""
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")
