"""The compact, durable form of a resource's series: what a nightly run keeps, so that it reads only what is new.

A profile keeps the order of time, because a back-test needs it; it is small because values keep eleven significant
bits, rounded up (never understated, by less than 0.1 %), and the bytes of a series are laid out so that they compress.
"""

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry

_FORM: Final = 1
_HEAD: Final = struct.Struct("<BH")
_SERIES: Final = struct.Struct("<BBBBHIIqI")
_DROPPED_BITS: Final = 13
"""Of float32's 23: ten stay, with the implied one eleven."""
_LEVEL: Final = 6
_INCOMPLETE: Final = 1

_METRICS: Final = tuple(Metric)
_UNITS: Final = tuple(Unit)
_STATISTICS: Final = tuple(Statistic)
# Codes are positions in these enums, which only ever grow at their ends; a new order is a new form.


def pack(telemetry: Telemetry) -> bytes:
    """The profile of `telemetry`. Points are sorted by time; points without a finite value are left out."""
    parts = [_HEAD.pack(_FORM, len(telemetry.series))]
    parts.extend(_pack_series(series) for series in telemetry.series)
    return b"".join(parts)


def unpack(profile: bytes) -> Telemetry:
    """The telemetry of a profile. Raises ValueError when it is none, or of a newer form."""
    try:
        form, count = _HEAD.unpack_from(profile)
        if form != _FORM:
            raise ValueError(f"a profile of form {form}")
        series: list[RawSeries] = []
        offset = _HEAD.size
        for _ in range(count):
            one, offset = _unpack_series(profile, offset)
            series.append(one)
    except (struct.error, zlib.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError("not a profile") from error
    return Telemetry(tuple(series))


def merge(old: Telemetry, new: Telemetry, since_epoch_s: int) -> Telemetry:
    """Both, by series; where both have a stamp the new value holds; what is before `since_epoch_s` is forgotten.

    The same points merged again change nothing.
    """
    merged = {_key(series): series for series in old.series}
    for series in new.series:
        known = merged.get(_key(series))
        merged[_key(series)] = series if known is None else _joined(known, series)
    return Telemetry(tuple(_since(series, since_epoch_s) for series in merged.values()))


def covered_until(telemetry: Telemetry) -> int | None:
    """The last stamp that every series with points reaches; None without any. Reading from here on misses nothing."""
    ends = [int(series.epoch_seconds.max()) for series in telemetry.series if len(series.epoch_seconds)]
    return min(ends) if ends else None


def _key(series: RawSeries) -> tuple[Metric, Unit, Statistic, str]:
    return series.metric, series.unit, series.statistic, series.device


def _joined(old: RawSeries, new: RawSeries) -> RawSeries:
    stamps = np.concatenate([new.epoch_seconds, old.epoch_seconds])
    values = np.concatenate([new.values, old.values])
    # `unique` keeps the first of equal stamps: the new one.
    kept, first = np.unique(stamps, return_index=True)
    step = new.step_seconds or old.step_seconds
    return _with(new, kept, values[first], step)


def _since(series: RawSeries, since_epoch_s: int) -> RawSeries:
    recent = series.epoch_seconds >= since_epoch_s
    if recent.all():
        return series
    return _with(series, series.epoch_seconds[recent], series.values[recent], series.step_seconds)


def _with(series: RawSeries, stamps: NDArray[np.int64], values: NDArray[np.float64], step: int) -> RawSeries:
    return RawSeries(
        series.metric,
        series.unit,
        series.statistic,
        stamps,
        values,
        series.device,
        step,
        series.is_incomplete,
    )


def _pack_series(series: RawSeries) -> bytes:
    finite = np.isfinite(series.values)
    stamps, values = series.epoch_seconds[finite], series.values[finite]
    order = np.argsort(stamps, kind="stable")
    stamps, values = stamps[order], values[order]
    start = int(stamps[0]) if len(stamps) else 0
    gaps = np.diff(stamps, prepend=stamps[:1])
    device = series.device.encode()
    # Delta of deltas: a regular grid becomes zeros. Bytes of equal weight lie together: that is what compresses.
    times = _planes(np.diff(gaps, prepend=gaps[:1]).astype("<i8"))
    body = zlib.compress(times + _planes(_rounded_up(values)), _LEVEL)
    head = _SERIES.pack(
        _METRICS.index(series.metric),
        _UNITS.index(series.unit),
        _STATISTICS.index(series.statistic),
        _INCOMPLETE if series.is_incomplete else 0,
        len(device),
        len(body),
        len(stamps),
        start,
        series.step_seconds,
    )
    return head + device + body


def _unpack_series(profile: bytes, offset: int) -> tuple[RawSeries, int]:
    metric, unit, statistic, flags, name_size, size, count, start, step = _SERIES.unpack_from(profile, offset)
    offset += _SERIES.size
    device = profile[offset : offset + name_size].decode()
    offset += name_size
    if offset + size > len(profile):
        raise ValueError("not a profile: it ends in the middle")
    planes = zlib.decompress(profile[offset : offset + size])
    changes = _joined_planes(planes[: 8 * count], count, np.dtype("<i8"))
    values = _joined_planes(planes[8 * count :], count, np.dtype("<u4")).view("<f4").astype(np.float64)
    stamps = start + np.cumsum(np.cumsum(changes))
    series = RawSeries(
        _METRICS[metric],
        _UNITS[unit],
        _STATISTICS[statistic],
        stamps.astype(np.int64),
        values,
        device,
        step,
        bool(flags & _INCOMPLETE),
    )
    return series, offset + size


def _rounded_up(values: NDArray[np.float64]) -> NDArray[np.uint32]:
    """Bits of float32 with eleven significant ones, magnitudes rounded up; beyond float32 is its largest."""
    limit = np.finfo(np.float32).max
    single = np.clip(values, -limit, limit).astype(np.float32)
    short = np.abs(single.astype(np.float64)) < np.abs(np.clip(values, -limit, limit))
    bits = single.view(np.uint32) + short.astype(np.uint32)
    keep = np.uint32(0xFFFFFFFF << _DROPPED_BITS & 0xFFFFFFFF)
    raised = bits + np.uint32((1 << _DROPPED_BITS) - 1)
    rounded: NDArray[np.uint32] = np.where(np.isfinite((raised & keep).view(np.float32)), raised & keep, bits & keep)
    return rounded


def _planes(values: NDArray[np.int64] | NDArray[np.uint32]) -> bytes:
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), values.itemsize).T.tobytes()


def _joined_planes(planes: bytes, count: int, kind: np.dtype[np.int64] | np.dtype[np.uint32]) -> NDArray[np.int64]:
    columns = np.frombuffer(planes, np.uint8).reshape(kind.itemsize, count)
    joined: NDArray[np.int64] = np.ascontiguousarray(columns.T).view(kind).reshape(count)
    return joined
