"""Cloud Monitoring and Compute Engine, through Google's own clients, against servers that speak their protocols."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
import yaml
from google.cloud import monitoring_v3

from tests.support.clocks import StoppedClock
from tests.support.cloud_monitoring import CloudMonitoringFake
from tests.support.compute_engine import ComputeEngineFake
from tests.support.http_fake import Answer
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.gcp.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW)
END = int(NOW.timestamp())
CPU = "compute.googleapis.com/instance/cpu/utilization"
ZONE = "zones/us-central1-a"
ROLES = Path("deploy/iam")


@pytest.fixture
def monitoring() -> Iterator[CloudMonitoringFake]:
    """A monitoring service without series."""
    with CloudMonitoringFake() as fake:
        yield fake


@pytest.fixture
def compute() -> Iterator[ComputeEngineFake]:
    """An empty project."""
    fake = ComputeEngineFake(page_size=1)
    with fake.server:
        yield fake


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


def account(monitoring: CloudMonitoringFake, compute: ComputeEngineFake) -> CloudAccount:
    """The project `p` behind the two fakes."""
    return CloudAccount(
        name="gcp",
        kind=SourceKind.CLOUD_MONITORING,
        account="p",
        projects=frozenset({"*"}),
        cloud=Cloud.GCP,
        changes=True,
        endpoints=(("compute", compute.server.url), ("monitoring", f"http://{monitoring.target}")),
    )


@pytest.fixture
def connection(monitoring: CloudMonitoringFake, compute: ComputeEngineFake, clock: StoppedClock) -> Connection:
    """Connected by a clock that moves only with waits."""
    return connect(account(monitoring, compute), Patience(clock, clock.sleep, spread=lambda: 1.0))


def instance(number: int = 1, **fields: object) -> CloudResource:
    """An instance of the project."""
    base = CloudResource(
        resource_id=str(7_000 + number),
        cloud=Cloud.GCP,
        region="us-central1",
        zone="us-central1-a",
        account="p",
        instance_type="n2-standard-8",
    )
    return replace(base, **fields)  # type: ignore[arg-type] # fields of CloudResource, by name


GROUP = instance(
    resource_id="web",
    kind=ResourceKind.INSTANCE_GROUP,
    zone="",
    count=3,
    autoscaling=None,
    instance_type="n2-standard-4",
)


def soon(clock: StoppedClock, seconds: float = 600) -> datetime:
    """A deadline by the source's clock."""
    return clock() + timedelta(seconds=seconds)


def read(connection: Connection, clock: StoppedClock, *resources: CloudResource) -> dict[str, Reading]:
    """Readings of the last hour by id."""
    readings = list(connection.source.read(resources, HOUR, soon(clock)))
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    return {one.resource.resource_id: one for one in readings}


def series(reading: Reading, metric: Metric, statistic: Statistic | None = None) -> list[RawSeries]:
    """Its series of one metric."""
    assert reading.telemetry is not None, reading.failure
    return [s for s in reading.telemetry.series if s.metric is metric and statistic in {None, s.statistic}]


def test_units_statistics_and_stamps_are_told_as_they_are(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """CPU is a ratio, memory per cent, disk and network amounts a second; a stamp is where an interval begins."""
    own = {"instance_id": "7001"}
    monitoring.store(CPU, [(END - 600, 0.25), (END - 300, 1.5)], resource=own)
    monitoring.store("agent.googleapis.com/memory/percent_used", [(END, 61.5)], resource=own, metric={"state": "used"})
    monitoring.store("agent.googleapis.com/memory/percent_used", [(END, 9.0)], resource=own, metric={"state": "free"})
    monitoring.store("compute.googleapis.com/instance/network/received_bytes_count", [(END, 1e6)], resource=own)
    monitoring.store("compute.googleapis.com/instance/disk/read_ops_count", [(END, 55)], resource=own)
    reading = read(connection, clock, instance())["7001"]
    (mean,), (peak,) = series(reading, Metric.CPU, Statistic.AVERAGE), series(reading, Metric.CPU, Statistic.MAXIMUM)
    assert (mean.unit, peak.unit) == (Unit.RATIO, Unit.RATIO)
    assert mean.epoch_seconds.tolist() == [END - 900, END - 600]
    assert mean.values.tolist() == [0.25, 1.5]
    assert mean.step_seconds == 300
    (memory,) = series(reading, Metric.MEMORY)
    assert (memory.unit, memory.values.tolist()) == (Unit.PERCENT, [61.5])
    assert series(reading, Metric.NETWORK_IN)[0].unit is Unit.BYTES_PER_SECOND
    (ops,) = series(reading, Metric.DISK_READ_OPS)
    assert (ops.unit, ops.values.tolist()) == (Unit.COUNT_PER_SECOND, [55.0])
    assert reading.missing == ()


def test_pages_are_put_together(monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock) -> None:
    """A series that is cut between pages is one series."""
    monitoring.page_points = 5
    for number in (1, 2):
        points = [(END - 300 * back, 0.1 * number) for back in range(12)]
        monitoring.store(CPU, points, resource={"instance_id": str(7_000 + number)})
    readings = read(connection, clock, instance(1), instance(2))
    for name in ("7001", "7002"):
        (mean,) = series(readings[name], Metric.CPU, Statistic.AVERAGE)
        assert mean.values.size == 12
        assert sorted(mean.epoch_seconds.tolist()) == mean.epoch_seconds.tolist()


def test_a_page_that_is_lost_fails_the_reading_and_gives_no_part(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Half of a series must not look like all of it."""
    monitoring.page_points = 5
    monitoring.store(CPU, [(END - 300 * back, 0.5) for back in range(12)], resource={"instance_id": "7001"})
    original = monitoring.requests

    class Second(list):  # type: ignore[type-arg] # only its append is used
        def append(self, request: object) -> None:
            super().append(request)
            if len(self) == 2:
                monitoring.faults.append(grpc.StatusCode.PERMISSION_DENIED)

    monitoring.requests = Second(original)
    reading = read(connection, clock, instance())["7001"]
    assert reading.telemetry is None
    assert "403" in reading.failure


def test_throttling_waits_as_long_as_it_is_told_to(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """RESOURCE_EXHAUSTED with RetryInfo of seven seconds, then UNAVAILABLE: both pass."""
    monitoring.store(CPU, [(END, 0.5)], resource={"instance_id": "7001"})
    monitoring.faults += [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE]
    reading = read(connection, clock, instance())["7001"]
    assert len(series(reading, Metric.CPU)) == 2
    assert clock.slept == [7.0, 1.0]


@pytest.mark.parametrize(
    ("code", "words"), [(grpc.StatusCode.UNAUTHENTICATED, "expired"), (grpc.StatusCode.PERMISSION_DENIED, "may not")]
)
def test_refused_credentials_fail_the_reading_without_being_shown(
    code: grpc.StatusCode, words: str, monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """It reads as failed, is not asked again, and quotes nothing of the answer."""
    monitoring.faults.append(code)
    reading = read(connection, clock, instance())["7001"]
    assert reading.telemetry is None
    assert words in reading.failure
    assert "secret" not in reading.failure
    assert len(monitoring.requests) == 1


def test_a_machine_without_agent_says_what_is_missing(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """A metric type that nothing ever wrote is NOT_FOUND: no failure, and no memory."""
    monitoring.store(CPU, [(END, 0.5)], resource={"instance_id": "7001"})
    monitoring.unknown_metrics.add("agent.googleapis.com/memory/percent_used")
    reading = read(connection, clock, instance())["7001"]
    assert series(reading, Metric.MEMORY) == []
    assert reading.missing == ("memory: no series of the Ops Agent",)


def test_what_monitoring_never_saw_has_empty_telemetry(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """A resource that is gone, or was never there: no data, which is not a failure."""
    reading = read(connection, clock, instance())["7001"]
    assert reading.telemetry is not None
    assert reading.telemetry.series == ()


def test_gpus_are_told_apart_by_their_number(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Duty cycle in per cent and memory in bytes, a GPU each."""
    for gpu in ("0", "1"):
        labels = {"gpu_number": gpu}
        own = {"instance_id": "7001"}
        monitoring.store("agent.googleapis.com/gpu/utilization", [(END, 30.0 + int(gpu))], resource=own, metric=labels)
        used = labels | {"memory_state": "used"}
        monitoring.store("agent.googleapis.com/gpu/memory/bytes_used", [(END, 2.0**34)], resource=own, metric=used)
    reading = read(connection, clock, instance(instance_type="g2-standard-24"))["7001"]
    assert [(s.device, s.unit, s.values.tolist()) for s in series(reading, Metric.GPU)] == [
        ("0", Unit.PERCENT, [30.0]),
        ("1", Unit.PERCENT, [31.0]),
    ]
    assert [(s.device, s.unit) for s in series(reading, Metric.GPU_MEMORY)] == [("0", Unit.BYTES), ("1", Unit.BYTES)]


def test_tpus_and_gpus_of_gke_nodes_are_read_by_node(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """GKE measures accelerators itself, under the node's name."""
    monitoring.store(
        "kubernetes.io/node/accelerator/duty_cycle",
        [(END, 71.0)],
        resource_type="k8s_node",
        resource={"node_name": "gke-tpu-1"},
        metric={"accelerator_id": "4"},
    )
    node = instance(instance_type="ct5lp-hightpu-4t", tags=(("gcp:name", "gke-tpu-1"), ("goog-gke-node", "")))
    reading = read(connection, clock, node)["7001"]
    assert [(s.device, s.values.tolist()) for s in series(reading, Metric.GPU)] == [("4", [71.0])]


def test_nodes_that_gke_does_not_measure_are_read_by_their_containers(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Node by node: only the one without series of its own is asked for again, and no accelerator counts twice."""
    for name, of, value in (("gke-1", "node", 71.0), ("gke-1", "container", 70.0), ("gke-2", "container", 30.0)):
        own = {"node_name": name}
        monitoring.store(
            f"kubernetes.io/{of}/accelerator/duty_cycle",
            [(END, value)],
            resource_type=f"k8s_{of}",
            resource=own if of == "node" else None,
            system=own if of == "container" else None,
            metric={"accelerator_id": "0"},
        )
    nodes = [
        instance(number, instance_type="g2-standard-4", tags=(("gcp:name", f"gke-{number}"), ("goog-gke-node", "")))
        for number in (1, 2)
    ]
    readings = read(connection, clock, *nodes)
    assert [s.values.tolist() for s in series(readings["7001"], Metric.GPU)] == [[71.0]]
    assert [s.values.tolist() for s in series(readings["7002"], Metric.GPU)] == [[30.0]]
    assert not any(words.startswith("gpu:") for one in readings.values() for words in one.missing)


def test_a_group_is_read_as_one_with_its_size(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Shares are means and peaks, amounts are sums; a group of the same name in another region is not mixed in."""
    system, own = {"instance_group": "web"}, {"zone": "us-central1-f"}
    monitoring.store(CPU, [(END, 0.5)], resource=own, system=system)
    monitoring.store(CPU, [(END, 0.9)], resource={"zone": "europe-west4-a"}, system=system)
    monitoring.store(
        "compute.googleapis.com/instance/network/sent_bytes_count", [(END, 5e6)], resource=own, system=system
    )
    monitoring.store(
        "compute.googleapis.com/instance_group/size",
        [(END, 3)],
        resource_type="instance_group",
        resource={"instance_group_name": "web", "location": "us-central1"},
    )
    reading = read(connection, clock, GROUP)["web"]
    assert series(reading, Metric.INSTANCES)[0].values.tolist() == [3.0]
    assert [one.values.tolist() for one in series(reading, Metric.CPU)] == [[0.5], [0.5]]
    assert len(series(reading, Metric.NETWORK_OUT)) == 1
    reducers = {
        one.filter.split('"')[1].rpartition("/")[2]: one.aggregation.cross_series_reducer for one in monitoring.requests
    }
    assert {name for name, reducer in reducers.items() if reducer == monitoring_v3.Aggregation.Reducer.REDUCE_SUM} == {
        "received_bytes_count",
        "sent_bytes_count",
        "read_ops_count",
        "write_ops_count",
        "read_bytes_count",
        "write_bytes_count",
    }


def test_distributions_are_named_and_not_guessed_at(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """A value that is no number is missing, in words."""
    monitoring.store(CPU, [(END, "distribution")], resource={"instance_id": "7001"})
    reading = read(connection, clock, instance())["7001"]
    assert series(reading, Metric.CPU) == []
    assert f"cpu: {CPU} is not a number" in reading.missing


def test_duplicates_disorder_gaps_and_the_future_come_through_as_they_are(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """The source repairs nothing: what was wrong with a series is noted where it is put on a grid."""
    stamps = [END - 900, END, END - 900, END + 3_600]
    monitoring.store(CPU, [(stamp, 0.1 * n) for n, stamp in enumerate(stamps)], resource={"instance_id": "7001"})
    (mean,) = series(read(connection, clock, instance())["7001"], Metric.CPU, Statistic.AVERAGE)
    assert sorted(mean.epoch_seconds.tolist()) == sorted(stamp - 300 for stamp in stamps)


def test_an_answer_that_may_be_short_says_so(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Execution errors mark the series as incomplete."""
    monitoring.execution_errors = True
    monitoring.store(CPU, [(END, 0.5)], resource={"instance_id": "7001"})
    assert all(s.is_incomplete for s in series(read(connection, clock, instance())["7001"], Metric.CPU))


def test_a_hanging_call_ends_at_the_deadline(monitoring: CloudMonitoringFake, compute: ComputeEngineFake) -> None:
    """By the wall clock: the batch that hangs is failed, the other one is read."""
    monitoring.store(CPU, [(END, 0.5)], resource={"zone": "us-central1-a"}, system={"instance_group": "web"})
    connection = connect(replace(account(monitoring, compute), concurrency=1), Patience(longest_call_s=0.3))
    monitoring.faults += ["hang", "hang", "hang", "hang", "hang"]
    slow = list(connection.source.read([instance()], HOUR, datetime.now(UTC) + timedelta(seconds=1.0)))
    assert [one.telemetry for one in slow] == [None]
    monitoring.faults.clear()
    (good,) = connection.source.read([GROUP], HOUR, datetime.now(UTC) + timedelta(seconds=20))
    assert good.telemetry is not None


def test_resources_of_another_cloud_are_failed_and_not_passed_over(connection: Connection, clock: StoppedClock) -> None:
    """Each resource has its reading, whatever it is."""
    reading = read(connection, clock, instance(cloud=Cloud.AWS))["7001"]
    assert reading.telemetry is None


def test_what_a_read_takes_is_foretold_and_counted(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """USD 0.50 for a million series: 9 queries of 2 machines are 18 series, 9,000 nano-USD."""
    for number in (1, 2):
        monitoring.store(CPU, [(END, 0.5)], resource={"instance_id": str(7_000 + number)})
    resources = [instance(1), instance(2)]
    assert connection.source.estimate(resources, HOUR) == ReadCost(9, 18, 9_000)
    assert monitoring.requests == []
    read(connection, clock, *resources)
    # Two queries found two series each; the other seven cost one series each, the least a query is billed.
    assert connection.source.spent() == ReadCost(9, 4, (4 + 7) * 500)


def populate(compute: ComputeEngineFake) -> None:
    """Two single machines in two zones, a stopped one, and two managed groups."""
    compute.put(
        "instances",
        ZONE,
        "vm-a",
        id="7001",
        status="RUNNING",
        machineType="https://x/zones/us-central1-a/machineTypes/n2-custom-4-16384",
        labels={"team": "search", "env": "prod"},
        lastStartTimestamp="2026-11-01T03:00:00.000-08:00",
        scheduling={"provisioningModel": "SPOT"},
    )
    compute.put(
        "instances",
        "zones/europe-west4-b",
        "vm-b",
        id="7002",
        status="RUNNING",
        machineType="https://x/zones/europe-west4-b/machineTypes/n1-standard-8",
        guestAccelerators=[{"acceleratorType": "https://x/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2}],
    )
    compute.put("instances", ZONE, "vm-c", id="7003", status="TERMINATED", machineType="x/n2-standard-2")
    compute.put(
        "instances",
        ZONE,
        "web-1",
        id="7004",
        status="RUNNING",
        machineType="x/n2-standard-4",
        metadata={
            "items": [{"key": "created-by", "value": "projects/1/regions/us-central1/instanceGroupManagers/web"}]
        },
    )
    template = compute.put(
        "instanceTemplates", "global", "web-v1", properties={"machineType": "n2-standard-4", "labels": {"team": "web"}}
    )
    group = compute.put(
        "instanceGroupManagers",
        "regions/us-central1",
        "web",
        targetSize=3,
        instanceTemplate=template["selfLink"],
        status={"isStable": True},
        updatePolicy={"type": "PROACTIVE"},
    )
    scaler = compute.put(
        "autoscalers",
        "regions/us-central1",
        "web-scaler",
        target=group["selfLink"],
        autoscalingPolicy={
            "mode": "ON",
            "minNumReplicas": 2,
            "maxNumReplicas": 9,
            "cpuUtilization": {"utilizationTarget": 0.75},
        },
    )
    group["status"]["autoscaler"] = scaler["selfLink"]
    compute.put(
        "instanceGroupManagers",
        ZONE,
        "fixed",
        targetSize=2,
        instanceTemplate=template["selfLink"],
        status={"isStable": True},
        updatePolicy={"type": "OPPORTUNISTIC"},
    )


def inventory(connection: Connection, clock: StoppedClock, scope: Scope | None = None) -> dict[str, CloudResource]:
    """The listing by id."""
    return {one.resource_id: one for one in connection.source.inventory(scope or Scope(), soon(clock))}


def test_the_inventory_is_groups_and_the_machines_of_none(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Over several pages; what is stopped or belongs to a group is not listed by itself."""
    populate(compute)
    found = inventory(connection, clock)
    assert set(found) == {"7001", "7002", "web", "fixed"}
    vm = found["7001"]
    assert (vm.region, vm.zone, vm.instance_type) == ("us-central1", "us-central1-a", "n2-custom-4-16384")
    assert vm.capacity is not None
    assert (vm.capacity.vcpus, vm.capacity.memory_gib) == (4, 16)
    assert (vm.team, vm.option) == ("search", PurchaseOption.SPOT)
    assert dict(vm.tags)["gcp:name"] == "vm-a"
    assert vm.start_time == datetime(2026, 11, 1, 11, tzinfo=UTC)
    assert found["7002"].instance_type == "n1-standard-8+nvidia-tesla-t4x2"
    web = found["web"]
    assert (web.kind, web.count, web.instance_type, web.zone) == (ResourceKind.INSTANCE_GROUP, 3, "n2-standard-4", "")
    assert web.autoscaling is not None
    assert (web.autoscaling.min_count, web.autoscaling.max_count, web.autoscaling.target_utilization) == (2, 9, 0.75)
    assert found["fixed"].autoscaling is None


def test_the_inventory_keeps_to_its_scope(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Regions and labels."""
    populate(compute)
    assert set(inventory(connection, clock, Scope(frozenset({(Cloud.GCP, "europe-west4")})))) == {"7002"}
    assert set(inventory(connection, clock, Scope(tags=(("team", "search"),)))) == {"7001"}


@pytest.mark.parametrize("fault", [Answer({"error": {"code": 403}}, 403), Answer({"error": {"code": 401}}, 401)])
def test_a_listing_that_fails_raises(
    fault: Answer, compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """No part of a list is given as all of it."""
    populate(compute)
    compute.server.faults.append(fault)
    with pytest.raises(UnavailableError):
        inventory(connection, clock)


def test_a_zone_that_does_not_answer_fails_the_listing(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """A place among the unreachable ones is not a place without instances."""
    populate(compute)
    compute.unreachable = ["zones/us-east1-b"]
    with pytest.raises(UnavailableError, match="did not answer"):
        inventory(connection, clock)


def test_a_listing_is_asked_again_when_throttled(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Retry-After is kept to."""
    populate(compute)
    compute.server.faults.append(Answer({"error": {"code": 429}}, 429, {"Retry-After": "9"}))
    assert inventory(connection, clock)
    assert clock.slept == [9.0]


def change(kind: OperationKind, resource: CloudResource, **fields: tuple[str, str]) -> Operation:
    """An operation of named changes (before, after)."""
    changes = tuple(FieldChange(name, before, after) for name, (before, after) in fields.items())
    return Operation(kind, resource.resource_id, changes)


def carry_out(connection: Connection, clock: StoppedClock, resource: CloudResource, operation: Operation) -> bool:
    """Whether it changed anything."""
    assert connection.actuator is not None
    assert connection.actuator.handles(resource, operation)
    return connection.actuator.carry_out(resource, operation, "token-1", soon(clock)).is_changed


def test_a_machine_is_stopped_resized_and_started_and_a_repetition_finds_it_so(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Each step holds when it returns; the second time nothing is asked of the cloud."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    steps = [
        change(OperationKind.STOP_INSTANCE, vm, status=("RUNNING", "TERMINATED")),
        change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("n2-custom-4-16384", "n2-standard-2")),
        change(OperationKind.START_INSTANCE, vm, status=("TERMINATED", "RUNNING")),
    ]
    assert [carry_out(connection, clock, vm, step) for step in steps] == [True, True, True]
    assert compute.changes() == ["POST stop", "POST setMachineType", "POST start"]
    stored = compute.resources["instances", ZONE, "vm-a"]
    assert stored["machineType"].endswith("machineTypes/n2-standard-2")
    assert stored["status"] == "RUNNING"
    assert carry_out(connection, clock, vm, steps[2]) is False
    assert len(compute.changes()) == 3


def test_a_running_machine_is_not_resized(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """The cloud is not even asked."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    with pytest.raises(FailedPreconditionError, match="stopped"):
        carry_out(
            connection, clock, vm, change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", "n2-standard-2"))
        )
    assert compute.changes() == []


def test_accelerators_go_with_the_type(compute: ComputeEngineFake, connection: Connection, clock: StoppedClock) -> None:
    """Two T4s become one: the type stays, the accelerators are set."""
    populate(compute)
    vm = inventory(connection, clock)["7002"]
    stored = compute.resources["instances", "zones/europe-west4-b", "vm-b"]
    stored["status"] = "TERMINATED"
    wanted = "n1-standard-8+nvidia-tesla-t4x1"
    assert carry_out(connection, clock, vm, change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", wanted)))
    assert compute.changes() == ["POST setMachineResources"]
    assert stored["guestAccelerators"][0]["acceleratorCount"] == 1


def test_what_the_cloud_refuses_is_a_failed_precondition_without_its_text(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """The operation's error code is told, its message is not."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    compute.refuse = "ZONE_RESOURCE_POOL_EXHAUSTED"
    with pytest.raises(FailedPreconditionError, match="ZONE_RESOURCE_POOL_EXHAUSTED") as caught:
        carry_out(connection, clock, vm, change(OperationKind.STOP_INSTANCE, vm, status=("RUNNING", "TERMINATED")))
    assert "secret" not in caught.value.message


def test_a_machine_is_observed_with_its_protection(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Fields by the operation's names; protection by the cloud or by label; what is gone does not exist."""
    populate(compute)
    vm = inventory(connection, clock)["7001"]
    assert connection.actuator is not None
    operation = change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", "n2-standard-2"))
    seen = connection.actuator.observe(vm, operation, soon(clock))
    assert (seen.exists, seen.fields, seen.is_protected, seen.state) == (
        True,
        (("machineType", "n2-custom-4-16384"),),
        False,
        "RUNNING",
    )
    compute.resources["instances", ZONE, "vm-a"]["deletionProtection"] = True
    assert connection.actuator.observe(vm, operation, soon(clock)).is_protected
    del compute.resources["instances", ZONE, "vm-a"]
    assert not connection.actuator.observe(vm, operation, soon(clock)).exists
    with pytest.raises(FailedPreconditionError, match="exist"):
        carry_out(connection, clock, vm, operation)


def test_a_group_gets_a_copy_of_its_template(
    compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """All but the machine type is as it was; a repetition finds the group so."""
    populate(compute)
    web = inventory(connection, clock)["web"]
    operation = change(OperationKind.UPDATE_GROUP_TEMPLATE, web, machineType=("n2-standard-4", "n2-standard-2"))
    assert carry_out(connection, clock, web, operation)
    used = compute.resources["instanceGroupManagers", "regions/us-central1", "web"]["instanceTemplate"].rpartition("/")[
        2
    ]
    assert used != "web-v1"
    copy = compute.resources["instanceTemplates", "global", used]["properties"]
    assert (copy["machineType"], copy["labels"]) == ("n2-standard-2", {"team": "web"})
    assert carry_out(connection, clock, web, operation) is False


def test_sizes_and_bounds_of_groups(compute: ComputeEngineFake, connection: Connection, clock: StoppedClock) -> None:
    """A fixed group is resized; of a scaled one the bounds are set, and a size that its autoscaler sets is refused."""
    populate(compute)
    found = inventory(connection, clock)
    resize = change(OperationKind.SET_GROUP_CAPACITY, found["fixed"], targetSize=("2", "1"))
    assert carry_out(connection, clock, found["fixed"], resize)
    assert compute.resources["instanceGroupManagers", ZONE, "fixed"]["targetSize"] == 1
    assert carry_out(connection, clock, found["fixed"], resize) is False
    web = found["web"]
    bound = change(OperationKind.SET_GROUP_CAPACITY, web, minNumReplicas=("2", "1"), targetSize=("3", "1"))
    assert carry_out(connection, clock, web, bound)
    scaler = compute.resources["autoscalers", "regions/us-central1", "web-scaler"]["autoscalingPolicy"]
    assert (scaler["minNumReplicas"], scaler["maxNumReplicas"]) == (1, 9)
    with pytest.raises(FailedPreconditionError, match="autoscaler"):
        carry_out(connection, clock, web, change(OperationKind.SET_GROUP_CAPACITY, web, targetSize=("3", "2")))


def test_the_roles_allow_what_is_called_and_nothing_else(
    monitoring: CloudMonitoringFake, compute: ComputeEngineFake, connection: Connection, clock: StoppedClock
) -> None:
    """Reading uses exactly the reader's role; changing exactly the other one beside it."""
    populate(compute)
    found = inventory(connection, clock)
    read(connection, clock, *found.values())
    reader = set(yaml.safe_load((ROLES / "gcp-reader.yaml").read_text())["includedPermissions"])
    assert reader == compute.permissions | {"monitoring.timeSeries.list"}
    compute.permissions.clear()
    vm, gpu, web, fixed = found["7001"], found["7002"], found["web"], found["fixed"]
    regional = compute.put(
        "instanceTemplates", "regions/us-central1", "own", properties={"machineType": "n2-standard-4"}
    )
    compute.put(
        "instanceGroupManagers",
        ZONE,
        "regional",
        targetSize=1,
        instanceTemplate=regional["selfLink"],
        status={"isStable": True},
    )
    steps: list[tuple[CloudResource, Operation]] = [
        (vm, change(OperationKind.STOP_INSTANCE, vm, status=("", ""))),
        (vm, change(OperationKind.MODIFY_INSTANCE_TYPE, vm, machineType=("", "n2-standard-2"))),
        (vm, change(OperationKind.START_INSTANCE, vm, status=("", ""))),
        (gpu, change(OperationKind.STOP_INSTANCE, gpu, status=("", ""))),
        (gpu, change(OperationKind.MODIFY_INSTANCE_TYPE, gpu, machineType=("", "n1-standard-8"))),
        (web, change(OperationKind.UPDATE_GROUP_TEMPLATE, web, machineType=("", "n2-standard-2"))),
        (web, change(OperationKind.SET_GROUP_CAPACITY, web, minNumReplicas=("", "1"))),
        (fixed, change(OperationKind.SET_GROUP_CAPACITY, fixed, targetSize=("", "1"))),
    ]
    own = replace(fixed, resource_id="regional")
    steps.append((own, change(OperationKind.UPDATE_GROUP_TEMPLATE, own, machineType=("", "n2-standard-2"))))
    for resource, step in steps:
        assert carry_out(connection, clock, resource, step)
    changer = set(yaml.safe_load((ROLES / "gcp-changes.yaml").read_text())["includedPermissions"])
    assert changer == compute.permissions | {"compute.instanceTemplates.useReadOnly"}
