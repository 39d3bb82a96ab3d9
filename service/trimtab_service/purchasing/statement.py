"""A program and its certificate as plain lists: what a reply or a plan file carries, and what a checker reads."""

from typing import Any

import numpy as np

from trimtab_service.purchasing.lower_bound import Prices
from trimtab_service.purchasing.program import Program


def problem_of(program: Program) -> dict[str, Any]:
    """The pool in the layout of `trimtab.certificates`."""
    columns = program.columns
    room = program.spot_room
    return {
        "usage": program.usage.tolist(),
        "weights": program.weights.tolist(),
        "segments": program.segments.tolist(),
        "rates": [[float(r) if np.isfinite(r) else None for r in rates] for rates in program.rates],
        "owned": program.existing.tolist(),
        "purchases": [
            {
                "slot": int(columns.slot[i]),
                "cost": float(columns.cost[i]),
                "segments": np.flatnonzero(columns.covers[:, i]).tolist(),
            }
            for i in range(columns.cost.size)
        ],
        "spot": [
            {"price": float(program.spot_price[k]), "room": room[k].tolist()}
            if room is not None and program.spot_price[k] < 1.0
            else None
            for k in range(program.classes)
        ],
        "limits": [
            {"weights": row.tolist(), "most": float(most)}
            for row, most in zip(program.caps, program.cap_limits, strict=True)
        ],
    }


def prices_of(program: Program, prices: Prices) -> dict[str, Any]:
    """The certificate; without prices per class where the hourly prices of the budgets say it all.

    They do where every class has at most one purchase, over all hours, and no spot layer.
    """
    columns = program.columns
    stated: dict[str, Any] = {"flexible": prices.flexible.tolist(), "limits": prices.caps.tolist()}
    locked = columns.slot < program.classes
    single = bool(np.all(np.bincount(columns.slot[locked], minlength=program.classes) <= 1))
    if not (single and bool(columns.covers[:, locked].all()) and program.spot_room is None):
        stated["usage"] = prices.usage.tolist()
    return stated
