"""Purchase programs drawn at random, shaped to hit ties, zeros, several terms, spot, limits and owned levels."""

from itertools import pairwise

import numpy as np

from trimtab_service.purchasing.program import NEVER, Columns, Floats, Program

HOURS_YEAR = 8_760


def random_program(seed: int) -> Program:
    """One program of at most 5 classes, 2 budgets, 3 segments and 180 hours."""
    rng = np.random.default_rng(seed)
    classes, segments_count = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    budgets = int(rng.choice([0, 1, 1, 1, 2]))
    segments = np.concatenate([[0], np.cumsum(rng.integers(1, 60, segments_count))])
    hours = int(segments[-1])
    usage = _usage(rng, classes, hours)
    locked = np.full(classes, 0.5) if rng.random() < 0.3 else rng.uniform(0.3, 0.9, classes)
    rates = np.full((budgets, classes), 0.6)
    if rng.random() < 0.8:
        rates = locked + rng.uniform(-0.02, 0.2, (budgets, classes))
    if budgets > 1:
        rates[1, rng.random(classes) < 0.4] = NEVER
        rates[1, 0] = 0.5
    weights = np.ones(hours) if rng.random() < 0.6 else rng.uniform(0.2, 3.0, hours)
    slots = classes + budgets
    slot = list(range(slots))
    covers = [np.ones(segments_count, bool) for _ in slot]
    for extra in range(slots if segments_count > 1 else 0):
        if rng.random() < 0.5:
            part = rng.random(segments_count) < 0.5
            part[rng.integers(segments_count)] = True
            slot.append(extra)
            covers.append(part)
    if rng.random() < 0.2:
        slot.pop(0)
        covers.pop(0)
    covering = np.array(covers, bool).reshape(len(slot), segments_count).T
    hours_of = np.array([weights[a:b].sum() for a, b in pairwise(segments)])
    per_hour = np.concatenate([locked, np.ones(budgets)])[slot] if slot else np.empty(0)
    owned = np.zeros((slots, segments_count))
    if rng.random() < 0.4:
        owned = rng.uniform(0.0, 2.0 * usage.mean(), owned.shape) * (rng.random(owned.shape) < 0.5)
    spot_price, spot_room = np.ones(classes), None
    if rng.random() < 0.4:
        spot_price = np.where(rng.random(classes) < 0.6, rng.uniform(0.1, 0.9, classes), 1.0)
        spot_room = usage * rng.uniform(0.0, 0.6, (classes, 1))
    capped = rng.random() < 0.3
    return Program(
        usage=usage,
        weights=weights,
        segments=segments,
        rates=rates,
        existing=owned,
        columns=Columns(
            slot=np.array(slot, dtype=np.int64),
            cost=per_hour * (covering.T @ hours_of) * rng.uniform(0.95, 1.05, len(slot)),
            covers=covering,
        ),
        spot_price=spot_price,
        spot_room=spot_room,
        caps=np.ones((int(capped), len(slot))),
        cap_limits=rng.uniform(0.1, 2.0, int(capped)) * (usage.sum(axis=0).mean() + 1e-3),
    )


def _usage(rng: np.random.Generator, classes: int, hours: int) -> Floats:
    shapes = (
        rng.integers(0, 5, (classes, hours)).astype(float),
        rng.uniform(0.0, 100.0, (classes, hours)),
        np.repeat(rng.integers(0, 4, (classes, 1)), hours, axis=1).astype(float),
        rng.lognormal(0.0, 2.0, (classes, hours)) * (rng.random((classes, hours)) < 0.5),
    )
    return shapes[rng.integers(len(shapes))]


def synthetic_usage(families: int, hours: int, seed: int, *, integer: bool = False) -> Floats:
    """Hourly money of families with daily and weekly waves, a trend and 3 % noise: continuous, or small tied counts."""
    rng = np.random.default_rng(seed)
    clock = np.arange(hours)
    usage = np.empty((families, hours))
    for k in range(families):
        wave = 0.4 * np.sin(2 * np.pi * (clock / 24 + rng.random())) + 0.2 * np.sin(
            2 * np.pi * (clock / 168 + rng.random())
        )
        trend = 0.3 * rng.uniform(-1.0, 1.0) * clock / hours
        usage[k] = rng.uniform(20.0, 150.0) * (1.0 + wave + trend) * (1.0 + rng.uniform(-0.03, 0.03, hours))
    return np.rint(usage / 4.0) if integer else usage


def published_rates(families: int) -> tuple[Floats, Floats]:
    """Locked and flexible rates of the instance whose optimum is known: no random numbers."""
    index = np.arange(families, dtype=np.float64)
    return 0.45 + 0.01 * np.mod(index, 7.0), 0.55 + 0.01 * np.mod(index, 5.0)
