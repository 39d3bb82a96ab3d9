"""What a step would do, in words: the difference of a dry run."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from trimtab_service.domain.failover import (
    AcquireCapacity,
    Approve,
    CheckWatermark,
    ChildPlan,
    FailoverPlan,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    RunKind,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Wait,
)
from trimtab_service.failover.findings import Machines, StepPreview
from trimtab_service.failover.ports import CapacityState, Fencing, Traffic
from trimtab_service.failover.step_findings import count_of
from trimtab_service.failover.survey import Reading, Survey, targets_of


@dataclass(frozen=True, slots=True)
class Look:
    """What a step is seen against: how targets stand, the run, and machines that steps before it add, by target."""

    survey: Survey
    to_side: str
    kind: RunKind
    added: Mapping[str, int]
    children: Mapping[str, FailoverPlan]


def preview(step: Step, look: Look, takes: timedelta) -> StepPreview:
    """What the step would do; it `takes` so long."""
    action = step.action
    readings = [(ref.name, look.survey[ref]) for ref in targets_of(action) if ref in look.survey]
    first = readings[0][1] if readings else Reading(is_known=False)
    child = look.children.get(action.failover_plan) if isinstance(action, ChildPlan) else None
    is_drill = look.kind is RunKind.DRILL
    after = _after(step, first, look.to_side, look.survey)
    looks = isinstance(action, CheckWatermark | RunHealthCheck | Notify)
    if is_drill and isinstance(action, SwitchTraffic | LowerTtl | PromoteDataStore):
        # An exercise sees traffic and data stores, and cannot change them.
        looks, after = True, f"unchanged; in earnest: {after}"
    # Of a scaled group the peak of another one is only read.
    peak = getattr(action, "peak_target", "")
    return StepPreview(
        step.step_id,
        "; ".join(f"{name}: {_words(reading)}" for name, reading in readings),
        after,
        takes,
        Fencing.NONE if isinstance(action, CheckWatermark | RunHealthCheck) else first.fencing,
        adds=_added(step, first, look),
        changes=() if looks else tuple(name for name, _ in readings if name != peak),
        share=0.0 if looks else _moved(step, first, look.to_side),
        is_final=isinstance(action, Notify)
        or (not is_drill and (isinstance(action, PromoteDataStore) or child is not None)),
        services=() if child is None else (child.service_id,),
    )


def _added(step: Step, reading: Reading, look: Look) -> Machines | None:
    """Machines of the first target: of several it is the one that is asked first."""
    state = reading.standing
    if not isinstance(state, CapacityState):
        return None
    match step.action:
        case ScaleCapacity(target=name) as action:
            wanted = count_of(action, state, look.survey)
        case AcquireCapacity(targets=(name, *_), count=count):
            wanted = count
        case _:
            return None
    more = wanted - state.desired - look.added.get(name, 0)
    return Machines(more, reading.cloud, state.region, state.instance_type) if more > 0 else None


def _moved(step: Step, reading: Reading, to_side: str) -> float:
    """The share of a name's traffic that a switch would move; all of it where it is not known."""
    if not isinstance(step.action, SwitchTraffic):
        return 0.0
    wanted = step.action.weight or 1.0
    if not isinstance(reading.standing, Traffic):
        return wanted
    return max(0.0, wanted - sum(share for side, share in reading.standing.weights if side == to_side))


def _after(step: Step, reading: Reading, to_side: str, survey: Survey) -> str:  # noqa: C901, PLR0911 - one a kind of action
    match step.action:
        case SwitchTraffic(weight=weight):
            return f"{to_side} gets {weight:.0%}"
        case LowerTtl(ttl=ttl):
            return f"TTL {ttl.total_seconds():g} s"
        case ScaleCapacity() as action:
            if isinstance(reading.standing, CapacityState):
                return f"{count_of(action, reading.standing, survey)} instances"
            return f"{action.count} instances" if action.count is not None else f"{action.percent_of_peak:g} % of peak"
        case AcquireCapacity(count=count, minimum_share=share):
            return f"{count} instances, {share:.0%} at least, of the first that has them"
        case PromoteDataStore():
            return "primary"
        case CheckWatermark():
            return "unchanged; goes on when it is young enough"
        case RunHealthCheck(successes=successes):
            return f"unchanged; goes on after {successes} successes in a row"
        case Wait(duration=duration):
            return f"waits {duration.total_seconds():g} s"
        case Approve():
            return "waits for an approval"
        case Notify(text=text):
            return f"tells: {text}"
        case ChildPlan(failover_plan=name):
            return f"runs {name}"


def _words(reading: Reading) -> str:  # noqa: PLR0911 - one a kind of standing
    if not reading.is_known:
        return "not configured"
    if reading.fault:
        return "could not be read"
    match reading.standing:
        case Traffic(weights=weights, token=token, ttl=ttl):
            shares = ", ".join(f"{side} {share:.0%}" for side, share in weights)
            return f"{shares or 'nowhere'} (token {token}, TTL {ttl.total_seconds():g} s)"
        case CapacityState(desired=desired, ready=ready):
            return f"{ready} of {desired} instances ready"
        case bool(primary):
            return "primary" if primary else "replica"
        case None:
            return "configured"
        case stamp:
            return f"watermark {stamp:%Y-%m-%dT%H:%M:%SZ}"
