"""Properties of the filter language."""

import contextlib
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.filters import (
    MAX_FILTER_CHARACTERS,
    Comparison,
    Conjunction,
    Disjunction,
    FieldKind,
    Negation,
    Operator,
    matches,
    parse_filter,
)
from trimtab_service.domain.reasons import ErrorReason

FIELDS = {
    "cloud": FieldKind.TEXT,
    "count": FieldKind.INTEGER,
    "price": FieldKind.NUMBER,
    "reserved": FieldKind.BOOLEAN,
    "create_time": FieldKind.TIMESTAMP,
}


def is_cloud(value: str) -> Comparison:
    """The tree of `cloud = value`."""
    return Comparison("cloud", Operator.EQUAL, value)


@pytest.mark.parametrize("text", ["", "   ", "\n\t"])
def test_an_empty_filter_matches_everything(text: str) -> None:
    """Nothing asked, nothing kept out."""
    assert parse_filter(text, FIELDS) is None
    assert matches(None, lambda _: None)


def test_or_binds_tighter_than_and() -> None:
    """AIP-160's precedence, which is not that of most languages."""
    tree = parse_filter("cloud = a AND cloud = b OR cloud = c", FIELDS)
    assert tree == Conjunction((is_cloud("a"), Disjunction((is_cloud("b"), is_cloud("c")))))


def test_parentheses_and_negation_group() -> None:
    """A parenthesis is one term, and both signs of negation take one term."""
    tree = parse_filter("NOT (cloud=a AND cloud=b) OR -cloud = c", FIELDS)
    assert tree == Disjunction((Negation(Conjunction((is_cloud("a"), is_cloud("b")))), Negation(is_cloud("c"))))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("cloud = p4d.24xlarge", "p4d.24xlarge"),
        ("cloud = 'two words'", "two words"),
        (r'cloud = "a \"quote\" and \\"', 'a "quote" and \\'),
        ("count >= -9223372036854775808", -(2**63)),
        ("price < 1.50", Decimal("1.50")),
        ("reserved = true", True),
        ("create_time > 2026-01-02T03:04:05.123456Z", datetime(2026, 1, 2, 3, 4, 5, 123456, UTC)),
        ("create_time > 2026-01-02T03:04:05.123456789+01:00", datetime(2026, 1, 2, 2, 4, 5, 123456, UTC)),
        ("create_time > 2026-01-02", datetime(2026, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_value_has_the_type_of_its_field(text: str, value: object) -> None:
    """Values are typed by the allow-list, not guessed from their look."""
    tree = parse_filter(text, FIELDS)
    assert isinstance(tree, Comparison)
    assert tree.value == value
    assert type(tree.value) is type(value)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("nope = 1", 1),
        ("cloud = a AND nope = 1", 15),
        ("cloud", 6),
        ("cloud =", 8),
        ("cloud = a cloud = b", 11),
        ("cloud = a AND", 11),
        ("(cloud = a", 1),
        ("cloud = 'a", 9),
        ("count = 9223372036854775808", 9),
        ("count = 1.5", 9),
        ("price = NaN", 9),
        ("price = 1e999999999", 9),
        ("price = 1_000", 9),
        ("reserved = yes", 12),
        ("reserved < true", 10),
        ("create_time = yesterday", 15),
        ("create_time = 2026-02-30", 15),
        ("create_time = 2026-01-01T00:00:00", 15),
        ("create_time = 0001-01-01T00:00:00+14:00", 15),
        ("count : 5", 7),
        ("cloud : ''", 9),
        ("cloud = 'a\x00b'", 9),
        ("cloud = \ud800", 9),
        ("; DROP TABLE decisions", 1),
    ],
)
def test_a_bad_filter_is_refused_with_its_position(text: str, position: int) -> None:
    """The caller is told where to look."""
    with pytest.raises(InvalidArgumentError) as refused:
        parse_filter(text, FIELDS)
    assert refused.value.reason is ErrorReason.FILTER_INVALID
    assert refused.value.metadata["position"] == str(position)


@pytest.mark.parametrize(
    "text",
    ["(" * 4_000, "NOT " * 1_000 + "cloud = a", "-" * 4_000, "cloud = a OR " * 300 + "cloud = a", "x" * 1_000_000],
)
def test_a_filter_cannot_exhaust_the_parser(text: str) -> None:
    """Depth, number and length are bounded."""
    with pytest.raises(InvalidArgumentError):
        parse_filter(text, FIELDS)


@given(st.text(max_size=200))
def test_any_text_is_a_tree_or_a_refusal(text: str) -> None:
    """No input has a third outcome."""
    with contextlib.suppress(InvalidArgumentError):
        assert matches(parse_filter(text, FIELDS), dict.fromkeys(FIELDS).get) in (True, False)


@given(st.text(max_size=100).filter(lambda text: "\x00" not in text), st.sampled_from("'\""))
def test_every_text_can_be_quoted(value: str, mark: str) -> None:
    """Backslashes make any text a value."""
    escaped = value.replace("\\", "\\\\").replace(mark, "\\" + mark)
    if any("\ud800" <= character <= "\udfff" for character in value) or len(escaped) > MAX_FILTER_CHARACTERS - 20:
        return
    assert parse_filter(f"cloud = {mark}{escaped}{mark}", FIELDS) == is_cloud(value)


def test_a_field_that_is_not_set_only_differs() -> None:
    """Comparisons with nothing are false; != is the opposite of =."""
    nothing = dict.fromkeys(FIELDS)
    holds = {text: matches(parse_filter(text, FIELDS), nothing.get) for text in ("count = 1", "count < 1", "cloud:a")}
    assert not any(holds.values())
    assert matches(parse_filter("count != 1", FIELDS), nothing.get)
    assert matches(parse_filter("NOT count = 1", FIELDS), nothing.get)
    assert not matches(parse_filter("count:*", FIELDS), nothing.get)
    assert matches(parse_filter("count:*", FIELDS), {"count": 0}.get)
