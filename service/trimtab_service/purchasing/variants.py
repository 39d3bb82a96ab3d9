"""Programs made from a program: other usage, fewer purchases, fewer hours."""

import numpy as np
from numpy.typing import NDArray

from trimtab_service.purchasing.program import Columns, Floats, Program


def scaled(program: Program, scale: float | Floats) -> Program:
    """The program with every class's usage, and its room for spot, times `scale` (a number or (K,))."""
    factor = np.broadcast_to(np.asarray(scale, dtype=np.float64), (program.classes,))[:, None]
    return Program(
        usage=program.usage * factor,
        weights=program.weights,
        segments=program.segments,
        rates=program.rates,
        existing=program.existing,
        columns=program.columns,
        spot_price=program.spot_price,
        spot_room=None if program.spot_room is None else program.spot_room * factor,
        caps=program.caps,
        cap_limits=program.cap_limits,
    )


def with_columns(program: Program, kept: NDArray[np.bool_]) -> Program:
    """The program where only the columns flagged in `kept` (n,) may be bought."""
    return Program(
        usage=program.usage,
        weights=program.weights,
        segments=program.segments,
        rates=program.rates,
        existing=program.existing,
        columns=Columns(
            slot=program.columns.slot[kept],
            cost=program.columns.cost[kept],
            covers=program.columns.covers[:, kept],
        ),
        spot_price=program.spot_price,
        spot_room=program.spot_room,
        caps=program.caps[:, kept],
        cap_limits=program.cap_limits,
    )


def thinned(program: Program, most_hours: int) -> Program:
    """Every n-th hour with n times the weight, so that at most about `most_hours` are left: for figures, not proofs."""
    step = -(-program.usage.shape[1] // most_hours)
    if step <= 1:
        return program
    parts = [np.arange(hours.start, hours.stop, step) for hours in program.segment_slices()]
    chosen = np.concatenate(parts)
    weights = np.concatenate(
        [
            np.full(part.size, program.weights[hours].sum() / max(part.size, 1))
            for part, hours in zip(parts, program.segment_slices(), strict=True)
        ]
    )
    return Program(
        usage=program.usage[:, chosen],
        weights=weights,
        segments=np.cumsum([0, *(part.size for part in parts)]),
        rates=program.rates,
        existing=program.existing,
        columns=program.columns,
        spot_price=program.spot_price,
        spot_room=None if program.spot_room is None else program.spot_room[:, chosen],
        caps=program.caps,
        cap_limits=program.cap_limits,
    )
