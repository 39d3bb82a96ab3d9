"""Telemetry of one cluster from its Prometheus."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.batches import failed, read_in_batches, split
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.prometheus.client import Answer, PrometheusClient, chunks
from trimtab_service.clouds.prometheus.inventory import Inventory
from trimtab_service.clouds.prometheus.queries import Query, container_queries, node_queries
from trimtab_service.clouds.prometheus.workloads import reference_of
from trimtab_service.clouds.scopes import in_scope
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries, Telemetry

_BATCH: Final = 20
"""Resources in one query: answers of two weeks stay at a few megabytes."""

_SKEW_S: Final = 60.0

Subject = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A TelemetrySource over a Prometheus server, or one that speaks its API. Make it with `connection.connect`."""

    configured: CloudAccount
    client: PrometheusClient
    listing: Inventory
    patience: Patience
    meter: Meter

    @property
    def name(self) -> str:
        """As configured."""
        return self.configured.name

    @property
    def kind(self) -> SourceKind:
        """Prometheus."""
        return SourceKind.PROMETHEUS

    @property
    def account(self) -> str:
        """The cluster."""
        return self.configured.account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """As the port says: nodes, and containers of workloads."""
        return (one for one in self.listing.resources(deadline) if in_scope(one, scope))

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """As the port says. Calls are free."""
        parts = len(chunks(window, self._step_s))
        total = ReadCost()
        for batch in _batches([one for one in resources if _is_known(one)]):
            queries = len(_queries(batch, self._step_s))
            total += ReadCost(api_calls=queries * parts, metrics=queries * len(batch))
        return total

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """As the port says."""
        for resource in resources:
            if not _is_known(resource):
                yield failed(resource, "Prometheus is read for nodes and for containers (namespace/workload/container)")
        known = [one for one in resources if _is_known(one)]

        def read_batch(batch: Sequence[CloudResource], until: datetime) -> Mapping[str, Reading]:
            return self._read_batch(batch, window, until)

        yield from read_in_batches(_batches(known), read_batch, self.patience, deadline, self.configured.concurrency)

    def spent(self) -> ReadCost:
        """As the port says."""
        return self.meter.total()

    @property
    def _step_s(self) -> int:
        return int(self.configured.resolution.total_seconds())

    def _read_batch(self, batch: Sequence[CloudResource], window: Window, deadline: datetime) -> Mapping[str, Reading]:
        by_subject = {_subject(one): one for one in batch}
        series: dict[str, list[RawSeries]] = {one.key: [] for one in batch}
        missing: dict[str, list[str]] = {one.key: [] for one in batch}
        skew = 0.0
        for query in _queries(batch, self._step_s):
            answer = self.client.range(query.text, window, self._step_s, deadline)
            skew = max(skew, answer.skew_s, key=abs)
            found: set[Subject] = set()
            for subject, raw in self._raw_series(query, answer):
                if subject in by_subject:
                    found.add(subject)
                    series[by_subject[subject].key].append(raw)
            self.meter.add(ReadCost(metrics=len(answer.series)))
            for subject, resource in by_subject.items():
                if query.exporter and subject not in found:
                    words = f"{query.metric}: no series of the {query.exporter}"
                    if words not in missing[resource.key]:
                        missing[resource.key].append(words)
        if abs(skew) > _SKEW_S:
            told = (
                f"clock: Prometheus' clock is {abs(skew):.0f} s {'ahead' if skew > 0 else 'behind'}; stamps were kept"
            )
            for words_of in missing.values():
                words_of.append(told)
        return {
            one.key: Reading(one, Telemetry(tuple(series[one.key])), missing=tuple(missing[one.key])) for one in batch
        }

    def _raw_series(self, query: Query, answer: Answer) -> Iterator[tuple[Subject, RawSeries]]:
        """Evaluations look back over the step, so what one at the end of an interval says is of that interval."""
        for labels, points in sorted(answer.series.items()):
            own = dict(labels)
            stamps, values = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
            subject = (own["nodename"],) if "nodename" in own else (own.get("workload", ""), own.get("container", ""))
            yield (
                subject,
                RawSeries(
                    query.metric,
                    query.unit,
                    query.statistic,
                    stamps.astype(np.int64) - self._step_s,
                    values,
                    own.get(query.device_label, "") if query.device_label else "",
                    self._step_s,
                    answer.is_incomplete,
                ),
            )


def _queries(batch: Sequence[CloudResource], step_s: int) -> tuple[Query, ...]:
    references = [ref for one in batch if (ref := reference_of(one)) is not None]
    if batch[0].kind is not ResourceKind.CONTAINER:
        return node_queries([one.resource_id for one in batch], step_s)
    with_gpus = any(one.capacity is not None and one.capacity.gpus for one in batch)
    return container_queries(references, step_s, with_gpus=with_gpus)


def _batches(resources: Sequence[CloudResource]) -> Iterator[Sequence[CloudResource]]:
    """Nodes together; containers of one namespace and kind, those with GPUs apart."""
    alike: dict[tuple[str, ...], list[CloudResource]] = defaultdict(list)
    for resource in resources:
        ref = reference_of(resource) if resource.kind is ResourceKind.CONTAINER else None
        has_gpus = resource.capacity is not None and resource.capacity.gpus > 0
        alike[() if ref is None else (ref.namespace, ref.kind, str(has_gpus))].append(resource)
    for _, batch in sorted(alike.items()):
        yield from split(batch, _BATCH)


def _subject(resource: CloudResource) -> Subject:
    ref = reference_of(resource) if resource.kind is ResourceKind.CONTAINER else None
    return (resource.resource_id,) if ref is None else (ref.workload, ref.container)


def _is_known(resource: CloudResource) -> bool:
    if resource.kind is ResourceKind.CONTAINER:
        return reference_of(resource) is not None
    return resource.kind is ResourceKind.INSTANCE
