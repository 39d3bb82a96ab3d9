"""Point traffic at the run's side, under the fence, and see it there."""

from dataclasses import dataclass

from trimtab_service.domain.failover import Side, SwitchTraffic
from trimtab_service.failover.ports import Fencing, Traffic, TrafficTarget
from trimtab_service.failover.reach import DrillReach, ProductionReach, StepFailedError
from trimtab_service.failover.steps.call import Call, Effect
from trimtab_service.failover.steps.outage import confirm_outage

_SHARE_STEP = 0.02
"""Weights are coarse at some providers: a share counts as reached when it is this near."""


@dataclass(frozen=True, slots=True)
class SwitchTrafficStep:
    """The target's word is not enough: the step is done when the traffic is observed at the side."""

    action: SwitchTraffic

    def run(self, call: Call, reach: ProductionReach) -> Effect:
        """Switch and observe. Refuses a side that the observers do not see well, unless that was overridden."""
        target = reach.traffic(self.action.target)
        self._shut_out(call, target)
        confirm_outage(call)
        self._refuse_unhealthy(call)
        call.hold.check()
        before = target.observe(call.deadline)
        call.note({"share_left": _share(before, call.run.from_side), "weights": dict(before.weights)})
        return self._moved(call, target, call.side(call.run.to_side), self.action.weight or 1.0, call.key)

    def rehearse(self, call: Call, reach: DrillReach) -> Effect:
        """See where traffic is; a drill has no way to move it."""
        call.hold.check()
        seen = reach.traffic(self.action.target).observe(call.deadline)
        detail = f"{self.action.target}: {_shown(seen)}; {call.run.to_side} would get {self.action.weight:g}"
        return Effect(detail, switched=True)

    def undo(self, call: Call, reach: ProductionReach) -> Effect:
        """Give the side that was left its share back; in an ungraceful run it is taken for gone, and traffic stays."""
        if not call.step.memo:
            return Effect("traffic was not moved")
        if call.is_ungraceful:
            self._shut_out(call, reach.traffic(self.action.target))
            return Effect(f"traffic stays at {call.run.to_side}: {call.run.from_side} is taken for gone")
        share = call.step.memo.get("share_left")
        weight = float(share) if isinstance(share, int | float) and share > 0 else 1.0
        target = reach.traffic(self.action.target)
        return self._moved(call, target, call.side(call.run.from_side), weight, call.undo_key)

    def undo_rehearsal(self, call: Call, reach: DrillReach) -> Effect:
        """Nothing was done."""
        del call, reach
        return Effect("nothing was changed")

    def _moved(self, call: Call, target: TrafficTarget, side: Side, weight: float, key: str) -> Effect:
        call.hold.check()
        target.switch(side, weight, call.token, key, call.deadline)
        while _share(seen := target.observe(call.deadline), side.side_id) < weight - _SHARE_STEP:
            call.next_look()
        leads = _share(seen, side.side_id) >= max(share for _, share in seen.weights)
        data = {"target": self.action.target, "weights": dict(seen.weights), "fence": seen.token}
        return Effect(f"{self.action.target}: {_shown(seen)}", switched=leads, data=data)

    def _shut_out(self, call: Call, target: TrafficTarget) -> None:
        """Raise the fence where an earlier attempt came as far as a memo: its process may yet wake up at the door.

        This attempt may be refused, or left out by a person, and would then leave the fence as that process saw it.
        """
        if not call.step.memo or target.fencing is not Fencing.STRONG:
            return
        call.hold.check()
        seen = target.observe(call.deadline)
        if any(share for _, share in seen.weights):
            target.set_ttl(seen.ttl, call.token, f"{call.key}/fence", call.deadline)

    def _refuse_unhealthy(self, call: Call) -> None:
        healthy = call.healthy_sides(call.plan)
        if healthy is None or call.run.override_reason:
            return
        if call.run.to_side not in healthy:
            raise StepFailedError(f"the observers do not see {call.run.to_side} well")
        if len(healthy) < max(1, call.plan.safety.minimum_healthy_sides):
            raise StepFailedError(f"only {len(healthy)} sides are healthy")


def _share(traffic: Traffic, side_id: str) -> float:
    return sum(share for side, share in traffic.weights if side == side_id)


def _shown(traffic: Traffic) -> str:
    return ", ".join(f"{side} {share:g}" for side, share in traffic.weights) or "nowhere"
