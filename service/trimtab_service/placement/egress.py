"""What it costs to bring data to each region, and to send data from each region to users.

For `gib` read from source s by a workload in region d:

- in the same region nothing;
- in another region of the same cloud rint(pair rate x (gib / 1000)) micro-USD;
- in another cloud the internet tiers of s and d's geography. What left s for that cloud's internet path earlier
  this month, and earlier in the same request, moves the start up: one rounded term rint(rate x (gib_in_tier / 1000))
  a tier. Volume that lies in one tier is taken as it is, not as a difference of two sums.
- A caller's private rate stands for the catalogue's in each cloud that it reaches (never within the same region),
  and what goes that way does not count for the tiers.

Rates are nano-USD per GiB, so gib / 1000 gives micro-USD. Vectors are [region], or [option][region] end to end.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from trimtab_service.catalog.arrays import F64, Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import CLOUDS, Cloud
from trimtab_service.domain.workloads import DataSet
from trimtab_service.placement.options import ROWS

WORLDWIDE: Final = 0
"""Users are priced as this geography: their country is not known."""


class EgressRates:
    """Transfer rates of one catalogue in the shapes that sums need."""

    __slots__ = (
        "_cloud_codes",
        "_edges",
        "_first_to_users",
        "_geography",
        "_index",
        "_least_edge",
        "_same_cloud",
        "_single_tier",
        "_snapshot",
        "_steps",
    )

    def __init__(self, snapshot: CatalogSnapshot) -> None:
        egress = snapshot.egress
        self._snapshot = snapshot
        self._index = snapshot.region_index
        self._cloud_codes = snapshot.region_cloud
        self._geography = egress.region_geography.astype(np.intp)
        self._same_cloud: list[Bools] = [snapshot.region_cloud == code for code in range(len(CLOUDS))]
        froms, nanos = egress.internet_tier_from_gib.tolist(), egress.internet_tier_nanos.tolist()
        # [source][geography] -> ((from GiB, nano-USD per GiB), ...)
        self._steps: list[list[list[tuple[float, int]]]] = [
            [
                [(start, rate) for start, rate in zip(f, n, strict=True) if start != np.inf]
                for f, n in zip(source_from, source_nanos, strict=True)
            ]
            for source_from, source_nanos in zip(froms, nanos, strict=True)
        ]
        self._edges: list[list[float]] = [
            sorted({start for steps in geographies for start, _ in steps if start > 0.0}) for geographies in self._steps
        ]
        self._single_tier: dict[tuple[int, int], F64] = {}
        self._first_to_users: F64 = egress.internet_tier_nanos[:, WORLDWIDE, 0].astype(np.float64)
        self._least_edge = min((edges[0] for edges in self._edges if edges), default=np.inf)

    def reads(self, data_sets: Sequence[DataSet], month_to_date: Mapping[int, float], rows: int) -> list[F64]:
        """One vector over [option row][region] a data set: micro-USD of reading it from each region."""
        if not month_to_date:
            vectors = self.plain_reads(data_sets, rows)
            if vectors is not None:
                return vectors
        used: dict[tuple[int, Cloud], float] = {}
        vectors = []
        for data in data_sets:
            source = self._index[data.location.cloud, data.location.region]
            gib = data.gib * data.reads
            private = data.private_nanos_per_gib
            reached = () if private is None else data.private_clouds or CLOUDS
            base = month_to_date.get(source, 0.0)
            starts = {cloud: base + used.get((source, cloud), 0.0) for cloud in CLOUDS}
            vectors.append(self._read(source, gib, private, reached, starts, rows))
            for cloud in CLOUDS:
                if cloud not in reached:
                    used[source, cloud] = used.get((source, cloud), 0.0) + gib
        return vectors

    def plain_reads(self, data_sets: Sequence[DataSet], rows: int) -> list[F64] | None:
        """Reads at the catalogue's rates, each from a source of its own; None where it takes more care."""
        sources = 0
        vectors = []
        for data in data_sets:
            source = self._index[data.location.cloud, data.location.region]
            if data.private_nanos_per_gib is not None or sources >> source & 1:
                return None
            sources |= 1 << source
            vectors.append(self._internet(source, 0.0, data.gib * data.reads, rows))
        return vectors

    def _read(  # noqa: PLR0913, PLR0917 - what a data set comes to
        self,
        source: int,
        gib: float,
        private: int | None,
        reached: Sequence[Cloud],
        starts: Mapping[Cloud, float],
        rows: int,
    ) -> F64:
        distinct = set(starts.values())
        if private is None and len(distinct) == 1:
            return self._internet(source, distinct.pop(), gib, rows)
        whole = np.empty(len(self._cloud_codes))
        for code, cloud in enumerate(CLOUDS):
            here = self._same_cloud[code]
            if private is not None and cloud in reached:
                whole[here] = np.rint(private * (gib / 1000.0))
            else:
                whole[here] = self._internet(source, starts[cloud], gib, 1)[here]
        whole[source] = 0.0
        return np.concatenate((whole,) * rows)

    def pair_nanos(self, source: int, destination: int) -> int:
        """Nano-USD per GiB from one region to another, first tier."""
        return int(self._snapshot.egress.pair_nanos[source, destination])

    def to_users(self, gib: float, month_to_date: Mapping[int, float]) -> F64:
        """Vector over [region] of sending `gib` to users out of each region over the internet."""
        if not month_to_date and gib <= self._least_edge:
            return np.rint(self._first_to_users * (gib / 1000.0))
        return np.array(
            [_tiered(steps[WORLDWIDE], month_to_date.get(r, 0.0), gib) for r, steps in enumerate(self._steps)],
            dtype=np.float64,
        )

    def _internet(self, source: int, start: float, gib: float, rows: int) -> F64:
        """Reading `gib` from `source` where cross-cloud volume starts at `start`; the regions `rows` times."""
        edges = self._edges[source]
        tier = bisect_right(edges, start) if edges else 0
        count = len(self._cloud_codes)
        if not edges or bisect_left(edges, start + gib) <= tier:
            rates = self._single_tier.get((source, tier))
            if rates is None:
                rates = self._tier_rates(source, tier)
            cost: F64 = rates[: rows * count] * (gib / 1000.0)
            return np.rint(cost, cost)
        by_geography = np.array([_tiered(steps, start, gib) for steps in self._steps[source]], dtype=np.float64)
        within = np.rint(self._snapshot.egress.pair_nanos[source] * (gib / 1000.0))
        here = self._same_cloud[self._cloud_codes[source]]
        return np.concatenate((np.where(here, within, by_geography[self._geography]),) * rows)

    def _tier_rates(self, source: int, tier: int) -> F64:
        """Nano-USD per GiB to each region where all volume lies in one interval between tier edges; kept."""
        at = self._edges[source][tier - 1] if tier else 0.0
        by_geography = np.array([_rate_at(steps, at) for steps in self._steps[source]], dtype=np.float64)
        pairs = self._snapshot.egress.pair_nanos[source]
        code = self._cloud_codes[source]
        rates = np.tile(np.where(self._same_cloud[code], pairs, by_geography[self._geography]), ROWS)
        rates.flags.writeable = False
        self._single_tier[source, tier] = rates
        return rates


def _rate_at(steps: Sequence[tuple[float, int]], gib: float) -> int:
    """Rate of the tier that begins at or before `gib`."""
    return next((rate for start, rate in reversed(steps) if start <= gib), 0)


def _tiered(steps: Sequence[tuple[float, int]], start: float, gib: float) -> int:
    """Micro-USD of `gib` from `start` on, each tier's part rounded once."""
    end = start + gib
    total = 0
    for i, (lower, rate) in enumerate(steps):
        upper = steps[i + 1][0] if i + 1 < len(steps) else np.inf
        if lower <= start and end <= upper:
            return round(rate * (gib / 1000.0)) if start < upper else 0
        overlap = min(end, upper) - max(start, lower)
        if overlap > 0.0:
            total += round(rate * (overlap / 1000.0))
    return total
