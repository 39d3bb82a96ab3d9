"""Which queries of ListTimeSeries read a batch of resources."""

from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trimtab_service.clouds.batches import split
from trimtab_service.clouds.gcp.inventory import GKE_LABEL, NAME_TAG, group_name
from trimtab_service.clouds.gcp.machine_types import is_accelerated
from trimtab_service.clouds.gcp.metrics import (
    CONTAINER_ACCELERATORS,
    GPU,
    GROUP_SIZE,
    MACHINE,
    NODE_ACCELERATORS,
    MetricSpec,
    Subject,
)
from trimtab_service.domain.dimensions import Unit
from trimtab_service.domain.resources import CloudResource, ResourceKind

SUBJECTS_PER_QUERY: Final = 40
"""Names in one filter: 40 numeric ids are under half of the 2,048 characters that a filter may have."""


@dataclass(frozen=True, slots=True)
class Query:
    """One filter and how its series are put together.

    `names` are the subjects with the resource that each stands for; `place` is the zone or region they are in, where a
    name is not unique without it.
    """

    spec: MetricSpec
    subject: Subject
    names: tuple[tuple[str, CloudResource], ...]
    place: str = ""
    is_zone: bool = True
    otherwise: MetricSpec | None = None

    def fallback(self, found: Container[str]) -> "Query | None":
        """What is asked for the names that had no series here, if anything is."""
        without = tuple((name, one) for name, one in self.names if name not in found)
        if self.otherwise is None or not without:
            return None
        return Query(self.otherwise, Subject.NODE_OF_CONTAINER, without)

    def filter(self) -> str:
        """In the language of Cloud Monitoring's filters."""
        names = ", ".join(quoted(name) for name, _ in self.names)
        terms = [
            f"metric.type = {quoted(self.spec.metric_type)}",
            f"resource.type = {quoted(self.subject.resource_type)}",
            f"{self.subject.value} = one_of({names})",
        ]
        if self.spec.condition:
            terms.append(self.spec.condition)
        if self.place:
            terms.append(self._located())
        return " AND ".join(terms)

    def _located(self) -> str:
        if self.subject is Subject.GROUP_SIZE:
            return f"resource.labels.location = {quoted(self.place)}"
        if self.is_zone:
            return f"resource.labels.zone = {quoted(self.place)}"
        return f"resource.labels.zone = starts_with({quoted(self.place + '-')})"

    def aggregation(self, period_s: int) -> dict[str, object]:
        """The `Aggregation`. Labels that only tell copies of one series apart are folded."""
        by = [self.subject.value]
        if self.spec.device_label:
            by.append(f"metric.labels.{self.spec.device_label}")
        return {
            "alignment_period": {"seconds": period_s},
            "per_series_aligner": self.spec.aligner,
            "cross_series_reducer": self.spec.reducer,
            "group_by_fields": by,
        }


def batches_of(resources: Sequence[CloudResource]) -> Iterator[Sequence[CloudResource]]:
    """Batches whose resources can share queries: of one kind, and groups of one zone, since their names repeat."""
    alike: dict[tuple[str, ...], list[CloudResource]] = defaultdict(list)
    for resource in resources:
        if resource.kind is ResourceKind.INSTANCE_GROUP:
            alike["group", resource.region, resource.zone].append(resource)
        else:
            alike["instance", str(is_accelerated(resource.instance_type)), str(_is_node(resource))].append(resource)
    for _, batch in sorted(alike.items()):
        yield from split(batch, SUBJECTS_PER_QUERY)


def queries_of(batch: Sequence[CloudResource]) -> tuple[Query, ...]:
    """All queries of one batch (of `batches_of`)."""
    if batch[0].kind is ResourceKind.INSTANCE_GROUP:
        names = tuple((group_name(one), one) for one in batch)
        where = batch[0].zone or batch[0].region, bool(batch[0].zone)
        gpu = GPU if any(is_accelerated(one.instance_type) for one in batch) else ()
        # GPUs of a group are folded: their numbers repeat from instance to instance.
        return (
            *(Query(spec, Subject.GROUP, names, *where) for spec in MACHINE),
            *(Query(_folded(spec), Subject.GROUP, names, *where) for spec in gpu),
            Query(GROUP_SIZE, Subject.GROUP_SIZE, names, *where),
        )
    ids = tuple((one.resource_id, one) for one in batch)
    machine = tuple(Query(spec, Subject.INSTANCE, ids) for spec in MACHINE)
    if not is_accelerated(batch[0].instance_type):
        return machine
    if _is_node(batch[0]):
        nodes = tuple((dict(one.tags).get(NAME_TAG, one.resource_id), one) for one in batch)
        pairs = zip(NODE_ACCELERATORS, CONTAINER_ACCELERATORS, strict=True)
        return (*machine, *(Query(spec, Subject.NODE, nodes, otherwise=other) for spec, other in pairs))
    return (*machine, *(Query(spec, Subject.INSTANCE, ids) for spec in GPU))


def quoted(text: str) -> str:
    """A string literal of the filter language."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _folded(spec: MetricSpec) -> MetricSpec:
    """Of all GPUs of a group: shares in the mean, amounts together."""
    return replace(spec, device_label="", is_total=spec.unit is Unit.BYTES)


def _is_node(resource: CloudResource) -> bool:
    return GKE_LABEL in dict(resource.tags)
