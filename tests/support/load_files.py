"""Load series from csv files (columns timestamp, value), and made ones for where there are none."""

import csv
import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.rightsizing.series import Rules, Series, regularize

_REPOSITORY = Path(__file__).resolve().parents[2]


def metrics_directory() -> Path:
    """Where the shared series lie, if they do."""
    root = Path(os.environ.get("TRIMTAB_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    return root / "metrics"


def read_points(path: Path) -> tuple[F64, F64]:
    """(seconds since 1970, values) of a csv file; stamps are ISO dates (UTC without a zone) or seconds."""
    stamps, values = [], []
    with path.open(newline="") as lines:
        for row in csv.DictReader(lines):
            stamps.append(_seconds(row["timestamp"]))
            values.append(float(row["value"] or "nan"))
    return np.array(stamps, dtype=np.float64), np.array(values, dtype=np.float64)


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        stamp = datetime.fromisoformat(text)
        return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()


def read_series(path: Path, step_s: int = 300) -> Series:
    """The series of a file on a grid of `step_s`, or a coarser one where it was measured so."""
    stamps, values = read_points(path)
    now = float(np.nanmax(stamps)) if stamps.size else 0.0
    series = regularize(stamps, values, now_s=now, rules=Rules(max_points=1 << 20))
    if series.values.size and series.step_s < step_s:
        series = regularize(stamps, values, now_s=now, rules=Rules(step_s=step_s, max_points=1 << 20))
    return series


def made_series(seed: int, count: int, days: int = 21, step_s: int = 300) -> list[Series]:
    """Loads of many kinds: daily and weekly cycles, correlated noise, bursts, jobs, level shifts, growth, idling.

    Monday begins each. Values are percent of a machine. The same seed gives the same series.
    """
    random = np.random.default_rng(seed)
    per_day = 86_400 // step_s
    start = 1_700_438_400  # 2023-11-20, a Monday
    return [
        Series(_made(random, days, per_day), start, step_s, days * per_day, days * per_day, ()) for _ in range(count)
    ]


def _made(random: np.random.Generator, days: int, per_day: int) -> F64:
    size = days * per_day
    time = np.arange(size) / per_day
    load = np.full(size, random.lognormal(2.5, 0.8))
    load *= np.exp(random.uniform(0.02, 0.25) * _correlated(random, size))
    if random.random() < 0.5:
        load *= 1 + random.uniform(0.2, 0.9) * np.sin(2 * np.pi * (time - random.random()))
    if random.random() < 0.4:
        load *= np.where(time % 7 < 5, 1.0, random.uniform(0.2, 0.9))
    if random.random() < 0.3:
        load *= np.exp(random.uniform(-0.02, 0.04) * time)
    for _ in range(random.poisson(0.8)):
        length = int(random.choice([per_day // 4, per_day, 3 * per_day, size]))
        begin = int(random.integers(size))
        load[begin : begin + length] *= np.exp(random.normal(0, 0.5))
    if random.random() < 0.3:
        job = (np.arange(size) - random.integers(per_day)) % per_day < random.integers(2, max(3, per_day // 6))
        load[job] += random.uniform(0.5, 3.0) * load.mean()
    for _ in range(random.poisson(random.choice([0, 2, 20]))):
        begin = int(random.integers(size))
        load[begin : begin + int(random.integers(1, max(2, per_day // 20)))] += random.uniform(0.5, 4.0) * load.mean()
    percent: F64 = np.clip(load, 0.0, 100.0)
    return percent


def _correlated(random: np.random.Generator, size: int) -> F64:
    """Standard normal noise whose neighbours resemble one another, in blocks of a random length, smoothed."""
    width = int(random.choice([1, 4, 24, 96]))
    coarse = random.normal(size=size // width + 2)
    smooth = np.interp(np.arange(size) / width, np.arange(coarse.size), coarse)
    noise: F64 = 0.7 * smooth / max(smooth.std(), 1e-9) + 0.7 * random.normal(size=size)
    return noise
