"""Asking a group for a number of machines, and waiting until enough are ready."""

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.failover.ports import CapacityState, CapacityTarget
from trimtab_service.failover.reach import StepFailedError
from trimtab_service.failover.shares import share_of
from trimtab_service.failover.steps.call import Call, Effect


def needed(call: Call, count: int, minimum_share: float) -> int:
    """Machines that suffice: all, and in an ungraceful run the share (0 means all)."""
    return share_of(count, minimum_share) if call.is_ungraceful else count


def fill(call: Call, target: CapacityTarget, count: int, enough: int) -> CapacityState | None:
    """Ask for `count` and wait for `enough`; None when the step's time is over first.

    Groups have no fence, so what an exercise that gave way, or a policy, takes back meanwhile is asked for again.
    """
    state = _asked(call, target, count)
    while state.ready < enough:
        if call.is_late():
            return None
        call.hold.wait(call.pace_s)
        state = target.observe(call.deadline)
        if state.desired < count:
            state = _asked(call, target, count)
    return state


def _asked(call: Call, target: CapacityTarget, count: int) -> CapacityState:
    """Ask; again where the answer was given up because the hold might have ended, and not because there is none."""
    while True:
        call.hold.check()
        begun, until = call.clock(), call.deadline
        try:
            return target.scale(count, call.token, call.key, until)
        except UnavailableError:
            if call.is_late() or call.clock() - begun < (until - begun) / 2:
                raise


def filled(name: str, state: CapacityState, count: int) -> Effect:
    """What to say about it."""
    short = state.ready < count
    detail = f"{name}: {state.ready} of {count} are ready"
    return Effect(detail, is_exception=short, data={"target": name, "asked": count, "ready": state.ready})


def put_back(call: Call, target: CapacityTarget, name: str, before: int) -> Effect:
    """Ask for as many as there were, without waiting."""
    call.hold.check()
    target.scale(before, call.token, call.undo_key, call.deadline)
    return Effect(f"{name}: {before} again", data={"target": name, "asked": before})


def noted_number(memo: object, what: str) -> int:
    """A number out of a memo."""
    if isinstance(memo, int):
        return memo
    raise StepFailedError(f"the step's memo holds no {what}")
