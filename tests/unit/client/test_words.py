"""Words and units: what is read, what is refused, and that money survives both ways."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimtab
from trimtab import vocabulary
from trimtab.cli import output, values
from trimtab.v1 import types_pb2
from trimtab.v1.placement_service_pb2 import Decision

NANOS = st.integers(min_value=-(10**15), max_value=10**15)


@given(NANOS)
def test_money_survives_both_ways(nanos: int) -> None:
    """Nine places are kept exactly, and both parts carry the sign."""
    amount = Decimal(nanos) / 10**9
    money = vocabulary.money(str(amount))
    assert vocabulary.amount_of(money) == amount
    assert money.units * money.nanos >= 0
    assert abs(money.nanos) < 10**9


@pytest.mark.parametrize("text", ["", "NaN", "inf", "1.0000000001", "1,50", "12 €", "1e30"])
def test_amounts_that_are_none_are_refused(text: str) -> None:
    """An amount is never rounded and never guessed."""
    with pytest.raises(ValueError, match="US dollars"):
        vocabulary.money(text)


@given(st.integers(min_value=0, max_value=10**6))
def test_durations_are_read_as_they_are_shown(minutes: int) -> None:
    """What is printed with its largest two units is read back, where two units say all of it."""
    span = timedelta(minutes=minutes)
    shown = output.length(span)
    read = values.duration(shown.replace(" ", ""))
    assert timedelta(0) <= span - read < timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("500ms", 0.5), ("0.5h", 1800)]
)
def test_durations(text: str, seconds: float) -> None:
    """Every unit, and sums of them."""
    assert values.duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "5x", "h", "-5m", "5 m", "1h 30m", "5mins", "1e9d", "99999999999d"])
def test_durations_without_sense_are_refused(text: str) -> None:
    """No unit, no such unit, no number, or longer than anything."""
    with pytest.raises(ValueError, match=r"duration|longer"):
        values.duration(text)


@pytest.mark.parametrize(("text", "gib"), [("500GiB", 500), ("2TiB", 2048), ("512MiB", 0.5), ("1.5 GiB", 1.5)])
def test_sizes(text: str, gib: float) -> None:
    """Powers of two only."""
    assert values.gib(text) == gib


@pytest.mark.parametrize("text", ["500", "500GB", "500gib", "GiB", "-1GiB", "1e3GiB", "", "nanGiB"])
def test_sizes_without_sense_are_refused(text: str) -> None:
    """A size whose unit may be read in two ways is not read."""
    with pytest.raises(ValueError, match="GiB"):
        values.gib(text)


@pytest.mark.parametrize(("text", "hours"), [("8", 8), ("8h", 8), ("90m", 1.5), ("0.5", 0.5)])
def test_bare_hours_are_hours(text: str, hours: float) -> None:
    """The one duration whose flag already names the unit."""
    assert values.hours(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e300"])
def test_hours_without_sense_are_refused(text: str) -> None:
    """Numbers that are no length of time."""
    with pytest.raises(ValueError, match=r"hours|duration"):
        values.hours(text)


def test_residency_tells_countries_from_blocs() -> None:
    """`EU` has two letters and is a bloc."""
    allowed = vocabulary.residency(["EU", "de", "north-america", "Middle East"])
    assert list(allowed.blocs) == ["EU", "NORTH_AMERICA", "MIDDLE_EAST"]
    assert list(allowed.countries) == ["DE"]


def test_enum_values_are_shown_as_they_are_written() -> None:
    """What is shown can be typed; a number of the future is shown as it is."""
    for name, number in vocabulary.PURCHASE_OPTIONS.items():
        assert vocabulary.word(types_pb2.PurchaseOption.DESCRIPTOR, number) == name
    for name, cloud in vocabulary.CLOUDS.items():
        assert vocabulary.word(types_pb2.Cloud.DESCRIPTOR, cloud) == name
    assert vocabulary.word(Decision.Verdict.DESCRIPTOR, Decision.VERDICT_INFEASIBLE) == "infeasible"
    assert vocabulary.word(types_pb2.Cloud.DESCRIPTOR, 99) == "99"


def test_every_purchase_option_and_cloud_has_a_word() -> None:
    """A value that is added to the contract needs one."""
    assert len(vocabulary.PURCHASE_OPTIONS) == len(types_pb2.PurchaseOption.DESCRIPTOR.values) - 1
    assert len(vocabulary.CLOUDS) == len(types_pb2.Cloud.DESCRIPTOR.values) - 1
    assert len(vocabulary.ARCHITECTURES) == len(types_pb2.Architecture.DESCRIPTOR.values) - 1


def test_the_builder_says_what_the_message_says() -> None:
    """The commonest fields in the units that people think in."""
    made = trimtab.workload(
        gpu=["V100", "A100"],
        gpus=2,
        memory_gib=64,
        architecture="x86_64",
        hours=1.5,
        purchase=["spot", "on-demand"],
        residency=["EU"],
        data=[trimtab.data_set("aws:eu-west-1", 500, reads=3)],
        deadline=datetime(2026, 11, 24, 8, tzinfo=UTC),
        tags={"team": "vision"},
    )
    assert [(need.model, need.count) for need in made.size.gpus] == [("V100", 2), ("A100", 2)]
    assert made.duration.ToTimedelta() == timedelta(minutes=90)
    assert list(made.purchase_options) == [types_pb2.PURCHASE_OPTION_SPOT, types_pb2.PURCHASE_OPTION_ON_DEMAND]
    assert (made.data_sets[0].location.region, made.data_sets[0].reads) == ("eu-west-1", 3)
    assert trimtab.workload(service_hours=200, vcpus=1).WhichOneof("usage") == "service_hours_per_month"


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"hours": 1, "service_hours": 1},
        {"hours": float("nan")},
        {"hours": 1, "deadline": datetime(2026, 11, 24)},  # noqa: DTZ001 - the naive one that is refused
        {"hours": 1, "purchase": ["cheap"]},
        {"hours": 1, "residency": ["Germany"]},
        {"hours": 1, "architecture": "mips"},
    ],
)
def test_the_builder_refuses_what_has_no_sense(arguments: dict[str, object]) -> None:
    """Each fault is a ValueError here and not a failed call later."""
    with pytest.raises(ValueError, match=r"give|expected|zone"):
        trimtab.workload(**arguments)  # type: ignore[arg-type] # rows of mixed types
