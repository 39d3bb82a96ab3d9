"""Which queries of ListTimeSeries read a batch of resources."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from trimtab_service.clouds.gcp.inventory import GKE_LABEL, group_name
from trimtab_service.clouds.gcp.machine_types import is_accelerated
from trimtab_service.clouds.gcp.metrics import (
    CONTAINER_ACCELERATORS,
    DEPLOYED_MODEL,
    DEPLOYED_MODEL_ACCELERATORS,
    GPU,
    GROUP_SIZE,
    MACHINE,
    NODE_ACCELERATORS,
    TPU_HOSTS,
    TPU_UNREAD,
    MetricSpec,
    Subject,
)
from trimtab_service.clouds.gcp.names import NAME_TAG
from trimtab_service.clouds.gcp.tpu_nodes import is_tpu_node, node_name
from trimtab_service.clouds.gcp.vertex_endpoints import TYPE_PREFIX, endpoint_and_model
from trimtab_service.domain.dimensions import Unit
from trimtab_service.domain.resources import CloudResource, ResourceKind

SUBJECTS_PER_QUERY: Final = 40
"""Most names in one filter."""

_NAMES_LENGTH: Final = 1_600
"""Characters of one filter's names; the rest of the 2,048 that a filter may have is for its other terms."""


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
        terms = [
            f"metric.type = {quoted(self.spec.metric_type)}",
            f"resource.type = {quoted(self.subject.resource_type)}",
        ]
        if self.subject.part_label:
            whole, parts = zip(*(endpoint_and_model(name) for name, _ in self.names), strict=True)
            terms.append(f"{self.subject.value} = {_one_of(dict.fromkeys(whole))}")
            terms.append(f"metric.labels.{self.subject.part_label} = {_one_of(parts)}")
        else:
            terms.append(f"{self.subject.value} = {_one_of(name for name, _ in self.names)}")
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
        labels = (self.subject.part_label, self.spec.device_label)
        by = [self.subject.value, *(f"metric.labels.{label}" for label in labels if label)]
        return {
            "alignment_period": {"seconds": period_s},
            "per_series_aligner": self.spec.aligner,
            "cross_series_reducer": self.spec.reducer,
            "group_by_fields": by,
        }


def batches_of(resources: Sequence[CloudResource]) -> Iterator[Sequence[CloudResource]]:
    """Batches whose resources can share queries: of one kind, and of one zone where their names repeat in others."""
    alike: dict[tuple[str, ...], list[CloudResource]] = defaultdict(list)
    for resource in resources:
        alike[_likeness(resource)].append(resource)
    for _, batch in sorted(alike.items()):
        yield from _split(batch)


def unread(resource: CloudResource) -> tuple[str, ...]:
    """What no query can tell of a resource, in words."""
    return TPU_UNREAD if is_tpu_node(resource) else ()


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
    if batch[0].kind is ResourceKind.ENDPOINT:
        ids = tuple((one.resource_id, one) for one in batch)
        specs = DEPLOYED_MODEL + (DEPLOYED_MODEL_ACCELERATORS if _has_accelerators(batch[0]) else ())
        return tuple(Query(spec, Subject.ENDPOINT, ids) for spec in specs)
    if is_tpu_node(batch[0]):
        nodes = tuple((node_name(one), one) for one in batch)
        return tuple(Query(spec, Subject.TPU, nodes, batch[0].zone) for spec in TPU_HOSTS)
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


def _likeness(resource: CloudResource) -> tuple[str, ...]:
    if resource.kind is ResourceKind.INSTANCE_GROUP:
        return "group", resource.region, resource.zone
    if resource.kind is ResourceKind.ENDPOINT:
        return "endpoint", str(_has_accelerators(resource))
    if is_tpu_node(resource):
        return "tpu", resource.zone
    return "instance", str(is_accelerated(resource.instance_type)), str(_is_node(resource))


def _split(batch: Sequence[CloudResource]) -> Iterator[Sequence[CloudResource]]:
    """So that the names of each part fit into a filter."""
    part: list[CloudResource] = []
    length = 0
    for one in batch:
        # Quotes, comma and space of each name, and of a deployed model's two.
        own = max(len(one.resource_id), len(dict(one.tags).get(NAME_TAG, "")) if _is_node(one) else 0) + 8
        if part and (len(part) == SUBJECTS_PER_QUERY or length + own > _NAMES_LENGTH):
            yield part
            part, length = [], 0
        part.append(one)
        length += own
    if part:
        yield part


def _one_of(names: Iterable[str]) -> str:
    return f"one_of({', '.join(quoted(name) for name in names)})"


def _has_accelerators(model: CloudResource) -> bool:
    return is_accelerated(model.instance_type.removeprefix(TYPE_PREFIX))


def _is_node(resource: CloudResource) -> bool:
    return GKE_LABEL in dict(resource.tags)
