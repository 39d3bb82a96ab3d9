"""Room that is left in owned commitments and quotas, and how far it covers a placement.

Coverage is counted in thousandths of an instance: a savings plan, or a reservation of another size, may pay for
part of one. All is integer arithmetic, rounded against the caller: no room is ever given twice.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from trimtab_service.domain.commitments import MILLI, Commitment, CommitmentKind, Draw
from trimtab_service.domain.coverage import GPUS, OfferFacts, draw_milli, in_scope, needs
from trimtab_service.placement.draw_ledger import DrawLedger
from trimtab_service.placement.owned import NO_SCOPES, Owned, OwnedIndex, OwnedRoom, Scopes
from trimtab_service.placement.shards import ShardedMap


class Coverage(NamedTuple):
    """How far owned room covers a gang: `instances` of it, by `commitments` (names, in billing order).

    `draws` is what `reserve` has to draw. `zones` are those of the zonal reservations among them: the covered
    instances have to run there.
    """

    instances_milli: int
    commitments: tuple[str, ...]
    draws: tuple[Draw, ...]
    zones: tuple[str, ...] = ()

    @property
    def instances(self) -> float:
        """Covered instances."""
        return self.instances_milli / MILLI


_HOUR: Final = timedelta(hours=1)
NOT_COVERED: Final = Coverage(0, (), ())


@dataclass(frozen=True, slots=True, eq=False)
class Rooms:
    """A project's commitments with what is drawn from them and from its quotas. Immutable."""

    commitments: ShardedMap[str, Commitment] = field(default_factory=ShardedMap)
    ledger: DrawLedger = field(default_factory=DrawLedger)
    _index: list[OwnedIndex] = field(default_factory=list)
    """At most one, made when first asked for and shared by every `Rooms` of the same commitments."""

    @property
    def has_commitments(self) -> bool:
        """Whether any commitment is owned, active or not."""
        return bool(len(self.commitments))

    def scopes(self, instant: datetime) -> Scopes:
        """Which offers the commitments active at `instant` may cover; the same object while they are the same."""
        return self.owned().scopes(instant) if len(self.commitments) else NO_SCOPES

    def steady_until(self, instant: datetime) -> datetime:
        """Until when the commitments that are active at `instant`, and what others use of them, stay the same."""
        until = self.scopes(instant).until
        if any(owned.commitment.used_by_hour_of_week for owned in self.owned().all):
            until = min(until, instant.replace(minute=0, second=0, microsecond=0) + _HOUR)
        return until

    def cover(self, facts: OfferFacts, count: int, instant: datetime) -> Coverage:
        """How far the room left at `instant` covers `count` instances of an offer; `NOT_COVERED` when not at all.

        Commitments are applied in their provider's order, each as far as its room goes.
        """
        if not len(self.commitments):
            return NOT_COVERED
        candidates = self.owned().candidates(facts)
        if not candidates:
            return NOT_COVERED
        active = [owned for owned in candidates if owned.from_time <= instant < owned.to_time]
        filling = _Filling(facts, count * MILLI, self.ledger, instant)
        pool = [owned for owned in active if owned.commitment.kind is CommitmentKind.GCP_RESOURCE_CUD]
        if pool:  # resource-based commitments come first in their cloud
            filling.apply_pool([owned for owned in pool if in_scope(owned.commitment, facts)])
        for owned in active:
            if filling.left <= 0:
                break
            if owned.commitment.kind is not CommitmentKind.GCP_RESOURCE_CUD:
                filling.apply(owned)
        return filling.coverage()

    def drawn_milli(self, room_key: str, instant: datetime) -> int:
        """What decisions hold of a room (a commitment's, a quota's) at `instant`."""
        return self.ledger.drawn_milli(room_key, instant)

    def left_milli(self, room_key: str, capacity_milli: int, instant: datetime) -> int:
        """What is left of a room at `instant`; never under 0."""
        return max(0, capacity_milli - self.ledger.drawn_milli(room_key, instant))

    def reserved_fraction(self, commitment_id: str, instant: datetime) -> float:
        """Largest share of one of a commitment's rooms that decisions hold at `instant`; 0 for one not owned."""
        shares = [0.0]
        for owned in self.owned().all:
            if owned.commitment.commitment_id == commitment_id:
                shares += [
                    self.ledger.drawn_milli(room.key, instant) / room.capacity_milli
                    for room in owned.rooms
                    if room.capacity_milli
                ]
        return min(1.0, max(shares))

    def owned(self) -> OwnedIndex:
        """The commitments, indexed."""
        if self._index:
            return self._index[0]
        made = OwnedIndex(commitment for _, commitment in self.commitments.items())
        self._index[:] = [made]
        return made

    def change(self, commitment_id: str, commitment: Commitment | None) -> "Rooms":
        """The rooms after a commitment came, changed, or (None) went. What is drawn stays drawn."""
        if commitment is None:
            return Rooms(self.commitments.without(commitment_id), self.ledger)
        return Rooms(self.commitments.set(commitment_id, commitment), self.ledger)

    def draw(self, decision_id: str, draws: Iterable[tuple[str, int]], expire_time: datetime, now: datetime) -> "Rooms":
        """The rooms after a decision drew amounts (milli-units) from room keys until `expire_time`."""
        return Rooms(self.commitments, self.ledger.draw(decision_id, draws, expire_time, now), self._index)

    def release(self, decision_id: str) -> "Rooms":
        """The rooms after a decision gave everything back."""
        return Rooms(self.commitments, self.ledger.release(decision_id), self._index)


class _Filling:
    """Coverage in the making: commitments are applied one after another, to what those before them left."""

    __slots__ = ("_draws", "_facts", "_instant", "_ledger", "_names", "_wanted", "_zones", "left")

    def __init__(self, facts: OfferFacts, wanted: int, ledger: DrawLedger, instant: datetime) -> None:
        self.left = wanted
        self._wanted = wanted
        self._facts = facts
        self._ledger = ledger
        self._instant = instant
        self._draws: list[Draw] = []
        self._names: list[str] = []
        self._zones: list[str] = []

    def apply(self, owned: Owned) -> None:
        """Draw from a commitment with one room."""
        commitment = owned.commitment
        per_instance = draw_milli(commitment, self._facts)
        if per_instance is None:
            return
        room = owned.rooms[0]
        taken = min(self.left, self._free(room) * MILLI // per_instance[0])
        if taken <= 0:
            return
        self._draw(room, -(-taken * per_instance[0] // MILLI), commitment.name)
        if commitment.zone and commitment.zone not in self._zones:
            self._zones.append(commitment.zone)
        self.left -= taken

    def apply_pool(self, pool: list[Owned]) -> None:
        """Draw from all resources together: an instance takes part only as far as its scarcest one allows."""
        needed = needs(self._facts)
        rooms: dict[str, list[tuple[int, OwnedRoom, str]]] = {name: [] for name in needed}
        for owned in pool:
            commitment = owned.commitment
            for room in owned.rooms:
                if room.resource in needed and (room.resource != GPUS or commitment.gpu_model == self._facts.gpu_model):
                    rooms[room.resource].append((self._free(room), room, commitment.name))
        taken = self.left if needed else 0
        for resource, amount in needed.items():
            taken = min(taken, sum(free for free, _, _ in rooms[resource]) * MILLI // amount)
        for resource, amount in needed.items():
            due = -(-taken * amount // MILLI)
            for free, room, name in rooms[resource]:
                part = min(due, free)
                if part > 0:
                    self._draw(room, part, name)
                    due -= part
        self.left -= taken

    def coverage(self) -> Coverage:
        """What has been covered."""
        if self.left == self._wanted:
            return NOT_COVERED
        return Coverage(self._wanted - self.left, tuple(self._names), tuple(self._draws), tuple(self._zones))

    def _draw(self, room: OwnedRoom, amount: int, name: str) -> None:
        self._draws.append(Draw(room.key, amount, room.capacity_at(self._instant)))
        if name not in self._names:
            self._names.append(name)

    def _free(self, room: OwnedRoom) -> int:
        return max(0, room.capacity_at(self._instant) - self._ledger.drawn_milli(room.key, self._instant))
