"""Reads what sources know of the resources of a request or a batch: each source in a thread of its own.

A source that hangs or fails costs its own items and nobody else's.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.domain.errors import NotFoundError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Reading, Scope, TelemetrySource, TelemetrySources, Window
from trimtab_service.rpc.rightsize_parser import SizingQuery

Read = Reading | TrimtabError
LookbackOf = Callable[[CloudResource, SizingQuery], timedelta]
"""The look-back that holds for a resource, once it is known what it is."""

_SIDE_BY_SIDE: Final = 8


def read_all(  # noqa: PLR0913 - what is asked, where it is known, and by when
    queries: Sequence[SizingQuery],
    sources: TelemetrySources,
    project: str,
    lookback_of: LookbackOf,
    *,
    instant: datetime,
    deadline: datetime,
) -> list[Read]:
    """What is known of each query's resource, in order: brought along, or read from its source by the deadline."""
    found: list[Read] = [Reading(query.resource, query.telemetry) for query in queries]
    by_source: dict[str, dict[int, SizingQuery]] = defaultdict(dict)
    for index, query in enumerate(queries):
        if query.source:
            by_source[query.source][index] = query

    def read_one(name: str) -> Mapping[int, Read]:
        source = sources.get(project, name)
        if source is None:
            return dict.fromkeys(by_source[name], _no_source(name, project))
        return _read(source, by_source[name], lookback_of, instant, deadline)

    for readings in _side_by_side(read_one, list(by_source)):
        for index, reading in readings.items():
            found[index] = reading
    return found


def _side_by_side(read_one: Callable[[str], Mapping[int, Read]], names: Sequence[str]) -> Iterable[Mapping[int, Read]]:
    """One source needs no thread: the caller's does."""
    if len(names) <= 1:
        return [read_one(name) for name in names]
    with ThreadPoolExecutor(min(len(names), _SIDE_BY_SIDE), thread_name_prefix="reading") as pool:
        return list(pool.map(read_one, names))


def _read(
    source: TelemetrySource,
    queries: Mapping[int, SizingQuery],
    lookback_of: LookbackOf,
    instant: datetime,
    deadline: datetime,
) -> dict[int, Read]:
    found = _described(source, queries, deadline)
    windows: dict[Window, list[int]] = defaultdict(list)
    for index, reading in found.items():
        if isinstance(reading, Reading) and not reading.failure:
            lookback = lookback_of(reading.resource, queries[index])
            windows[Window(instant - lookback, instant)].append(index)
    for window, indices in windows.items():
        resources = {index: _resource(found[index]) for index in indices}
        read = _readings(source, list(resources.values()), window, deadline)
        for index, resource in resources.items():
            found[index] = read.get(resource.key) or Reading(resource, None, "the source gave no answer for it")
    return found


def _described(source: TelemetrySource, queries: Mapping[int, SizingQuery], deadline: datetime) -> dict[int, Read]:
    """Each resource as the request says it is; where it gives the id alone, as the source's inventory has it."""
    found: dict[int, Read] = {}
    wanted: dict[Scope, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, query in queries.items():
        asked = query.resource
        if asked.instance_type or asked.capacity is not None:
            found[index] = Reading(asked, None)
        else:
            scope = Scope(regions=frozenset({(asked.cloud, asked.region)}))
            wanted[scope][asked.resource_id].append(index)
    for scope, ids in wanted.items():
        try:
            for listed in source.inventory(scope, deadline):
                for index in ids.pop(listed.resource_id, ()):
                    found[index] = Reading(_joined(listed, queries[index].resource), None)
                if not ids:
                    break
        except TrimtabError as error:
            for index in (index for indices in ids.values() for index in indices):
                found[index] = Reading(queries[index].resource, None, error.message)
            continue
        for index in (index for indices in ids.values() for index in indices):
            found[index] = _not_listed(source, queries[index].resource)
    return found


def _joined(listed: CloudResource, asked: CloudResource) -> CloudResource:
    """The resource as it is listed, with what the caller knows besides."""
    return replace(
        listed,
        workload_id=asked.workload_id or listed.workload_id,
        team=asked.team or listed.team,
        price_nanos_per_hour=asked.price_nanos_per_hour or listed.price_nanos_per_hour,
        arm_ready=asked.arm_ready or listed.arm_ready,
    )


def _readings(
    source: TelemetrySource, resources: Sequence[CloudResource], window: Window, deadline: datetime
) -> dict[str, Reading]:
    """Readings by resource; where the source as a whole fails, each that it had not given reads as failed."""
    read: dict[str, Reading] = {}
    try:
        for reading in source.read(resources, window, deadline):
            read[reading.resource.key] = reading
    except TrimtabError as error:
        return {one.key: Reading(one, None, error.message) for one in resources} | read
    return read


def _resource(reading: Read) -> CloudResource:
    if isinstance(reading, TrimtabError):
        raise reading
    return reading.resource


def _not_listed(source: TelemetrySource, asked: CloudResource) -> NotFoundError:
    return NotFoundError(
        ErrorReason.NOT_FOUND,
        f"{source.name} lists no resource {asked.resource_id!r} in {asked.cloud} {asked.region}",
        metadata={"resource": asked.resource_id, "telemetry_source": source.name},
    )


def _no_source(name: str, project: str) -> NotFoundError:
    return NotFoundError(
        ErrorReason.NOT_FOUND,
        f"no telemetry source {name!r} is open to the project",
        metadata={"telemetry_source": name, "project": project},
    )
