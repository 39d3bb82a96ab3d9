"""What the CloudWatch agent reports of which machine: found by listing, since its dimensions are as it was set up."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.aws.metrics import AGENT, AGENT_MEASURES, Measure
from trimtab_service.clouds.patience import source_failed
from trimtab_service.domain.resources import CloudResource, ResourceKind

INSTANCE: Final = "InstanceId"
GROUP: Final = "AutoScalingGroupName"
_TYPE: Final = "InstanceType"
_GPU_INDEX: Final = "index"

_KEPT: Final = timedelta(minutes=15)
"""Machines come and go; a listing is made again after so long."""

_SETTLED: Final = timedelta(seconds=5)
"""A listing that knows a machine only as it was before its type changed is made again, but not for each of many."""

Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AgentSeries:
    """A series that exists. `device` is the index of a GPU, empty where it is of all or of the machine."""

    measure: Measure
    dimensions: Dimensions
    device: str = ""


@dataclass(frozen=True, slots=True)
class _Listing:
    made: datetime
    series: Mapping[tuple[str, str], tuple[AgentSeries, ...]]


class AgentListings:
    """Per region, every series of the agent, listed once in a quarter of an hour. Used by several threads."""

    def __init__(self, calls: AwsCalls) -> None:
        self._calls = calls
        self._listings: dict[str, _Listing] = {}
        self._locks = {region: threading.Lock() for region in calls.account.regions}

    def is_known(self, region: str) -> bool:
        """Whether `ensure` would call nothing."""
        listing = self._listings.get(region)
        return listing is not None and self._calls.patience.clock() - listing.made < _KEPT

    def ensure(self, region: str, deadline: datetime, readers: Sequence[CloudResource] = ()) -> None:
        """List the region's series unless that was done, since `readers` took their types too.

        Raises UnavailableError (SOURCE_FAILED).
        """
        lock = self._locks[region]
        # Another thread may be listing against an API that hangs; its deadline is not ours.
        if not lock.acquire(timeout=self._calls.patience.remaining_s(deadline)):
            raise source_failed("cloudwatch ListMetrics: the deadline passed while another reader waited for it")
        try:
            if not self.is_known(region) or any(self._is_outdated(one) for one in readers):
                self._list(region, deadline)
        finally:
            lock.release()

    def _is_outdated(self, resource: CloudResource) -> bool:
        listing = self._listings[resource.region]
        known = listing.series.get((INSTANCE, resource.resource_id), ())
        settled = self._calls.patience.clock() - listing.made >= _SETTLED
        return settled and bool(known) and not self.of(resource)

    def _list(self, region: str, deadline: datetime) -> None:
        found: dict[tuple[str, str], list[AgentSeries]] = {}
        for measure in AGENT_MEASURES:
            asked = {"Namespace": AGENT, "MetricName": measure.name}
            try:
                for page in self._calls.pages("cloudwatch", region, "ListMetrics", asked, deadline):
                    for metric in page["Metrics"]:
                        _take(found, measure, metric)
            except RefusedError as error:
                raise source_failed(str(error)) from error
        series = {key: tuple(listed) for key, listed in found.items()}
        self._listings[region] = _Listing(self._calls.patience.clock(), series)

    def of(self, resource: CloudResource) -> tuple[AgentSeries, ...]:
        """The series to read of an instance or group, at most one a metric and device; none where none is known.

        Where the agent reports one thing under several sets of dimensions, the plainest is taken. One that names
        another instance type is of the machine before it was changed: its percentages are of another whole.
        """
        listing = self._listings.get(resource.region)
        if listing is None:
            return ()
        subject = GROUP if resource.kind is ResourceKind.INSTANCE_GROUP else INSTANCE
        best: dict[tuple[str, str], AgentSeries] = {}
        for one in listing.series.get((subject, resource.resource_id), ()):
            if dict(one.dimensions).get(_TYPE, resource.instance_type) != resource.instance_type:
                continue
            key = (one.measure.metric.value, one.device)
            if key not in best or _plainness(one) < _plainness(best[key]):
                best[key] = one
        by_device = {metric for metric, device in best if device}
        # The mean of all GPUs adds nothing where each is known.
        return tuple(one for (metric, device), one in sorted(best.items()) if device or metric not in by_device)


def _take(found: dict[tuple[str, str], list[AgentSeries]], measure: Measure, metric: Mapping[str, Any]) -> None:
    dimensions = tuple((str(one["Name"]), str(one["Value"])) for one in metric.get("Dimensions", []))
    by_name = dict(dimensions)
    series = AgentSeries(measure, dimensions, by_name.get(_GPU_INDEX, ""))
    if INSTANCE in by_name:
        found.setdefault((INSTANCE, by_name[INSTANCE]), []).append(series)
    elif set(by_name) == {GROUP}:
        # Only what is summed up over the whole group: the agent's `aggregation_dimensions`.
        found.setdefault((GROUP, by_name[GROUP]), []).append(series)


def _plainness(series: AgentSeries) -> tuple[int, Dimensions]:
    return len(series.dimensions), series.dimensions
