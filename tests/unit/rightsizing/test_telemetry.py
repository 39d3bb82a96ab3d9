"""Series of one load that come with several statistics."""

import numpy as np
import pytest

from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.rightsizing.telemetry import RawSeries, loads_once


def series(metric: Metric, statistic: Statistic, device: str = "") -> RawSeries:
    """A series without points."""
    return RawSeries(metric, Unit.PERCENT, statistic, np.zeros(0, np.int64), np.zeros(0), device)


@pytest.mark.parametrize(("metric", "kept"), [(Metric.CPU, Statistic.AVERAGE), (Metric.MEMORY, Statistic.MAXIMUM)])
def test_several_statistics_of_one_load_are_one_series(metric: Metric, kept: Statistic) -> None:
    """Flows by their average, what is held by its peak; they are never added."""
    both = [series(metric, Statistic.AVERAGE), series(metric, Statistic.MAXIMUM)]
    assert [one.statistic for one in loads_once(both)] == [kept]
    assert [one.statistic for one in loads_once(both[::-1])] == [kept]


def test_devices_and_metrics_are_loads_of_their_own() -> None:
    """Four GPUs stay four, and a single statistic stays whichever it is."""
    gpus = [series(Metric.GPU, Statistic.MAXIMUM, str(gpu)) for gpu in range(4)]
    flows = [series(Metric.NETWORK_IN, Statistic.SUM), series(Metric.NETWORK_OUT, Statistic.SUM)]
    assert loads_once([*gpus, *flows]) == (*gpus, *flows)
