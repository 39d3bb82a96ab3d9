"""Flags that say which usage and which offers a purchase is about."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from trimtab import vocabulary
from trimtab.cli.demand_files import Chosen, read_demand
from trimtab.cli.files import read_messages
from trimtab.cli.values import duration, parse
from trimtab.v1 import commitment_service_pb2
from trimtab.v1 import purchasing_service_pb2 as pb

_DEMAND = "Usage"
_OFFERS = "Offers"
_EACH = "*"
_HOLD = "KIND_"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandFlags:
    """Hourly usage in a file, or of what runs."""

    demand: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="parquet or csv: hour, region, vm_type, count.", rich_help_panel=_DEMAND),
    ] = None
    inventory: Annotated[
        list[str],
        typer.Option(metavar="SOURCE", help="Instead: what runs in this account now. Repeat.", rich_help_panel=_DEMAND),
    ] = field(default_factory=list)
    lookback: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How far back that reaches; absent: 30 days.", rich_help_panel=_DEMAND),
    ] = ""
    assume_always: Annotated[
        bool, typer.Option("--assume-always", help="As if it had always run.", rich_help_panel=_DEMAND)
    ] = False
    region: Annotated[list[str], typer.Option(help="Only this region. Repeat.", rich_help_panel=_DEMAND)] = field(
        default_factory=list
    )
    family: Annotated[list[str], typer.Option(help="Only this family. Repeat.", rich_help_panel=_DEMAND)] = field(
        default_factory=list
    )
    last_hours: Annotated[int, typer.Option(min=0, help="Only the end of it; 0 is all.", rich_help_panel=_DEMAND)] = 0
    cloud: Annotated[str, typer.Option(help="aws, gcp or azure.", rich_help_panel=_DEMAND)] = "aws"
    unit_price: Annotated[
        str,
        typer.Option(metavar="USD", help="On-demand price of a unit for an hour; absent: 1.", rich_help_panel=_DEMAND),
    ] = ""

    def message(self) -> pb.PurchaseDemand:
        """The usage. Raises typer.BadParameter."""
        if (self.demand is None) == (not self.inventory):
            raise typer.BadParameter("give a file with --demand, or accounts with --inventory", param_hint="--demand")
        if self.demand is None:
            return self._of_inventory()
        chosen = Chosen(
            parse("--cloud", vocabulary.cloud, self.cloud), tuple(self.region), tuple(self.family), self.last_hours
        )
        try:
            demand = read_demand(self.demand, chosen)
        except ImportError:
            text = "parquet needs polars: pip install polars, or give csv"
            raise typer.BadParameter(text, param_hint="--demand") from None
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--demand") from None
        if self.unit_price:
            price = parse("--unit-price", vocabulary.money, self.unit_price)
            for series in demand.series:
                series.unit_price.CopyFrom(price)
        return demand

    def _of_inventory(self) -> pb.PurchaseDemand:
        made = pb.PurchaseDemand(
            inventory=pb.InventoryUsage(telemetry_sources=self.inventory, assume_always=self.assume_always)
        )
        if self.lookback:
            made.inventory.lookback.FromTimedelta(parse("--lookback", duration, self.lookback))
        return made


def read_offers(path: Path, demand: pb.PurchaseDemand) -> list[pb.PurchaseOffer]:
    """The offers of a file; one of family `*` stands for one of each family and region that is used."""
    found: list[pb.PurchaseOffer] = []
    for offer in read_messages(path, pb.PurchaseOffer, "offers", "--offers"):
        if offer.family == _EACH and demand.HasField("inventory"):
            text = f"{offer.offer_id}: family '*' is of the usage in a file; with --inventory name the families"
            raise typer.BadParameter(text, param_hint="--offers")
        found.extend(_each(offer, demand) if offer.family == _EACH else [offer])
    return found


def read_plans(path: Path | None, flag: str) -> list[pb.OwnedPlan]:
    """Owned plans of a file; none where there is no file."""
    return [] if path is None else read_messages(path, pb.OwnedPlan, "plans", flag)


def commitment_kind(text: str) -> commitment_service_pb2.Commitment.Kind.ValueType:
    """`aws-compute-savings-plan` and the like. Raises ValueError."""
    kinds = commitment_service_pb2.Commitment.Kind
    words = {name.removeprefix(_HOLD).lower().replace("_", "-"): number for name, number in kinds.items() if number}
    found = words.get(text.strip().lower().replace("_", "-"))
    if found is None:
        raise ValueError(f"expected one of {', '.join(words)}, not {text!r}")
    return found


def _each(offer: pb.PurchaseOffer, demand: pb.PurchaseDemand) -> Iterable[pb.PurchaseOffer]:
    places = dict.fromkeys(
        (series.family, series.region)
        for series in demand.series
        if series.cloud == offer.cloud and offer.region in {"", series.region}
    )
    for family, region in places:
        one = pb.PurchaseOffer()
        one.CopyFrom(offer)
        one.offer_id, one.family, one.region = f"{offer.offer_id}/{region}/{family}", family, region
        yield one
