"""The HTTP API of Prometheus, strict about its parameters; every query is parsed as PromQL."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

import promql_parser

from tests.support.http_fake import Answer, HttpFake, Seen

_MOST_POINTS: Final = 11_000
_PARAMETERS: Final = {
    "/api/v1/query": {"query", "timeout"},
    "/api/v1/query_range": {"query", "start", "end", "step", "timeout"},
}


class PrometheusFake:
    """`with fake.server:` it listens on `fake.server.url`. `queries` are those that arrived, with their parameters.

    It does not evaluate: a query answers every series whose pattern is found in it. `warnings` are sent with each
    answer, `date` (an HTTP date) instead of the real one.
    """

    def __init__(self) -> None:
        self.queries: list[dict[str, str]] = []
        self.warnings: list[str] = []
        self.date = ""
        self._series: list[tuple[re.Pattern[str], dict[str, str], list[tuple[float, str]]]] = []
        self.server = HttpFake(self._respond)

    def store(self, pattern: str, labels: Mapping[str, str], points: Sequence[tuple[float, str]] = ((0, "1"),)) -> None:
        """Keep a series for the queries that match. An instant query sees its last point."""
        self._series.append((re.compile(pattern), dict(labels), list(points)))

    def _respond(self, seen: Seen) -> Answer:
        asked = {key: values[-1] for key, values in parse_qs(seen.body.decode(), keep_blank_values=True).items()}
        if seen.method != "POST" or seen.path not in _PARAMETERS or asked.keys() != _PARAMETERS[seen.path]:
            return _refused(f"parameters: {seen.method} {seen.path} {sorted(asked)}")
        self.queries.append(asked)
        try:
            promql_parser.parse(asked["query"])
        except ValueError as error:
            return _refused(f"parse error: {error}")
        kind = "matrix" if seen.path.endswith("_range") else "vector"
        start = end = 0
        if kind == "matrix":
            start, end, step = (int(asked[name]) for name in ("start", "end", "step"))
            if end < start or (end - start) / step > _MOST_POINTS:
                return _refused("exceeded maximum resolution of 11,000 points per timeseries")
        result: list[dict[str, Any]] = []
        for pattern, labels, points in self._series:
            if not pattern.search(asked["query"]):
                continue
            if kind == "vector":
                result.append({"metric": labels, "value": list(points[-1])})
                continue
            shown = [list(point) for point in points if start <= point[0] <= end]
            if shown:
                result.append({"metric": labels, "values": shown})
        body: dict[str, Any] = {"status": "success", "data": {"resultType": kind, "result": result}}
        if self.warnings:
            body["warnings"] = self.warnings
        return Answer(body, headers={"Date": self.date} if self.date else {})


def _refused(words: str) -> Answer:
    return Answer({"status": "error", "errorType": "bad_data", "error": words}, 400)
