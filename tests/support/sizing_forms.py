"""Advice on loads of all kinds, told in full by one interpreter: to hold the compiled form to the interpreted one.

`python -m tests.support.sizing_forms` prints the advice of every case as a JSON list.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np

from tests.support.sizing import CPU, NOW, case, instance, scaling_group, series
from tests.support.snapshots import starter_snapshot
from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.dimensions import Dimension, Metric, Unit
from trimtab_service.domain.preferences import DimensionPreference, RightsizingPreferences
from trimtab_service.domain.resources import Autoscaling
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.case import SizingCase

CASES = 120
_STEPS_S = (300, 900, 1_200, 3_600, 21_600)
_PROFILES = ("balanced", "safe", "economy", "aws-compute-optimizer", "vpa", "krr")


def cases() -> Iterator[SizingCase]:
    """The same ones whenever they are asked for: days of every length, gaps, nought, constants, groups, percentiles."""
    for number in range(CASES):
        random = np.random.default_rng(number)
        step = int(random.choice(_STEPS_S))
        points = int(random.integers(2, 22 * 86_400 // step))
        metrics = [Metric.CPU, Metric.MEMORY, Metric.NETWORK_IN, Metric.DISK_WRITE_OPS]
        units = [Unit.PERCENT, Unit.PERCENT, Unit.BYTES_PER_SECOND, Unit.COUNT_PER_SECOND]
        scales = [float(random.choice([3.0, 30.0, 90.0])), 50.0, 1e8, 1e3]
        # Now and then one series is on another grid than the others.
        other = step if number % 3 else 3_600
        measured = [
            series(metric, _load(random, points, scale), unit, step_s=other if metric is Metric.MEMORY else step)
            for metric, unit, scale in zip(metrics, units, scales, strict=True)
        ][: int(random.integers(1, 5))]
        preferences = RightsizingPreferences(
            profile=_PROFILES[number % len(_PROFILES)],
            lookback=timedelta(days=int(random.choice([2, 14, 60]))),
            dimensions=() if number % 4 else (DimensionPreference(Dimension.CPU, 99.0, 0.1),),
            throttled_hour_cost_micros=2_000_000 if number % 7 == 0 else None,
        )
        group = scaling_group("m5.xlarge", 6, Autoscaling(2, 12, CPU, 0.6))
        yield case(group if number % 5 == 0 else instance("m5.2xlarge"), measured, preferences)


def _load(random: np.random.Generator, points: int, scale: float) -> F64:
    """A day, a weekend and bursts; some of it missing, some of it nought, or all of it the same."""
    kind = int(random.integers(0, 8))
    if kind == 0:
        return np.full(points, scale * float(random.integers(0, 2)))
    day = 1.0 + 0.5 * np.sin(np.arange(points) / 7.0)
    values = scale * (0.4 * day + random.exponential(0.15, points))
    values[random.random(points) < (0.3 if kind == 1 else 0.01)] = np.nan
    values[random.random(points) < (0.3 if kind == 2 else 0.0)] = 0.0
    return values


def main() -> int:
    """Print them."""
    with tempfile.TemporaryDirectory() as directory:
        snapshot = starter_snapshot(Path(directory))
        told = [repr(advise(one, snapshot, (), NOW)) for one in cases()]
    sys.stdout.write(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
