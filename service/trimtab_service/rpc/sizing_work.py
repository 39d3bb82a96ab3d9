"""Where advice is worked out: small requests here, large ones in worker processes, so that nobody waits for the GIL."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.errors import DeadlineExceededError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.rightsizing import Advice
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rpc.sizing_task import advise_apart, advise_each
from trimtab_service.workers import WorkerPool

HEAVY_POINTS: Final = 30_000
"""Of all cases of a call together, from here on workers advise. Some 4 ms of work, against 1 ms for handing it over."""

_TOGETHER: Final = 16
"""Cases of one task: few enough that several workers share a batch, and that a death costs little."""

_LONGEST_S: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Pricing:
    """What cases are priced by, and for when."""

    snapshot: CatalogSnapshot
    catalog: Path
    commitments: tuple[Commitment, ...]
    instant: datetime


def advise_all(
    cases: Sequence[SizingCase], pricing: Pricing, pool: WorkerPool, timeout_s: float
) -> Iterator[Advice | TrimtabError]:
    """An advice, or why there is none, for each case in order."""
    if sum(series.values.size for case in cases for series in case.telemetry.series) < HEAVY_POINTS:
        for case in cases:
            yield advise(case, pricing.snapshot, pricing.commitments, pricing.instant)
        return
    ends = time.monotonic() + min(timeout_s, _LONGEST_S)
    parts = [tuple(cases[begin : begin + _TOGETHER]) for begin in range(0, len(cases), _TOGETHER)]
    fixed = (pricing.commitments, pricing.instant)
    waiting = [pool.submit(advise_each, pricing.catalog, part, *fixed) for part in parts]

    def alone(case: SizingCase) -> Advice:
        return pool.run(_left(ends), advise_apart, pricing.catalog, case, *fixed)

    for part, future in zip(parts, waiting, strict=True):
        yield from _answers(part, future, ends, alone)


def _answers(
    part: Sequence[SizingCase],
    future: Future[tuple[Advice, ...]],
    ends: float,
    alone: Callable[[SizingCase], Advice],
) -> Iterator[Advice | TrimtabError]:
    try:
        yield from future.result(_left(ends))
    except FutureTimeoutError:
        future.cancel()
        late = DeadlineExceededError(ErrorReason.DEADLINE_EXCEEDED, "the advice was not ready in time")
        yield from [late] * len(part)
    except BrokenProcessPool:
        # A worker died, of one of these or of another's task: each by itself, so that one cannot fail the others.
        for case in part:
            try:
                yield alone(case)
            except TrimtabError as error:
                yield error


def _left(ends: float) -> float:
    return max(0.0, ends - time.monotonic())
