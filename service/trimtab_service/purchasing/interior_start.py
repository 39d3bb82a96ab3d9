"""Where the interior-point method begins: strictly inside, dual feasible, and cut into blocks that fit the cache."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.complementary_pair import Pair
from trimtab_service.purchasing.interior_block import Block, Rows, Spot
from trimtab_service.purchasing.program import Floats, Program

_BLOCK_NUMBERS: Final = 65_536
"""Numbers of one array of a block: few enough for the caches, enough that a call costs more than its overhead."""


@dataclass(slots=True, eq=False)
class Start:
    """The iterate: `purchases` pairs amounts (1, n) with their reduced costs, `limits` (1, c) caps' room with nu."""

    blocks: list[Block]
    purchases: Pair
    limits: Pair
    scale: float
    count: float
    owned: Floats

    @property
    def amounts(self) -> Floats:
        """(n,)."""
        amounts: Floats = self.purchases.value[0]
        return amounts

    @property
    def pairs(self) -> list[Pair]:
        """Every complementary pair."""
        return [self.purchases, self.limits, *(pair for block in self.blocks for pair in block.pairs)]

    def levels(self, program: Program) -> Floats:
        """(K+M, S): levels in force, where an owned budget of nothing is a hair, so that it has an inside."""
        return self.owned + program.columns.levels(self.amounts, program.slots)


@dataclass(frozen=True, slots=True, eq=False)
class _Opening:
    """What every block opens with: levels (K+M, S), prices (M,) and (K,), a hair of money, are hours equal."""

    levels: Floats
    lam: Floats
    mu: Floats
    hair: float
    uniform: bool


def starting_point(program: Program) -> Start:
    """Amounts around the mean usage, prices at nine tenths of what the purchases allow."""
    hair = 1e-9 * max(float(program.usage.mean()), 1e-9)
    columns = program.columns
    owned = program.existing.copy()
    owned[program.classes :] = np.maximum(owned[program.classes :], hair)
    amounts = _amounts(program, hair)
    levels = owned + columns.levels(amounts, program.slots)
    lam, mu = _prices(program)
    reduced = columns.cost - columns.reached(np.concatenate([mu, lam])[:, None] * program.segment_weights()[None, :])
    room = np.maximum(program.cap_limits - program.caps @ amounts, hair)
    blocks = _blocks(program, _Opening(levels, lam, mu, hair, bool(np.all(program.weights == 1.0))))
    scale = float(program.weights @ program.usage.sum(axis=0))
    rows = sum(pair.value.size for block in blocks for pair in block.pairs)
    nu = np.full(room.size, 1e-3 * float(columns.cost.mean()) if columns.cost.size else 1.0)
    return Start(
        blocks=blocks,
        purchases=Pair(amounts[None, :], (reduced + nu @ program.caps)[None, :]),
        limits=Pair(room[None, :], nu[None, :]),
        scale=scale,
        count=float(rows + amounts.size + room.size),
        owned=owned,
    )


def _amounts(program: Program, hair: float) -> Floats:
    columns = program.columns
    mean = np.maximum(np.average(program.usage, axis=1, weights=program.weights), hair)
    rates = np.where(np.isfinite(program.rates), program.rates, 0.0)
    level = np.concatenate([0.6 * mean, 0.2 * rates @ mean + hair])
    sharing = np.bincount(columns.slot, minlength=program.slots)
    amounts = level[columns.slot] / np.maximum(sharing[columns.slot], 1)
    for row, limit in zip(program.caps, program.cap_limits, strict=True):
        spent = float(row @ amounts)
        if spent > 0.5 * limit:
            amounts = amounts * np.where(row > 0.0, max(0.5 * limit, hair) / spent, 1.0)
    return np.asarray(np.maximum(amounts, hair), dtype=np.float64)


def _prices(program: Program) -> tuple[Floats, Floats]:
    """(M,) and (K,): constant hourly prices that leave every dual slack positive."""
    columns = program.columns
    hours = columns.covers.T @ program.segment_weights()
    per_hour = columns.cost / np.maximum(hours, 1e-12)
    cheapest = np.full(program.slots, np.inf)
    np.minimum.at(cheapest, columns.slot, per_hour)
    lam = 0.9 * np.minimum(
        cheapest[program.classes :], 2.0 / np.where(np.isfinite(program.rates), program.rates, 1.0).min(axis=1)
    )
    ceiling = np.minimum(cheapest[: program.classes], 1.0)
    for rate, price in zip(program.rates, lam, strict=True):
        ceiling = np.minimum(ceiling, rate * price)
    return lam, 0.9 * ceiling


def _blocks(program: Program, opening: _Opening) -> list[Block]:
    width = max(_BLOCK_NUMBERS // max(program.classes, 1), 64)
    blocks = []
    for segment, hours in enumerate(program.segment_slices()):
        for first in range(hours.start, hours.stop, width):
            part = slice(first, min(first + width, hours.stop))
            blocks.append(_block(program, segment, part, opening))
    return blocks


def _block(program: Program, segment: int, hours: slice, opening: _Opening) -> Block:
    lam, mu, hair = opening.lam, opening.mu, opening.hair
    levels = opening.levels[:, segment]
    classes = program.classes
    usage = np.ascontiguousarray(program.usage[:, hours])
    width = usage.shape[1]
    wide = np.ones((1, width))
    covered = np.broadcast_to(levels[:classes, None], usage.shape).copy()
    rows: list[Rows] = []
    rates: list[Floats] = []
    drawn: list[Pair] = []
    idle = np.empty((program.budgets, width))
    for m, rate in enumerate(program.rates):
        inside = np.flatnonzero(np.isfinite(rate))
        mine: Rows = slice(None) if inside.size == classes else inside
        ratio = rate[inside, None]
        level = levels[classes + m]
        value = 0.5 * level / (inside.size * ratio) * wide
        idle[m] = 0.5 * level
        covered[mine] += value
        rows.append(mine)
        rates.append(ratio)
        drawn.append(Pair(value, (ratio * lam[m] - mu[inside, None]) * wide))
    spot = _spot(program, hours, mu, hair)
    if spot is not None:
        covered[spot.rows] += spot.amount.value
    slack = 0.1 * np.maximum(usage.mean(axis=1, keepdims=True), hair) + 0.1 * hair
    paid = np.maximum(usage - covered, 0.0) + slack
    return Block(
        segment=segment,
        hours=hours,
        usage=usage,
        weights=None if opening.uniform else program.weights[hours],
        rows=rows,
        rates=rates,
        drawn=drawn,
        paid=Pair(paid, (1.0 - mu[:, None]) * wide),
        cover=Pair(covered + paid - usage, mu[:, None] * wide),
        idle=Pair(idle, lam[:, None] * wide),
        spot=spot,
    )


def _spot(program: Program, hours: slice, mu: Floats, hair: float) -> Spot | None:
    if program.spot_room is None:
        return None
    rows = np.flatnonzero((program.spot_price < 1.0) & (program.spot_room.max(axis=1) > 0.0))
    if rows.size == 0:
        return None
    room = np.maximum(program.spot_room[rows, hours], hair)
    wide = np.ones_like(room)
    over = (mu[rows] - program.spot_price[rows])[:, None] * wide
    left = np.maximum(over, 0.0) + 0.1
    return Spot(rows, Pair(0.5 * room, left - over), Pair(0.5 * room, left))
