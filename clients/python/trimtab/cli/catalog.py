"""`trimtab catalog`: what can be bought, where, for how much."""

from itertools import islice
from typing import Annotated

import typer
from rich.text import Text

from trimtab import vocabulary
from trimtab.catalog import CURRENT
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.flags import command
from trimtab.v1 import types_pb2
from trimtab.v1.catalog_service_pb2 import Catalog, CatalogOffer

VERSION = Annotated[str, typer.Argument(metavar="[VERSION]", help="A kept version; absent: the one in force.")]


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Look at the catalogue of prices.")
    for name, function in (("show", show), ("versions", versions), ("offers", offers), ("refresh", refresh)):
        command(group, name)(function)
    app.add_typer(group, name="catalog")


def show(version: VERSION = CURRENT, *, output: Output, connection: Connection) -> None:
    """Show a version: rows, age, basis of its prices, what was quarantined."""
    with connection.client() as client:
        _show_catalog(client.catalog.get_catalog(version), as_json=output.json)


def versions(
    *,
    limit: Annotated[int, typer.Option(min=0, help="At most this many; 0: all.")] = 50,
    output: Output,
    connection: Connection,
) -> None:
    """List the kept versions, newest first."""
    with connection.client() as client:
        found = islice(client.catalog.list_catalogs(page_size=limit), limit or None)
        if output.json:
            out.show_json_lines(found)
            return
        shown = out.table("version", "", "loaded", "prices", "types", "regions", right=["prices", "types", "regions"])
        for one in found:
            shown.add_row(
                out.short(one.name),
                "in force" if one.current else "",
                out.moment(one.load_time),
                f"{one.price_rows:,}",
                f"{one.instance_types:,}",
                f"{one.regions:,}",
            )
    out.show(shown if shown.row_count else "no versions")


def offers(
    version: VERSION = CURRENT,
    *,
    where: Annotated[
        str, typer.Option("--filter", help="""AIP-160, as 'gpu_model = "V100" AND usd_per_hour < 4'.""")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="At most this many; 0: all.")] = 50,
    output: Output,
    connection: Connection,
) -> None:
    """List offers with the size of their type."""
    with connection.client() as client:
        found = islice(
            client.catalog.list_offers(where=where, parent=version, page_size=min(limit or 1000, 1000)), limit or None
        )
        if output.json:
            out.show_json_lines(found)
            return
        numbers = ["price", "vcpus", "GiB"]
        shown = out.table("place", "type", "bought", "price", "basis", "as of", "vcpus", "GiB", "GPU", right=numbers)
        for one in found:
            shown.add_row(*_offer_row(one))
    out.show(shown if shown.row_count else "no offers")


def refresh(
    *,
    request_id: Annotated[str, typer.Option(metavar="UUID", help="Makes the refresh happen once.")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """Have the server load its catalogue directory anew."""
    with connection.client() as client:
        _show_catalog(client.catalog.refresh_catalog(request_id=request_id), as_json=output.json)


def _offer_row(one: CatalogOffer) -> list[str]:
    offer = one.offer
    gpu = f"{out.count(one.gpu_count)} x {one.gpu_model}" if one.gpu_model else "-"
    return [
        out.place(offer),
        offer.instance_type,
        out.option(offer.purchase_option),
        out.per_hour(offer.price_per_hour),
        out.basis(offer),
        out.day(offer.price_as_of),
        out.count(one.vcpus),
        out.count(one.memory_gib),
        gpu,
    ]


def _show_catalog(catalog: Catalog, *, as_json: bool) -> None:
    if as_json:
        out.show_json(catalog)
        return
    out.show(
        out.pairs(
            [
                ("version", out.short(catalog.name) + (" (in force)" if catalog.current else "")),
                ("loaded", out.moment(catalog.load_time)),
                ("newest price", f"{out.length(catalog.newest_price_age)} old"),
                ("prices", f"{catalog.price_rows:,}"),
                ("types", f"{catalog.instance_types:,}"),
                ("regions", f"{catalog.regions:,}"),
            ]
        )
    )
    if catalog.bases:
        shown = out.table("  basis", "rows", "newest", "oldest", right=["rows", "newest", "oldest"])
        for basis in catalog.bases:
            shown.add_row(
                f"  {vocabulary.word(types_pb2.PriceBasis.DESCRIPTOR, basis.basis)}",
                f"{basis.rows:,}",
                f"{basis.newest_days:,} d",
                f"{basis.oldest_days:,} d",
            )
        out.show(out.heading("Prices by basis"), shown)
    if catalog.quarantined:
        shown = out.table("  reason", "rows", "for example", right=["rows"])
        for issue in catalog.quarantined:
            shown.add_row(f"  {issue.reason}", f"{issue.rows:,}", "; ".join(issue.examples[:2]))
        out.show(out.heading("Quarantined"), shown)
    if catalog.warnings:
        out.show(out.heading("Warnings"), out.listed(catalog.warnings))
    if catalog.last_refresh_failure:
        out.show(out.heading("Last refresh failed"), Text(f"  {catalog.last_refresh_failure}", style="red"))
