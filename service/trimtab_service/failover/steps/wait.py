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
        until = (call.step.begin_time or call.clock()) + self.action.duration
        # A clock that is set meanwhile makes it neither shorter nor longer.
        call.hold.wait(max(0.0, (until - call.clock()).total_seconds()))
        return Effect(f"waited {self.action.duration.total_seconds():g} s")

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Nothing was done."""
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")
