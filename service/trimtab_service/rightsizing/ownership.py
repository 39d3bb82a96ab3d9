"""What sizes cost net of owned commitments: covered hours cost nothing more, since the commitment is paid either way.

The room that a resource's own present size takes counts as free for its next size: it is given back by the change.
Whether `in_use_fraction` of a commitment includes this resource is not known; the present size is taken as covered as
far as the whole commitment reaches, which claims the least saving.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from trimtab_service.domain.commitments import MILLI, Commitment, CommitmentKind
from trimtab_service.domain.coverage import (
    GPUS,
    OfferFacts,
    billing_key,
    draw_milli,
    in_scope,
    needs,
    room_key,
    rooms_of,
)

Rooms = dict[str, int]
"""What is free of each room, in milli-units."""


class Ownership:
    """The commitments active at an instant, and what they leave free beside one resource."""

    __slots__ = ("_active", "_free", "_pooled", "_single", "_whole")

    def __init__(self, commitments: Iterable[Commitment], instant: datetime) -> None:
        self._active = tuple(
            sorted((commitment for commitment in commitments if commitment.is_active(instant)), key=billing_key)
        )
        pooled = CommitmentKind.GCP_RESOURCE_CUD
        self._pooled = tuple(commitment for commitment in self._active if commitment.kind is pooled)
        self._single = tuple(
            (commitment, room_key(commitment, "")) for commitment in self._active if commitment.kind is not pooled
        )
        self._whole = _rooms(tuple(replace(commitment, in_use_fraction=0.0) for commitment in self._active))
        self._free = _rooms(self._active)

    @property
    def is_empty(self) -> bool:
        """Nothing is owned."""
        return not self._active

    def present(self, facts: OfferFacts, count: int) -> int:
        """Covered thousandths of `count` instances of the present size; what they draw is free from then on."""
        rooms = dict(self._whole)
        covered = self._fill(facts, count * MILLI, rooms)
        for key, whole in self._whole.items():
            drawn = whole - rooms[key]
            self._free[key] = min(whole, max(self._free[key], drawn))
        return covered

    def option(self, facts: OfferFacts, count: int) -> int:
        """Covered thousandths of `count` instances of another size."""
        return self._fill(facts, count * MILLI, self._free.copy())

    def _fill(self, facts: OfferFacts, wanted: int, rooms: Rooms) -> int:
        left = wanted
        if self._pooled:
            pool = [commitment for commitment in self._pooled if in_scope(commitment, facts)]
            left -= _from_pool(pool, facts, left, rooms) if pool else 0
        for commitment, key in self._single:
            if left <= 0 or not rooms[key]:
                continue
            drawn = draw_milli(commitment, facts)
            if drawn is None or not drawn[0]:
                continue
            taken = min(left, rooms[key] * MILLI // drawn[0])
            rooms[key] -= -(-taken * drawn[0] // MILLI)
            left -= taken
        return wanted - left


def _rooms(commitments: Sequence[Commitment]) -> Rooms:
    return {
        room_key(commitment, room.name): room.capacity_milli
        for commitment in commitments
        for room in rooms_of(commitment)
    }


def _from_pool(pool: Sequence[Commitment], facts: OfferFacts, wanted: int, rooms: Rooms) -> int:
    """Resources together: an instance is covered only as far as the scarcest of them goes."""
    needed = needs(facts)
    keys: dict[str, list[str]] = {name: [] for name in needed}
    for commitment in pool:
        for room in rooms_of(commitment):
            if room.name in keys and (room.name != GPUS or commitment.gpu_model == facts.gpu_model):
                keys[room.name].append(room_key(commitment, room.name))
    taken = wanted if needed else 0
    for name, amount in needed.items():
        taken = min(taken, sum(rooms[key] for key in keys[name]) * MILLI // amount)
    for name, amount in needed.items():
        due = -(-taken * amount // MILLI)
        for key in keys[name]:
            part = min(due, rooms[key])
            rooms[key] -= part
            due -= part
    return taken
