"""Telemetry of one Azure subscription from Azure Monitor."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.azure.faults import EXTRA, NotThereError, RefusedRequestError
from trimtab_service.clouds.azure.inventory import Inventory
from trimtab_service.clouds.azure.metrics import AGGREGATIONS, GPU_MISSING, NAMES, NAMESPACES
from trimtab_service.clouds.azure.resource_ids import normal, of_metric
from trimtab_service.clouds.azure.series import Collected
from trimtab_service.clouds.batches import failed, read_in_batches, split
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import Patience, source_failed
from trimtab_service.clouds.scopes import in_scope
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import Telemetry

if TYPE_CHECKING:
    from azure.monitor.querymetrics import MetricsClient

NANOS_PER_CALL: Final = 10_000
"""USD 0.01 for a thousand calls (azure.microsoft.com/pricing/details/monitor, standard API calls). The free million a
month is not taken off."""

_BATCH: Final = {ResourceKind.INSTANCE: 50, ResourceKind.INSTANCE_GROUP: 5}
"""Resources in one call: 50 is the most that Azure takes; a scale set answers with a series for each machine."""

_LONGEST_SPAN: Final = timedelta(days=30)
"""What one call asks for at most, which bounds the size of an answer."""

_MOST_MACHINES: Final = 1_000
"""Machines that a scale set can have."""

_API_VERSION: Final = "2024-02-01"

_GPU_SIZES: Final = ("standard_n",)


@dataclass(frozen=True, slots=True)
class AzureMonitor:
    """A TelemetrySource over the metrics batch API. Make it with `connection.connect`.

    `client_of` gives the client of a region: the API is served region by region.
    """

    configured: CloudAccount
    client_of: "Callable[[str], MetricsClient]"
    listing: Inventory
    patience: Patience
    meter: Meter

    @property
    def name(self) -> str:
        """As configured."""
        return self.configured.name

    @property
    def kind(self) -> SourceKind:
        """Azure Monitor."""
        return SourceKind.AZURE_MONITOR

    @property
    def account(self) -> str:
        """The subscription."""
        return self.configured.account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """As the port says: scale sets, and machines that are of none."""
        return (one for one in self.listing.resources(deadline) if in_scope(one, scope))

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """As the port says."""
        known = [one for one in resources if _is_known(one)]
        calls = sum(1 for _ in _batches(known)) * len(_spans(window))
        return ReadCost(calls, len(known) * len(NAMES), calls * NANOS_PER_CALL)

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """As the port says."""
        for resource in resources:
            if not _is_known(resource):
                yield failed(resource, "Azure Monitor is read for virtual machines and scale sets of Azure only")
        known = [one for one in resources if _is_known(one)]

        def read_batch(batch: Sequence[CloudResource], until: datetime) -> Mapping[str, Reading]:
            return self._read_batch(batch, window, until)

        yield from read_in_batches(_batches(known), read_batch, self.patience, deadline, self.configured.concurrency)

    def spent(self) -> ReadCost:
        """As the port says."""
        return self.meter.total()

    def _read_batch(self, batch: Sequence[CloudResource], window: Window, deadline: datetime) -> Mapping[str, Reading]:
        """One resource that is gone refuses a whole batch, so a batch that is refused is halved."""
        collected: dict[str, Collected] = defaultdict(Collected)
        try:
            for span in _spans(window):
                for answer in self._ask(batch, span, deadline):
                    for metric in answer.get("value", ()):
                        collected[of_metric(metric["id"])].add(metric)
        except (NotThereError, RefusedRequestError):
            if len(batch) == 1:
                return {batch[0].key: failed(batch[0], "the resource does not exist any more, or has no metrics")}
            middle = len(batch) // 2
            halves = (batch[:middle], batch[middle:])
            return {key: one for half in halves for key, one in self._read_batch(half, window, deadline).items()}
        # What is not in the answer has no reading here, and reads as failed: Azure names the metrics of a resource that
        # has no data.
        answered = [(one, normal(one.resource_id)) for one in batch if normal(one.resource_id) in collected]
        return {one.key: self._reading(one, collected[name], deadline) for one, name in answered}

    def _reading(self, resource: CloudResource, collected: Collected, deadline: datetime) -> Reading:
        memory = self.listing.memory_gib(resource, deadline)
        missing = [] if memory is not None else [f"memory: the size {resource.instance_type} is not known"]
        if resource.instance_type.lower().startswith(_GPU_SIZES):
            missing.append(GPU_MISSING)
        step = int(self.configured.resolution.total_seconds())
        is_group = resource.kind is ResourceKind.INSTANCE_GROUP
        series = tuple(collected.raw_series(memory, step, is_group=is_group))
        self.meter.add(ReadCost(metrics=len(series)))
        return Reading(resource, Telemetry(series), missing=tuple(missing))

    def _ask(self, batch: Sequence[CloudResource], span: Window, deadline: datetime) -> list[Any]:
        """`values` of one call of metrics:getBatch, as JSON.

        The SDK's client sends it (credentials, tracing, connection), and its models are passed over: an object for each
        point takes 90 us, which is an hour for the two weeks of a thousand machines.
        """
        rest = sdk("azure.core.rest", EXTRA)
        first = batch[0]
        params = {
            "api-version": _API_VERSION,
            "starttime": _iso(span.start),
            "endtime": _iso(span.end),
            "interval": f"PT{int(self.configured.resolution.total_seconds()) // 60}M",
            "metricnamespace": NAMESPACES[first.kind],
            "metricnames": ",".join(NAMES),
            "aggregation": ",".join(AGGREGATIONS),
        }
        if first.kind is ResourceKind.INSTANCE_GROUP:
            # Of a scale set each machine by itself: sums over machines hide how many there were.
            params |= {"filter": "VMName eq '*'", "top": str(_MOST_MACHINES)}
        request = rest.HttpRequest(
            "POST",
            f"/subscriptions/{self.account}/metrics:getBatch",
            params=params,
            json={"resourceids": [one.resource_id for one in batch]},
        )

        def call(timeouts: dict[str, Any]) -> list[Any]:
            self.meter.add(ReadCost(api_calls=1, cost_nanos=NANOS_PER_CALL))
            reply = self.client_of(first.region).send_request(request, **timeouts)
            if reply.status_code == HTTPStatus.NOT_FOUND:
                raise NotThereError("reading Azure Monitor")
            reply.raise_for_status()
            document = reply.json()
            if not isinstance(document, dict) or not isinstance(document.get("values"), list):
                raise source_failed("Azure Monitor answered with something else than was asked for")
            return list(document["values"])

        return self.listing.ask(call, "reading Azure Monitor", deadline)


def _iso(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _batches(resources: Sequence[CloudResource]) -> Iterator[Sequence[CloudResource]]:
    """Of one kind and region, as the API asks for."""
    alike: dict[tuple[ResourceKind, str], list[CloudResource]] = defaultdict(list)
    for resource in resources:
        alike[resource.kind, resource.region].append(resource)
    for (kind, _), batch in sorted(alike.items()):
        yield from split(batch, _BATCH[kind])


def _spans(window: Window) -> list[Window]:
    """The window in parts that follow on one another."""
    parts: list[Window] = []
    start = window.start
    while start < window.end:
        end = min(start + _LONGEST_SPAN, window.end)
        parts.append(Window(start, end))
        start = end
    return parts


def _is_known(resource: CloudResource) -> bool:
    return resource.cloud is Cloud.AZURE and resource.kind in NAMESPACES
