"""Lower a record's TTL ahead of a switch."""

from dataclasses import dataclass
from datetime import timedelta

from trimtab_service.domain.failover import LowerTtl
from trimtab_service.failover.reach import DrillReach, ProductionReach
from trimtab_service.failover.steps.call import Call, Effect


@dataclass(frozen=True, slots=True)
class LowerTtlStep:
    """Never raises it: a TTL that is lower already stays."""

    action: LowerTtl

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Set it."""
        target = reach.traffic(self.action.target)
        call.hold.check()
        ttl = target.observe(call.deadline).ttl
        if not call.step.memo and ttl <= self.action.ttl:
            return Effect(f"{self.action.target}: {ttl.total_seconds():.0f} s already")
        call.note({"ttl_s": ttl.total_seconds()})
        call.hold.check()
        target.set_ttl(self.action.ttl, call.token, call.key, call.deadline)
        return Effect(f"{self.action.target}: {self.action.ttl.total_seconds():.0f} s")

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """Look at it."""
        call.hold.check()
        ttl = reach.traffic(self.action.target).observe(call.deadline).ttl
        return Effect(f"{self.action.target}: {ttl.total_seconds():.0f} s now")

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """As it was."""
        seconds = call.step.memo.get("ttl_s")
        if not isinstance(seconds, int | float):
            return Effect("nothing was changed")
        call.hold.check()
        before = timedelta(seconds=seconds)
        reach.traffic(self.action.target).set_ttl(before, call.token, call.undo_key, call.deadline)
        return Effect(f"{self.action.target}: {seconds:.0f} s again")

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")
