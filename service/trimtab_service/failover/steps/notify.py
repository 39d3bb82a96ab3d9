"""Tell somebody."""

from dataclasses import dataclass

from trimtab_service.domain.failover import Notify
from trimtab_service.failover.reach import DrillReach, ProductionReach
from trimtab_service.failover.steps.call import Call, Effect


@dataclass(frozen=True, slots=True)
class NotifyStep:
    """Told once under its key."""

    action: Notify

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Tell."""
        return self._told(call, reach.harmless, self.action.text)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """Tell, and say that it is an exercise."""
        return self._told(call, reach, f"Drill: {self.action.text}")

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """What was said was said."""
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """The same."""
        del call, reach
        return Effect("what was said was said")

    def _told(self, call: Call, reach: DrillReach, text: str) -> Effect:
        notifier = reach.notifier(self.action.channel)
        call.hold.check()
        notifier.tell(text, call.key, call.deadline)
        return Effect(f"{self.action.channel} was told")
