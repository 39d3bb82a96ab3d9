"""The compiled kernel decides as the interpreted form does, field by field, or leaves the request to it."""

from dataclasses import replace

import pytest

from tests.support.requests import Case, Requests
from trimtab_service import compiled
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Decision
from trimtab_service.domain.workloads import Interruption
from trimtab_service.placement.engine import VALID_FOR
from trimtab_service.placement.index import SearchIndex
from trimtab_service.placement.plain import plain_decision


@pytest.fixture(scope="module")
def interpreted(starter: CatalogSnapshot) -> SearchIndex:
    """The packaged catalogue's index without the kernel."""
    index = SearchIndex(starter)
    index.kernel = None
    return index


@pytest.fixture(scope="module")
def fast(starter: CatalogSnapshot) -> SearchIndex:
    """The same with the kernel, where it is built."""
    index = SearchIndex(starter)
    assert (index.kernel is not None) == (compiled.load("kernel") is not None)
    return index


def answer(index: SearchIndex, case: Case) -> Decision | None:
    """What the one-pass form says of a case."""
    return plain_decision(case.query, index, case.policy, case.state, case.instant, VALID_FOR)


@pytest.mark.parametrize("seed", range(4))
def test_plain_requests(fast: SearchIndex, interpreted: SearchIndex, seed: int) -> None:
    """250 requests: gangs, services, checkpoints, no fallbacks and many, one or two options, repeated sources."""
    requests = Requests(interpreted.snapshot, 40 + seed)
    rng, decided = requests.random, 0
    for _ in range(250):
        case = requests.plain()
        work = case.query.workload
        if rng.random() < 0.3:
            work = replace(work, count=rng.choice((2, 8, 10_000)))
        if rng.random() < 0.2:
            work = replace(work, is_service=True)
        if rng.random() < 0.3:
            tolerance = Interruption(rng.choice((None, 0.0, 0.05)), rng.choice((0.0, 0.5, 100.0)))
            work = replace(work, interruption=tolerance)
        if rng.random() < 0.2:
            work = replace(work, options=work.options[:1])
        if rng.random() < 0.2:
            work = replace(work, hours=rng.choice((1e-6, 700.0, 87_000.0)))
        if rng.random() < 0.2:
            work = replace(work, data_sets=work.data_sets * 2)
        query = replace(case.query, workload=work, max_fallbacks=rng.choice((0, 1, 2, 3, 8)))
        case = replace(case, query=query)
        expected = answer(interpreted, case)
        assert answer(fast, case) == expected, case.query
        decided += expected is not None
    assert decided > 150


@pytest.mark.parametrize("kind", ["guarded", "full"])
def test_other_requests(fast: SearchIndex, interpreted: SearchIndex, kind: str) -> None:
    """What is not plain in one form is not plain in the other."""
    requests = Requests(interpreted.snapshot, 77)
    for _ in range(150):
        case: Case = getattr(requests, kind)()
        assert answer(fast, case) == answer(interpreted, case), case.query
