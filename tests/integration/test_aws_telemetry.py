"""CloudWatch through the real boto3 client: what is read, what it costs, and how faults stay apart."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.cloud_readings import listed, read_all, series_of, soon, source_of, window_of
from tests.support.moto_fleet import REGION, MotoFleet, moto_fleet
from tests.support.moto_server import ACCOUNT, Fault
from tests.support.strict_cloudwatch import MOST_POINTS
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.connection import connect
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Scope, Window


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoFleet]:
    """The fleet of tests/support/moto_fleet.py; nobody changes it."""
    with moto_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def fleet(shared: MotoFleet) -> MotoFleet:
    """The shared fleet with no fault ordered and nothing asked yet."""
    shared.server.faults.clear()
    shared.server.sent.clear()
    shared.server.cloudwatch.page_points = MOST_POINTS
    return shared


def test_the_inventory_tells_what_runs(fleet: MotoFleet) -> None:
    """Running instances with type, zone, account, tags, team and launch time, by id."""
    resources = listed(source_of(fleet.account))
    assert [one.resource_id for one in resources] == sorted(fleet.ids.values())
    oversized = next(one for one in resources if one.resource_id == fleet.ids["oversized"])
    assert oversized.cloud is Cloud.AWS
    assert (oversized.region, oversized.account, oversized.kind) == (REGION, ACCOUNT, ResourceKind.INSTANCE)
    assert (oversized.instance_type, oversized.team, oversized.zone) == ("m5.4xlarge", "search", f"{REGION}a")
    assert oversized.tags == (("Name", "oversized"), ("team", "search"))
    assert oversized.start_time is not None
    assert oversized.start_time.tzinfo is not None


def test_the_scope_narrows_by_region_and_tags(fleet: MotoFleet) -> None:
    """Only what is asked for is listed; a region that is not configured holds nothing."""
    source = source_of(fleet.account)
    tagged = source.inventory(Scope(tags=(("team", "ads"),)), soon())
    assert {one.resource_id for one in tagged} == {fleet.ids["right"], fleet.ids["blind"]}
    assert not list(source.inventory(Scope(regions=frozenset({(Cloud.AWS, "us-east-1")})), soon()))
    assert not list(source.inventory(Scope(regions=frozenset({(Cloud.GCP, REGION)})), soon()))


def test_two_weeks_come_whole_with_their_units(fleet: MotoFleet) -> None:
    """Mean and maximum of levels, sums of what moves; five minutes apart, from the window's start to its end."""
    reading = read_all(fleet, source_of(fleet.account), days=14)["oversized"]
    peak = series_of(reading, Metric.CPU, Statistic.MAXIMUM)
    assert peak.unit is Unit.PERCENT
    assert peak.step_seconds == 300
    assert peak.epoch_seconds.dtype == np.int64
    assert abs(peak.epoch_seconds.size - 14 * 288) <= 1
    assert np.all(np.diff(peak.epoch_seconds) == 300)
    assert peak.values.max() == pytest.approx(8.0, abs=0.01)
    assert not peak.is_incomplete
    assert series_of(reading, Metric.MEMORY, Statistic.AVERAGE).values.max() == pytest.approx(10.0, abs=0.01)
    moved = series_of(reading, Metric.NETWORK_IN, Statistic.SUM)
    assert (moved.unit, moved.values[0]) == (Unit.BYTES, 20 * 2**20)
    assert series_of(reading, Metric.DISK_READ_OPS, Statistic.SUM).unit is Unit.COUNT
    assert reading.missing == ()


def test_gpus_come_one_by_one(fleet: MotoFleet) -> None:
    """Each GPU's duty cycle in percent, its memory in bytes though the agent reports MiB."""
    reading = read_all(fleet, source_of(fleet.account))["trainer"]
    for index in range(4):
        assert series_of(reading, Metric.GPU, Statistic.MAXIMUM, str(index)).values.max() == pytest.approx(30.0)
    used = series_of(reading, Metric.GPU_MEMORY, Statistic.MAXIMUM, "0")
    assert (used.unit, used.values[0]) == (Unit.BYTES, 4 * 2**30)


def test_a_machine_without_agent_says_what_is_missing(fleet: MotoFleet) -> None:
    """CPU is read; that memory is not measured is said, and is no failure."""
    reading = read_all(fleet, source_of(fleet.account))["blind"]
    assert reading.failure == ""
    assert any(one.startswith("memory") and "agent" in one for one in reading.missing)
    assert series_of(reading, Metric.CPU, Statistic.AVERAGE).values.size


@pytest.mark.parametrize(("days", "period"), [(14, 300), (40, 300), (100, 3600)])
def test_the_period_is_one_that_is_kept(fleet: MotoFleet, days: int, period: int) -> None:
    """A longer look-back is read at the resolution that CloudWatch still has; the strict server refuses others."""
    reading = read_all(fleet, source_of(fleet.account), days=days)["oversized"]
    assert series_of(reading, Metric.CPU, Statistic.AVERAGE).step_seconds == period


def test_a_window_older_than_anything_kept_says_so(fleet: MotoFleet) -> None:
    """Past 455 days there is nothing, so the series is incomplete."""
    reading = read_all(fleet, source_of(fleet.account), days=500)["oversized"]
    assert series_of(reading, Metric.CPU, Statistic.AVERAGE).is_incomplete


def test_the_estimate_is_what_is_then_spent(fleet: MotoFleet) -> None:
    """Calls, metrics and price of a read are known beforehand, to the last; estimating calls nothing."""
    source = source_of(fleet.account)
    resources = listed(source)
    before, asked = source.spent(), len(fleet.server.sent)
    estimate = source.estimate(resources, window_of(fleet))
    assert len(fleet.server.sent) == asked
    list(source.read(resources, window_of(fleet), soon()))
    spent = source.spent()
    assert estimate == ReadCost(
        spent.api_calls - before.api_calls, spent.metrics - before.metrics, spent.cost_nanos - before.cost_nanos
    )
    # 7 of EC2 each, memory of five, and two of each of four GPUs.
    assert estimate.metrics == 6 * 7 + 5 + 8
    assert estimate.cost_nanos == estimate.metrics * 10_000
    assert fleet.server.operations().count("GetMetricData") == estimate.api_calls


def test_a_read_without_inventory_lists_the_agents_series_itself(fleet: MotoFleet) -> None:
    """One resource can be read at once; the listing is in the estimate."""
    # Ids are drawn by chance, and the machine with four GPUs shows more series than an estimate without listing knows.
    own = fleet.ids["oversized"]
    (resource,) = [one for one in listed(source_of(fleet.account)) if one.resource_id == own]
    source = source_of(fleet.account)
    assert source.estimate([resource], window_of(fleet)).api_calls == 5
    (reading,) = source.read([resource], window_of(fleet), soon())
    assert reading.telemetry is not None
    assert source.spent().api_calls == 5


def test_pages_are_put_together(fleet: MotoFleet) -> None:
    """An answer in many pages is one series, each point once and nothing lost."""
    fleet.server.cloudwatch.page_points = 10_000
    reading = read_all(fleet, source_of(fleet.account), days=14)["oversized"]
    stamps = series_of(reading, Metric.CPU, Statistic.AVERAGE).epoch_seconds
    assert abs(stamps.size - 14 * 288) <= 1
    assert np.all(np.diff(stamps) == 300)
    assert not series_of(reading, Metric.CPU, Statistic.AVERAGE).is_incomplete
    assert fleet.server.operations().count("GetMetricData") > 10


def test_partial_data_at_the_end_is_marked(fleet: MotoFleet) -> None:
    """A last page that is partial gives a series that says it is incomplete."""

    def cut(body: dict[str, Any]) -> dict[str, Any]:
        for result in body["MetricDataResults"]:
            result["StatusCode"] = "PartialData"
        return body

    fleet.server.faults.append(Fault("GetMetricData", alter=cut, times=99))
    reading = read_all(fleet, source_of(fleet.account))["oversized"]
    assert series_of(reading, Metric.CPU, Statistic.AVERAGE).is_incomplete


def test_what_cloudwatch_cannot_compute_is_asked_again(fleet: MotoFleet) -> None:
    """A series with InternalError is asked for again; its resource and the others come whole."""

    def broken(body: dict[str, Any]) -> dict[str, Any]:
        body["MetricDataResults"][0] |= {"StatusCode": "InternalError", "Timestamps": [], "Values": []}
        return body

    fleet.server.faults.append(Fault("GetMetricData", alter=broken))
    assert all(not one.failure for one in read_all(fleet, source_of(fleet.account)).values())


@pytest.mark.parametrize("status", ["InternalError", "Forbidden"])
def test_what_stays_unknown_fails_its_resource_only(fleet: MotoFleet, status: str) -> None:
    """Nothing is concluded from the rest of a resource whose series CloudWatch will not give; others are read."""
    victim = fleet.ids["right"]

    def broken(body: dict[str, Any]) -> dict[str, Any]:
        asked = fleet.server.sent[-1].parameters["MetricDataQueries"]
        of_victim = {q["Id"] for q in asked if {"Name": "InstanceId", "Value": victim} in _dimensions(q)}
        for result in body["MetricDataResults"]:
            if result["Id"] in of_victim:
                result |= {"StatusCode": status, "Timestamps": [], "Values": []}
        return body

    fleet.server.faults.append(Fault("GetMetricData", alter=broken, times=99))
    readings = read_all(fleet, source_of(_one_by_one(fleet.account)))
    assert [name for name, one in readings.items() if one.failure] == ["right"]
    assert status in readings["right"].failure


def _dimensions(query: dict[str, Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = query["MetricStat"]["Metric"]["Dimensions"]
    return found


def _one_by_one(account: CloudAccount) -> CloudAccount:
    """One call at a time, so that the newest request is the one being answered."""
    return replace(account, concurrency=1)


def test_points_in_any_state_are_passed_on(fleet: MotoFleet) -> None:
    """Order and duplicates are not repaired here, but each stamp keeps its value."""

    def shuffled(body: dict[str, Any]) -> dict[str, Any]:
        for result in body["MetricDataResults"]:
            result["Timestamps"] = result["Timestamps"][::-1] + result["Timestamps"][:1]
            result["Values"] = result["Values"][::-1] + result["Values"][:1]
        return body

    whole = series_of(read_all(fleet, source_of(fleet.account))["oversized"], Metric.CPU, Statistic.MAXIMUM)
    fleet.server.faults.append(Fault("GetMetricData", alter=shuffled, times=99))
    mixed = series_of(read_all(fleet, source_of(fleet.account))["oversized"], Metric.CPU, Statistic.MAXIMUM)
    assert mixed.epoch_seconds.size == whole.epoch_seconds.size + 1
    by_stamp = dict(zip(whole.epoch_seconds, whole.values, strict=True))
    assert all(by_stamp[at] == value for at, value in zip(mixed.epoch_seconds, mixed.values, strict=True))


def test_a_stamp_without_value_is_not_paired_with_anothers(fleet: MotoFleet) -> None:
    """Lists of unequal length are cut to the shorter one, and the series says it is incomplete."""

    def torn(body: dict[str, Any]) -> dict[str, Any]:
        for result in body["MetricDataResults"]:
            result["Values"] = result["Values"][:-3]
        return body

    fleet.server.faults.append(Fault("GetMetricData", alter=torn, times=99))
    series = series_of(read_all(fleet, source_of(fleet.account))["oversized"], Metric.CPU, Statistic.AVERAGE)
    assert series.is_incomplete
    assert series.epoch_seconds.size == series.values.size


def test_messages_of_cloudwatch_reach_the_reader(fleet: MotoFleet) -> None:
    """What CloudWatch says beside the data is told as missing."""
    said = {"Messages": [{"Code": "MaxMetricsExceeded", "Value": "too many"}]}
    fleet.server.faults.append(Fault("GetMetricData", alter=lambda body: body | said, times=99))
    assert "CloudWatch: MaxMetricsExceeded" in read_all(fleet, source_of(fleet.account))["oversized"].missing


@pytest.mark.parametrize(
    ("operation", "code", "status"),
    [
        ("GetMetricData", "ThrottlingException", 400),
        ("GetMetricData", "InternalFailure", 500),
        ("ListMetrics", "Throttling", 400),
        ("DescribeInstances", "RequestLimitExceeded", 503),
        ("DescribeAutoScalingGroups", "Throttling", 400),
        ("ListEndpoints", "ThrottlingException", 400),
    ],
)
def test_throttling_and_passing_faults_are_waited_out(fleet: MotoFleet, operation: str, code: str, status: int) -> None:
    """A service that says `slow down` three times is asked a fourth time; everything comes whole."""
    fleet.server.faults.append(Fault(operation, code, status, times=3))
    assert all(not one.failure for one in read_all(fleet, source_of(fleet.account)).values())


def test_rights_that_lack_the_agents_listing_fail_readings_not_the_inventory(fleet: MotoFleet) -> None:
    """What runs is still listed; that its memory cannot be known is a failed source, never a machine without memory."""
    fleet.server.faults.append(Fault("ListMetrics", "AccessDeniedException", 403, times=999))
    source = source_of(fleet.account)
    resources = listed(source)
    readings = list(source.read(resources, window_of(fleet, 1), soon()))
    assert len(readings) == len(resources) == 6
    assert all("ListMetrics" in one.failure for one in readings)


def test_throttling_without_end_ends_at_the_deadline(fleet: MotoFleet) -> None:
    """Waiting is never longer than the caller has; the reading says why it failed."""
    source = connect(fleet.account, Patience()).source
    resources = listed(source)
    fleet.server.faults.append(Fault("GetMetricData", "ThrottlingException", times=10_000))
    readings = list(source.read(resources, window_of(fleet), soon(1.5)))
    assert len(readings) == len(resources)
    assert all(one.telemetry is None for one in readings)
    assert {"throttled" in one.failure or "deadline" in one.failure for one in readings} == {True}


def test_one_refused_metric_costs_one_reading(fleet: MotoFleet) -> None:
    """A batch that CloudWatch refuses is halved until the culprit stands alone."""
    source = source_of(fleet.account)
    resources = [*listed(source), CloudResource("", Cloud.AWS, REGION, account=ACCOUNT, instance_type="m5.large")]
    readings = list(source.read(resources, window_of(fleet, 1), soon()))
    assert len(readings) == len(resources)
    assert [one.resource.resource_id for one in readings if one.failure] == [""]


def test_what_is_not_of_the_account_reads_as_failed(fleet: MotoFleet) -> None:
    """Another account's, region's or cloud's resource, and a kind that is not read, never look idle."""
    foreign = [
        CloudResource("i-1", Cloud.AWS, REGION, account="210987654321"),
        CloudResource("i-1", Cloud.AWS, "us-east-1", account=ACCOUNT),
        CloudResource("i-1", Cloud.GCP, REGION, account=ACCOUNT),
        CloudResource("db", Cloud.AWS, REGION, account=ACCOUNT, kind=ResourceKind.DATABASE),
    ]
    readings = list(source_of(fleet.account).read(foreign, window_of(fleet), soon()))
    assert len(readings) == len(foreign)
    assert all(one.failure for one in readings)
    assert not fleet.server.sent or "GetMetricData" not in fleet.server.operations()


def test_an_empty_window_asks_nothing(fleet: MotoFleet) -> None:
    """A window without a whole interval has no points; nothing is paid for it."""
    source = source_of(fleet.account)
    resource = listed(source)[0]
    (reading,) = source.read([resource], Window(fleet.now, fleet.now), soon())
    assert reading.telemetry is not None
    assert "GetMetricData" not in fleet.server.operations()


def test_an_inventory_that_breaks_off_is_an_error(fleet: MotoFleet) -> None:
    """A part of the account is never given as all of it."""
    fleet.server.faults.append(Fault("ListEndpoints", "AccessDeniedException", 403, times=99))
    with pytest.raises(UnavailableError, match="ListEndpoints") as caught:
        listed(source_of(fleet.account))
    assert caught.value.reason is ErrorReason.SOURCE_FAILED
