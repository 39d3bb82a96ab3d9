"""Hourly usage in files: parquet or csv, one row an hour and kind of usage.

    hour,region,vm_type,count                as in published traces of virtual machines; `family` does for `vm_type`,
    hour,region,family,usage[,sku,account]   and `usage` or `value` for `count`

Hours are instants (UTC where no zone is said) or seconds since 1970. Rows may lack where nothing was used.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.v1 import types_pb2

_HOURS: Final = ("hour", "timestamp", "time")
_FAMILIES: Final = ("vm_type", "family", "instance_family", "type")
_AMOUNTS: Final = ("count", "usage", "value")
_HOUR_S: Final = 3_600


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which part of a file is wanted. `last_hours` 0 means all."""

    cloud: types_pb2.Cloud.ValueType
    regions: tuple[str, ...] = ()
    families: tuple[str, ...] = ()
    last_hours: int = 0


@dataclass(frozen=True, slots=True)
class _Row:
    hour: int
    region: str
    family: str
    sku: str
    account: str
    amount: float


def read_demand(path: Path, chosen: Chosen) -> pb.PurchaseDemand:
    """The usage of a file on its grid of hours, series sorted by region and family; those without usage are left out.

    Raises ValueError for what is no such file, ImportError where parquet is to be read without polars.
    """
    rows = _parquet(path) if path.suffix.lower() in {".parquet", ".pq"} else _csv(path)
    hours: list[int] = []
    series: dict[tuple[str, str, str, str], dict[int, float]] = {}
    first, last = None, None
    for row in rows:
        # The file says how long was looked, whatever is wanted of it.
        first = row.hour if first is None else min(first, row.hour)
        last = row.hour if last is None else max(last, row.hour)
        if (not chosen.regions or row.region in chosen.regions) and (
            not chosen.families or row.family in chosen.families
        ):
            mine = series.setdefault((row.region, row.family, row.sku, row.account), {})
            mine[row.hour] = mine.get(row.hour, 0.0) + row.amount
    if first is None or last is None:
        raise ValueError(f"{path}: no rows")
    begin = max(last + 1 - chosen.last_hours, first) if chosen.last_hours else first
    hours = list(range(begin, last + 1))
    demand = pb.PurchaseDemand()
    demand.start_time.seconds = begin * _HOUR_S
    for (region, family, sku, account), used in sorted(series.items()):
        values = [used.get(hour, 0.0) for hour in hours]
        if any(values):
            demand.series.add(
                cloud=chosen.cloud, family=family, region=region, sku=sku, account=account, hourly_usage=values
            )
    if not demand.series:
        raise ValueError(f"{path}: nothing was used in what was chosen of it")
    return demand


def pooled(demand: pb.PurchaseDemand) -> pb.PurchaseDemand:
    """All usage as one series, for what looks at totals only."""
    made = pb.PurchaseDemand(start_time=demand.start_time, currency_code=demand.currency_code)
    total = [sum(values) for values in zip(*(series.hourly_usage for series in demand.series), strict=True)]
    first = demand.series[0]
    one = made.series.add(cloud=first.cloud, family="all", region="all", hourly_usage=total)
    if first.HasField("unit_price"):
        one.unit_price.CopyFrom(first.unit_price)
    return made


def _csv(path: Path) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.DictReader(lines)
            names = _columns(path, [name or "" for name in rows.fieldnames or ()])
            for row in rows:
                where = f"{path}, line {rows.line_num}"
                yield _Row(
                    _hour(row[names["hour"]] or "", where),
                    row[names["region"]] or "",
                    row[names["family"]] or "",
                    (row[names["sku"]] or "") if "sku" in names else "",
                    (row[names["account"]] or "") if "account" in names else "",
                    _amount(row[names["amount"]] or "", where),
                )
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as csv ({error})") from None


def _parquet(path: Path) -> Iterable[_Row]:
    import polars as pl  # noqa: PLC0415 - an extra; csv needs none

    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ValueError(f"{path}: cannot be read as parquet ({error})") from None
    names = _columns(path, frame.columns)
    hour = frame[names["hour"]]
    if hour.dtype.is_temporal():
        zoned = hour.cast(pl.Datetime("us"))
        hours = (zoned.dt.epoch("s") // _HOUR_S).to_list()
    else:
        hours = (hour.cast(pl.Int64) // _HOUR_S).to_list()
    texts = {
        key: frame[names[key]].cast(pl.String).to_list() if key in names else [""] * frame.height
        for key in ("region", "family", "sku", "account")
    }
    amounts = frame[names["amount"]].cast(pl.Float64).to_list()
    return map(_Row, hours, texts["region"], texts["family"], texts["sku"], texts["account"], amounts)


def _columns(path: Path, names: Iterable[str]) -> Mapping[str, str]:
    by_word = {name.strip().lower(): name for name in names}
    found = {}
    for key, words in (("hour", _HOURS), ("region", ("region",)), ("family", _FAMILIES), ("amount", _AMOUNTS)):
        name = next((by_word[word] for word in words if word in by_word), None)
        if name is None:
            raise ValueError(f"{path}: no column {' or '.join(words)}; there are {', '.join(by_word) or 'none'}")
        found[key] = name
    return found | {key: by_word[key] for key in ("sku", "account") if key in by_word}


def _hour(text: str, where: str) -> int:
    try:
        if text.isdigit():
            return int(text) // _HOUR_S
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{where}: {text!r} is no instant") from None
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
    return int(aware.timestamp()) // _HOUR_S


def _amount(text: str, where: str) -> float:
    try:
        return float(text) if text.strip() else 0.0
    except ValueError:
        raise ValueError(f"{where}: {text!r} is no number") from None
