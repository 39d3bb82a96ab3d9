"""Switching a name under its fence: one way for all providers that compare it in the same change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import Observers
from trimtab_service.clouds.dns.shares import Shares, shares_after
from trimtab_service.clouds.patience import PassingFault, refused, source_failed
from trimtab_service.domain.failover import Side
from trimtab_service.failover.fence import Fence, mark_of
from trimtab_service.failover.ports import Fencing, Traffic

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
_REFUSALS: Final = 3
"""So often a provider may refuse a change while the fence stands still; then it is not the fence that it refuses."""

DEFAULT_TTL: Final = timedelta(seconds=60)
"""Of a name that does not exist yet."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a provider holds of a name. `raw` is the provider's own, so that a change can name it exactly."""

    shares: Shares
    ttl: timedelta
    fence: Fence
    raw: object = None


class ComparedError(Exception):
    """The change was refused as a whole, and nothing is changed: what it was based on does not hold. Safe to show."""


class Records(Protocol):
    """A name at its provider."""

    def read(self, deadline: datetime) -> Held:
        """As the provider holds it. Reads the fence before, or together with, what it guards.

        Raises UnavailableError (SOURCE_FAILED), FailedPreconditionError.
        """
        ...

    def commit(self, held: Held, shares: Shares, ttl: timedelta, fence: Fence, deadline: datetime) -> None:
        """Set shares, TTL and fence in one change that the provider makes only if its fence is still `held.fence`.

        Raises ComparedError, PassingFault where the outcome is not known, UnavailableError (SOURCE_FAILED),
        FailedPreconditionError.
        """
        ...


@dataclass(frozen=True, slots=True)
class FencedName:
    """Implements `failover.ports.TrafficTarget`. The change is atomic at the provider, so no clock matters.

    What came of a change that got no answer is read before it is repeated, and a repetition is refused by the fence
    should the first have arrived late.
    """

    name: SwitchedName
    records: Records
    observers: Observers

    @property
    def fencing(self) -> Fencing:
        """The provider compares the token in the same change."""
        return Fencing.STRONG

    def observe(self, deadline: datetime) -> Traffic:
        """As the provider holds it; where a name server answers with a side that has no share there, as is answered."""
        held = self.records.read(deadline)
        seen = [self.name.sides_of(one.values) for one in self.observers.answers(self.name, deadline)]
        if all(side in self.name.values and held.shares[side] > 0 for sides in seen for side in sides):
            return _traffic(held)
        told = [sides for sides in seen if sides]
        mean = {side: sum(1 / len(one) for one in told if side in one) / len(told) for side in held.shares}
        return _traffic(Held(mean, held.ttl, held.fence))

    def switch(self, side: Side, weight: float, token: int, key: str, deadline: datetime) -> Traffic:
        """As the port says. Raises UnavailableError (SOURCE_FAILED) also where name servers do not come to show it."""
        held = self._changed(
            lambda held: (shares_after(held.shares, side.side_id, weight), held.ttl),
            Fence(token, mark_of(key, "switch", side.side_id, weight)),
            deadline,
        )
        self._until(lambda: self._shows(held.shares, deadline), deadline)
        return _traffic(held)

    def set_ttl(self, ttl: timedelta, token: int, key: str, deadline: datetime) -> None:
        """As the port says. Raises FailedPreconditionError for a name that does not exist."""
        if ttl.total_seconds() < 1:
            raise refused("a TTL is at least one second")

        def wanted(held: Held) -> tuple[Shares, timedelta]:
            if not any(held.shares.values()):
                raise refused(f"{self.name.name} has no {self.name.record_type} record whose TTL could be set")
            return held.shares, ttl

        self._changed(wanted, Fence(token, mark_of(key, "ttl", ttl.total_seconds())), deadline)

    def _changed(self, wanted: Callable[[Held], tuple[Shares, timedelta]], fence: Fence, deadline: datetime) -> Held:
        pause, refusals, last = _FIRST_PAUSE_S, 0, Fence()
        while True:
            held = self.records.read(deadline)
            held.fence.admit(fence.token, self.name.name)
            shares, ttl = wanted(held)
            if held.fence == fence and _equal(held.shares, shares) and held.ttl == ttl:
                return held
            try:
                self.records.commit(held, shares, ttl, fence, deadline)
            except ComparedError as error:
                refusals = refusals + 1 if held.fence == last else 1
                if refusals >= _REFUSALS:
                    raise refused(f"{self.name.name}: {error}") from error
                last = held.fence
            except PassingFault as fault:
                if pause >= self.observers.patience.remaining_s(deadline):
                    raise source_failed(f"{self.name.name}: {fault}; whether it was changed is not known") from fault
            else:
                return Held(shares, ttl, fence)
            pause = self._paused(pause, deadline)

    def _shows(self, shares: Shares, deadline: datetime) -> bool:
        """Whether every name server that answers does so with nothing but sides that have a share."""
        seen = [self.name.sides_of(one.values) for one in self.observers.answers(self.name, deadline)]
        return all(sides and all(shares[side] > 0 for side in sides) for sides in seen)

    def _until(self, holds: Callable[[], bool], deadline: datetime) -> None:
        pause = _FIRST_PAUSE_S
        while not holds():
            if pause >= self.observers.patience.remaining_s(deadline):
                raise source_failed(f"{self.name.name} is changed, but not every name server shows it yet")
            pause = self._paused(pause, deadline)

    def _paused(self, pause: float, deadline: datetime) -> float:
        self.observers.patience.sleep(min(pause, self.observers.patience.remaining_s(deadline)))
        return min(2 * pause, _LONGEST_PAUSE_S)


def _equal(one: Shares, other: Shares) -> bool:
    """Within what providers round to."""
    return all(abs(one[side] - other[side]) <= 0.005 for side in one)  # noqa: PLR2004 - half a per cent


def _traffic(held: Held) -> Traffic:
    shares: Mapping[str, float] = held.shares
    return Traffic(tuple(sorted(shares.items())), held.fence.token, held.ttl)
