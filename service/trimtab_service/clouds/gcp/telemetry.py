"""Telemetry of one Google Cloud project from Cloud Monitoring."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.batches import failed, read_in_batches
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.gcp.faults import EXTRA, NotThereError, translated
from trimtab_service.clouds.gcp.inventory import Inventory
from trimtab_service.clouds.gcp.queries import Query, batches_of, queries_of, unread
from trimtab_service.clouds.gcp.series import Collected
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.scopes import in_scope
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry

NANOS_PER_SERIES: Final = 500
"""USD 0.50 for a million time series returned, at least one a query: Cloud Monitoring's read API since 2025-10-02
(cloud.google.com/stackdriver/pricing). The free million a month of the billing account is not taken off."""

_KINDS: Final = frozenset({ResourceKind.INSTANCE, ResourceKind.INSTANCE_GROUP, ResourceKind.ENDPOINT})

_PAGE_POINTS: Final = 100_000
"""The most points that one page may hold."""


class CloudMonitoring:
    """A TelemetrySource over `google.monitoring.v3` and the lists of `inventory`. Make it with `connection.connect`.

    `metrics` is a `monitoring_v3.MetricServiceClient`.
    """

    def __init__(self, account: CloudAccount, metrics: Any, inventory: Inventory, patience: Patience) -> None:  # noqa: ANN401 - the SDK is imported late
        self._account = account
        self._metrics = metrics
        self._inventory = inventory
        self._patience = patience
        self._meter = Meter()

    @property
    def name(self) -> str:
        """As configured."""
        return self._account.name

    @property
    def kind(self) -> SourceKind:
        """Cloud Monitoring."""
        return SourceKind.CLOUD_MONITORING

    @property
    def account(self) -> str:
        """The project."""
        return self._account.account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """As the port says: managed groups, instances that are of none, TPU VMs, and models deployed on Vertex AI."""
        return (one for one in self._inventory.resources(deadline) if in_scope(one, scope))

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """As the port says: pages of a long window included, devices counted once."""
        total = ReadCost()
        points = max(1, int((window.end - window.start).total_seconds()) // self._period_s)
        for batch in batches_of([one for one in resources if _is_known(one)]):
            for query in queries_of(batch):
                pages = -(-points * len(query.names) // _PAGE_POINTS)
                series = len(query.names)
                total += ReadCost(api_calls=pages, metrics=series, cost_nanos=NANOS_PER_SERIES * series)
        return total

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """As the port says."""
        for resource in resources:
            if not _is_known(resource):
                yield failed(
                    resource, "Cloud Monitoring is read for instances, groups and endpoints of Google Cloud only"
                )
        known = [one for one in resources if _is_known(one)]

        def read_batch(batch: Sequence[CloudResource], until: datetime) -> Mapping[str, Reading]:
            return self._read_batch(batch, window, until)

        yield from read_in_batches(batches_of(known), read_batch, self._patience, deadline, self._account.concurrency)

    def spent(self) -> ReadCost:
        """As the port says."""
        return self._meter.total()

    @property
    def _period_s(self) -> int:
        return int(self._account.resolution.total_seconds())

    def _read_batch(self, batch: Sequence[CloudResource], window: Window, deadline: datetime) -> Mapping[str, Reading]:
        series: dict[str, list[RawSeries]] = {one.key: [] for one in batch}
        missing: dict[str, list[str]] = {one.key: list(unread(one)) for one in batch}
        queries: deque[Query] = deque(queries_of(batch))
        while queries:
            query = queries.popleft()
            by_name = dict(query.names)
            collected = self._ask(query, window, deadline)
            found: set[str] = set()
            for name, raw in collected.raw_series():
                if name in by_name:
                    found.add(name)
                    series[by_name[name].key].append(raw)
            other = query.fallback(found)
            if other is not None:
                queries.append(other)
                continue
            for name, resource in query.names:
                if name in collected.unreadable:
                    missing[resource.key].append(f"{query.spec.metric}: {query.spec.metric_type} is not a number")
                elif name not in found and query.spec.agent:
                    missing[resource.key].append(f"{query.spec.metric}: no series of the {query.spec.agent}")
        return {
            one.key: Reading(one, Telemetry(tuple(series[one.key])), missing=tuple(missing[one.key])) for one in batch
        }

    def _ask(self, query: Query, window: Window, deadline: datetime) -> Collected:
        """All pages of one query. A metric type that nothing has ever written has no series."""
        period = self._period_s
        request: dict[str, object] = {
            "name": f"projects/{self._account.account}",
            "filter": query.filter(),
            # Aligned points lie on whole periods before the end, so the end is put on one: windows then meet.
            "interval": {
                "start_time": {"seconds": int(window.start.timestamp()) // period * period},
                "end_time": {"seconds": int(window.end.timestamp()) // period * period},
            },
            "aggregation": query.aggregation(period),
            "page_size": _PAGE_POINTS,
        }
        collected = Collected(query.spec, query.subject, period)
        while True:
            try:
                page = self._page(request, deadline)
            except NotThereError:
                return collected
            number = collected.add(page.time_series)
            self._meter.add(ReadCost(metrics=number, cost_nanos=NANOS_PER_SERIES * max(1, number)))
            # What the query could not compute is not in the answer, and only this says so.
            collected.is_incomplete |= bool(page.execution_errors)
            if not page.next_page_token:
                return collected
            request = {**request, "page_token": page.next_page_token}

    def _page(self, request: dict[str, object], deadline: datetime) -> Any:  # noqa: ANN401 - a raw ListTimeSeriesResponse
        """One page as a raw protobuf message: its wrapper takes five times as long to walk."""
        types = sdk("google.cloud.monitoring_v3", EXTRA)

        def call(timeout: float) -> Any:  # noqa: ANN401 - as above
            self._meter.add(ReadCost(api_calls=1))
            pager = self._metrics.list_time_series(
                request=types.ListTimeSeriesRequest(request), retry=None, timeout=timeout
            )
            return types.ListTimeSeriesResponse.pb(next(iter(pager.pages)))

        return self._patience.ask(
            lambda timeout: translated(lambda: call(timeout), "reading Cloud Monitoring"), deadline
        )


def _is_known(resource: CloudResource) -> bool:
    return resource.cloud is Cloud.GCP and resource.kind in _KINDS
