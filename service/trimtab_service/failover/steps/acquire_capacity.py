"""Get capacity from the first of several groups that gives enough."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.failover import AcquireCapacity
from trimtab_service.failover.ports import CapacityTarget
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.shares import share_of
from trimtab_service.failover.steps.call import Call, Effect
from trimtab_service.failover.steps.scaling import fill, filled, noted_number, put_back

_GIVE_BACK_WITHIN: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class AcquireCapacityStep:
    """Each target has an equal part of the time that is left. One that falls short is given back."""

    action: AcquireCapacity

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Ask in order."""
        return self.rehearse(call, reach.harmless)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """The same."""
        # Whoever names a share takes part of what is asked for, in either mode: capacity is what there is.
        enough = share_of(self.action.count, self.action.minimum_share)
        memo = call.note(self._before(call, reach))
        shortfalls: list[str] = []
        silent: list[str] = []
        for place, name in enumerate(self.action.targets):
            target = reach.capacity(name)
            left = call.step_deadline - call.clock()
            until = call.clock() + left / (len(self.action.targets) - place)
            try:
                state = fill(replace(call, step_deadline=until), target, self.action.count, enough)
                why = "too few in time"
            except FailedPreconditionError as refusal:
                shortfalls.append(f"{name}: {refusal.message}")
                continue  # a group that refuses has taken nothing
            except UnavailableError as fault:
                state, why = None, fault.message
            if state is not None:
                return _told(filled(name, state, self.action.count), silent)
            shortfalls.append(f"{name}: {why}")
            if name in memo and not _given_back(call, target, name, memo[name]):
                silent.append(name)
        raise StepFailedError("; ".join(shortfalls))

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """As many as before; in an ungraceful run they stay, for traffic may need them."""
        if call.is_ungraceful:
            return Effect("left as it is, traffic may need it")
        return self.undo_rehearsal(call, reach.harmless)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """As many as before, everywhere."""
        details = [
            put_back(call, reach.capacity(name), name, noted_number(before, "number from before")).detail
            for name, before in call.step.memo.items()
        ]
        return Effect("; ".join(details) or "nothing was asked for")

    def _before(self, call: Call, reach: DrillReach) -> dict[str, object]:
        call.hold.check()
        before: dict[str, object] = {}
        for name in self.action.targets:
            try:
                before[name] = reach.capacity(name).observe(call.deadline).desired
            except UnavailableError:
                continue  # it is left out of what is put back: how many it had is not known
        return before


def _given_back(call: Call, target: CapacityTarget, name: str, before: object) -> bool:
    """Whether it has as many as before: asked for no longer than a moment, for the next group is waited for."""
    soon = min(call.step_deadline, call.clock() + _GIVE_BACK_WITHIN)
    try:
        put_back(replace(call, step_deadline=soon), target, name, noted_number(before, "number from before"))
    except (FailedPreconditionError, UnavailableError):
        return False
    return True


def _told(effect: Effect, silent: Sequence[str]) -> Effect:
    """With the groups that a person has to look after."""
    left = [f"{name} did not answer, and may keep what was asked of it" for name in silent]
    return replace(effect, detail="; ".join((effect.detail, *left)), is_exception=effect.is_exception or bool(left))
