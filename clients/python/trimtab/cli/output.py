"""How answers reach the terminal: tables through rich, messages as protobuf JSON, money and time as words."""

import json
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.money_pb2 import Money
from rich.console import Console
from rich.table import Table
from rich.text import Text

from trimtab import vocabulary
from trimtab.v1 import types_pb2

_FILE_WIDTH = 100
"""Columns where the output is no terminal and `COLUMNS` says nothing: pipes, logs, documents."""

_EXACT_BELOW = 100
_DAY_S = 86_400


def console(*, stderr: bool = False) -> Console:
    """A console for results, or for what goes wrong. Colour only on a terminal and without `NO_COLOR`."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else _FILE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=False)


def show(*parts: Table | Text | str) -> None:
    """Print to the standard output. Text is taken as it is: brackets in it are no markup."""
    out = console()
    if out.is_terminal:
        for part in parts:
            out.print(part, markup=False)
        return
    with out.capture() as captured:
        for part in parts:
            out.print(part, markup=False)
    # Tables are padded to their width, which in a file is only noise at the ends of lines.
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())


def show_json(message: Message) -> None:
    """Print one message as an indented JSON object."""
    sys.stdout.write(MessageToJson(message) + "\n")


def show_document(document: Mapping[str, object]) -> None:
    """Print what is no message as an indented JSON object."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def show_json_lines(messages: Iterable[Message]) -> None:
    """Print messages as one JSON object a line, as they come."""
    for message in messages:
        sys.stdout.write(MessageToJson(message, indent=None) + "\n")


_UNBROKEN = {
    "per hour",
    "ends",
    "return until",
    "commits",
    "buy",
    "then",
    "in force",
    "cost",
    "price",
    "made",
    "verdict",
    "changed",
    "until",
    "month",
    "saves",
    "exceeded",
    "slack ahead",
    "a month",
    "loss a year",
    "in all a year",
    "capacity",
    "storage",
    "transfer",
    "data age",
}
"""Columns whose entries are short, and of no use when broken over lines."""


def table(*columns: str, right: Iterable[str] = ()) -> Table:
    """A table without frame; columns named in `right` hold numbers, and the first one is not broken over lines."""
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    numeric = set(right)
    for position, column in enumerate(columns):
        made.add_column(
            column,
            justify="right" if column in numeric else "left",
            overflow="fold",
            no_wrap=bool(column) and (position == 0 or column in _UNBROKEN),
        )
    return made


def pairs(rows: Iterable[tuple[str, str | Text]], indent: int = 2) -> Table:
    """Labels with what they are, one below the other."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for label, value in rows:
        made.add_row(" " * indent + label, value if isinstance(value, Text) else Text(value))
    return made


def listed(texts: Iterable[str]) -> Table:
    """Texts with a dash before each; long ones go on below their own beginning."""
    made = Table.grid(padding=(0, 1, 0, 0))
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold")
    for text in texts:
        made.add_row("  -", Text(text))
    return made


def heading(text: str) -> Text:
    """A line above a table."""
    return Text(f"\n{text}", style="bold")


def dollars(value: Money, places: int | None = None) -> str:
    """`$8.1437`, `$1,234.50`. Without `places`: four of them below $100, else two. Another currency by its code."""
    amount = vocabulary.amount_of(value)
    if places is None:
        places = places_for(value)
    sign = "-" if amount < 0 else ""
    symbol = "$" if value.currency_code in {"USD", ""} else f"{value.currency_code} "
    return f"{sign}{symbol}{abs(amount):,.{places}f}"


def places_for(value: Money) -> int:
    """Digits after the point at which an amount of this size is worth reading."""
    return 4 if abs(vocabulary.amount_of(value)) < _EXACT_BELOW else 2


def per_hour(value: Money) -> str:
    """A price an hour, without zeros at its end beyond the fourth place."""
    amount = vocabulary.amount_of(value).quantize(Decimal("0.000001"))
    text = f"{amount:,.6f}"
    while text.endswith("0") and len(text.partition(".")[2]) > 4:  # noqa: PLR2004 - as documented
        text = text[:-1]
    return f"${text}/h"


def moment(stamp: Timestamp) -> str:
    """An instant in UTC, to the second."""
    if not stamp.ByteSize():
        return "-"
    return stamp.ToDatetime(UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def minute(stamp: Timestamp) -> str:
    """An instant in UTC, to the minute and without the year, for lists of what is recent."""
    return stamp.ToDatetime(UTC).strftime("%m-%d %H:%MZ") if stamp.ByteSize() else "-"


def day_of(stamp: Timestamp) -> str:
    """The day of an instant in UTC."""
    return moment(stamp)[:10]


def day(date: Date) -> str:
    """A calendar day, or `-`."""
    return f"{date.year:04}-{date.month:02}-{date.day:02}" if date.year else "-"


def length(duration: Duration | timedelta) -> str:
    """A duration in its two largest units: `8h 30m`, `45s`, `12d 3h`."""
    span = duration.ToTimedelta() if isinstance(duration, Duration) else duration
    total = span.total_seconds()
    if total < 0:
        return "-" + length(-span)
    if total < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{total:.3g}s"
    rest, parts = round(total), []
    for unit, size in (("d", _DAY_S), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def age(since: datetime, now: datetime) -> str:
    """How long ago, in words."""
    return f"{length(now - since)} ago"


def count(value: float) -> str:
    """A number without needless zeros: `8`, `0.25`, `305,845`."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def cloud(number: int) -> str:
    """`aws`."""
    return vocabulary.word(types_pb2.Cloud.DESCRIPTOR, number)


def option(number: int) -> str:
    """`spot`."""
    return vocabulary.word(types_pb2.PurchaseOption.DESCRIPTOR, number)


def place(offer: types_pb2.Offer) -> str:
    """`aws eu-west-1`, with the zone where there is one."""
    where = f"{cloud(offer.cloud)} {offer.region}"
    return f"{where} ({offer.zone})" if offer.zone and offer.zone != offer.region else where


def basis(offer: types_pb2.Offer) -> str:
    """What the price is worth: `list`, `derived`, `estimated`, ..."""
    return vocabulary.word(types_pb2.PriceBasis.DESCRIPTOR, offer.price_basis)


def version(text: str) -> str:
    """The beginning of a content hash, enough to tell versions apart."""
    return short(text).rpartition(":")[2][:12] or "-"


def short(name: str) -> str:
    """The last part of a resource name."""
    return name.rpartition("/")[2]
