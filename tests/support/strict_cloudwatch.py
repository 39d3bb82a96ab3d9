"""CloudWatch's PutMetricData, ListMetrics and GetMetricData with the limits that moto does not keep.

moto answers any number of queries in one page and walks all points for each period; this refuses what CloudWatch
refuses, cuts pages at 100,800 points, keeps no point longer than CloudWatch does, and is fast enough for two weeks.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

MOST_QUERIES: Final = 500
MOST_POINTS: Final = 100_800
_LISTED: Final = 500
_ID: Final = re.compile(r"[a-z][a-zA-Z0-9_]{0,254}")
_DAY_S: Final = 86_400
_KEPT: Final = ((15 * _DAY_S, 60), (63 * _DAY_S, 300), (455 * _DAY_S, 3600))

Key = tuple[str, str, str, tuple[tuple[str, str], ...]]


class Refusal(Exception):  # noqa: N818 - what AWS answers
    """An error answer."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class StrictCloudWatch:
    """Points by region, namespace, name and dimensions. Methods are named and shaped like the operations."""

    def __init__(self) -> None:
        self.points: dict[Key, list[tuple[int, float]]] = {}
        self.page_points = MOST_POINTS

    def put(
        self,
        region: str,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        points: Iterator[tuple[int, float]] | list[tuple[int, float]],
    ) -> None:
        """Store points: seconds since 1970 and value."""
        key = (region, namespace, name, tuple(sorted(dimensions.items())))
        self.points.setdefault(key, []).extend(points)

    def PutMetricData(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's name
        """The operation, for single values."""
        for datum in asked["MetricData"]:
            dimensions = {one["Name"]: one["Value"] for one in datum.get("Dimensions", [])}
            at = int(datum["Timestamp"])
            self.put(region, asked["Namespace"], datum["MetricName"], dimensions, [(at, float(datum["Value"]))])
        return {}

    def ListMetrics(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's name
        """The operation, in pages of 500."""
        found = [
            {"Namespace": namespace, "MetricName": name, "Dimensions": [{"Name": k, "Value": v} for k, v in dimensions]}
            for where, namespace, name, dimensions in sorted(self.points)
            if where == region
            and namespace == asked.get("Namespace", namespace)
            and name == asked.get("MetricName", name)
        ]
        start = int(asked.get("NextToken", 0))
        rest = {"NextToken": str(start + _LISTED)} if start + _LISTED < len(found) else {}
        return {"Metrics": found[start : start + _LISTED], **rest}

    def GetMetricData(self, region: str, asked: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - AWS's name
        """The operation, for metrics and plain statistics."""
        start_s, end_s = float(asked["StartTime"]), float(asked["EndTime"])
        _check(asked, start_s, end_s)
        # A token says how many points have been given; each page goes on from there.
        given, room = int(asked.get("NextToken", 0)), self.page_points
        skipped, more, results = 0, False, []
        for query in asked["MetricDataQueries"]:
            stamps, values = self._series(region, query["MetricStat"], start_s, end_s)
            first = min(max(0, given - skipped), len(stamps))
            skipped += len(stamps)
            if first == len(stamps) and given and len(stamps):
                continue
            part = slice(first, first + room)
            room -= len(stamps[part])
            cut = first + len(stamps[part]) < len(stamps)
            more |= cut
            results.append(
                {
                    "Id": query["Id"],
                    "Label": query["Id"],
                    "Timestamps": stamps[part],
                    "Values": values[part],
                    "StatusCode": "PartialData" if cut else "Complete",
                }
            )
        token = {"NextToken": str(given + self.page_points)} if more else {}
        return {"MetricDataResults": results, "Messages": [], **token}

    def _series(
        self, region: str, asked: Mapping[str, Any], start_s: float, end_s: float
    ) -> tuple[list[float], list[float]]:
        metric, period = asked["Metric"], int(asked["Period"])
        dimensions = tuple(sorted((one["Name"], one["Value"]) for one in metric.get("Dimensions", [])))
        points = self.points.get((region, metric["Namespace"], metric["MetricName"], dimensions), [])
        if not points:
            return [], []
        stamps, values = (np.asarray(column) for column in zip(*points, strict=True))
        inside = (stamps >= start_s) & (stamps < end_s)
        intervals, at = np.unique(stamps[inside] // period * period, return_inverse=True)
        found = np.zeros(intervals.size)
        match asked["Stat"]:
            case "Maximum":
                found[:] = -np.inf
                np.maximum.at(found, at, values[inside])
            case "Sum":
                np.add.at(found, at, values[inside])
            case _:
                np.add.at(found, at, values[inside])
                found /= np.maximum(1, np.bincount(at, minlength=intervals.size))
        return [float(one) for one in intervals], [float(one) for one in found]


def _check(asked: Mapping[str, Any], start_s: float, end_s: float) -> None:
    queries = asked["MetricDataQueries"]
    ids = [query["Id"] for query in queries]
    age = datetime.now(UTC).timestamp() - start_s
    finest = next((period for kept, period in _KEPT if age <= kept + _DAY_S), 0)
    fair = (
        0 < len(queries) <= MOST_QUERIES
        and len(set(ids)) == len(ids)
        and all(_ID.fullmatch(one) for one in ids)
        and start_s < end_s
        and finest
        and all(int(query["MetricStat"]["Period"]) % finest == 0 for query in queries)
        and all(query["MetricStat"]["Stat"] in {"Average", "Maximum", "Sum"} for query in queries)
        and all(one["Value"] for query in queries for one in query["MetricStat"]["Metric"].get("Dimensions", []))
    )
    if not fair:
        raise Refusal("ValidationError")
