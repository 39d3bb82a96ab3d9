"""What one load of the catalogue brought in, left out and warned about: the record that history keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np

from trimtab_service.catalog.quarantine import QuarantineCount
from trimtab_service.catalog.snapshot import CatalogSnapshot, day_of
from trimtab_service.domain.offers import PRICE_BASES, PriceBasis


@dataclass(frozen=True, slots=True)
class BasisSummary:
    """Rows of one basis and the dates that they span."""

    basis: PriceBasis
    rows: int
    oldest: date
    newest: date


@dataclass(frozen=True, slots=True)
class CatalogLoad:
    """One successful load. `fingerprint` is of the source files, `version` of the content that came out.

    `source_rows` counts the rows of the price file, `price_rows` those in the snapshot (composed rows included).
    """

    version: str
    fingerprint: str
    load_time: datetime
    build_seconds: float
    source_rows: int
    price_rows: int
    instance_types: int
    regions: int
    bases: tuple[BasisSummary, ...]
    quarantined: tuple[QuarantineCount, ...]
    warnings: tuple[str, ...]

    @property
    def quarantined_rows(self) -> int:
        """Rows left out, all files together."""
        return sum(count.rows for count in self.quarantined)

    def newest_price_age(self, now: datetime) -> timedelta | None:
        """Age of the newest price at `now`; None for a catalogue without prices."""
        newest = max((summary.newest for summary in self.bases), default=None)
        return None if newest is None else timedelta(days=(now.date() - newest).days)

    def to_json(self) -> dict[str, Any]:
        """As stored beside the versions."""
        return {
            "version": self.version,
            "fingerprint": self.fingerprint,
            "load_time": self.load_time.isoformat(),
            "build_seconds": self.build_seconds,
            "source_rows": self.source_rows,
            "price_rows": self.price_rows,
            "instance_types": self.instance_types,
            "regions": self.regions,
            "bases": [[s.basis.value, s.rows, s.oldest.isoformat(), s.newest.isoformat()] for s in self.bases],
            "quarantined": [count.to_json() for count in self.quarantined],
            "warnings": list(self.warnings),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "CatalogLoad":
        """Inverse of `to_json`. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            version=str(data["version"]),
            fingerprint=str(data["fingerprint"]),
            load_time=datetime.fromisoformat(data["load_time"]),
            build_seconds=float(data["build_seconds"]),
            source_rows=int(data["source_rows"]),
            price_rows=int(data["price_rows"]),
            instance_types=int(data["instance_types"]),
            regions=int(data["regions"]),
            bases=tuple(
                BasisSummary(PriceBasis(basis), int(rows), date.fromisoformat(oldest), date.fromisoformat(newest))
                for basis, rows, oldest, newest in data["bases"]
            ),
            quarantined=tuple(QuarantineCount.from_json(count) for count in data["quarantined"]),
            warnings=tuple(map(str, data["warnings"])),
        )


def summarise_bases(snapshot: CatalogSnapshot) -> tuple[BasisSummary, ...]:
    """Rows and dates of each basis that occurs."""
    summaries = []
    for code, basis in enumerate(PRICE_BASES):
        days = snapshot.rows.as_of[np.asarray(snapshot.rows.basis) == code]
        if days.size:
            summaries.append(BasisSummary(basis, int(days.size), day_of(int(days.min())), day_of(int(days.max()))))
    return tuple(summaries)
