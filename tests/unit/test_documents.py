"""Domain values as JSON values: an exact round trip, tolerant of the past and the future, strict on types."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.workloads import RegionKey


@dataclass(frozen=True, slots=True)
class Inner:
    """A part."""

    name: str
    count: int = 0


@dataclass(frozen=True, slots=True)
class Everything:
    """One field of every form."""

    text: str
    number: float = 0.0
    whole: int = 0
    flag: bool = False
    cloud: Cloud = Cloud.AWS
    instant: datetime | None = None
    span: timedelta | None = None
    exact: Decimal = Decimal(0)
    pairs: tuple[tuple[str, int], ...] = ()
    clouds: frozenset[Cloud] | None = None
    places: frozenset[RegionKey] = frozenset()
    inner: Inner | None = None
    parts: tuple[Inner, ...] = field(default=())


instants = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
inners = st.builds(Inner, st.text(), st.integers())
everything = st.builds(
    Everything,
    text=st.text(),
    number=st.floats(allow_nan=False, allow_infinity=False),
    whole=st.integers(),
    flag=st.booleans(),
    cloud=st.sampled_from(Cloud),
    instant=st.none() | instants,
    span=st.none() | st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000)),
    exact=st.decimals(allow_nan=False, allow_infinity=False),
    pairs=st.lists(st.tuples(st.text(), st.integers())).map(tuple),
    clouds=st.none() | st.frozensets(st.sampled_from(Cloud)),
    places=st.frozensets(st.builds(RegionKey, st.sampled_from(Cloud), st.text())),
    inner=st.none() | inners,
    parts=st.lists(inners, max_size=3).map(tuple),
)


@given(everything)
def test_round_trip_is_exact(value: Everything) -> None:
    """Through JSON text and back is the same value; equal values have the same text."""
    text = json.dumps(to_document(value), sort_keys=True, allow_nan=False)
    read = from_document(Everything, json.loads(text))

    assert read == value
    assert json.dumps(to_document(read), sort_keys=True) == text


def test_defaults_are_left_out_and_unknown_fields_passed_over() -> None:
    """A document of an older version lacks fields, one of a newer has more; both read."""
    assert to_document(Everything("a")) == {"text": "a"}
    assert from_document(Everything, {"text": "a", "invented_later": [1]}) == Everything("a")


def test_instants_are_of_one_zone() -> None:
    """The same instant in two time zones is the same document; a naive one is refused."""
    noon = datetime(2026, 8, 1, 12, tzinfo=UTC)
    elsewhere = noon.astimezone(timezone(timedelta(hours=2)))
    assert to_document(Everything("a", instant=noon)) == to_document(Everything("a", instant=elsewhere))
    with pytest.raises(ValueError, match="time zone"):
        to_document(Everything("a", instant=noon.replace(tzinfo=None)))


@pytest.mark.parametrize("number", [nan, inf, -inf])
def test_what_json_has_not_is_refused(number: float) -> None:
    """NaN and infinities neither go in nor come out; nor do types without a form."""
    with pytest.raises(ValueError, match="number"):
        to_document(Everything("a", number=number))
    with pytest.raises(ValueError, match="number"):
        from_document(Everything, {"text": "a", "number": number})
    with pytest.raises(TypeError, match="no JSON form"):
        to_document((object(),))


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"text": 1}, "text"),
        ({"text": "a", "whole": 1.5}, "whole"),
        ({"text": "a", "whole": True}, "whole"),
        ({"text": "a", "flag": 1}, "flag"),
        ({"text": "a", "number": "1"}, "number"),
        ({"text": "a", "cloud": "moon"}, "cloud"),
        ({"text": "a", "exact": "x"}, "exact"),
        ({"text": "a", "pairs": [["a"]]}, "pairs"),
        ({"text": "a", "parts": {}}, "parts"),
        ({"text": "a", "inner": {"count": 1}}, "inner"),
        ({}, "text"),
        ([], "dict"),
    ],
)
def test_a_wrong_document_is_named(document: object, named: str) -> None:
    """A field of the wrong type, or a missing one, is a ValueError that says which."""
    with pytest.raises(ValueError, match=named):
        from_document(Everything, document)


def test_whole_floats_read_as_floats() -> None:
    """JSON writers may drop the fraction of a whole number; it stays a float here."""
    number = from_document(Everything, {"text": "a", "number": 2}).number
    assert type(number) is float
