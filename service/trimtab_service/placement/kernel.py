"""The compiled way through a decision, as the search calls it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from trimtab_service.domain.decisions import Decision
from trimtab_service.domain.workloads import PlaceQuery

if TYPE_CHECKING:
    from trimtab_service.domain.policy import EffectivePolicy
    from trimtab_service.placement.state import ProjectState


class Kernel(Protocol):
    """What `compiled/kernel.pyx` has."""

    def decide(
        self,
        query: PlaceQuery,
        policy: "EffectivePolicy",
        state: "ProjectState",
        instant: datetime,
        valid: timedelta,
    ) -> Decision | None:
        """The decision, without relaxations where it is infeasible; None where the engine has to look."""

    def next_spot(self, ok: bytes, learned: bytes, seen: int, k: int, end: int) -> int:
        """The first spot offer from k on, of `ok` types and of a rate that is not `seen`; -1 for none."""

    def rate_bit(self, k: int) -> int:
        """The bit of offer k's rate in `seen`."""
