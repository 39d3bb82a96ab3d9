"""The HTTP API of Prometheus: instant and range queries, with patience."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import PassingFault, Patience, source_failed
from trimtab_service.rightsizing.ports import ReadCost, Window

if TYPE_CHECKING:
    import httpx

EXTRA: Final = "prometheus"

MOST_POINTS: Final = 10_000
"""Steps in one range query. Prometheus refuses more than 11,000 points a series; some of its kin a few fewer."""

_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Answer:
    """Series by their labels: (epoch seconds, value) in order. `is_incomplete`: it came with warnings.

    `skew_s` is how far the server's clock is ahead, by the Date of its answer.
    """

    series: dict[Labels, list[tuple[float, float]]] = field(default_factory=dict)
    is_incomplete: bool = False
    skew_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PrometheusClient:
    """One server. `http` is thread-safe. The token, where there is one, is read for each call, since it is rotated."""

    http: "httpx.Client"
    base_url: str
    token_file: Path | None
    patience: Patience
    meter: Meter

    def instant(self, query: str, deadline: datetime) -> Answer:
        """The newest value of each series. Raises UnavailableError (SOURCE_FAILED)."""
        return self._answer("query", {"query": query}, "vector", deadline)

    def range(self, query: str, window: Window, step_s: int, deadline: datetime) -> Answer:
        """Values at the ends of the steps of the window, in as many calls as its length needs.

        Raises UnavailableError (SOURCE_FAILED) when any of them fails.
        """
        whole = Answer()
        for first, last in chunks(window, step_s):
            asked = {"query": query, "start": str(first), "end": str(last), "step": str(step_s)}
            part = self._answer("query_range", asked, "matrix", deadline)
            for labels, points in part.series.items():
                whole.series.setdefault(labels, []).extend(points)
            whole.is_incomplete |= part.is_incomplete
            whole.skew_s = part.skew_s
        return whole

    def _answer(self, path: str, asked: Mapping[str, str], kind: str, deadline: datetime) -> Answer:
        document, skew = self.patience.ask(lambda timeout: self._post(path, asked, timeout), deadline)
        data = document.get("data") or {}
        if document.get("status") != "success" or data.get("resultType") != kind:
            raise source_failed("Prometheus answered with something else than was asked for")
        answer = Answer(is_incomplete=bool(document.get("warnings")), skew_s=skew)
        for one in data.get("result", ()):
            labels = tuple(sorted((str(key), str(value)) for key, value in one.get("metric", {}).items()))
            points = one.get("values") or ([one["value"]] if "value" in one else [])
            answer.series[labels] = [(float(stamp), float(value)) for stamp, value in points]
        return answer

    def _post(self, path: str, asked: Mapping[str, str], timeout: float) -> tuple[dict[str, Any], float]:
        """POST, since the names of a batch make a long query."""
        httpx = sdk("httpx", EXTRA)
        self.meter.add(ReadCost(api_calls=1))
        headers = {"Authorization": f"Bearer {self._token()}"} if self.token_file is not None else {}
        data = {**asked, "timeout": f"{timeout:.3f}s"}
        try:
            reply = self.http.post(f"{self.base_url}/api/v1/{path}", data=data, headers=headers, timeout=timeout)
        except httpx.TransportError as error:
            raise PassingFault(f"no answer of Prometheus ({type(error).__name__})") from error
        if reply.status_code != HTTPStatus.OK:
            raise _fault(reply.status_code, reply.headers.get("Retry-After", ""))
        try:
            document = reply.json()
        except ValueError as error:
            raise PassingFault("the answer of Prometheus was cut off, or is no JSON") from error
        if not isinstance(document, dict):
            raise source_failed("Prometheus answered with something else than was asked for")
        return document, self._skew_s(reply.headers.get("Date", ""))

    def _token(self) -> str:
        try:
            return "" if self.token_file is None else self.token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise source_failed("the token file of Prometheus cannot be read") from error

    def _skew_s(self, date: str) -> float:
        try:
            return (parsedate_to_datetime(date) - self.patience.clock()).total_seconds()
        except (TypeError, ValueError):
            return 0.0


def chunks(window: Window, step_s: int) -> list[tuple[int, int]]:
    """First and last evaluation of each call: the ends of the whole steps within the window, both inclusive."""
    first = -(-int(window.start.timestamp()) // step_s) * step_s + step_s
    end = int(window.end.timestamp()) // step_s * step_s
    parts = []
    while first <= end:
        last = min(first + (MOST_POINTS - 1) * step_s, end)
        parts.append((first, last))
        first = last + step_s
    return parts


def _fault(status: int, retry_after: str) -> Exception:
    if status in _PASSING:
        return PassingFault(f"Prometheus answered {status}", float(retry_after) if retry_after.isdigit() else None)
    match status:
        case 401:
            return source_failed("the credential for Prometheus is expired or not valid (401)")
        case 403:
            return source_failed("the credential may not read this Prometheus (403)")
        case 422:
            return source_failed("Prometheus could not carry the query out: it may exceed the server's limits (422)")
        case _:
            return source_failed(f"Prometheus refused the query ({status})")
