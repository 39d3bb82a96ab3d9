"""Pages of GetMetricData put together to series."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from trimtab_service.clouds.aws.endpoints import instant_of
from trimtab_service.clouds.aws.periods import Grid
from trimtab_service.clouds.aws.queries import Query
from trimtab_service.domain.dimensions import Statistic
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.telemetry import RawSeries

_COMPLETE: Final = "Complete"
_PARTIAL: Final = "PartialData"

Labelled = Mapping[str, tuple[Query, Statistic]]


@dataclass(slots=True)
class _Series:
    """One statistic of one query, as its pages come in."""

    query: Query
    statistic: Statistic
    stamps: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[NDArray[np.float64]] = field(default_factory=list)
    status: str = ""
    is_torn: bool = False


@dataclass(slots=True)
class Answers:
    """What came of the queries of one batch. Used by one thread."""

    grid: Grid
    messages: tuple[str, ...] = ()
    _series: dict[tuple[int, Statistic], _Series] = field(default_factory=dict)
    _refused: dict[str, str] = field(default_factory=dict)

    def labelled(self, request: Sequence[Query]) -> Labelled:
        """Ids for each statistic of a request, and room for its answer; what an earlier attempt left is forgotten."""
        found: dict[str, tuple[Query, Statistic]] = {}
        for query in request:
            for statistic in query.measure.statistics:
                found[f"q{len(found)}"] = (query, statistic)
                self._series[id(query), statistic] = _Series(query, statistic)
        return found

    def take(self, page: Mapping[str, Any], labelled: Labelled) -> None:
        """Add a page. PartialData means that more is to come, unless it stands on a series' last page."""
        for result in page.get("MetricDataResults", []):
            if result["Id"] not in labelled:
                continue
            query, statistic = labelled[result["Id"]]
            series = self._series[id(query), statistic]
            stamps, values = result.get("Timestamps", []), result.get("Values", [])
            # Never pair a stamp with another's value.
            whole = min(len(stamps), len(values))
            series.stamps.append(_epoch_seconds(stamps[:whole]))
            series.values.append(np.asarray(values[:whole], dtype=np.float64))
            series.is_torn |= len(stamps) != len(values)
            series.status = str(result.get("StatusCode", _COMPLETE))
        for message in page.get("Messages", []):
            self.say(f"CloudWatch: {message.get('Code', 'message')}")

    def say(self, words: str) -> None:
        """Keep a message for every reading of the batch, once."""
        if words not in self.messages:
            self.messages += (words,)

    def take_unanswered(self) -> list[Query]:
        """Queries that CloudWatch could not compute or left out, to be asked again."""
        found = {id(one.query): one.query for one in self._series.values() if one.status not in {_COMPLETE, _PARTIAL}}
        return [query for query in found.values() if query.resource.key not in self._refused]

    def give_up(self) -> None:
        """What is still not answered fails its resource: nothing may be concluded from the rest of it."""
        for one in self._series.values():
            if one.status in {_COMPLETE, _PARTIAL}:
                continue
            words = f"CloudWatch could not give {one.query.measure.name} ({one.status or 'no answer'})"
            self._refused.setdefault(one.query.resource.key, words)

    def refusal_of(self, resource: CloudResource) -> str:
        """Why the resource could not be read; empty when it could."""
        return self._refused.get(resource.key, "")

    def series_of(self, resource: CloudResource) -> tuple[RawSeries, ...]:
        """Series with at least one point."""
        found = []
        for one in self._series.values():
            stamps = np.concatenate(one.stamps) if one.stamps else np.empty(0, np.int64)
            if one.query.resource.key == resource.key and stamps.size:
                measure = one.query.measure
                raw = RawSeries(
                    metric=measure.metric,
                    unit=measure.unit,
                    statistic=one.statistic,
                    epoch_seconds=stamps,
                    values=np.concatenate(one.values) * measure.scale,
                    device=one.query.device,
                    step_seconds=self.grid.period_s,
                    is_incomplete=self.grid.is_cut or one.is_torn or one.status != _COMPLETE,
                )
                found.append(raw)
        return tuple(found)


def _epoch_seconds(stamps: Sequence[Any]) -> NDArray[np.int64]:
    """Seconds since 1970 [n]: numbers of the JSON protocol as they are, datetimes of older ones converted."""
    if stamps and not isinstance(stamps[0], int | float):
        instants = [instant_of(stamp) for stamp in stamps]
        stamps = [0.0 if instant is None else instant.timestamp() for instant in instants]
    return np.asarray(stamps, dtype=np.float64).astype(np.int64)
