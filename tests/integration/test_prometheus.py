"""Prometheus over HTTP, against a server that is strict about its API."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.support.clocks import StoppedClock
from tests.support.http_fake import HANG, Answer
from tests.support.prometheus_api import PrometheusFake
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.prometheus.connection import connect
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import NODE_TYPE_TAG, Capacity, CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW)
END = int(NOW.timestamp())
WEB = {"workload": "web", "container": "app"}
AVERAGE_CPU = r"^sum .*rate\(container_cpu_usage_seconds_total"


@pytest.fixture
def prometheus() -> Iterator[PrometheusFake]:
    """A server without series whose clock is right."""
    fake = PrometheusFake()
    fake.date = format_datetime(NOW, usegmt=True)
    with fake.server:
        yield fake


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


def account(prometheus: PrometheusFake) -> CloudAccount:
    """The cluster behind the fake."""
    return CloudAccount(
        name="cluster",
        kind=SourceKind.PROMETHEUS,
        account="prod",
        projects=frozenset({"*"}),
        endpoint_url=prometheus.server.url,
    )


@pytest.fixture
def connection(prometheus: PrometheusFake, clock: StoppedClock) -> Connection:
    """Connected by a clock that moves only with waits."""
    return connect(account(prometheus), Patience(clock, clock.sleep, spread=lambda: 1.0))


def container(name: str = "shop/web/app", **fields: object) -> CloudResource:
    """A container of the cluster."""
    base = CloudResource(
        resource_id=name, cloud=Cloud.AWS, region="us-east-1", kind=ResourceKind.CONTAINER, account="prod", count=3
    )
    return replace(base, **fields)  # type: ignore[arg-type] # fields of CloudResource, by name


NODE = container("node-a", kind=ResourceKind.INSTANCE, count=1)


def soon(clock: StoppedClock, seconds: float = 600) -> datetime:
    """A deadline by the source's clock."""
    return clock() + timedelta(seconds=seconds)


def read(
    connection: Connection, clock: StoppedClock, *resources: CloudResource, window: Window = HOUR
) -> dict[str, Reading]:
    """Readings by id."""
    readings = list(connection.source.read(resources, window, soon(clock)))
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    return {one.resource.resource_id: one for one in readings}


def series(reading: Reading, metric: Metric, statistic: Statistic | None = None) -> list[RawSeries]:
    """Its series of one metric."""
    assert reading.telemetry is not None, reading.failure
    return [s for s in reading.telemetry.series if s.metric is metric and statistic in {None, s.statistic}]


def test_units_statistics_and_stamps_are_told_as_they_are(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """CPU in vCPUs, memory in bytes, throttling as a ratio; an evaluation is of the step that ends with it."""
    prometheus.store(AVERAGE_CPU, WEB, [(END - 300, "1.5"), (END, "NaN")])
    prometheus.store(r"max_over_time\(rate\(container_cpu", WEB, [(END, "4.25")])
    prometheus.store(r"^max .*memory_working_set.* \* count", WEB, [(END, "3221225472")])
    prometheus.store(r"^count .*memory_working_set", WEB, [(END, "3")])
    prometheus.store("throttled_periods", WEB, [(END, "0.2")])
    prometheus.store("OOMKilled", WEB, [(END, "1")])
    reading = read(connection, clock, container())["shop/web/app"]
    (cpu,), (peak,) = series(reading, Metric.CPU, Statistic.AVERAGE), series(reading, Metric.CPU, Statistic.MAXIMUM)
    assert cpu.unit is Unit.VCPUS
    assert cpu.epoch_seconds.tolist() == [END - 600, END - 300]
    assert cpu.values[0] == 1.5
    assert cpu.values[1] != cpu.values[1]  # NaN stays a gap
    assert peak.values.tolist() == [4.25]
    (memory,) = series(reading, Metric.MEMORY)
    assert (memory.unit, memory.statistic, memory.values.tolist()) == (Unit.BYTES, Statistic.MAXIMUM, [3 * 2.0**30])
    assert series(reading, Metric.INSTANCES)[0].values.tolist() == [3.0]
    assert series(reading, Metric.CPU_THROTTLED)[0].unit is Unit.RATIO
    assert (series(reading, Metric.OOM_KILLS)[0].unit, reading.missing) == (Unit.COUNT, ())


def test_pods_are_put_together_by_instant_and_never_by_percentile(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """The server folds pods, and is asked for no quantile; every matcher names this workload's pods only."""
    read(connection, clock, container())
    assert prometheus.queries
    for asked in prometheus.queries:
        assert "quantile" not in asked["query"]
        assert 'namespace="shop"' in asked["query"]
        assert "(web)-[0-9a-z]+-[0-9a-z]{5}" in asked["query"]


def test_workloads_of_one_namespace_share_queries(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """Thirty containers are two batches of six queries, as was foretold; each has its own series."""
    resources = [container(f"shop/w{number:02}/app") for number in range(30)]
    for number in range(30):
        labels = {"workload": f"w{number:02}", "container": "app"}
        prometheus.store(AVERAGE_CPU + rf".*w{number:02}[|)]", labels, [(END, str(number))])
    readings = read(connection, clock, *resources)
    assert [series(readings[f"shop/w{n:02}/app"], Metric.CPU)[0].values.tolist() for n in range(30)] == [
        [float(n)] for n in range(30)
    ]
    foretold = connection.source.estimate(resources, HOUR)
    assert (foretold.api_calls, foretold.cost_nanos) == (12, 0)
    assert connection.source.spent().api_calls == len(prometheus.queries) == 12


def test_a_long_window_stays_under_the_limit_of_points(prometheus: PrometheusFake, clock: StoppedClock) -> None:
    """60 days of minutes are 86,400 points: nine calls, and one series without a seam."""
    fine = connect(replace(account(prometheus), resolution=timedelta(minutes=1)), Patience(clock, clock.sleep))
    window = Window(NOW - timedelta(days=60), NOW)
    stamps = range(END - 60 * 86_400 + 60, END + 1, 60)
    prometheus.store(AVERAGE_CPU, WEB, [(stamp, "1") for stamp in stamps])
    (cpu,) = series(read(fine, clock, container(), window=window)["shop/web/app"], Metric.CPU, Statistic.AVERAGE)
    assert cpu.values.size == 86_400
    assert len(set(cpu.epoch_seconds.tolist())) == 86_400
    assert fine.source.estimate([container()], window) == ReadCost(9 * 6, 6)


def test_warnings_make_the_series_incomplete(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """A partial response of Thanos or Mimir is not taken for the whole."""
    prometheus.warnings = ["store gateway unavailable"]
    prometheus.store(AVERAGE_CPU, WEB, [(END, "1")])
    assert all(s.is_incomplete for s in series(read(connection, clock, container())["shop/web/app"], Metric.CPU))


def test_gpus_are_read_where_the_container_has_them(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """DCGM's memory is in MiB and is asked for in bytes; without the exporter that is missing."""
    prometheus.store("DCGM_FI_DEV_GPU_UTIL", WEB, [(END, "30")])
    prometheus.store(r"DCGM_FI_DEV_FB_USED.*\* 1048576", WEB, [(END, "1073741824")])
    gpu = container(capacity=Capacity(gpus=2.0))
    reading = read(connection, clock, gpu)["shop/web/app"]
    assert series(reading, Metric.GPU)[0].unit is Unit.PERCENT
    assert series(reading, Metric.GPU_MEMORY)[0].values.tolist() == [2.0**30]
    blind = read(connection, clock, container("shop/other/app", capacity=Capacity(gpus=1.0)))["shop/other/app"]
    assert "gpu: no series of the DCGM exporter" in blind.missing
    assert not any("gpu" in words for words in read(connection, clock, container())["shop/web/app"].missing)


def test_nodes_are_read_by_name_with_a_series_for_each_gpu(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """Shares of CPU and memory, bytes a second, and GPUs told apart."""
    own = {"nodename": "node-a", "instance": "10.0.0.1:9100"}
    prometheus.store("node_cpu_seconds_total", own, [(END, "0.4")])
    prometheus.store("MemAvailable", own, [(END, "0.7")])
    prometheus.store("receive_bytes", own, [(END, "1e6")])
    for gpu in ("0", "1"):
        prometheus.store("DCGM_FI_DEV_GPU_UTIL", {"nodename": "node-a", "gpu": gpu}, [(END, "30")])
    reading = read(connection, clock, NODE)["node-a"]
    assert [(s.unit, s.values.tolist()) for s in series(reading, Metric.CPU)] == [(Unit.RATIO, [0.4])]
    assert series(reading, Metric.MEMORY)[0].statistic is Statistic.MAXIMUM
    assert series(reading, Metric.NETWORK_IN)[0].unit is Unit.BYTES_PER_SECOND
    assert [s.device for s in series(reading, Metric.GPU)] == ["0", "1"]


@pytest.mark.parametrize(("skew_s", "words"), [(600, "600 s ahead"), (-7_200, "7200 s behind")])
def test_a_clock_that_is_off_is_told_and_stamps_are_kept(
    skew_s: int, words: str, prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """By the Date of its answers."""
    prometheus.date = format_datetime(NOW + timedelta(seconds=skew_s), usegmt=True)
    prometheus.store(AVERAGE_CPU, WEB, [(END, "1")])
    reading = read(connection, clock, container())["shop/web/app"]
    assert any(words in one for one in reading.missing)
    assert series(reading, Metric.CPU)[0].epoch_seconds.tolist() == [END - 300]


def test_no_series_is_no_data_and_not_a_failure(connection: Connection, clock: StoppedClock) -> None:
    """A workload that is gone, or a cluster without cAdvisor: empty, with what is missing."""
    reading = read(connection, clock, container())["shop/web/app"]
    assert reading.telemetry is not None
    assert reading.telemetry.series == ()
    assert "cpu: no series of the cAdvisor" in reading.missing


def test_throttling_and_an_answer_cut_off_are_asked_for_again(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """429 with Retry-After; a body that is no JSON; 503."""
    prometheus.store(AVERAGE_CPU, WEB, [(END, "1")])
    prometheus.server.faults += [Answer({}, 429, {"Retry-After": "13"}), Answer('{"status":"succ'), Answer({}, 503)]
    assert series(read(connection, clock, container())["shop/web/app"], Metric.CPU)
    assert clock.slept == [13.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Answer({}, 401), "expired"),
        (Answer({}, 403), "may not"),
        (Answer({"error": "secret"}, 422), "limits"),
        (Answer({"status": "error"}), "something else"),
        (Answer([1, 2]), "something else"),
    ],
)
def test_what_is_refused_fails_the_reading_without_being_quoted(
    answer: Answer, words: str, prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """Each reads as failed, never as no data."""
    prometheus.server.faults.append(answer)
    reading = read(connection, clock, container())["shop/web/app"]
    assert reading.telemetry is None
    assert words in reading.failure
    assert "secret" not in reading.failure


def test_a_lost_batch_does_not_take_the_others_with_it(prometheus: PrometheusFake, clock: StoppedClock) -> None:
    """Two namespaces: the first one's query is refused, the second one is read."""
    one_by_one = connect(replace(account(prometheus), concurrency=1), Patience(clock, clock.sleep))
    prometheus.server.faults.append(Answer({}, 403))
    found = read(one_by_one, clock, container("a/web/app"), container("b/web/app"))
    assert found["a/web/app"].telemetry is None
    assert found["b/web/app"].telemetry is not None


def test_a_hanging_server_ends_at_the_deadline(prometheus: PrometheusFake) -> None:
    """By the wall clock."""
    prometheus.server.faults += [Answer(status=HANG)] * 10
    source = connect(account(prometheus), Patience(longest_call_s=0.3)).source
    (reading,) = source.read([container()], HOUR, datetime.now(UTC) + timedelta(seconds=1))
    assert reading.telemetry is None


def test_the_token_is_read_for_each_call(prometheus: PrometheusFake, clock: StoppedClock, tmp_path: Path) -> None:
    """It is rotated under the running service; without the file the reading fails."""
    token = tmp_path / "token"
    token.write_text("one\n")
    secured = connect(replace(account(prometheus), credentials_file=token), Patience(clock, clock.sleep))
    read(secured, clock, container())
    token.write_text("two")
    read(secured, clock, container())
    used = {one.headers["authorization"] for one in prometheus.server.seen}
    assert used == {"Bearer one", "Bearer two"}
    token.unlink()
    assert "token" in read(secured, clock, container())["shop/web/app"].failure


def test_ids_that_name_no_container_are_failed(connection: Connection, clock: StoppedClock) -> None:
    """One reading each, whatever is asked for."""
    assert read(connection, clock, container("just-a-name"))["just-a-name"].telemetry is None


def populate(prometheus: PrometheusFake) -> None:
    """A node, a Deployment of two pods that scales by itself, a StatefulSet of the same name, a CronJob, a bare pod."""
    node = {"node": "node-a"}
    prometheus.store("^kube_node_info$", {**node, "provider_id": "aws:///us-east-1b/i-0abc"})
    prometheus.store(
        "^kube_node_labels$",
        {
            **node,
            "label_node_kubernetes_io_instance_type": "g5.xlarge",
            "label_topology_kubernetes_io_region": "us-east-1",
            "label_topology_kubernetes_io_zone": "us-east-1b",
        },
    )
    pods = {
        "web-5d9f7-aaaaa": ("ReplicaSet", "web-5d9f7"),
        "web-5d9f7-bbbbb": ("ReplicaSet", "web-5d9f7"),
        "web-0": ("StatefulSet", "web"),
        "nightly-28001-ccccc": ("Job", "nightly-28001"),
        "bare": ("<none>", "<none>"),
        "old-5d9f7-ddddd": ("ReplicaSet", "old-5d9f7"),
    }
    for pod, (kind, name) in pods.items():
        own = {"namespace": "shop", "pod": pod}
        prometheus.store("^kube_pod_owner$", {**own, "owner_kind": kind, "owner_name": name})
        prometheus.store("^kube_pod_container_info$", {**own, "container": "app"})
        prometheus.store("^kube_pod_info$", {**own, "node": "node-a" if pod.startswith("web-5") else "gone"})
        if not pod.startswith("old"):
            prometheus.store("^kube_pod_status_phase", {**own, "phase": "Running"})
    for pod, cpu in (("web-5d9f7-aaaaa", "2"), ("web-5d9f7-bbbbb", "2")):
        own = {"namespace": "shop", "pod": pod, "container": "app"}
        prometheus.store("^kube_pod_container_resource_requests", {**own, "resource": "cpu"}, [(END, cpu)])
        prometheus.store("^kube_pod_container_resource_requests", {**own, "resource": "memory"}, [(END, "4294967296")])
        prometheus.store("^kube_pod_container_resource_requests", {**own, "resource": "nvidia_com_gpu"}, [(END, "1")])
    space = {"namespace": "shop"}
    prometheus.store(
        "^kube_replicaset_owner$",
        {**space, "replicaset": "web-5d9f7", "owner_kind": "Deployment", "owner_name": "web"},
    )
    prometheus.store(
        "^kube_job_owner$", {**space, "job_name": "nightly-28001", "owner_kind": "CronJob", "owner_name": "nightly"}
    )
    hpa = {**space, "horizontalpodautoscaler": "web"}
    prometheus.store("autoscaler_info$", {**hpa, "scaletargetref_kind": "Deployment", "scaletargetref_name": "web"})
    prometheus.store("spec_min_replicas$", hpa, [(END, "2")])
    prometheus.store("spec_max_replicas$", hpa, [(END, "10")])
    prometheus.store("spec_target_metric", hpa, [(END, "70")])


def inventory(connection: Connection, clock: StoppedClock, scope: Scope | None = None) -> dict[str, CloudResource]:
    """The listing by id."""
    return {one.resource_id: one for one in connection.source.inventory(scope or Scope(), soon(clock))}


def test_the_inventory_is_nodes_and_the_containers_of_workloads(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """Owners are followed up to the Deployment and the CronJob; what does not run, or has no owner, is not listed."""
    populate(prometheus)
    found = inventory(connection, clock)
    assert set(found) == {"node-a", "shop/web/app", "shop/statefulset:web/app", "shop/nightly/app"}
    node = found["node-a"]
    assert (node.cloud, node.region, node.zone, node.instance_type) == (
        Cloud.AWS,
        "us-east-1",
        "us-east-1b",
        "g5.xlarge",
    )
    web = found["shop/web/app"]
    assert (web.kind, web.count, web.region, web.account) == (ResourceKind.CONTAINER, 2, "us-east-1", "prod")
    assert web.capacity == Capacity(vcpus=2.0, memory_gib=4.0, gpus=1.0)
    assert dict(web.tags)[NODE_TYPE_TAG] == "g5.xlarge"
    assert NODE_TYPE_TAG not in dict(found["shop/nightly/app"].tags)
    assert web.autoscaling is not None
    assert (web.autoscaling.min_count, web.autoscaling.max_count, web.autoscaling.target_utilization) == (2, 10, 0.7)
    assert found["shop/statefulset:web/app"].autoscaling is None
    assert found["shop/statefulset:web/app"].capacity == Capacity()


def test_two_workloads_of_one_name_are_read_apart(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """The kind decides which pods are whose."""
    populate(prometheus)
    found = inventory(connection, clock)
    prometheus.store(AVERAGE_CPU + r".*\[0-9a-z\]\{5\}", WEB, [(END, "1")])
    prometheus.store(AVERAGE_CPU + r".*\(web\)-\[0-9\]\+\"", WEB, [(END, "2")])
    readings = read(connection, clock, found["shop/web/app"], found["shop/statefulset:web/app"])
    assert series(readings["shop/web/app"], Metric.CPU)[0].values.tolist() == [1.0]
    assert series(readings["shop/statefulset:web/app"], Metric.CPU)[0].values.tolist() == [2.0]


def test_a_cluster_that_nothing_places_is_a_failed_listing(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """Without nodes and without configuration there is no cloud to price on; with configuration there is."""
    with pytest.raises(UnavailableError, match="configure"):
        inventory(connection, clock)
    placed = replace(account(prometheus), cloud=Cloud.GCP, regions=("europe-west4",))
    assert inventory(connect(placed, Patience(clock, clock.sleep)), clock) == {}


def test_a_listing_with_warnings_is_a_failed_listing(
    prometheus: PrometheusFake, connection: Connection, clock: StoppedClock
) -> None:
    """A part of the cluster is never given as all of it."""
    populate(prometheus)
    prometheus.warnings = ["partial response"]
    with pytest.raises(UnavailableError, match="part"):
        inventory(connection, clock)
