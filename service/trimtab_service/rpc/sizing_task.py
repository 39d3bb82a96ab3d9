"""What a worker process does for large requests: advise. It reads the catalogue from the same mapped files."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.rightsizing import Advice
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.case import SizingCase


def advise_apart(catalog: Path, case: SizingCase, commitments: Sequence[Commitment], instant: datetime) -> Advice:
    """As `rightsizing.advisor.advise`, with the catalogue of a directory."""
    return advise(case, _opened(catalog), commitments, instant)


def advise_each(
    catalog: Path, cases: Sequence[SizingCase], commitments: Sequence[Commitment], instant: datetime
) -> tuple[Advice, ...]:
    """An advice for each case, in order."""
    return tuple(advise_apart(catalog, case, commitments, instant) for case in cases)


@lru_cache(maxsize=2)
def _opened(directory: Path) -> CatalogSnapshot:
    return open_snapshot(directory)
