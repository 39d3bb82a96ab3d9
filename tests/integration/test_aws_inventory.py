"""Kinds of AWS resources, each in a fleet of its own: how it is listed, and in which units it is read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.clocks import StoppedClock
from tests.support.cloud_readings import listed, read_all, series_of, soon, source_of, window_of
from tests.support.moto_fleet import FLEET, REGION, Machine, MotoFleet, moto_fleet, write_accounts
from tests.support.moto_groups import make_endpoint, make_group
from tests.support.moto_server import ACCOUNT, MotoServer
from trimtab_service.clouds.aws.connection import connect
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Dimension, Metric, Statistic, Unit
from trimtab_service.domain.resources import Autoscaling, ResourceKind
from trimtab_service.rightsizing.ports import Scope


def test_stopped_instances_are_not_listed(tmp_path: Path) -> None:
    """What does not run costs no hours that a size could save."""
    with moto_fleet(tmp_path, FLEET[:3]) as fleet:
        fleet.client("ec2").stop_instances(InstanceIds=[fleet.ids["idle"]])
        assert fleet.ids["idle"] not in {one.resource_id for one in listed(source_of(fleet.account))}


def test_a_resource_without_points_is_no_failure(tmp_path: Path) -> None:
    """An instance that CloudWatch knows nothing of reads as empty telemetry."""
    with moto_fleet(tmp_path, ()) as fleet:
        fleet.launch((FLEET[0],), days=0)
        reading = read_all(fleet, source_of(fleet.account))["oversized"]
        assert reading.telemetry is not None
        assert reading.telemetry.series == ()
        assert any(one.startswith("cpu") for one in reading.missing)


def test_series_of_another_type_are_not_mixed_in(tmp_path: Path) -> None:
    """After a change of type, the agent's old series, a share of another whole, is left alone."""
    with moto_fleet(tmp_path, FLEET[:3]) as fleet:
        stale = {"InstanceId": fleet.ids["right"], "InstanceType": "m5.24xlarge"}
        at = int(fleet.now.timestamp()) - 600
        fleet.server.cloudwatch.put(REGION, "CWAgent", "mem_used_percent", stale, [(at, 99.0)])
        reading = read_all(fleet, source_of(fleet.account))["right"]
        assert series_of(reading, Metric.MEMORY, Statistic.MAXIMUM).values.max() == pytest.approx(70.0, abs=0.01)


def test_groups_are_read_as_one_with_their_target(tmp_path: Path) -> None:
    """A group counts once, with its template's type, its bounds and the share of CPU that it scales to."""
    with moto_fleet(tmp_path, ()) as fleet:
        make_group(fleet, "workers", "c5.2xlarge", desired=3)
        at = int(fleet.now.timestamp()) - 3600
        group = {"AutoScalingGroupName": "workers"}
        fleet.server.cloudwatch.put(REGION, "AWS/EC2", "CPUUtilization", group, [(at, 42.0)])
        fleet.server.cloudwatch.put(REGION, "AWS/AutoScaling", "GroupInServiceInstances", group, [(at, 3.0)])
        fleet.server.cloudwatch.put(REGION, "CWAgent", "mem_used_percent", group, [(at, 61.0)])
        source = source_of(fleet.account)
        (resource,) = listed(source)
        assert (resource.resource_id, resource.kind) == ("workers", ResourceKind.INSTANCE_GROUP)
        assert (resource.instance_type, resource.count) == ("c5.2xlarge", 3)
        assert resource.autoscaling == Autoscaling(1, 6, Dimension.CPU, 0.5)
        (reading,) = source.read([resource], window_of(fleet), soon())
        assert series_of(reading, Metric.CPU, Statistic.MAXIMUM).values.tolist() == [42.0]
        assert series_of(reading, Metric.INSTANCES, Statistic.AVERAGE).values.tolist() == [3.0]
        assert series_of(reading, Metric.MEMORY, Statistic.AVERAGE).values.tolist() == [61.0]


def test_endpoints_are_read_by_variant_in_whole_units(tmp_path: Path) -> None:
    """SageMaker sums CPU over cores and GPU over GPUs; they become vCPUs and GPUs in use of all instances."""
    with moto_fleet(tmp_path, ()) as fleet:
        make_endpoint(fleet, "ranker", "ml.g4dn.12xlarge", count=2)
        at = int(fleet.now.timestamp()) - 3600
        variant = {"EndpointName": "ranker", "VariantName": "main"}
        for name, value in (
            ("CPUUtilization", 250.0),
            ("MemoryUtilization", 40.0),
            ("GPUUtilization", 120.0),
            ("GPUMemoryUtilization", 200.0),
        ):
            fleet.server.cloudwatch.put(REGION, "/aws/sagemaker/Endpoints", name, variant, [(at, value)])
        source = source_of(fleet.account)
        (resource,) = listed(source)
        assert (resource.resource_id, resource.kind) == ("ranker/main", ResourceKind.ENDPOINT)
        assert (resource.instance_type, resource.count) == ("ml.g4dn.12xlarge", 2)
        (reading,) = source.read([resource], window_of(fleet), soon())
        cpu = series_of(reading, Metric.CPU, Statistic.AVERAGE)
        assert (cpu.unit, cpu.values.tolist()) == (Unit.VCPUS, [5.0])
        gpu = series_of(reading, Metric.GPU, Statistic.AVERAGE)
        assert (gpu.unit, gpu.values.tolist()) == (Unit.GPUS, [2.4])
        memory = series_of(reading, Metric.GPU_MEMORY, Statistic.MAXIMUM)
        assert (memory.unit, memory.values.tolist()) == (Unit.PERCENT, [50.0])


def test_training_jobs_are_listed_with_their_size(tmp_path: Path) -> None:
    """A job of the last two weeks is a resource, read by its first host."""
    with moto_fleet(tmp_path, ()) as fleet:
        fleet.client("sagemaker").create_training_job(
            TrainingJobName="nightly",
            AlgorithmSpecification={"TrainingImage": "i", "TrainingInputMode": "File"},
            RoleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
            OutputDataConfig={"S3OutputPath": "s3://b"},
            ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 60},
        )
        at = int(fleet.now.timestamp()) - 3600
        host = {"Host": "nightly/algo-1"}
        fleet.server.cloudwatch.put(REGION, "/aws/sagemaker/TrainingJobs", "GPUUtilization", host, [(at, 80.0)])
        source = source_of(fleet.account)
        (resource,) = listed(source)
        assert (resource.kind, resource.instance_type, resource.count) == (
            ResourceKind.TRAINING_JOB,
            "ml.p3.2xlarge",
            2,
        )
        (reading,) = source.read([resource], window_of(fleet), soon())
        assert series_of(reading, Metric.GPU, Statistic.AVERAGE).values.tolist() == [1.6]


def test_plain_moto_is_read_too(tmp_path: Path) -> None:
    """Without the strict CloudWatch in front, moto's own answers are read alike."""
    with MotoServer(strict=False) as server:
        fleet = MotoFleet(server, write_accounts(tmp_path, server.url), datetime.now(UTC))
        fleet.launch((Machine("one", "m5.large", cpu=(0.1, 0.2)),), days=0)
        data = [
            {
                "MetricName": "CPUUtilization",
                "Dimensions": [{"Name": "InstanceId", "Value": fleet.ids["one"]}],
                "Timestamp": fleet.now - timedelta(hours=hour),
                "Value": float(hour),
            }
            for hour in range(1, 11)
        ]
        fleet.client("cloudwatch").put_metric_data(Namespace="AWS/EC2", MetricData=data)
        reading = read_all(fleet, source_of(fleet.account), days=1)["one"]
        assert sorted(series_of(reading, Metric.CPU, Statistic.MAXIMUM).values) == [float(n) for n in range(1, 11)]


def test_a_changed_type_is_found_again(tmp_path: Path) -> None:
    """The agent reports under the new type after a change; a listing from before it is not held to."""
    with moto_fleet(tmp_path, FLEET[:1]) as fleet:
        clock = StoppedClock(fleet.now)
        source = connect(fleet.account, Patience(clock=clock, sleep=clock.sleep)).source
        (before,) = source.inventory(Scope(), soon())
        after = replace(before, instance_type="m5.large")
        fleet.measure(replace(FLEET[0], instance_type="m5.large"), fleet.now - timedelta(hours=2), fleet.now)
        clock.sleep(10)
        (reading,) = source.read([after], window_of(fleet), soon(60))
        assert series_of(reading, Metric.MEMORY, Statistic.MAXIMUM).epoch_seconds.size in {23, 24}
