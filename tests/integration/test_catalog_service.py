"""The catalogue as a caller sees it: versions, offers against the source's own rows, refreshes good and bad."""

import gzip
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from tests.support.catalog_sources import CatalogSource, Row, good_source
from tests.support.contract import CATALOG, PLACEMENT, Refusal, answered, call, refused
from tests.support.service import RunningService, running_service
from tests.support.whole_requests import place_request
from trimtab.v1 import catalog_service_pb2 as pb
from trimtab.v1 import placement_service_pb2, types_pb2

GET: Final = CATALOG + "GetCatalog"
LIST: Final = CATALOG + "ListCatalogs"
OFFERS: Final = CATALOG + "ListOffers"
REFRESH: Final = CATALOG + "RefreshCatalog"
CURRENT: Final = pb.GetCatalogRequest(name="catalogs/current")


@dataclass(frozen=True)
class House:
    """A service and the directory of its catalogue."""

    service: RunningService
    catalog: Path

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the service."""
        return self.service.channel

    def refresh(self, source: CatalogSource | None = None) -> pb.Catalog:
        """Load the directory, with other rows."""
        if source is not None:
            source.write(self.catalog)
        loaded: pb.Catalog = answered(self.channel, REFRESH, pb.RefreshCatalogRequest(request_id=str(uuid.uuid4())))
        return loaded

    def current(self) -> pb.Catalog:
        """The catalogue in force."""
        catalog: pb.Catalog = answered(self.channel, GET, CURRENT)
        return catalog


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A service of its own for each test: catalogues are of the whole deployment."""
    directory = good_source().write(tmp_path / "catalog")
    with running_service(tmp_path / "data", catalog_dir=directory) as service:
        yield House(service, directory)


def priced(factor: float) -> CatalogSource:
    """The good catalogue with other prices, so of another version."""
    source = good_source()
    for row in source.tables["prices"]:
        row["usd_per_hour"] = float(str(row["usd_per_hour"])) * factor
    return source


def test_catalogue_says_what_it_holds(house: House) -> None:
    """Version, counts, rows by basis with their ages, and how old the newest price is."""
    source, catalog = good_source(), house.current()
    assert catalog.current
    assert catalog.name.startswith("catalogs/")
    assert catalog.price_rows == len(source.tables["prices"])
    assert catalog.instance_types == len(source.tables["instance_types"])
    assert catalog.regions == len(source.tables["regions"])
    assert [(basis.basis, basis.rows) for basis in catalog.bases] == [
        (types_pb2.PRICE_BASIS_LIST, len(source.tables["prices"]))
    ]
    assert catalog.newest_price_age.seconds // 86_400 == catalog.bases[0].newest_days > 0
    assert not catalog.quarantined
    assert not catalog.last_refresh_failure
    assert answered(house.channel, GET, pb.GetCatalogRequest(name=catalog.name)).name == catalog.name


def test_versions_are_kept_and_listed_newest_first(house: House) -> None:
    """A version is its content: what comes again has its old name and is listed once."""
    first = house.current().name
    second = house.refresh(priced(2.0)).name
    third = house.refresh(priced(3.0)).name
    assert len({first, second, third}) == 3
    listed = answered(house.channel, LIST, pb.ListCatalogsRequest())
    assert [(entry.name, entry.current) for entry in listed.catalogs] == [
        (third, True),
        (second, False),
        (first, False),
    ]
    assert house.refresh(priced(2.0)).name == second
    listed = answered(house.channel, LIST, pb.ListCatalogsRequest())
    assert [entry.name for entry in listed.catalogs] == [second, third, first]
    only = answered(house.channel, LIST, pb.ListCatalogsRequest(filter="current = true"))
    assert [entry.name for entry in only.catalogs] == [second]
    names, token = [], ""
    while True:
        page = answered(house.channel, LIST, pb.ListCatalogsRequest(page_size=1, page_token=token))
        names += [entry.name for entry in page.catalogs]
        token = page.next_page_token
        if not token:
            break
    assert names == [second, third, first]
    assert not answered(house.channel, GET, pb.GetCatalogRequest(name=first)).current


def every_offer(house: House, text: str, size: int, parent: str = "catalogs/current") -> list[pb.CatalogOffer]:
    """All pages of a list."""
    found: list[pb.CatalogOffer] = []
    request = pb.ListOffersRequest(parent=parent, filter=text, page_size=size)
    while True:
        page = answered(house.channel, OFFERS, request)
        assert len(page.offers) <= size
        found += page.offers
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return found


def key(offer: pb.CatalogOffer) -> tuple[str, str, str, str, Decimal]:
    """An offer in the words of a source."""
    listed = offer.offer
    price = Decimal(listed.price_per_hour.units) + Decimal(listed.price_per_hour.nanos) / 10**9
    cloud = types_pb2.Cloud.Name(listed.cloud).removeprefix("CLOUD_").lower()
    option = types_pb2.PurchaseOption.Name(listed.purchase_option).removeprefix("PURCHASE_OPTION_").lower()
    return cloud, listed.region, listed.instance_type, option, price


def joined(source: CatalogSource) -> list[Row]:
    """Price rows with the facts of their region and type, under the contract's names of options."""
    types = {(row["cloud"], row["name"]): row for row in source.tables["instance_types"]}
    regions = {(row["cloud"], row["region"]): row for row in source.tables["regions"]}
    options = {
        "reserved_1y_no_upfront": "reserved_1y",
        "reserved_3y_no_upfront": "reserved_3y",
        "cud_1y": "reserved_1y",
        "cud_3y": "reserved_3y",
    }
    rows = []
    for row in source.tables["prices"]:
        given = str(row["purchase_option"])
        kind, place = types[row["cloud"], row["instance_type"]], regions[row["cloud"], row["region"]]
        rows.append({**place, **kind, **row, "purchase_option": options.get(given, given)})
    return rows


QUESTIONS: Final[tuple[tuple[str, Callable[[Row], bool]], ...]] = (
    ("", lambda _: True),
    ('cloud = "aws"', lambda row: row["cloud"] == "aws"),
    ('cloud = "aws" AND region = "eu-west-1"', lambda row: row["region"] == "eu-west-1"),
    ('country = "IE" OR cloud = "gcp"', lambda row: row["country"] == "IE" or row["cloud"] == "gcp"),
    (
        "vcpus >= 4 AND memory_gib < 16",
        lambda row: float(str(row["vcpus"])) >= 4 and float(str(row["memory_gib"])) < 16,
    ),
    ('gpu_model = "V100"', lambda row: row["gpu_model"] == "V100"),
    ('gpu_model = "nvidia-tesla-v100"', lambda row: row["gpu_model"] == "V100"),
    ('gpu_model = "V100-16GB"', lambda row: row["gpu_model"] == "V100"),
    ('gpu_model = "V100-32GB"', lambda _: False),
    ('gpu_model = "no such thing"', lambda _: False),
    ('gpu_model != "V100" AND cloud = "aws"', lambda row: row["cloud"] == "aws" and row["gpu_model"] != "V100"),
    ('gpu_model = ""', lambda row: not row["gpu_model"]),
    ('gpu_model:"100"', lambda row: row["gpu_model"] == "V100"),
    ("gpu_count > 0", lambda row: float(str(row["gpu_count"])) > 0),
    ('NOT family = "n1"', lambda row: row["family"] != "n1"),
    ('instance_type:"5.x"', lambda row: "5.x" in str(row["instance_type"])),
    ('purchase_option = "spot" AND usd_per_hour < 0.07', lambda row: _price(row, "spot") < Decimal("0.07")),
    ('usd_per_hour != 0.134 AND architecture = "x86_64"', lambda row: _price(row) != Decimal("0.134")),
    ('price_basis = "list" AND purchase_option != "spot"', lambda row: row["purchase_option"] != "spot"),
    ('cloud = "azure" AND cloud = "aws"', lambda _: False),
)


def _price(row: Row, option: str = "") -> Decimal:
    """The price in nanos' precision; past every limit for another option."""
    if option and row["purchase_option"] != option:
        return Decimal(10**6)
    return round(Decimal(str(row["usd_per_hour"])), 9)


def test_list_of_offers_is_what_the_source_says(house: House) -> None:
    """Every filter, at every page size: the rows that brute force finds, each once and in order."""
    rows = joined(good_source())
    for text, holds in QUESTIONS:
        wanted = {
            (str(row["cloud"]), str(row["region"]), str(row["instance_type"]), str(row["purchase_option"]), _price(row))
            for row in rows
            if holds(row)
        }
        for size in (1, 7, 1_000):
            found = [key(offer) for offer in every_offer(house, text, size)]
            assert len(found) == len(set(found)), text
            assert set(found) == wanted, text
    whole_list = [key(offer)[:2] for offer in every_offer(house, "", 1_000)]
    assert whole_list == sorted(whole_list)
    gpu = every_offer(house, 'gpu_model = "V100"', 10)[0]
    assert (gpu.gpu_model, gpu.gpu_count, gpu.gpu_memory_gib, gpu.family) == ("V100-16GB", 1.0, 16.0, "p3")


def test_pages_of_one_version_are_not_mixed_with_another(house: House) -> None:
    """A token of `current` is refused when another version came meanwhile; one of a kept version goes on."""
    name = house.current().name
    before = every_offer(house, "", 1_000)
    pages = {
        parent: answered(house.channel, OFFERS, pb.ListOffersRequest(parent=parent, page_size=10))
        for parent in ("catalogs/current", name)
    }
    house.refresh(priced(2.0))
    stale = pb.ListOffersRequest(parent="catalogs/current", page_token=pages["catalogs/current"].next_page_token)
    assert refused(house.channel, OFFERS, stale).fields == {"page_token": "PAGE_TOKEN_INVALID"}
    kept = pb.ListOffersRequest(parent=name, page_size=1_000, page_token=pages[name].next_page_token)
    assert [*pages[name].offers, *answered(house.channel, OFFERS, kept).offers] == before


def _cut_gzip(directory: Path) -> None:
    """The prices, compressed and cut in the middle."""
    plain = (directory / "prices.csv").read_bytes()
    packed = gzip.compress(plain)
    (directory / "prices.csv").unlink()
    (directory / "prices.csv.gz").write_bytes(packed[: len(packed) // 2])


def _cut_row(directory: Path) -> None:
    """The types, cut within a row: prices without a type are lost."""
    path = directory / "instance_types.csv"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _no_prices(directory: Path) -> None:
    """The head alone."""
    path = directory / "prices.csv"
    path.write_bytes(path.read_bytes().splitlines()[0] + b"\n")


def _no_file(directory: Path) -> None:
    """A file that is needed is gone."""
    (directory / "regions.csv").unlink()


def _noise(directory: Path) -> None:
    """Not a table at all."""
    (directory / "prices.csv").write_bytes(bytes(range(256)) * 64)


@pytest.mark.parametrize("spoil", [_cut_gzip, _cut_row, _no_prices, _no_file, _noise])
def test_bad_directory_keeps_the_last_good_catalogue_and_says_why(house: House, spoil: Callable[[Path], None]) -> None:
    """The refresh is refused with a reason, decisions go on over the version before, and a mended one comes in."""
    good = house.current()
    decided = answered(house.channel, PLACEMENT + "Place", place_request("p"))
    priced(2.0).write(house.catalog)
    spoil(house.catalog)
    answer = refused(house.channel, REFRESH, pb.RefreshCatalogRequest())
    assert (answer.code, answer.reason) in {
        (grpc.StatusCode.FAILED_PRECONDITION, "CATALOG_REFUSED"),
        (grpc.StatusCode.UNAVAILABLE, "SOURCE_FAILED"),
    }
    assert str(house.catalog) not in answer.text
    kept = house.current()
    assert (kept.name, kept.current) == (good.name, True)
    assert kept.last_refresh_failure.startswith(answer.reason)
    assert len(every_offer(house, "", 1_000)) == good.price_rows
    again = answered(house.channel, PLACEMENT + "Place", place_request("p"))
    assert again.chosen.offer == decided.chosen.offer
    for file in house.catalog.iterdir():
        file.unlink()
    mended = house.refresh(priced(2.0))
    assert mended.name != good.name
    assert not mended.last_refresh_failure


def test_bad_rows_are_quarantined_and_counted(house: House) -> None:
    """Each with its reason and an example, and the rest is taken."""
    source = good_source()
    source.tables["prices"][0]["usd_per_hour"] = -1
    source.tables["prices"][1]["usd_per_hour"] = "NaN"
    catalog = house.refresh(source)
    assert {count.reason: count.rows for count in catalog.quarantined} == {"NEGATIVE_PRICE": 1, "BAD_NUMBER": 1}
    assert all(count.examples for count in catalog.quarantined)
    assert catalog.price_rows == len(source.tables["prices"]) - 2


def test_refresh_of_what_is_unchanged_changes_nothing(house: House) -> None:
    """Also by many callers at once."""
    before = house.current()
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(call(house.channel, REFRESH, pb.RefreshCatalogRequest())))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {answer.name for answer in answers} == {before.name}
    assert len(answered(house.channel, LIST, pb.ListCatalogsRequest()).catalogs) == 1


def test_catalogue_is_swapped_while_deciding(house: House) -> None:
    """Callers place, explain and list through several refreshes: no error, and each answer is of one version."""
    versions = {house.current().name: 1.0}
    base = {key(offer)[:4]: key(offer)[4] for offer in every_offer(house, "", 1_000)}
    faults: list[object] = []
    decisions: list[placement_service_pb2.Decision] = []
    ended = threading.Event()

    def keep_asking(number: int) -> None:
        request = place_request(f"p{number}", purchaseOptions=["PURCHASE_OPTION_SPOT", "PURCHASE_OPTION_ON_DEMAND"])
        request.explain = bool(number % 2)
        while not ended.is_set():
            answer = call(house.channel, PLACEMENT + "Place", request)
            if isinstance(answer, Refusal) or answer.verdict != placement_service_pb2.Decision.VERDICT_PLACED:
                faults.append(answer)
            else:
                decisions.append(answer)
            page = call(house.channel, OFFERS, pb.ListOffersRequest(parent="catalogs/current", page_size=5))
            if isinstance(page, Refusal):
                faults.append(page)

    threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for factor in (2.0, 3.0, 4.0):
            versions[house.refresh(priced(factor)).name] = factor
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    assert not faults
    assert len({decision.revisions.catalog_version for decision in decisions}) >= 2
    for decision in decisions:
        factor = versions[f"catalogs/{decision.revisions.catalog_version}"]
        cloud, region, kind, option, price = key(pb.CatalogOffer(offer=decision.chosen.offer))
        assert price == pytest.approx(base[cloud, region, kind, option] * Decimal(factor))
    for decision in decisions[:: max(1, len(decisions) // 20)]:
        asked = placement_service_pb2.ExplainPlacementRequest(
            parent=decision.name.partition("/decisions/")[0], decision=decision.name
        )
        assert answered(house.channel, PLACEMENT + "ExplainPlacement", asked).replay_identical
