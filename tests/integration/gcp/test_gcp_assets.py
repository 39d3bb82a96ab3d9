"""TPU VMs and models deployed on Vertex AI: listed by Cloud Asset Inventory, measured by Cloud Monitoring."""

from datetime import UTC, datetime

import pytest

from tests.support.clocks import StoppedClock
from tests.support.cloud_assets import CloudAssetFake
from tests.support.cloud_monitoring import CloudMonitoringFake
from tests.support.compute_engine import ComputeEngineFake
from tests.support.gcp_account import END, HOUR, change, instance, inventory, populate, read, series, soon
from tests.support.http_fake import Answer
from trimtab_service.clouds.kinds import Connection
from trimtab_service.domain.dimensions import Dimension, Metric, Statistic, Unit
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.recommendations import OperationKind
from trimtab_service.domain.resources import Autoscaling, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Scope

TPU = "tpu.googleapis.com/Node"
VERTEX = "aiplatform.googleapis.com/Endpoint"
ONLINE = "aiplatform.googleapis.com/prediction/online"
NODES = "projects/p/locations/us-central1-a/nodes"
ENDPOINTS = "projects/42/locations/europe-west4/endpoints"


def put_tpus(assets: CloudAssetFake) -> None:
    """Two that are paid for, one of them a spot slice of four workers, and two that are not."""
    assets.put(
        TPU, f"{NODES}/train", state="READY", acceleratorType="v5litepod-16", createTime="2026-11-01T03:00:00.5Z",
        labels={"team": "vision"}, schedulingConfig={"spot": True},
        networkEndpoints=[{"ipAddress": f"10.0.0.{worker}"} for worker in range(4)],
    )  # fmt: skip
    assets.put(TPU, f"{NODES}/serve", state="READY", acceleratorConfig={"type": "V5P", "topology": "2x2x1"})
    assets.put(TPU, f"{NODES}/off", state="STOPPED", acceleratorType="v2-8")
    assets.put(TPU, f"{NODES}/lost", state="PREEMPTED", acceleratorType="v2-8")


def put_endpoints(assets: CloudAssetFake) -> None:
    """One of two models, one without machines of its own, and one that serves nothing."""
    scaled = {
        "id": "11", "displayName": "ranker-v2", "createTime": "2026-11-02T00:00:00Z",
        "dedicatedResources": {
            "machineSpec": {
                "machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 2
            },
            "minReplicaCount": 2, "maxReplicaCount": 6, "spot": True,
            "autoscalingMetricSpecs": [
                {"metricName": f"{ONLINE}/cpu/utilization", "target": 70},
                {"metricName": f"{ONLINE}/accelerator/duty_cycle", "target": 80},
            ],
        },
        "status": {"availableReplicaCount": 3},
    }  # fmt: skip
    fixed = {"id": "12", "dedicatedResources": {"machineSpec": {"machineType": "n2-standard-4"}, "minReplicaCount": 4}}
    assets.put(VERTEX, f"{ENDPOINTS}/900", displayName="shop", labels={"team": "ads"}, deployedModels=[scaled, fixed])
    assets.put(VERTEX, f"{ENDPOINTS}/901", deployedModels=[{"id": "13", "automaticResources": {"minReplicaCount": 1}}])
    assets.put(VERTEX, f"{ENDPOINTS}/902", displayName="empty")


def test_tpu_vms_that_are_paid_for_are_listed(
    compute: ComputeEngineFake, assets: CloudAssetFake, connection: Connection, clock: StoppedClock
) -> None:
    """One resource a node, however many workers it has, beside what Compute Engine lists."""
    populate(compute)
    put_tpus(assets)
    found = inventory(connection, clock)
    assert set(found) == {"7001", "7002", "web", "fixed", "us-central1-a/train", "us-central1-a/serve"}
    train, serve = found["us-central1-a/train"], found["us-central1-a/serve"]
    assert (train.kind, train.region, train.zone) == (ResourceKind.INSTANCE, "us-central1", "us-central1-a")
    assert (train.instance_type, train.count, train.option) == ("v5litepod-16", 1, PurchaseOption.SPOT)
    assert (train.team, dict(train.tags)["gcp:name"]) == ("vision", "train")
    assert train.start_time == datetime(2026, 11, 1, 3, 0, 0, 500_000, tzinfo=UTC)
    assert (serve.instance_type, serve.option, serve.start_time) == ("v5p 2x2x1", PurchaseOption.ON_DEMAND, None)


def test_each_deployed_model_is_listed_with_its_machines_and_bounds(
    assets: CloudAssetFake, connection: Connection, clock: StoppedClock
) -> None:
    """Under types of Vertex AI's own, since their prices are; what has no machines has no type."""
    put_endpoints(assets)
    found = inventory(connection, clock)
    assert set(found) == {"900/11", "900/12", "901/13"}
    scaled, fixed, automatic = found["900/11"], found["900/12"], found["901/13"]
    assert {one.kind for one in found.values()} == {ResourceKind.ENDPOINT}
    assert {one.region for one in found.values()} == {"europe-west4"}
    assert (scaled.instance_type, scaled.count) == ("vertex.n1-standard-8+nvidia-tesla-t4x2", 3)
    assert scaled.autoscaling == Autoscaling(2, 6, Dimension.GPU, 0.8)
    assert (scaled.option, scaled.team, dict(scaled.tags)["gcp:name"]) == (PurchaseOption.SPOT, "ads", "ranker-v2")
    assert (fixed.instance_type, fixed.count, fixed.autoscaling) == ("vertex.n2-standard-4", 4, None)
    assert dict(fixed.tags)["gcp:name"] == "shop"
    assert (automatic.instance_type, automatic.count) == ("", 1)


def test_assets_keep_to_the_scope(assets: CloudAssetFake, connection: Connection, clock: StoppedClock) -> None:
    """Region and labels, as of machines."""
    put_tpus(assets)
    put_endpoints(assets)
    here = inventory(connection, clock, Scope(frozenset({(Cloud.GCP, "us-central1")})))
    assert set(here) == {"us-central1-a/train", "us-central1-a/serve"}
    assert set(inventory(connection, clock, Scope(tags=(("team", "ads"),)))) == {"900/11", "900/12"}


@pytest.mark.parametrize(("status", "words"), [(401, "credential"), (403, "deploy/iam"), (404, "no project")])
def test_assets_that_cannot_be_listed_fail_the_inventory(
    status: int,
    words: str,
    assets: CloudAssetFake,
    compute: ComputeEngineFake,
    connection: Connection,
    clock: StoppedClock,
) -> None:
    """Without the API or the permission there is no list, rather than one without TPUs and endpoints."""
    populate(compute)
    assets.server.faults.append(Answer({"error": {"code": status, "message": "secret-project"}}, status))
    with pytest.raises(UnavailableError, match=words) as raised:
        inventory(connection, clock)
    assert "secret" not in str(raised.value)


def test_a_page_of_assets_that_is_lost_gives_no_part(
    assets: CloudAssetFake, connection: Connection, clock: StoppedClock
) -> None:
    """The second page is refused; nothing of the first is taken for all."""
    put_tpus(assets)
    node = {"name": f"{NODES}/train", "state": "READY", "acceleratorType": "v5litepod-16"}
    first = Answer({"assets": [{"resource": {"data": node}}], "nextPageToken": "1"})
    assets.server.faults += [first, Answer({"error": {"code": 403}}, 403)]
    with pytest.raises(UnavailableError, match="403"):
        next(connection.source.inventory(Scope(), soon(clock)))


def test_a_tpu_vm_is_read_by_its_hosts_and_its_accelerators_are_said_to_be_missing(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Workers and cores together, of this zone's node of that name; duty cycles have no node to belong to."""
    own = {"zone": "us-central1-a", "node_id": "train", "worker_id": "0"}
    other = {"zone": "europe-west4-b", "node_id": "train", "worker_id": "0"}
    for labels, value in ((own, 41.5), (other, 99.0)):
        monitoring.store(
            "tpu.googleapis.com/cpu/utilization", [(END, value)], resource_type="tpu_worker", resource=labels
        )
    monitoring.store("tpu.googleapis.com/memory/usage", [(END, 2**33)], resource_type="tpu_worker", resource=own)
    monitoring.store(
        "tpu.googleapis.com/accelerator/duty_cycle", [(END, 3.0)], resource_type="tpu.googleapis.com/GceTpuWorker",
        resource={"location": "us-central1-a", "worker_id": "8126"}, metric={"accelerator_id": "0"},
    )  # fmt: skip
    node = instance(resource_id="us-central1-a/train", instance_type="v5litepod-16")
    reading = read(connection, clock, node)["us-central1-a/train"]
    (cpu,), (memory,) = series(reading, Metric.CPU), series(reading, Metric.MEMORY)
    assert (cpu.unit, cpu.statistic, cpu.values.tolist()) == (Unit.PERCENT, Statistic.AVERAGE, [41.5])
    assert (memory.unit, memory.statistic, memory.values.tolist()) == (Unit.BYTES, Statistic.MAXIMUM, [2.0**33])
    assert series(reading, Metric.GPU) == []
    assert [words.partition(":")[0] for words in reading.missing] == ["gpu", "gpu_memory", "network_in", "network_out"]
    folded = {one.filter.split('"')[1]: one.aggregation for one in monitoring.requests}
    assert {tuple(one.group_by_fields) for one in folded.values()} == {("resource.labels.node_id",)}


def test_a_deployed_model_is_read_with_its_replicas_and_apart_from_others(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """CPU in vCPUs, accelerators as a share of time, bytes as they are; another model's are not mixed in."""
    of_type = "aiplatform.googleapis.com/Endpoint"

    def store(path: str, value: float, model: str = "11", endpoint: str = "900") -> None:
        labels = {"deployed_model_id": model}
        own = {"endpoint_id": endpoint, "location": "europe-west4"}
        monitoring.store(f"{ONLINE}/{path}", [(END, value)], resource_type=of_type, resource=own, metric=labels)

    store("cpu/utilization", 5.25)
    store("cpu/utilization", 0.5, model="12")
    store("cpu/utilization", 7.0, endpoint="901")
    store("memory/bytes_used", 2**34)
    store("network/sent_bytes_count", 1e6)
    store("replicas", 3)
    store("accelerator/duty_cycle", 0.4)
    store("accelerator/memory/bytes_used", 2**33)
    gpu = instance(
        resource_id="900/11",
        kind=ResourceKind.ENDPOINT,
        instance_type="vertex.n1-standard-8+nvidia-tesla-t4x2",
        count=3,
    )
    plain = instance(resource_id="900/12", kind=ResourceKind.ENDPOINT, instance_type="vertex.n2-standard-4", count=4)
    readings = read(connection, clock, gpu, plain)
    told = [(one.metric, one.unit, one.values.tolist()) for one in readings["900/11"].telemetry.series]  # type: ignore[union-attr] # `read` has asserted that there is telemetry
    assert told == [
        (Metric.CPU, Unit.VCPUS, [5.25]),
        (Metric.MEMORY, Unit.BYTES, [2.0**34]),
        (Metric.NETWORK_OUT, Unit.BYTES_PER_SECOND, [1e6]),
        (Metric.INSTANCES, Unit.COUNT, [3.0]),
        (Metric.GPU, Unit.RATIO, [0.4]),
        (Metric.GPU_MEMORY, Unit.BYTES, [2.0**33]),
    ]
    assert [one.values.tolist() for one in series(readings["900/12"], Metric.CPU)] == [[0.5]]
    assert readings["900/11"].missing == ("network_in: no series of the deployed model",)
    assert "gpu: no series of the deployed model" not in readings["900/12"].missing


def test_what_reading_them_takes_is_foretold_and_spent(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Four series a TPU VM, five a deployed model, seven with accelerators; where all are there it is exact."""
    node = instance(resource_id="us-central1-a/train", instance_type="v5litepod-16")
    gpu = instance(resource_id="900/11", kind=ResourceKind.ENDPOINT, instance_type="vertex.g2-standard-8")
    plain = instance(resource_id="900/12", kind=ResourceKind.ENDPOINT, instance_type="vertex.n2-standard-4")
    foretold = connection.source.estimate([node, gpu, plain], HOUR)
    assert foretold == ReadCost(4 + 7 + 5, 16, 16 * 500)
    of_tpu = ("cpu/utilization", "memory/usage", "network/received_bytes_count", "network/sent_bytes_count")
    for path in of_tpu:
        monitoring.store(
            f"tpu.googleapis.com/{path}", [(END, 1.0)], resource_type="tpu_worker",
            resource={"zone": "us-central1-a", "node_id": "train"},
        )  # fmt: skip
    of_model = ("cpu/utilization", "memory/bytes_used", *of_tpu[2:], "replicas")
    for model, paths in (
        ("11", (*of_model, "accelerator/duty_cycle", "accelerator/memory/bytes_used")),
        ("12", of_model),
    ):
        for path in paths:
            monitoring.store(
                f"{ONLINE}/{path}", [(END, 1.0)], resource_type="aiplatform.googleapis.com/Endpoint",
                resource={"endpoint_id": "900"}, metric={"deployed_model_id": model},
            )  # fmt: skip
    read(connection, clock, node, gpu, plain)
    assert connection.source.spent() == foretold


def test_long_names_never_make_a_filter_too_long(
    monitoring: CloudMonitoringFake, connection: Connection, clock: StoppedClock
) -> None:
    """Every name is asked for in a filter that the service takes: the fake refuses one of over 2,048 characters."""
    name = "a" * 60
    fleet = [
        *(instance(resource_id=f"us-central1-a/{name}{n:02}") for n in range(45)),
        *(instance(resource_id=f"{name}{n:02}/1234567890123456789", kind=ResourceKind.ENDPOINT) for n in range(45)),
        *(instance(resource_id=f"{name}{n:02}", kind=ResourceKind.INSTANCE_GROUP) for n in range(45)),
        *(
            instance(n, instance_type="g2-standard-4", tags=(("gcp:name", f"{name}{n:02}"), ("goog-gke-node", "")))
            for n in range(45)
        ),
    ]
    assert all(one.telemetry is not None for one in read(connection, clock, *fleet).values())
    asked = " ".join(one.filter for one in monitoring.requests)
    assert all(asked.count(f'"{name}{n:02}"') for n in range(45))


def test_a_tpu_vm_is_not_changed_as_if_it_were_a_machine(connection: Connection) -> None:
    """Compute Engine knows no instance of that name."""
    node = instance(resource_id="us-central1-a/train", instance_type="v5litepod-16")
    stop = change(OperationKind.STOP_INSTANCE, node, status=("", ""))
    assert connection.actuator is not None
    assert not connection.actuator.handles(node, stop)
    assert connection.actuator.handles(instance(), change(OperationKind.STOP_INSTANCE, instance(), status=("", "")))
