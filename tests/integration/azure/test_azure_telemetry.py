"""Azure Monitor through Azure's own client, against an HTTP server of its batch API."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.azure_account import BEGIN, CPU, FREE, GIB, HOUR, NOW, account, machine, read, series
from tests.support.azure_cloud import AzureFake, arm_id
from tests.support.clocks import StoppedClock
from tests.support.http_fake import HANG, Answer
from trimtab_service.clouds.azure.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import Capacity, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Window


def test_memory_in_use_is_the_size_less_the_least_that_was_free(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """32 GiB with 12 GiB free at the worst are 20 GiB in use."""
    own = azure.machine("vm", "Standard_D8s_v5")
    azure.store(own, FREE, [(BEGIN, {"minimum": 12.0 * GIB, "average": 20.0 * GIB})])
    (memory,) = series(read(connection, clock, machine(own))["vm"], Metric.MEMORY)
    assert (memory.unit, memory.statistic) == (Unit.BYTES, Statistic.MAXIMUM)
    assert memory.values.tolist() == [20.0 * GIB]


def test_a_size_that_is_not_known_has_no_memory_and_says_so(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Free bytes of an unknown whole say nothing; the caller's own capacity does."""
    own = azure.machine("vm", "Standard_X1")
    azure.store(own, FREE, [(BEGIN, {"minimum": 12.0 * GIB})])
    unknown = machine(own, instance_type="Standard_X1")
    reading = read(connection, clock, unknown)["vm"]
    assert series(reading, Metric.MEMORY) == []
    assert reading.missing == ("memory: the size Standard_X1 is not known",)
    told = read(connection, clock, replace(unknown, capacity=Capacity(memory_gib=16.0)))["vm"]
    assert series(told, Metric.MEMORY)[0].values.tolist() == [4.0 * GIB]


def test_units_statistics_and_gaps_are_told_as_they_are(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """CPU in per cent twice, network in bytes of the interval, an interval without value is left out, not zero."""
    own = azure.machine("vm", "Standard_D8s_v5")
    later = BEGIN + timedelta(minutes=10)
    azure.store(
        own,
        CPU,
        [(BEGIN, {"average": 12.5, "maximum": 80.0}), (BEGIN + timedelta(minutes=5), {}), (later, {"average": 1.0})],
    )
    azure.store(own, "Network In Total", [(BEGIN, {"total": 3e8})])
    azure.store(own, "Disk Read Operations/Sec", [(BEGIN, {"average": 42.0})])
    reading = read(connection, clock, machine(own))["vm"]
    (mean,), (peak,) = series(reading, Metric.CPU, Statistic.AVERAGE), series(reading, Metric.CPU, Statistic.MAXIMUM)
    assert (mean.unit, mean.values.tolist(), peak.values.tolist()) == (Unit.PERCENT, [12.5, 1.0], [80.0])
    assert mean.epoch_seconds.tolist() == [int(BEGIN.timestamp()), int(later.timestamp())]
    (network,) = series(reading, Metric.NETWORK_IN)
    assert (network.unit, network.statistic, network.step_seconds) == (Unit.BYTES, Statistic.SUM, 300)
    assert series(reading, Metric.DISK_READ_OPS)[0].unit is Unit.COUNT_PER_SECOND


def test_gpu_machines_say_that_azure_does_not_measure_gpus(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Missing, with where it could come from."""
    own = azure.machine("vm", "Standard_NC24ads_A100_v4")
    reading = read(connection, clock, machine(own, instance_type="Standard_NC24ads_A100_v4"))["vm"]
    assert any(words.startswith("gpu:") for words in reading.missing)


def test_a_scale_set_is_read_machine_by_machine(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """Shares become mean or peak, amounts are summed, memory is the fullest machine's, the size is a series."""
    own = azure.put("virtualMachineScaleSets", "web", sku={"name": "Standard_D4s_v5", "capacity": 2})
    later = BEGIN + timedelta(minutes=5)
    azure.store(own, CPU, [(BEGIN, {"average": 10.0, "maximum": 50.0}), (later, {"average": 20.0})], "web_0")
    azure.store(own, CPU, [(BEGIN, {"average": 30.0, "maximum": 90.0})], "web_1")
    azure.store(own, "Network In Total", [(BEGIN, {"total": 100.0})], "web_0")
    azure.store(own, "Network In Total", [(BEGIN, {"total": 300.0})], "web_1")
    azure.store(own, FREE, [(BEGIN, {"minimum": 8.0 * GIB})], "web_0")
    azure.store(own, FREE, [(BEGIN, {"minimum": 4.0 * GIB})], "web_1")
    group = machine(own, kind=ResourceKind.INSTANCE_GROUP, instance_type="Standard_D4s_v5", count=2)
    reading = read(connection, clock, group)["web"]
    assert series(reading, Metric.CPU, Statistic.AVERAGE)[0].values.tolist() == [20.0, 20.0]
    assert series(reading, Metric.CPU, Statistic.MAXIMUM)[0].values.tolist() == [90.0]
    assert series(reading, Metric.INSTANCES)[0].values.tolist() == [2.0, 1.0]
    assert series(reading, Metric.NETWORK_IN)[0].values.tolist() == [400.0]
    (memory,) = series(reading, Metric.MEMORY)
    assert (memory.unit, memory.values.tolist()) == (Unit.PERCENT, [75.0])


def test_long_windows_are_asked_for_in_parts_that_meet(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Seventy days are three calls, and no point is lost or doubled where they meet."""
    own = azure.machine("vm", "Standard_D8s_v5")
    days = [NOW - timedelta(days=70) + timedelta(days=day) for day in range(70)]
    azure.store(own, CPU, [(day, {"average": 5.0}) for day in days])
    window = Window(NOW - timedelta(days=70), NOW)
    reading = read(connection, clock, machine(own), window=window)["vm"]
    assert series(reading, Metric.CPU)[0].epoch_seconds.tolist() == [int(day.timestamp()) for day in days]
    assert connection.source.spent().api_calls == 3
    assert connection.source.estimate([machine(own)], window) == ReadCost(3, 8, 30_000)


def test_one_machine_that_is_gone_does_not_take_the_others_with_it(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Azure refuses the whole batch; it is halved until only the lost one is left."""
    present = [azure.machine(f"vm{number}", "Standard_D8s_v5") for number in range(5)]
    for own in present:
        azure.store(own, CPU, [(BEGIN, {"average": 5.0})])
    gone = arm_id("virtualMachines", "gone")
    found = read(connection, clock, *(machine(own) for own in [*present, gone]))
    assert found["gone"].telemetry is None
    assert "exist" in found["gone"].failure
    assert all(len(series(found[f"vm{number}"], Metric.CPU)) == 1 for number in range(5))


def test_fifty_machines_of_one_region_share_a_call(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """120 machines of one region and one of another: four calls."""
    ids = [azure.machine(f"vm{number:03}", "Standard_D8s_v5") for number in range(120)]
    far = azure.machine("far", "Standard_D8s_v5", location="westeurope")
    resources = [*(machine(own) for own in ids), machine(far, region="westeurope")]
    assert connection.source.estimate(resources, HOUR).api_calls == 4
    read(connection, clock, *resources)
    assert connection.source.spent().api_calls == 4


def test_throttling_waits_as_long_as_it_is_told_to(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """429 with Retry-After, then 503."""
    own = azure.machine("vm", "Standard_D8s_v5")
    azure.store(own, CPU, [(BEGIN, {"average": 5.0})])
    azure.server.faults += [Answer({}, 429, {"Retry-After": "11"}), Answer({}, 503)]
    assert series(read(connection, clock, machine(own))["vm"], Metric.CPU)
    assert clock.slept == [11.0, 1.0]


@pytest.mark.parametrize(("status", "words"), [(401, "expired"), (403, "may not")])
def test_refused_credentials_fail_the_reading_without_being_shown(
    status: int, words: str, azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Asked once, failed, and nothing of Azure's text is quoted."""
    own = azure.machine("vm", "Standard_D8s_v5")
    azure.server.faults.append(Answer({"error": {"code": "X", "message": "secret-token"}}, status))
    reading = read(connection, clock, machine(own))["vm"]
    assert reading.telemetry is None
    assert words in reading.failure
    assert "secret" not in reading.failure
    assert len(azure.server.seen) == 1


def test_a_hanging_call_ends_at_the_deadline(azure: AzureFake) -> None:
    """By the wall clock; it reads as failed."""
    own = azure.machine("vm", "Standard_D8s_v5")
    azure.server.faults += [Answer(status=HANG)] * 10
    source = connect(account(azure), Patience(longest_call_s=0.3)).source
    (reading,) = source.read([machine(own)], HOUR, datetime.now(UTC) + timedelta(seconds=1))
    assert reading.telemetry is None


def test_an_answer_that_is_cut_off_is_asked_for_again(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """JSON that ends too early passes; JSON of another shape fails."""
    own = azure.machine("vm", "Standard_D8s_v5")
    azure.store(own, CPU, [(BEGIN, {"average": 5.0})])
    azure.server.faults.append(Answer('{"values": [{"val'))
    assert series(read(connection, clock, machine(own))["vm"], Metric.CPU)
    azure.server.faults.append(Answer({"unexpected": True}))
    assert read(connection, clock, machine(own))["vm"].telemetry is None


def test_a_machine_that_the_answer_leaves_out_reads_as_failed(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Silence about a resource is not the absence of data."""
    own = azure.machine("vm", "Standard_D8s_v5")
    azure.server.faults.append(Answer({"values": []}))
    reading = read(connection, clock, machine(own))["vm"]
    assert reading.telemetry is None
    assert "no answer" in reading.failure


def test_points_in_disorder_and_twice_come_out_in_order(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Of two points of one interval the higher one stays; the future is left for the grid to judge."""
    own = azure.machine("vm", "Standard_D8s_v5")
    later = BEGIN + timedelta(minutes=5)
    azure.store(own, CPU, [(later, {"average": 3.0}), (BEGIN, {"average": 1.0}), (later, {"average": 2.0})])
    (mean,) = series(read(connection, clock, machine(own))["vm"], Metric.CPU, Statistic.AVERAGE)
    assert mean.epoch_seconds.tolist() == [int(BEGIN.timestamp()), int(later.timestamp())]
    assert mean.values.tolist() == [1.0, 3.0]


def test_a_machine_without_any_series_has_empty_telemetry(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """No data is not a failure."""
    reading = read(connection, clock, machine(azure.machine("vm", "Standard_D8s_v5")))["vm"]
    assert reading.telemetry is not None
    assert reading.telemetry.series == ()


def test_resources_of_another_cloud_are_failed_and_not_passed_over(connection: Connection, clock: StoppedClock) -> None:
    """Each resource has its reading."""
    assert read(connection, clock, machine("i-1", cloud=Cloud.AWS))["i-1"].telemetry is None
