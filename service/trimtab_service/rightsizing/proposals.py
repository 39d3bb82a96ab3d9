"""What can be done without another type: stop, other requests, another number, other hours."""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime

from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.resources import Capacity, ResourceKind
from trimtab_service.domain.rightsizing import Action, RightsizingOption
from trimtab_service.rightsizing.candidates import Sized, sized_for
from trimtab_service.rightsizing.hours_of_week import usage_of
from trimtab_service.rightsizing.needs import Needs
from trimtab_service.rightsizing.options import Size, Teller, size_now
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.pricing import monthly_micros
from trimtab_service.rightsizing.requests import requests_of
from trimtab_service.rightsizing.selection import DISRUPTION, Standing

_UNSCHEDULED = frozenset({ResourceKind.CONTAINER, ResourceKind.TRAINING_JOB})
"""A container's node runs on without it; a training job runs when it has work."""


@dataclass(frozen=True, slots=True)
class Proposals:
    """Proposals for one resource; what is held back is counted in `rejected`."""

    present: Present
    needs: Needs
    preferences: RightsizingPreferences
    teller: Teller
    standing: Standing
    rejected: Counter[AdviceReason]

    def stop(self) -> Size:
        """Nothing is left but volumes and addresses, which are not priced here."""
        size = size_now(self.present, self.teller.sized_now, 0, 0)
        return replace(
            size,
            action=Action.STOP,
            sized=Sized(0),
            capacity=Capacity(),
            price_nanos=0,
            reasons=(AdviceReason.IDLE, *((AdviceReason.GPU_IDLE,) if self.present.gpus else ())),
        )

    def requests(self) -> list[Size]:
        """Other requests of a container, where they ask for more, or for so much less that it is worth a restart."""
        present = self.present
        asked = requests_of(present, self.needs)
        part = _request_part(present, asked.capacity)
        price = round(present.price_nanos * part)
        size = replace(
            size_now(present, asked.sized, monthly_micros(price, asked.sized.count * MILLI, self.teller.hours), 0),
            action=Action.SET_REQUESTS,
            capacity=asked.capacity,
            limits=asked.limits,
            price_nanos=price,
            reasons=() if present.price_nanos else (AdviceReason.NO_PRICE,),
        )
        return self._if_worth(size, 1.0 - part * asked.sized.count / self.standing.sized.count)

    def own_count(self) -> list[Size]:
        """Another number of instances of a type that the catalogue does not hold (a private one, a managed service)."""
        present, now = self.present, self.standing.sized.count
        needs = self.teller.needs
        asked = sized_for(present, needs, [present.has(need.dimension) or 0.0 for need in needs.of])
        if asked.count == now or (self.standing.serves and asked.count > now):
            return []
        covered = min(self.teller.present_covered, asked.count * MILLI)
        fewer = asked.count < now
        size = replace(
            size_now(
                present,
                asked,
                monthly_micros(present.price_nanos, asked.count * MILLI - covered, self.teller.hours),
                covered,
            ),
            action=Action.SCALE_IN if fewer else Action.SCALE_OUT,
            reasons=(AdviceReason.GROUP_TOO_LARGE if fewer else AdviceReason.GROUP_TOO_SMALL,),
        )
        return self._if_worth(size, 1.0 - asked.count / now)

    def schedule(self, current: RightsizingOption, rank: int, instant: datetime) -> RightsizingOption | None:
        """The present size in the hours of the week in which it is used; None where they are not told apart."""
        resource, teller = self.present.resource, self.teller
        if (
            resource.kind in _UNSCHEDULED
            or resource.autoscaling is not None
            or resource.running_hours_per_month is not None
        ):
            return None
        usage = usage_of(self.needs, self.present, instant)
        if usage is None:
            return None
        hours = teller.hours * usage.on / (usage.on + usage.off)
        count = current.count * MILLI
        cost = monthly_micros(self.present.price_nanos, count, hours)
        net = monthly_micros(self.present.price_nanos, count - teller.present_covered, hours)
        if teller.net_micros - net < max(1, self.preferences.minimum_monthly_saving_micros or 0):
            return None
        return replace(
            current,
            rank=rank,
            action=Action.SCHEDULE,
            monthly_cost_micros=cost,
            monthly_net_cost_micros=net,
            monthly_saving_micros=teller.cost_micros - cost,
            monthly_net_saving_micros=teller.net_micros - net,
            restart_needed=True,
            reasons=(AdviceReason.OFF_HOURS,),
            used_hours=usage.hours,
        )

    def _if_worth(self, size: Size, saved: float) -> list[Size]:
        """The size, if the present one does not serve; else if it saves a share that is allowed and worth it."""
        if not self.standing.serves:
            return [size]
        if saved <= 0:
            return []
        preferences = self.preferences
        if preferences.never_shrink:
            self.rejected[AdviceReason.SHRINK_FORBIDDEN] += 1
        elif self.teller.net_micros - size.net_micros < (preferences.minimum_monthly_saving_micros or 0):
            self.rejected[AdviceReason.SAVING_UNDER_FLOOR] += 1
        elif saved < (preferences.minimum_saving_to_disruption or 0.0) * float(DISRUPTION[0]):
            self.rejected[AdviceReason.NOT_WORTH_THE_DISRUPTION] += 1
        else:
            return [size]
        return []


def _request_part(present: Present, asked: Capacity) -> float:
    """What requests cost against the present ones: by their shares of the node, or else the mean of their parts.

    Without a node, which of them is dear is the node's matter, so each dimension counts alike. What is not requested
    now is left out on both sides: asking for it changes no bill.
    """
    own = present.capacity
    both = [
        (before, after if before else 0.0)
        for before, after in ((own.vcpus, asked.vcpus), (own.memory_gib, asked.memory_gib))
    ]
    if present.node_share is not None and present.price_nanos:
        known = replace(own, vcpus=both[0][1], memory_gib=both[1][1])
        return present.node_share.price_nanos(known) / present.price_nanos
    parts = [after / before for before, after in both if before and after is not None]
    return sum(parts) / len(parts) if parts else 1.0
