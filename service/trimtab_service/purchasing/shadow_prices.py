"""When a committed dollar is idle: hours whose shadow price is zero are where deferrable work costs nothing more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.hourly_cost import used_levels
from trimtab_service.purchasing.lower_bound import Prices
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats

_IDLE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class IdleStretch:
    """Hours [first, last) of the timeline with flexible plan money idle in each; `room` is the least per hour."""

    first: int
    last: int
    room: float


@dataclass(frozen=True, slots=True, eq=False)
class HourlyRoom:
    """`price` (H,) what one more unit of flexible plan money would have saved; `room` (H,) plan money that is idle."""

    price: Floats
    room: Floats

    def idle(self) -> tuple[IdleStretch, ...]:
        """The stretches of idle hours, in order."""
        flags = np.concatenate([[False], self.room > _IDLE * max(float(self.room.max(initial=0.0)), 1e-300), [False]])
        edges = np.flatnonzero(np.diff(flags.astype(np.int8)))
        pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        return tuple(IdleStretch(a, b, float(self.room[a:b].min())) for a, b in pairs)


def hourly_room(pools: Sequence[Pool], amounts: Sequence[Floats], prices: Sequence[Prices]) -> HourlyRoom:
    """Over all pools: the highest price and the sum of what is idle. All pools have the same hours."""
    hours = pools[0].program.usage.shape[1] if pools else 0
    price, room = np.zeros(hours), np.zeros(hours)
    for pool, bought, proof in zip(pools, amounts, prices, strict=True):
        program = pool.program
        if program.budgets == 0:
            continue
        price = np.maximum(price, proof.flexible.max(axis=0))
        lengths = np.diff(program.segments)
        levels = np.repeat(program.levels(bought)[program.classes :], lengths, axis=1)
        room += np.maximum(levels - used_levels(program, bought)[program.classes :], 0.0).sum(axis=0)
    return HourlyRoom(price, room)
