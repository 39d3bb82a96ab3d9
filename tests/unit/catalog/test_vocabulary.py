"""Names that people and clouds write are read as one vocabulary."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.catalog_sources import AS_OF, good_source
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.services import UnknownService, packaged_services, read_services
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.accelerators import (
    VOCABULARY,
    Reading,
    UnknownAccelerator,
    canonical_model,
    models_with_memory,
    read_model,
)
from trimtab_service.domain.money import Money, micros_from_nanos, nanos_from_usd, usd_from_nanos
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.regions import BLOCS, EU, countries_of, nearest_residency_names


@pytest.mark.parametrize(
    ("asked", "models"),
    [
        ("V100", ("V100-16GB", "V100-32GB")),
        ("nvidia-tesla-v100", ("V100-16GB", "V100-32GB")),
        ("v100-32gb", ("V100-32GB",)),
        ("A100", ("A100-40GB", "A100-80GB")),
        ("a100_80gb", ("A100-80GB",)),
        ("NVIDIA A100-SXM4-80GB", ("A100-80GB",)),
        ("nvidia-tesla-t4", ("T4",)),
        ("T4-16GB", ("T4",)),
        ("Tesla T4", ("T4",)),
        ("nvidia-l4", ("L4",)),
        ("A10G", ("A10G",)),
        ("H100", ("H100-80GB", "H100-94GB")),
        ("nvidia-h100-mega-80gb", ("H100-80GB",)),
        ("AWS Trainium2", ("Trainium2",)),
        ("inf2", ("Inferentia2",)),
        ("RTX PRO Server 6000", ("RTX-PRO-6000",)),
    ],
)
def test_a_spelling_is_read_as_its_models(asked: str, models: tuple[str, ...]) -> None:
    """Case, separators and vendor names do not matter; an open memory gives all variants and a note."""
    reading = read_model(asked)
    assert isinstance(reading, Reading)
    assert reading.models == models
    assert reading.is_ambiguous == bool(reading.note) == (len(models) > 1)


def test_memory_settles_an_ambiguous_name() -> None:
    """80 GB of an A100 is one model; 75 GiB, as clouds count it, is the same; 96 is none, with the reason."""
    for memory in (80, 75.5):
        reading = read_model("A100", memory_gb=memory)
        assert isinstance(reading, Reading)
        assert reading.models == ("A100-80GB",)
    none = read_model("A100", memory_gb=96)
    assert isinstance(none, Reading)
    assert none.models == ()
    assert "40 GB, 80 GB" in none.note


@pytest.mark.parametrize(
    ("asked", "nearest"), [("V10O", "V100"), ("A1000", "A100"), ("H1000", "H100"), ("Tranium", "Trainium")]
)
def test_an_unknown_name_suggests_the_nearest(asked: str, nearest: str) -> None:
    """A slip of the finger is answered with the name that was meant."""
    unknown = read_model(asked)
    assert isinstance(unknown, UnknownAccelerator)
    assert nearest in unknown.nearest


def test_a_model_of_the_catalogue_alone_is_known_by_its_own_name() -> None:
    """A GPU newer than the vocabulary can be asked for once the catalogue has it."""
    assert isinstance(read_model("X900"), UnknownAccelerator)
    reading = read_model("nvidia-x900", also_known=("X900",))
    assert isinstance(reading, Reading)
    assert reading.models == ("X900",)


@given(st.sampled_from(VOCABULARY))
def test_a_canonical_name_stands_for_itself(model: object) -> None:
    """Every name of the vocabulary reads as itself alone, and generic name and memory find it again."""
    assert model in VOCABULARY
    name = getattr(model, "name", "")
    reading = read_model(name)
    assert isinstance(reading, Reading)
    assert reading.models == (name,)
    assert canonical_model(getattr(model, "generic", ""), getattr(model, "memory_gb", 0.0)) == name


def test_catalogue_spellings_are_settled_by_memory() -> None:
    """A100 with 80 GiB in one cloud and A100-80GB in another are one model; unknown names stay as they are."""
    assert canonical_model("A100", 80.0) == canonical_model("A100-80GB", 80.0) == "A100-80GB"
    assert canonical_model("L4", 22.4) == "L4"
    assert canonical_model("Gaudi 9", 256.0) == "Gaudi 9"


def test_models_can_be_asked_for_by_memory() -> None:
    """All models with at least 80 GB, and no smaller one."""
    assert set(models_with_memory(80)) == {m.name for m in VOCABULARY if m.memory_gb >= 80}


@given(st.decimals(min_value=-(10**9), max_value=10**9, places=9))
def test_nanos_keep_nine_decimals(usd: Decimal) -> None:
    """USD to nanos and back is exact."""
    assert usd_from_nanos(nanos_from_usd(usd)) == usd


@given(st.integers(-(10**15), 10**15))
def test_micros_round_to_even(nanos: int) -> None:
    """The nearest micro, halves to even, as decimal arithmetic does it."""
    assert micros_from_nanos(nanos) == int((Decimal(nanos) / 1_000).quantize(Decimal(1)))


@given(st.integers(-(10**15), 10**15))
def test_money_survives_the_wire_form(micros: int) -> None:
    """Units and nanos have one sign and give the amount back."""
    units, nanos = Money(micros).units_and_nanos
    assert units * nanos >= 0
    assert Money.from_units_and_nanos(units, nanos) == Money(micros)


@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity", "1e30", "ten", ""])
def test_what_is_no_amount_is_refused(text: str) -> None:
    """No such text becomes money."""
    with pytest.raises(ValueError, match="amount"):
        nanos_from_usd(text)


def test_floats_are_read_by_their_shortest_text() -> None:
    """0.1 + 0.2 style residue does not reach the nanos."""
    assert nanos_from_usd(0.0416) == 41_600_000


def test_blocs_are_countries_and_the_eu_has_27() -> None:
    """Residency names give countries; a country is itself; anything else is neither."""
    assert len(EU) == 27
    assert countries_of("eu") == EU
    assert countries_of(" DE ") == frozenset({"DE"})
    assert countries_of("UK") == frozenset({"GB"})
    assert countries_of("Europe") is None
    assert BLOCS["EU"] < BLOCS["EEA"]
    assert "EEA" in nearest_residency_names("EEAA", frozenset())


def test_services_are_found_by_name_alias_and_category(tmp_path: Path) -> None:
    """BigQuery is a fact of GCP; "kubernetes" is met by any of the three; a slip is answered with a suggestion."""
    table = packaged_services()
    found = table.find("Big Query")
    assert not isinstance(found, UnknownService)
    assert {fact.cloud for fact in found} == {Cloud.GCP}
    kubernetes = table.find("kubernetes")
    assert not isinstance(kubernetes, UnknownService)
    assert {fact.service for fact in kubernetes} == {"eks", "gke", "aks"}
    slip = table.find("BigQueri")
    assert isinstance(slip, UnknownService)
    assert slip.nearest[0] == "bigquery"
    load = build(good_source().write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF)
    snapshot = open_snapshot(tmp_path / "out" / load.version)
    where = table.regions_with(found, snapshot)
    assert [snapshot.regions[r].key for r in where.nonzero()[0]] == ["gcp:us-central1"]
    trainium = table.find("trainium")
    assert not isinstance(trainium, UnknownService)
    assert not table.regions_with(trainium, snapshot).any()


def test_every_service_fact_says_how_far_it_reaches() -> None:
    """Each row states basis and month, and a service and cloud occur once."""
    facts = packaged_services().facts
    assert len({(fact.service, fact.cloud) for fact in facts}) == len(facts)
    assert all(fact.as_of and fact.basis for fact in facts)


def test_a_malformed_service_table_names_the_line(tmp_path: Path) -> None:
    """A row with an unknown scope is told by line."""
    path = tmp_path / "services.csv"
    path.write_text("service,cloud,category,aliases,scope,basis,as_of\nx,aws,y,,galaxy,catalogue,2025-06\n")
    with pytest.raises(ValueError, match="line 2"):
        read_services(path)
