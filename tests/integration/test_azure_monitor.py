"""Azure Monitor and the Compute resource provider, through Azure's own clients, against a server of their protocols."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.azure_cloud import SUBSCRIPTION, AzureFake, arm_id
from tests.support.clocks import StoppedClock
from tests.support.http_fake import HANG, Answer
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.azure.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Metric, Statistic, Unit
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource, ResourceKind
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window
from trimtab_service.rightsizing.telemetry import RawSeries

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = Window(NOW - timedelta(hours=1), NOW)
BEGIN = NOW - timedelta(minutes=30)
GIB = 2**30
CPU = "Percentage CPU"
FREE = "Available Memory Bytes"


@pytest.fixture
def azure() -> Iterator[AzureFake]:
    """An empty subscription."""
    fake = AzureFake()
    with fake.server:
        yield fake


@pytest.fixture
def clock() -> StoppedClock:
    """Noon."""
    return StoppedClock(NOW)


def account(azure: AzureFake) -> CloudAccount:
    """The subscription behind the fake."""
    return CloudAccount(
        name="azure",
        kind=SourceKind.AZURE_MONITOR,
        account=SUBSCRIPTION,
        projects=frozenset({"*"}),
        cloud=Cloud.AZURE,
        changes=True,
        endpoint_url=azure.server.url,
    )


@pytest.fixture
def connection(azure: AzureFake, clock: StoppedClock) -> Connection:
    """Connected by a clock that moves only with waits."""
    return connect(account(azure), Patience(clock, clock.sleep, spread=lambda: 1.0))


def machine(resource_id: str, **fields: object) -> CloudResource:
    """A machine of the subscription."""
    base = CloudResource(
        resource_id=resource_id,
        cloud=Cloud.AZURE,
        region="eastus",
        account=SUBSCRIPTION,
        instance_type="Standard_D8s_v5",
    )
    return replace(base, **fields)  # type: ignore[arg-type] # fields of CloudResource, by name


def soon(clock: StoppedClock, seconds: float = 600) -> datetime:
    """A deadline by the source's clock."""
    return clock() + timedelta(seconds=seconds)


def read(
    connection: Connection, clock: StoppedClock, *resources: CloudResource, window: Window = HOUR
) -> dict[str, Reading]:
    """Readings by name of the resource."""
    readings = list(connection.source.read(resources, window, soon(clock)))
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    return {one.resource.resource_id.rpartition("/")[2]: one for one in readings}


def series(reading: Reading, metric: Metric, statistic: Statistic | None = None) -> list[RawSeries]:
    """Its series of one metric."""
    assert reading.telemetry is not None, reading.failure
    return [s for s in reading.telemetry.series if s.metric is metric and statistic in {None, s.statistic}]


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


def populate(azure: AzureFake) -> None:
    """Running, stopped and grouped machines, and two scale sets of which one scales by itself."""
    azure.machine("api", "Standard_D8s_v5", tags={"team": "search"}, zones=["2"])
    azure.machine("spot", "Standard_D4s_v5", location="westeurope", properties={"priority": "Spot"})
    azure.machine("off", "Standard_D4s_v5", "deallocated")
    web = azure.put(
        "virtualMachineScaleSets",
        "web",
        sku={"name": "Standard_D4s_v5", "tier": "Standard", "capacity": 3},
        properties={"upgradePolicy": {"mode": "Manual"}},
    )
    azure.put(
        "virtualMachineScaleSets",
        "jobs",
        group="other",
        sku={"name": "Standard_D2s_v5", "tier": "Standard", "capacity": 2},
    )
    azure.machine("member", "Standard_D4s_v5", properties={"virtualMachineScaleSet": {"id": web}})
    azure.autoscale.append(
        {
            "id": "a",
            "location": "eastus",
            "properties": {
                "enabled": True,
                # Azure writes the ids of targets in other cases than the resources' own.
                "targetResourceUri": web.upper(),
                "profiles": [
                    {
                        "name": "default",
                        "capacity": {"minimum": "2", "maximum": "8", "default": "2"},
                        "rules": [
                            {
                                "metricTrigger": {
                                    "metricName": CPU,
                                    "metricResourceUri": web,
                                    "timeGrain": "PT1M",
                                    "statistic": "Average",
                                    "timeWindow": "PT5M",
                                    "timeAggregation": "Average",
                                    "operator": "GreaterThan",
                                    "threshold": 65,
                                },
                                "scaleAction": {"direction": "Increase", "type": "ChangeCount", "cooldown": "PT5M"},
                            }
                        ],
                    }
                ],
            },
        }
    )


def inventory(connection: Connection, clock: StoppedClock, scope: Scope | None = None) -> dict[str, CloudResource]:
    """The listing by name."""
    found = connection.source.inventory(scope or Scope(), soon(clock))
    return {one.resource_id.rpartition("/")[2]: one for one in found}


def test_the_inventory_is_scale_sets_and_the_machines_of_none(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Over pages of one entry; what is deallocated or belongs to a scale set is not listed by itself."""
    populate(azure)
    found = inventory(connection, clock)
    assert set(found) == {"api", "spot", "web", "jobs"}
    assert (found["api"].instance_type, found["api"].team, found["api"].zone) == (
        "Standard_D8s_v5",
        "search",
        "eastus-2",
    )
    assert (found["spot"].region, found["spot"].option) == ("westeurope", PurchaseOption.SPOT)
    web = found["web"]
    assert (web.kind, web.count, web.instance_type) == (ResourceKind.INSTANCE_GROUP, 3, "Standard_D4s_v5")
    assert isinstance(web.autoscaling, Autoscaling)
    assert (web.autoscaling.min_count, web.autoscaling.max_count, web.autoscaling.target_utilization) == (2, 8, 0.65)
    assert found["jobs"].autoscaling is None
    assert set(inventory(connection, clock, Scope(tags=(("team", "search"),)))) == {"api"}


def test_an_account_of_some_groups_lists_those_only(azure: AzureFake, clock: StoppedClock) -> None:
    """Resource groups narrow the account."""
    populate(azure)
    narrow = connect(replace(account(azure), resource_groups=("OTHER",)), Patience(clock, clock.sleep))
    assert set(inventory(narrow, clock)) == {"jobs"}


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_listing_that_loses_a_page_raises(
    position: int, azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Whichever page it is: a part is never given as all."""
    populate(azure)
    azure.machine("more", "Standard_D8s_v5")
    listed = inventory(connection, clock)
    assert "more" in listed
    count = len(azure.server.seen)
    before = list(azure.server.seen)
    assert len(before) == count > position

    class Failing(list):  # type: ignore[type-arg] # only its append is used
        def append(self, seen: object) -> None:
            super().append(seen)
            if len(self) == count + position + 1:
                azure.server.faults.append(Answer({}, 403))

    azure.server.seen = Failing(before)
    with pytest.raises(UnavailableError):
        inventory(connection, clock)


def change(kind: OperationKind, resource: CloudResource, **fields: str) -> Operation:
    """An operation whose fields shall have these values; `_` stands for a dot."""
    changes = tuple(FieldChange(name.replace("_", "."), "", value) for name, value in fields.items())
    return Operation(kind, resource.resource_id, changes)


def carry_out(connection: Connection, clock: StoppedClock, resource: CloudResource, operation: Operation) -> bool:
    """Whether it changed anything."""
    assert connection.actuator is not None
    assert connection.actuator.handles(resource, operation)
    return connection.actuator.carry_out(resource, operation, "token", soon(clock)).is_changed


def test_a_machine_is_deallocated_resized_and_started_and_a_repetition_finds_it_so(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Each step holds when it returns; the second time nothing is asked."""
    populate(azure)
    api = inventory(connection, clock)["api"]
    steps = [
        change(OperationKind.STOP_INSTANCE, api, powerState="deallocated"),
        change(OperationKind.MODIFY_INSTANCE_TYPE, api, vmSize="Standard_D2s_v5"),
        change(OperationKind.START_INSTANCE, api, powerState="running"),
    ]
    assert [carry_out(connection, clock, api, step) for step in steps] == [True, True, True]
    assert azure.changes() == ["POST deallocate", "PATCH api", "POST start"]
    assert inventory(connection, clock)["api"].instance_type == "Standard_D2s_v5"
    assert carry_out(connection, clock, api, steps[2]) is False
    assert len(azure.changes()) == 3


def test_a_running_machine_is_not_resized(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """Nobody is restarted by surprise."""
    populate(azure)
    api = inventory(connection, clock)["api"]
    with pytest.raises(FailedPreconditionError, match="deallocated"):
        carry_out(connection, clock, api, change(OperationKind.MODIFY_INSTANCE_TYPE, api, vmSize="Standard_D2s_v5"))
    assert azure.changes() == []


def test_scale_sets_change_size_and_number(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """By their SKU; of one that scales by itself the number is refused; Manual upgrades are told."""
    populate(azure)
    found = inventory(connection, clock)
    assert carry_out(
        connection, clock, found["jobs"], change(OperationKind.SET_GROUP_CAPACITY, found["jobs"], sku_capacity="1")
    )
    assert (
        carry_out(
            connection, clock, found["jobs"], change(OperationKind.SET_GROUP_CAPACITY, found["jobs"], sku_capacity="1")
        )
        is False
    )
    assert connection.actuator is not None
    retype = change(OperationKind.UPDATE_GROUP_TEMPLATE, found["web"], sku_name="Standard_D2s_v5")
    effect = connection.actuator.carry_out(found["web"], retype, "token", soon(clock))
    assert effect.is_changed
    assert "upgraded" in effect.detail
    after = inventory(connection, clock)
    assert (after["jobs"].count, after["web"].instance_type, after["web"].count) == (1, "Standard_D2s_v5", 3)
    with pytest.raises(FailedPreconditionError, match="autoscale"):
        carry_out(
            connection, clock, found["web"], change(OperationKind.SET_GROUP_CAPACITY, found["web"], sku_capacity="2")
        )


def test_a_lock_is_a_failed_precondition_without_azures_text(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """409 ScopeLocked: the code is told."""
    populate(azure)
    api = inventory(connection, clock)["api"]
    assert connection.actuator is not None
    observed = connection.actuator.observe(
        api, change(OperationKind.STOP_INSTANCE, api, powerState="deallocated"), soon(clock)
    )
    assert (observed.fields, observed.state, observed.is_protected) == ((("powerState", "running"),), "running", False)
    locked = Answer({"error": {"code": "ScopeLocked", "message": "secret-scope"}}, 409)
    original = azure.server.seen

    class Locked(list):  # type: ignore[type-arg] # only its append is used
        def append(self, seen: object) -> None:
            super().append(seen)
            if getattr(seen, "method", "") == "POST":
                azure.server.faults.append(locked)

    azure.server.seen = Locked(original)
    with pytest.raises(FailedPreconditionError, match="ScopeLocked") as caught:
        carry_out(connection, clock, api, change(OperationKind.STOP_INSTANCE, api, powerState="deallocated"))
    assert "secret" not in caught.value.message


def test_protection_and_absence_are_observed(azure: AzureFake, connection: Connection, clock: StoppedClock) -> None:
    """A tag protects; what is gone does not exist, and cannot be changed."""
    own = azure.machine("vm", "Standard_D8s_v5", tags={"trimtab:protected": "true"})
    vm = machine(own)
    operation = change(OperationKind.STOP_INSTANCE, vm, powerState="deallocated")
    assert connection.actuator is not None
    assert connection.actuator.observe(vm, operation, soon(clock)).is_protected
    azure.resources.clear()
    assert not connection.actuator.observe(vm, operation, soon(clock)).exists
    with pytest.raises(FailedPreconditionError, match="exist"):
        carry_out(connection, clock, vm, operation)


def test_the_roles_allow_what_is_called_and_nothing_else(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Reading uses exactly the reader's role; changing needs exactly the other one beside it."""
    populate(azure)
    found = inventory(connection, clock)
    read(connection, clock, *(one for one in found.values() if one.region == "eastus"))
    reader = set(json.loads(Path("deploy/iam/azure-reader.json").read_text())["Actions"])
    assert reader == azure.actions
    azure.actions.clear()
    api, jobs = found["api"], found["jobs"]
    for resource, step in (
        (api, change(OperationKind.STOP_INSTANCE, api, powerState="deallocated")),
        (api, change(OperationKind.MODIFY_INSTANCE_TYPE, api, vmSize="Standard_D2s_v5")),
        (api, change(OperationKind.START_INSTANCE, api, powerState="running")),
        (jobs, change(OperationKind.SET_GROUP_CAPACITY, jobs, sku_capacity="1")),
    ):
        assert carry_out(connection, clock, resource, step)
    changer = set(json.loads(Path("deploy/iam/azure-changes.json").read_text())["Actions"])
    assert changer == azure.actions - reader
