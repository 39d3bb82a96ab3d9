"""Hourly VM counts by region and type, as matrices: the layout of the shared demand file."""

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from trimtab_service.purchasing.program import Floats

_YEAR = 8_760


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """`counts[region]` is (types, hours) with absent rows as zero; `types[region]` names the rows, in order."""

    start: datetime
    types: dict[int, tuple[str, ...]]
    counts: dict[int, Floats]

    def last_year(self, region: int) -> Floats:
        """The last 8,760 hours of the types that ran in them."""
        counts = self.counts[region][:, -_YEAR:]
        ran: Floats = counts[counts.sum(axis=1) > 0]
        return ran

    def pool(self, region: int) -> Floats:
        """All types of the region together."""
        total: Floats = self.counts[region].sum(axis=0)
        return total


@cache
def read_demand(path: Path) -> Demand:
    """Columns hour, region, vm_type, count."""
    frame = pl.read_parquet(path)
    first, last = frame["hour"].min(), frame["hour"].max()
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    hours = round((last - first).total_seconds() / 3600) + 1
    frame = frame.with_columns(clock=((pl.col("hour") - first).dt.total_minutes() // 60))
    types: dict[int, tuple[str, ...]] = {}
    counts: dict[int, Floats] = {}
    for region in sorted(int(r) for r in frame["region"].unique()):
        mine = frame.filter(pl.col("region") == region)
        names = tuple(sorted(str(name) for name in mine["vm_type"].unique()))
        matrix = np.zeros((len(names), hours))
        row = mine["vm_type"].replace_strict({name: i for i, name in enumerate(names)}, return_dtype=pl.Int64)
        np.add.at(matrix, (row.to_numpy(), mine["clock"].to_numpy()), mine["count"].to_numpy().astype(float))
        types[region], counts[region] = names, matrix
    return Demand(first, types, counts)
