"""Telemetry of one AWS account from CloudWatch."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from trimtab_service.clouds.aws.agents import AgentListings
from trimtab_service.clouds.aws.answers import Answers
from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError, skew_of
from trimtab_service.clouds.aws.inventory import AwsInventory
from trimtab_service.clouds.aws.metrics import AGENT_MEASURES
from trimtab_service.clouds.aws.periods import Grid
from trimtab_service.clouds.aws.queries import SIZED, Query, Question, packed, question_of, requests_of
from trimtab_service.clouds.batches import failed, read_in_batches
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import source_failed
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import Telemetry

NANOS_PER_METRIC: Final = 10_000
"""USD 0.01 per 1,000 metrics requested with GetMetricData, up to five statistics of a metric being one (Amazon
CloudWatch pricing, APIs). No free tier holds for it."""

NANOS_PER_LISTING: Final = 10_000
"""USD 0.01 per 1,000 ListMetrics requests (the same page); the free million a month is not taken off."""

_WITH_AGENT: Final = frozenset({ResourceKind.INSTANCE, ResourceKind.INSTANCE_GROUP})
_ONE_REFUSED: Final = frozenset(
    {"InvalidParameterCombination", "InvalidParameterValue", "ParamValidationError", "ValidationError"}
)
"""Codes that say something of one query and not of the credential or the service."""

_SKEW_TOLD_S: Final = 60.0

_ATTEMPTS: Final = 3
"""How often series that CloudWatch could not compute (InternalError) are asked for."""


class CloudWatch:
    """A TelemetrySource over CloudWatch and the describing calls of AWS. Make it with `connection.connect`."""

    def __init__(self, calls: AwsCalls, meter: Meter) -> None:
        self._calls = calls
        self._meter = meter
        self._agents = AgentListings(calls)
        self._inventory = AwsInventory(calls)

    @property
    def name(self) -> str:
        """As configured."""
        return self._calls.account.name

    @property
    def kind(self) -> SourceKind:
        """CloudWatch."""
        return SourceKind.CLOUDWATCH

    @property
    def account(self) -> str:
        """The 12 digits."""
        return self._calls.account.account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """As the port says. Afterwards `estimate` is exact, since the agent's series of these regions are known too."""
        regions: set[str] = set()
        for resource in self._inventory.resources(scope, deadline):
            if resource.kind in _WITH_AGENT:
                regions.add(resource.region)
            yield resource
        for region in sorted(regions):
            # What fails here is no part of the listing; it fails the readings if it fails again.
            with contextlib.suppress(TrimtabError):
                self._agents.ensure(region, deadline)

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        """As the port says: exact where the inventory was just read, and no call has to be repeated.

        Else the agent's series are not known: its listing is counted as one page for each of its metrics, the series
        that it may show are not counted.
        """
        grid = self._grid(window)
        known = [one for one in resources if self._is_known(one)]
        total = ReadCost()
        for region in sorted({one.region for one in known if one.kind in _WITH_AGENT}):
            if not self._agents.is_known(region):
                total += ReadCost(len(AGENT_MEASURES), 0, NANOS_PER_LISTING * len(AGENT_MEASURES))
        for batch in self._batches(known, grid):
            for request in requests_of(self._queries(batch), grid):
                total += ReadCost(1, len(request), NANOS_PER_METRIC * len(request))
        return total

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        """As the port says."""
        grid = self._grid(window)
        for resource in resources:
            if not self._is_known(resource):
                yield failed(resource, "CloudWatch is read for the account's own machines, endpoints and jobs only")
        known = [one for one in resources if self._is_known(one)]

        def read_batch(batch: Sequence[CloudResource], until: datetime) -> Mapping[str, Reading]:
            return self._read_batch(batch, grid, until)

        batches = self._batches(known, grid)
        yield from read_in_batches(batches, read_batch, self._calls.patience, deadline, self._calls.account.concurrency)

    def spent(self) -> ReadCost:
        """As the port says: every request that was sent, those of the inventory and of changes too."""
        return self._meter.total()

    def _is_known(self, resource: CloudResource) -> bool:
        of = self._calls.account
        here = (resource.cloud, resource.account) == (Cloud.AWS, of.account) and resource.region in of.regions
        return here and resource.kind in SIZED

    def _grid(self, window: Window) -> Grid:
        return Grid.of(window, self._calls.patience.clock(), self._calls.account.resolution)

    def _queries(self, batch: Sequence[CloudResource]) -> list[Query]:
        return [query for one in batch for query in question_of(one, self._agents).queries]

    def _batches(self, resources: Sequence[CloudResource], grid: Grid) -> Iterator[Sequence[CloudResource]]:
        """Resources of one region whose queries fill about one request. Each is listed once."""
        by_region: dict[str, dict[str, CloudResource]] = {}
        for one in resources:
            by_region.setdefault(one.region, {})[one.key] = one
        for _, of_region in sorted(by_region.items()):
            yield from packed(of_region.values(), self._size_of, grid)

    def _size_of(self, resource: CloudResource) -> int:
        return sum(len(query.measure.statistics) for query in question_of(resource, self._agents).queries)

    def _read_batch(self, batch: Sequence[CloudResource], grid: Grid, deadline: datetime) -> Mapping[str, Reading]:
        region = batch[0].region
        if any(one.kind in _WITH_AGENT for one in batch):
            self._agents.ensure(region, deadline, [one for one in batch if one.kind is ResourceKind.INSTANCE])
        questions = {one.key: question_of(one, self._agents) for one in batch}
        try:
            answers = self._asked([query for one in batch for query in questions[one.key].queries], grid, deadline)
        except RefusedError as error:
            if len(batch) == 1 or error.code not in _ONE_REFUSED:
                raise source_failed(str(error)) from error
            # One odd name must not cost the others their reading: halve until it stands alone.
            half = len(batch) // 2
            return {**self._tried(batch[:half], grid, deadline), **self._tried(batch[half:], grid, deadline)}
        return {one.key: _reading(one, questions[one.key], answers) for one in batch}

    def _tried(self, batch: Sequence[CloudResource], grid: Grid, deadline: datetime) -> Mapping[str, Reading]:
        """The part by itself: what befalls it befalls no other."""

        def read(part: Sequence[CloudResource], until: datetime) -> Mapping[str, Reading]:
            return self._read_batch(part, grid, until)

        readings = read_in_batches([batch], read, self._calls.patience, deadline, 1)
        return {reading.resource.key: reading for reading in readings}

    def _asked(self, queries: Sequence[Query], grid: Grid, deadline: datetime) -> Answers:
        answers = Answers(grid)
        if not grid.points:
            return answers
        for _ in range(_ATTEMPTS):
            for request in requests_of(queries, grid):
                self._ask(request, grid, answers, deadline)
            queries = answers.take_unanswered()
            if not queries:
                break
        answers.give_up()
        return answers

    def _ask(self, request: Sequence[Query], grid: Grid, answers: Answers, deadline: datetime) -> None:
        """All pages of one request."""
        labelled = answers.labelled(request)
        asked: dict[str, Any] = {
            "MetricDataQueries": [
                {
                    "Id": label,
                    "MetricStat": {
                        "Metric": {
                            "Namespace": query.measure.namespace,
                            "MetricName": query.measure.name,
                            "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
                        },
                        "Period": grid.period_s,
                        "Stat": statistic.value.capitalize(),
                    },
                }
                for label, (query, statistic) in labelled.items()
            ],
            "StartTime": datetime.fromtimestamp(grid.start_s, UTC),
            "EndTime": datetime.fromtimestamp(grid.end_s, UTC),
            "ScanBy": "TimestampAscending",
        }
        region = request[0].resource.region
        for page in self._calls.pages("cloudwatch", region, "GetMetricData", asked, deadline):
            self._meter.add(ReadCost(0, len(request), NANOS_PER_METRIC * len(request)))
            answers.take(page, labelled)
            skew_s = skew_of(page.get("ResponseMetadata", {}).get("HTTPHeaders", {}), self._calls.patience.clock())
            if abs(skew_s) > _SKEW_TOLD_S:
                answers.say(f"clock: AWS's differs from the service's by {abs(skew_s):.0f} s; stamps are AWS's")


def _reading(resource: CloudResource, question: Question, answers: Answers) -> Reading:
    refusal = answers.refusal_of(resource)
    if refusal:
        return failed(resource, refusal)
    series = answers.series_of(resource)
    empty = {query.measure.metric for query in question.queries} - {one.metric for one in series}
    missing = (*question.missing, *(f"{metric}: CloudWatch has no points of it" for metric in sorted(empty)))
    return Reading(resource, Telemetry(series), missing=missing + answers.messages)
