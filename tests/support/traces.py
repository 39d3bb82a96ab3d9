"""Three years of hourly VM counts that nobody measured: growth, days, weeks, a generation that another replaces."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

START: Final = datetime(2021, 2, 1, tzinfo=UTC)
HOURS: Final = 26_280
_DAY_H: Final = 24
_WEEK_H: Final = 168


def write_trace(path: Path, seed: int, *, regions: int = 2, hours: int = HOURS) -> Path:
    """A parquet file in the layout of the published trace: hour, region, vm_type, count; rows of zero are left out.

    In each region A goes over into B over a year and a half, C follows the working week, D runs in campaigns.
    """
    rng = np.random.default_rng(seed)
    clock = np.arange(hours)
    frames = []
    for region in range(1, regions + 1):
        growth = np.exp(rng.uniform(0.1, 0.35) * clock / 8_760)
        day = 1.0 + rng.uniform(0.05, 0.2) * np.sin(2 * np.pi * (clock - rng.integers(24)) / _DAY_H)
        moved = 1.0 / (1.0 + np.exp(-(clock - rng.uniform(0.45, 0.65) * hours) / 1_600.0))
        working = np.where((clock % _WEEK_H < 5 * _DAY_H) & (clock % _DAY_H >= 8) & (clock % _DAY_H < 19), 1.0, 0.45)
        campaigns = np.repeat(rng.random(-(-hours // 336)) < 0.4, 336)[:hours]
        shapes = {
            "A": 280 * growth * day * (1.0 - moved),
            "B": 280 * growth * day * moved,
            "C": 90 * growth * working,
            "D": 60 * campaigns * day,
        }
        for name, shape in shapes.items():
            wobble = np.repeat(rng.normal(1.0, 0.04, -(-hours // _DAY_H)), _DAY_H)[:hours]
            counts = np.maximum(np.rint(shape * wobble * rng.normal(1.0, 0.02, hours)), 0.0).astype(np.int64)
            kept = counts > 0
            frames.append(
                pl.DataFrame(
                    {
                        "hour": [START.replace(tzinfo=None) + timedelta(hours=h) for h in clock[kept].tolist()],
                        "region": np.full(int(kept.sum()), region),
                        "vm_type": [name] * int(kept.sum()),
                        "count": counts[kept],
                    }
                )
            )
    pl.concat(frames).write_parquet(path)
    return path
