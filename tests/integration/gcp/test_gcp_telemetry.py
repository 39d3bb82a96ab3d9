"""Cloud Monitoring through Google's own client, against a gRPC server that speaks its protocol."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.cloud import monitoring_v3

from tests.support.clocks import StoppedClock
from tests.support.cloud_assets import CloudAssetFake
from tests.support.cloud_monitoring import CloudMonitoringFake
from tests.support.compute_engine import ComputeEngineFake
from tests.support.gcp_account import CPU, END, GROUP, HOUR, account, instance, read, series
from trimtab_service.clouds.gcp.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud
from trimtab_service.rightsizing.ports import ReadCost


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


def test_a_hanging_call_ends_at_the_deadline(
    monitoring: CloudMonitoringFake, compute: ComputeEngineFake, assets: CloudAssetFake
) -> None:
    """By the wall clock: the batch that hangs is failed, the other one is read."""
    monitoring.store(CPU, [(END, 0.5)], resource={"zone": "us-central1-a"}, system={"instance_group": "web"})
    connection = connect(replace(account(monitoring, compute, assets), concurrency=1), Patience(longest_call_s=0.3))
    monitoring.faults += ["hang", "hang", "hang", "hang", "hang"]
    slow = list(connection.source.read([instance()], HOUR, datetime.now(UTC) + timedelta(seconds=1.0)))
    assert [one.telemetry for one in slow] == [None]
    monitoring.faults.clear()
    (good,) = connection.source.read([GROUP], HOUR, datetime.now(UTC) + timedelta(seconds=120))
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
