"""Go on only when the replica is fresh enough."""

from dataclasses import dataclass
from datetime import timedelta

from trimtab_service.domain.failover import CheckWatermark
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.steps.call import Call, Effect


@dataclass(frozen=True, slots=True)
class CheckWatermarkStep:
    """While the side that is left still answers, the replica may catch up until the step's time is over."""

    action: CheckWatermark

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Read the age, and refuse what is too old."""
        return self.rehearse(call, reach.harmless)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """The same: nothing is changed."""
        target = reach.replication(self.action.target)
        limit = self.action.max_age if self.action.max_age is not None else call.plan.rpo_target
        while True:
            call.hold.check()
            stamp = target.watermark(call.deadline)
            if stamp is None:
                raise StepFailedError(f"{self.action.target}: no canary was ever read at the copy")
            age = max(call.clock() - stamp, timedelta())
            if limit is None or age <= limit:
                return Effect(f"{self.action.target} is {age.total_seconds():.0f} s old", watermark_age=age)
            if call.is_ungraceful or call.is_late():
                old, most = age.total_seconds(), limit.total_seconds()
                raise StepFailedError(f"{self.action.target} is {old:.0f} s old, and {most:.0f} s are accepted")
            call.hold.wait(call.pace_s)

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Nothing was done."""
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")
