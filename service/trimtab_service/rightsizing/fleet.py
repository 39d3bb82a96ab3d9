"""A fleet's loads, reduced chunk by chunk: percentiles, peaks, means, and the walk forward of several profiles.

A chunk is [resources][points] of one metric, float32, NaN for gaps; what comes out is a few numbers a resource, so
memory is bounded by the chunk. Resources never touch one another: any split into chunks gives the same numbers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import I32, I64
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.rightsizing.arrays import F32
from trimtab_service.rightsizing.backtest import TRAIN_DAYS, cuts_of, walked
from trimtab_service.rightsizing.estimators import Estimator
from trimtab_service.rightsizing.loads import Loads
from trimtab_service.rightsizing.sketches import DailySketch

BLOCK: Final = 128
"""Resources that are worked on at once: their histograms stay in the second-level cache."""

EVERY_DAYS: Final = 7
"""A fleet is resized at most weekly: a size is advised every so many days, and each day until the next tests it."""


@dataclass(frozen=True, slots=True, eq=False)
class Reduction:
    """`percentiles` [r][p] are smallest samples that a share lies at or below, `maximum` and `mean` [r] as they say.

    All are NaN without a sample; `samples` [r] counts them.
    """

    percentiles: F32
    maximum: F32
    mean: F32
    samples: I32


@dataclass(frozen=True, slots=True, eq=False)
class FleetWalk:
    """What one profile advises for each resource and how its rule did. `advised` is in the unit of the loads.

    `exceedance` and `slack` [r] are shares, means over `windows` [r] tested days; NaN where no day could be tested.
    """

    advised: F32
    exceedance: F32
    slack: F32
    windows: I32


@dataclass(frozen=True, slots=True, eq=False)
class MetricChunk:
    """One metric of some resources: `values` [r][days * points per day]."""

    dimension: Dimension
    loads: Loads


def reduce_chunk(values: F32, percents: Sequence[float]) -> Reduction:
    """Percentiles, maximum and mean of each row of `values` [r][points]; NaN are gaps. Exact: one sort of the rows."""
    blocks = [values[begin : begin + BLOCK] for begin in range(0, values.shape[0], BLOCK)] or [values]
    parts = [_reduce_block(block, percents) for block in blocks]
    return Reduction(
        np.concatenate([part.percentiles for part in parts]),
        np.concatenate([part.maximum for part in parts]),
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.samples for part in parts]),
    )


def _reduce_block(values: F32, percents: Sequence[float]) -> Reduction:
    """One block, whose copies stay in the cache."""
    rows, size = values.shape
    ordered = np.sort(values, axis=1)
    # NaN sorts last, so a row is whole if its last is a number.
    samples = np.full(rows, size)
    gaps = np.flatnonzero(np.isnan(ordered[:, -1]))
    # Sums of long rows, pairwise: to the precision that the mean is given in, and in this thread alone.
    if gaps.size:
        known = np.equal(values, values, out=np.empty_like(values))
        samples = np.add.reduce(known, axis=1).astype(np.int64)
        np.copyto(known, values, where=known != 0)
        total = np.add.reduce(known, axis=1)
    else:
        total = np.add.reduce(values, axis=1)
    # By hand what fancy indexing does: a position for each row and percentile in the flat array.
    starts = (np.arange(rows) * size)[:, None]
    ranks = [_rank(percent, samples) for percent in percents]
    ranks.append(np.maximum(samples - 1, 0))
    found = ordered.reshape(-1)[starts + np.stack(ranks, axis=1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (total / samples).astype(np.float32)
    return Reduction(found[:, :-1], found[:, -1], mean, samples.astype(np.int32))


def _rank(percent: float, samples: I64) -> I64:
    """Position of the smallest sample that `percent` of so many samples lie at or below."""
    position: I64 = np.maximum(np.ceil(percent / 100 * samples - 1e-9).astype(np.int64) - 1, 0)
    return position


def walk_chunk(chunk: MetricChunk, estimators: Sequence[Estimator], train_days: int = TRAIN_DAYS) -> list[FleetWalk]:
    """The walk forward of each estimator over each resource, each tested day after at least `train_days`.

    Levels come from daily histograms (rounded up, see `sketches`); exceedance and slack are of the samples themselves.
    Estimators must be scale equivariant: floors in units belong to what is done with the levels.
    """
    parts = [_walk_block(block, estimators, train_days) for block in blocks_of(chunk.loads)]
    return [
        FleetWalk(*(np.concatenate(columns) for columns in zip(*one, strict=True))) for one in zip(*parts, strict=True)
    ]


def blocks_of(loads: Loads, size: int = BLOCK) -> Iterator[Loads]:
    """The loads of at most `size` resources at a time."""
    for begin in range(0, loads.values.shape[0], size):
        yield Loads(loads.values[begin : begin + size], loads.end_s, loads.step_s, loads.utc_offset_s)


def _walk_block(loads: Loads, estimators: Iterable[Estimator], train_days: int) -> list[tuple[F32, F32, F32, I32]]:
    cuts = cuts_of(loads.days, train_days, every_days=EVERY_DAYS)
    sketch = DailySketch.of(loads, cuts)
    scale = sketch.scale[:, None].astype(np.float64)
    found = []
    for estimator in estimators:
        walk = walked(estimator.levels(sketch) * scale, loads, cuts, sketch.samples)
        found.append(
            (
                walk.advised.astype(np.float32),
                walk.exceedance.astype(np.float32),
                walk.slack.astype(np.float32),
                np.count_nonzero(walk.measured, axis=1).astype(np.int32),
            )
        )
    return found
