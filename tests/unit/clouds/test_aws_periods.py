"""Which interval CloudWatch is asked for, and what is known of types without asking."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.clouds.aws.metrics import gpus_of
from trimtab_service.clouds.aws.periods import RETENTION, Grid
from trimtab_service.clouds.aws.queries import MOST_POINTS, MOST_QUERIES, packed
from trimtab_service.rightsizing.ports import Window

_NOW = datetime(2026, 11, 23, 12, 34, 56, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


def _grid(days: float, resolution: timedelta = _MINUTE) -> Grid:
    return Grid.of(Window(_NOW - timedelta(days=days), _NOW), _NOW, resolution)


@pytest.mark.parametrize(("days", "period"), [(1, 60), (14.9, 60), (15.1, 300), (62, 300), (64, 3600), (455, 3600)])
def test_the_finest_interval_that_is_kept(days: float, period: int) -> None:
    """A minute for 15 days, five for 63, an hour for 455."""
    assert _grid(days).period_s == period


@pytest.mark.parametrize(
    ("resolution", "days", "period"), [(300, 1, 300), (3600, 14, 3600), (420, 1, 480), (60, 100, 3600), (400, 30, 600)]
)
def test_no_finer_than_asked_for(resolution: int, days: float, period: int) -> None:
    """The next interval that divides a day and holds whole kept ones."""
    assert _grid(days, timedelta(seconds=resolution)).period_s == period


@given(
    days=st.floats(min_value=0, max_value=1000),
    back=st.floats(min_value=-1, max_value=400),
    resolution=st.integers(min_value=60, max_value=3600),
)
def test_a_grid_is_whole_intervals_that_ended(days: float, back: float, resolution: int) -> None:
    """Whatever the window: whole periods that are kept, none of the future, none still growing."""
    end = _NOW - timedelta(days=back)
    grid = Grid.of(Window(end - timedelta(days=days), end), _NOW, timedelta(seconds=resolution))
    assert 86_400 % grid.period_s == 0
    assert grid.period_s >= resolution
    assert grid.start_s % grid.period_s == grid.end_s % grid.period_s == 0
    assert grid.end_s <= min(_NOW, end).timestamp()
    age = _NOW - (end - timedelta(days=days))
    if age <= RETENTION[-1][0]:
        kept = next(period for limit, period in RETENTION if age <= limit)
        assert grid.period_s % kept == 0
        assert not grid.is_cut
    else:
        assert grid.is_cut


@given(sizes=st.lists(st.integers(min_value=1, max_value=40), max_size=200), days=st.floats(min_value=0, max_value=400))
def test_packs_fit_a_page_and_lose_nothing(sizes: list[int], days: float) -> None:
    """In order, none lost or twice; no pack of several is over either limit of a request."""
    grid = _grid(days)
    packs = list(packed(sizes, lambda size: size, grid))
    assert [size for pack in packs for size in pack] == sizes
    for pack in packs:
        assert len(pack) == 1 or (sum(pack) <= MOST_QUERIES and sum(pack) * grid.points <= MOST_POINTS)


@pytest.mark.parametrize(
    ("instance_type", "gpus"),
    [
        ("m5.large", 0),
        ("ml.m5.large", 0),
        ("c6gn.large", 0),
        ("ml.g5.12xlarge", 4),
        ("p4d.24xlarge", 8),
        ("g4dn.16xlarge", 1),
        ("g9.huge", None),
        ("p5.12xlarge", None),
        ("inf2.xlarge", 0),
        ("", 0),
    ],
)
def test_gpus_of_a_type(instance_type: str, gpus: int | None) -> None:
    """Families without GPUs have none; a GPU family whose size is not known here is not guessed at."""
    assert gpus_of(instance_type) == gpus
