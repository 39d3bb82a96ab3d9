"""Parses hourly usage, whole or in parts, into rows of money.

Faults of the message are noted field by field. What the engine refuses (negative or infinite usage, more than ten
years) it refuses with the same words, so the fields it names are translated back in `in_request`.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from google.type.money_pb2 import Money

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.purchasing import Service, UsageKey
from trimtab_service.domain.reasons import DemandNote, ErrorReason
from trimtab_service.purchasing.demand import MOST_HOURS, HourlyUsage, UsageRows, usage_of
from trimtab_service.purchasing.memory import DEFAULT_LIMIT_BYTES, require
from trimtab_service.purchasing.program import Floats
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import CLOUD_OF

MAX_SERIES: Final = 4_096
_MAX_NAME: Final = 128
_CURRENCY: Final = re.compile(r"[A-Z]{3}\Z")
_HOUR_S: Final = 3_600
_NANOS: Final = 1_000_000_000
_MAX_USAGE: Final = 1e12
"""Of one series in one hour. Any more is not a fleet, and its micro-units would not fit into 64 bits."""
_ENGINE_FIELD: Final = re.compile(r"usage\[(\d+)\](?:\.money)?")


def money_nanos(found: Violations, field: FieldPath, value: Money, currency: str, *, positive: bool = False) -> int:
    """An amount in the request's one currency as integer nanos, from 0 (or above it)."""
    if value.currency_code not in {"", currency}:
        found.add(field, ErrorReason.CONTRADICTION, f"one plan is made in one currency, and that is {currency}")
        return 0
    plain = Money(units=value.units, nanos=value.nanos)
    return bounds.nanos(found, field, plain, positive=positive)


def currency_of(message: pb.PurchaseDemand, found: Violations, at: FieldPath) -> str:
    """The currency of every amount of a request."""
    code = message.currency_code or "USD"
    if not _CURRENCY.match(code):
        found.add((at, "currency_code"), ErrorReason.BAD_FORMAT, "must be three letters of ISO 4217, as USD")
    return code


@dataclass(frozen=True, slots=True)
class ParsedSeries:
    """One series as billed and as planned: `units` at `unit_nanos` each, by hour since 1970."""

    key: UsageKey
    unit_nanos: int
    hours: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    units: Floats


class PendingDemand:
    """Usage whose hours come in one or several parts; `finish` joins them."""

    def __init__(
        self,
        message: pb.PurchaseDemand,
        point_cap: int,
        found: Violations,
        at: FieldPath,
        notes: tuple[DemandNote, ...] = (),
    ) -> None:
        """Faults are noted in `found`; `point_cap` is the most hours of all series together.

        `notes` say what was assumed to make the message.
        """
        self._notes = notes
        self.currency = currency_of(message, found, at)
        self._cap = point_cap
        self._points = 0
        self._at = at
        self._start = _first_hour(message, found, at)
        self._heads: list[tuple[UsageKey, int, bool]] = []
        self._hours: list[list[Floats]] = []
        self._stamps: list[list[np.ndarray[tuple[int], np.dtype[np.int64]]]] = []
        if not message.series:
            found.add((at, "series"), ErrorReason.FIELD_REQUIRED, "give hourly usage")
        if not bounds.few(found, (at, "series"), len(message.series), MAX_SERIES):
            return
        for index, series in enumerate(message.series):
            here = (at, f"series[{index}]")
            self._heads.append(_head(series, self.currency, found, here))
            self._hours.append([])
            self._stamps.append([])
            self.add(index, series, found, here)

    def add(self, index: int, message: pb.DemandSeries | pb.DemandHours, found: Violations, at: FieldPath) -> None:
        """Take over the hours of a message for the series of that position."""
        if not 0 <= index < len(self._heads):
            found.add((at, "series"), ErrorReason.OUT_OF_RANGE, f"the request has {len(self._heads)} series")
            return
        given, stamps = len(message.hourly_usage), len(message.epoch_seconds)
        has_stamps = self._heads[index][2] or stamps > 0
        if has_stamps and given != stamps:
            found.add((at, "epoch_seconds"), ErrorReason.CONTRADICTION, f"has {stamps} entries for {given} values")
            return
        self._points += given
        if self._points > self._cap:
            found.add((at, "hourly_usage"), ErrorReason.TOO_LARGE, f"more than {self._cap} hours in all")
            found.check()
        self._hours[index].append(np.array(message.hourly_usage, np.float64))
        column = np.array(message.epoch_seconds, np.int64)
        if stamps and (np.any(column % _HOUR_S) or column.min() < 0):
            found.add((at, "epoch_seconds"), ErrorReason.BAD_FORMAT, "whole hours of seconds since 1970")
            return
        self._stamps[index].append(column // _HOUR_S)
        key, unit, _ = self._heads[index]
        self._heads[index] = (key, unit, has_stamps)

    def finish(self, found: Violations) -> tuple[ParsedSeries, ...]:
        """All series. Hours of one series beyond ten years are noted."""
        parsed = []
        for index, (key, unit, has_stamps) in enumerate(self._heads):
            units = np.concatenate([np.empty(0), *self._hours[index]])
            if units.size > MOST_HOURS:
                field = ((self._at, f"series[{index}]"), "hourly_usage")
                found.add(field, ErrorReason.TOO_LARGE, f"{units.size} hours; at most {MOST_HOURS}")
            beyond = np.flatnonzero(units > _MAX_USAGE)
            if beyond.size:
                field = ((self._at, f"series[{index}]"), f"hourly_usage[{int(beyond[0])}]")
                found.add(field, ErrorReason.OUT_OF_RANGE, f"{beyond.size} values are above {_MAX_USAGE:g}")
            if has_stamps:
                hours = np.concatenate([np.empty(0, np.int64), *self._stamps[index]])
            else:
                hours = np.arange(units.size, dtype=np.int64) + self._start
            parsed.append(ParsedSeries(key, unit, hours, units))
        return tuple(parsed)

    def usage(self, parsed: tuple[ParsedSeries, ...]) -> HourlyUsage:
        """The matrix of money. Raises InvalidArgumentError, with the request's own fields."""
        filled = [one.hours for one in parsed if one.hours.size]
        first = min((int(hours.min()) for hours in filled), default=0)
        span = max((int(hours.max()) for hours in filled), default=-1) - first + 1
        keys = len({one.key for one in parsed})
        try:
            # Two stamps far apart are a large matrix: known before it is made.
            require(keys, span, 1, DEFAULT_LIMIT_BYTES)
        except InvalidArgumentError as error:
            raise InvalidArgumentError([in_request(violation) for violation in error.violations]) from None
        rows = [UsageRows(one.key, one.hours, one.units * (one.unit_nanos / _NANOS), self.currency) for one in parsed]
        try:
            usage = usage_of(rows)
        except InvalidArgumentError as error:
            raise InvalidArgumentError([in_request(violation) for violation in error.violations]) from None
        return replace(usage, notes=(*self._notes, *usage.notes)) if self._notes else usage


def in_request(violation: Violation) -> Violation:
    """The engine's field by the request's name for it."""
    field = _ENGINE_FIELD.sub(r"demand.series[\1].hourly_usage", violation.field)
    return Violation("demand.series" if field == "usage" else field, violation.reason, violation.description)


def _first_hour(message: pb.PurchaseDemand, found: Violations, at: FieldPath) -> int:
    if not message.HasField("start_time"):
        if any(not series.epoch_seconds for series in message.series):
            found.add((at, "start_time"), ErrorReason.FIELD_REQUIRED, "say the first hour")
        return 0
    start = bounds.instant(found, (at, "start_time"), message.start_time)
    if start is None:
        return 0
    seconds = (start - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    if seconds % _HOUR_S or seconds < 0:
        found.add((at, "start_time"), ErrorReason.BAD_FORMAT, "must be on the hour, and not before 1970")
    return int(seconds // _HOUR_S)


def _head(message: pb.DemandSeries, currency: str, found: Violations, at: FieldPath) -> tuple[UsageKey, int, bool]:
    cloud = CLOUD_OF.get(message.cloud)
    if cloud is None:
        found.add((at, "cloud"), ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
        cloud = next(iter(CLOUD_OF.values()))
    for field in ("family", "region"):
        if not getattr(message, field):
            found.add((at, field), ErrorReason.FIELD_REQUIRED, "locked plans cover one family in one region")
    key = UsageKey(
        cloud,
        bounds.text(found, (at, "family"), message.family, _MAX_NAME),
        bounds.text(found, (at, "region"), message.region, _MAX_NAME),
        bounds.text(found, (at, "sku"), message.sku, _MAX_NAME),
        bounds.text(found, (at, "account"), message.account, _MAX_NAME),
        Service.SAGEMAKER if message.sagemaker else Service.COMPUTE,
    )
    unit = _NANOS
    if message.HasField("unit_price"):
        unit = money_nanos(found, (at, "unit_price"), message.unit_price, currency, positive=True)
    return key, unit, bool(message.epoch_seconds)
