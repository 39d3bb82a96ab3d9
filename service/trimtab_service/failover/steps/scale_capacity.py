"""Set the capacity of a group."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.failover import ScaleCapacity
from trimtab_service.failover.ports import CapacityState
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.shares import share_of_peak
from trimtab_service.failover.steps.call import Call, Effect
from trimtab_service.failover.steps.scaling import fill, filled, needed, noted_number, put_back

_PEAK_WITHIN: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class ScaleCapacityStep:
    """The number is noted before it is asked for: the peak may be another one once it was."""

    action: ScaleCapacity

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Scale, and wait until enough are ready."""
        return self.rehearse(call, reach.harmless)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """The same: standby capacity is what an exercise is about."""
        name = self.action.target
        target = reach.capacity(name)
        call.hold.check()
        state = target.observe(call.deadline)
        memo = call.note({"count": self._count(call, reach, state), "before": state.desired})
        count = noted_number(memo.get("count"), "count")
        reached = fill(call, target, count, needed(call, count, self.action.minimum_share))
        if reached is None:
            ready = target.observe(call.deadline).ready
            raise StepFailedError(f"{name}: only {ready} of {count} are ready in time")
        return filled(name, reached, count)

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """As many as before; in an ungraceful run they stay, for traffic may need them."""
        if call.is_ungraceful:
            return Effect(f"{self.action.target}: left as it is, traffic may need it")
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """As many as before."""
        if not call.step.memo:
            return Effect("nothing was asked for")
        before = noted_number(call.step.memo.get("before"), "number from before")
        return put_back(call, reach.capacity(self.action.target), self.action.target, before)

    def _count(self, call: Call, reach: DrillReach, state: CapacityState) -> int:
        if self.action.count is not None:
            return self.action.count
        return share_of_peak(self._peak(call, reach, state), self.action.percent_of_peak or 0.0, state.desired)

    def _peak(self, call: Call, reach: DrillReach, state: CapacityState) -> int:
        """Of the side that is left, asked for no longer than a moment; as it was last read when it is silent."""
        name = self.action.peak_target
        if not name:
            return state.peak
        try:
            return reach.capacity(name).observe(min(call.deadline, call.clock() + _PEAK_WITHIN)).peak
        except TrimtabError as error:
            known = call.known_peak(call.plan, name)
            if known is None:
                raise StepFailedError(
                    f"{name} does not answer, and its peak was never read: {error.message}"
                ) from error
            return known
