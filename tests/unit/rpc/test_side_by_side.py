"""Work side by side: everything comes once, an error ends it, and nobody is left waiting."""

import itertools
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from trimtab_service.rpc.side_by_side import SideBySide


def _never() -> bool:
    return False


def test_everything_comes_once() -> None:
    """More works than may run at a time, more items than may wait."""
    works = [partial(range, begin, begin + 50) for begin in range(0, 500, 50)]
    assert sorted(SideBySide(works, most=3, held=2, is_over=_never)) == list(range(500))


def test_one_that_hangs_holds_up_nothing_but_itself() -> None:
    """Items of others come while one work waits."""
    gate = threading.Event()

    def hangs() -> Iterator[str]:
        gate.wait(120)
        yield "late"

    taken = iter(SideBySide([hangs, lambda: ["a", "b"]], most=2, held=1, is_over=_never))
    assert [next(taken), next(taken)] == ["a", "b"]
    gate.set()
    assert list(taken) == ["late"]


def test_what_a_work_raises_is_raised_here() -> None:
    """And the other works end."""
    ended = threading.Event()

    def breaks() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    def endless() -> Iterator[int]:
        try:
            yield from itertools.repeat(0)
        finally:
            ended.set()

    with pytest.raises(ValueError, match="broken"):
        list(itertools.islice(SideBySide([breaks, endless], most=2, held=1, is_over=_never), 1_000_000))
    assert ended.wait(60)


def test_it_ends_when_told_so() -> None:
    """A consumer is not left waiting for a work that hangs."""
    over, gate = threading.Event(), threading.Event()

    def hangs() -> Iterator[int]:
        yield 1
        gate.wait(120)

    taken = iter(SideBySide([hangs], most=1, held=1, is_over=over.is_set))
    assert next(taken) == 1
    over.set()
    assert list(taken) == []
    gate.set()
