"""Usage as it comes: gaps, repeated hours, bad numbers, mixed currencies, too much of it."""

from datetime import UTC, datetime

import numpy as np
import pytest

from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.purchasing import UsageKey
from trimtab_service.domain.reasons import DemandNote, ErrorReason
from trimtab_service.purchasing.demand import UsageRows, hours_since_epoch, usage_of
from trimtab_service.purchasing.memory import needed_bytes, require

KEY = UsageKey(Cloud.AWS, "m", "r1")
OTHER = UsageKey(Cloud.AWS, "c", "r1")


def _rows(hours: list[int], money: list[float], key: UsageKey = KEY, currency: str = "USD") -> UsageRows:
    return UsageRows(key, np.array(hours, dtype=np.int64), np.array(money), currency)


def test_rows_of_any_order_become_one_matrix() -> None:
    """Keys in order, the first hour first, absent hours zero and said."""
    usage = usage_of([_rows([12, 10], [3.0, 1.0]), _rows([13], [5.0], OTHER)])
    assert usage.keys == (OTHER, KEY)
    assert usage.start == datetime(1970, 1, 1, 10, tzinfo=UTC)
    assert usage.money.tolist() == [[0.0, 0.0, 0.0, 5.0], [1.0, 0.0, 3.0, 0.0]]
    assert usage.notes == (DemandNote.MISSING_HOURS_ZERO, DemandNote.SHORT_HISTORY)


def test_an_hour_that_comes_twice_is_summed_and_said() -> None:
    """When clocks go back an hour repeats: both count."""
    usage = usage_of([_rows([5, 5, 6], [1.0, 2.0, 4.0])])
    assert usage.money.tolist() == [[3.0, 4.0]]
    assert DemandNote.DUPLICATE_HOURS_SUMMED in usage.notes


def test_no_usage_is_an_answer() -> None:
    """Nothing given, or nothing used: empty, not an error."""
    assert usage_of([]).notes == (DemandNote.EMPTY,)
    assert usage_of([_rows([1, 2], [0.0, 0.0])]).notes == (DemandNote.EMPTY,)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_bad_amounts_are_refused_with_their_place(bad: float) -> None:
    """Negative, NaN and infinite usage: the field and the position."""
    with pytest.raises(InvalidArgumentError) as raised:
        usage_of([_rows([1], [1.0]), _rows([1, 2], [1.0, bad], OTHER)])
    assert [(v.field, v.reason) for v in raised.value.violations] == [("usage[1].money[1]", ErrorReason.OUT_OF_RANGE)]


def test_all_faults_are_named_at_once() -> None:
    """Lengths, currencies and a span of more than ten years, together."""
    with pytest.raises(InvalidArgumentError) as raised:
        usage_of(
            [
                UsageRows(KEY, np.array([1, 2]), np.array([1.0])),
                _rows([0, 200_000], [1.0, 1.0], OTHER, "EUR"),
            ]
        )
    assert [violation.reason for violation in raised.value.violations] == [
        ErrorReason.CONTRADICTION,
        ErrorReason.CONTRADICTION,
        ErrorReason.TOO_LARGE,
    ]


def test_instants_are_aware_and_on_the_hour() -> None:
    """A naive instant or one within an hour is not guessed at."""
    assert hours_since_epoch(datetime(1970, 1, 2, tzinfo=UTC)) == 24
    with pytest.raises(ValueError, match="time zone"):
        hours_since_epoch(datetime(1970, 1, 2))  # noqa: DTZ001 - the point
    with pytest.raises(ValueError, match="on the hour"):
        hours_since_epoch(datetime(1970, 1, 2, 0, 30, tzinfo=UTC))


def test_memory_is_known_before_it_is_taken() -> None:
    """Ten years of five hundred families with ten plans do not fit into four GiB, a year of fifty does."""
    require(50, 8_760, 1, 2**30)
    assert needed_bytes(50, 8_760, 1) > 50 * 8_760 * 8 * 20
    with pytest.raises(InvalidArgumentError) as raised:
        require(500, 87_600, 10, 4 * 2**30)
    assert raised.value.violations[0].reason is ErrorReason.TOO_LARGE
