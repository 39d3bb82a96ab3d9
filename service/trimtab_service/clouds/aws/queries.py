"""What is asked of CloudWatch about a resource, and how it is cut into requests."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from trimtab_service.clouds.aws.agents import GROUP, INSTANCE, AgentListings, Dimensions
from trimtab_service.clouds.aws.endpoints import endpoint_and_variant
from trimtab_service.clouds.aws.metrics import (
    ENDPOINT_MEASURES,
    GROUP_SIZE,
    MACHINES,
    TRAINING_MEASURES,
    Measure,
    gpus_of,
)
from trimtab_service.clouds.aws.periods import Grid
from trimtab_service.domain.dimensions import Metric
from trimtab_service.domain.resources import CloudResource, ResourceKind

MOST_QUERIES: Final = 500
MOST_POINTS: Final = 100_800
"""Of one GetMetricData (Amazon CloudWatch API reference)."""

NOT_MEASURED: Final = "no series of the CloudWatch agent"

SIZED: Final = frozenset(
    {ResourceKind.INSTANCE, ResourceKind.INSTANCE_GROUP, ResourceKind.ENDPOINT, ResourceKind.TRAINING_JOB}
)
"""Kinds that are read; others are not known to this adapter."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Query:
    """All statistics of one metric of one resource; billed as one metric."""

    resource: CloudResource
    measure: Measure
    dimensions: Dimensions
    device: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Everything that is asked about a resource, and what cannot be (`Reading.missing`)."""

    queries: tuple[Query, ...]
    missing: tuple[str, ...] = ()


def question_of(resource: CloudResource, agents: AgentListings) -> Question:
    """The queries of a resource of `SIZED`. What the agent reports is known once its region was listed."""
    match resource.kind:
        case ResourceKind.INSTANCE:
            plain = _of(resource, MACHINES, ((INSTANCE, resource.resource_id),))
            return _with_agent(resource, plain, agents)
        case ResourceKind.INSTANCE_GROUP:
            plain = _of(resource, (*MACHINES, GROUP_SIZE), ((GROUP, resource.resource_id),))
            return _with_agent(resource, plain, agents)
        case ResourceKind.ENDPOINT:
            endpoint, variant = endpoint_and_variant(resource.resource_id)
            return _sagemaker(resource, ENDPOINT_MEASURES, (("EndpointName", endpoint), ("VariantName", variant)))
        case _:
            # Hosts of one job do alike; the first is read, and counts for each.
            return _sagemaker(resource, TRAINING_MEASURES, (("Host", f"{resource.resource_id}/algo-1"),))


def requests_of(queries: Sequence[Query], grid: Grid) -> Iterator[Sequence[Query]]:
    """Queries cut into GetMetricData requests whose answers fit one page.

    A page holds 100,800 points, so fewer queries a request make no more calls; and no request is billed twice for the
    sake of its second page. The statistics of one query stay together: up to five of them are one metric on the bill.
    """
    yield from packed(queries, lambda query: len(query.measure.statistics), grid)


def packed(items: Iterable[T], size_of: Callable[[T], int], grid: Grid) -> Iterator[Sequence[T]]:
    """Items in order, in packs whose series fit one page; one that does not fit is a pack of its own."""
    most = max(1, min(MOST_QUERIES, MOST_POINTS // max(1, grid.points)))
    pack: list[T] = []
    size = 0
    for item in items:
        wanted = size_of(item)
        if pack and size + wanted > most:
            yield pack
            pack, size = [], 0
        pack.append(item)
        size += wanted
    if pack:
        yield pack


def _of(resource: CloudResource, measures: Sequence[Measure], dimensions: Dimensions) -> tuple[Query, ...]:
    return tuple(Query(resource, measure, dimensions) for measure in measures)


def _with_agent(resource: CloudResource, plain: tuple[Query, ...], agents: AgentListings) -> Question:
    series = agents.of(resource)
    found = {one.measure.metric for one in series}
    wanted = [Metric.MEMORY]
    if gpus_of(resource.instance_type) != 0:
        wanted += [Metric.GPU, Metric.GPU_MEMORY]
    queries = tuple(Query(resource, one.measure, one.dimensions, one.device) for one in series)
    return Question(plain + queries, tuple(f"{one}: {NOT_MEASURED}" for one in wanted if one not in found))


def _sagemaker(resource: CloudResource, measures: Sequence[Measure], dimensions: Dimensions) -> Question:
    gpus = gpus_of(resource.instance_type)
    queries: list[Query] = []
    missing: list[str] = []
    for query in _of(resource, measures, dimensions):
        measure = query.measure
        if measure.metric in {Metric.GPU, Metric.GPU_MEMORY} and gpus == 0:
            continue
        if measure.metric is Metric.GPU_MEMORY:
            if gpus is None:
                missing.append(f"{Metric.GPU_MEMORY}: how many GPUs {resource.instance_type} has is not known here")
                continue
            measure = replace(measure, scale=1.0 / gpus)
        if measure.per_instance:
            measure = replace(measure, scale=measure.scale * resource.count)
        queries.append(replace(query, measure=measure))
    return Question(tuple(queries), tuple(missing))
