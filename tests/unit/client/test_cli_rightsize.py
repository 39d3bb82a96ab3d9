"""`trimtab rightsize`: what it asks, what it shows, how it exits."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.advices import over_provisioned, without_advice
from tests.support.canned_server import CannedServer
from tests.support.command_line import Ran, run
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import rightsizing_service_pb2 as service_pb

DAY = timedelta(days=1)


def csv(path: Path, *, ends: datetime, name: str = "cpu_web.csv", points: int = 300) -> Path:
    """Points every five minutes up to an instant."""
    stamps = (ends - timedelta(minutes=5 * index) for index in reversed(range(points)))
    file = path / name
    file.write_text("timestamp,value\n" + "".join(f"{stamp.isoformat()},{20 + stamp.hour}\n" for stamp in stamps))
    return file


def ask(server: CannedServer, *line: str) -> Ran:
    """Run the command against the server."""
    return run("rightsize", *line, "--target", server.target)


def asked(server: CannedServer) -> service_pb.RightsizeRequest:
    """The one request that came."""
    (call,) = server.seen("Rightsize")
    request: service_pb.RightsizeRequest = call.request
    return request


@pytest.fixture
def advising(server: CannedServer) -> CannedServer:
    """A server that finds everything too large."""
    server.answer("Rightsize", over_provisioned())
    return server


def test_a_csv_file_is_asked_about_as_an_assumed_instance(advising: CannedServer, tmp_path: Path) -> None:
    """What is assumed is said; nothing is stored; the options come with risk and back-test."""
    ran = ask(advising, str(csv(tmp_path, ends=datetime.now(UTC))))
    assert ran.code == 0, ran.err
    request = asked(advising)
    assert request.validate_only
    assert (request.resource.resource_id, request.resource.instance_type) == ("cpu_web", "m5.xlarge")
    assert len(request.telemetry.series[0].values) == 300
    assert "assumed" in ran.err
    for shown in ("OVER-PROVISIONED", "m5.large", "saves $70.08 a month", "0.4%", "61.0%", "very-low", "TOO_SMALL"):
        assert shown in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 100


def test_containers_and_own_types_are_described(advising: CannedServer, tmp_path: Path) -> None:
    """A node's type goes along as the tag that prices a container; GPUs of an own type as its capacity."""
    file = csv(tmp_path, ends=datetime.now(UTC))
    line = (
        "--own-price ml.g5.xlarge=1.408 --kind container --vcpus 2 --memory 4GiB --node-type m5.2xlarge --gpus A100=0.5"
    )
    assert ask(advising, str(file), *line.split()).code == 0
    resource = asked(advising).resource
    (own,) = asked(advising).own_prices
    assert (own.instance_type, own.price_per_hour.units, own.price_per_hour.nanos) == ("ml.g5.xlarge", 1, 408_000_000)
    assert resource.kind == pb.CloudResource.KIND_CONTAINER
    assert dict(resource.tags) == {"kubernetes:node-type": "m5.2xlarge"}
    assert (resource.capacity.gpu_model, resource.capacity.gpus) == ("A100", 0.5)
    assert resource.instance_type == ""


def test_what_to_bear_in_mind_is_said_of_each_of_many(server: CannedServer, tmp_path: Path) -> None:
    """That nobody measured the memory is told beside the sizes, not only in the details of a single one."""
    advice = over_provisioned()
    advice.reasons[:] = ["CPU_OVER_PROVISIONED", "MEMORY_NOT_MEASURED"]
    server.answer("Rightsize", advice)
    for name in ("cpu_a.csv", "cpu_b.csv"):
        csv(tmp_path, ends=datetime.now(UTC), name=name)
    ran = ask(server, str(tmp_path))
    assert ran.out.count("memory not measured: kept") == 2, ran.out


def test_what_is_said_is_asked(advising: CannedServer, tmp_path: Path) -> None:
    """Each flag lands in its field."""
    file = csv(tmp_path, ends=datetime.now(UTC))
    line = (
        "--type m5.2xlarge --cloud aws --region eu-west-1 --metric memory --unit gib --statistic maximum --count 3 "
        "--kind instance-group --price 0.5 --profile safe --percentile cpu=99 --headroom cpu=30% --headroom memory=0.1 "
        "--max-risk 1 --lookback 7d --minimum-data 20h --family m5 --never-shrink --throttled-hour-cost 2.50 "
        "--minimum-saving 10 --options 3 --workload web --team search --arm-ready"
    )
    assert ask(advising, str(file), *line.split()).code == 0
    request = asked(advising)
    resource, preferences, (series,) = request.resource, request.preferences, request.telemetry.series
    assert (resource.instance_type, resource.region, resource.count) == ("m5.2xlarge", "eu-west-1", 3)
    assert resource.kind == pb.CloudResource.KIND_INSTANCE_GROUP
    assert (resource.price_per_hour.nanos, resource.workload_id, resource.team) == (500_000_000, "web", "search")
    assert resource.arm_ready
    assert (series.metric, series.unit, series.statistic) == (pb.METRIC_MEMORY, pb.UNIT_GIB, pb.STATISTIC_MAXIMUM)
    assert (preferences.profile, preferences.max_risk, preferences.max_options) == ("safe", 1.0, 3)
    assert preferences.lookback.ToTimedelta() == 7 * DAY
    assert preferences.minimum_data.ToTimedelta() == timedelta(hours=20)
    assert (list(preferences.families), preferences.never_shrink) == (["m5"], True)
    assert (preferences.throttled_hour_cost.units, preferences.minimum_monthly_saving.units) == (2, 10)
    cpu, memory = preferences.dimensions
    assert (cpu.dimension, cpu.percentile, cpu.headroom_fraction) == (pb.DIMENSION_CPU, 99.0, 0.3)
    assert (memory.dimension, memory.headroom_fraction) == (pb.DIMENSION_MEMORY, 0.1)


def test_series_of_long_ago_are_read_as_if_they_had_just_ended(advising: CannedServer, tmp_path: Path) -> None:
    """They move by whole weeks, so that weekdays and hours stay, and the look-back reaches their beginning."""
    ends = datetime(2014, 2, 28, 14, 25, tzinfo=UTC)
    ran = ask(advising, str(csv(tmp_path, ends=ends)))
    request = asked(advising)
    last = datetime.fromtimestamp(request.telemetry.series[0].epoch_seconds[-1], UTC)
    age = datetime.now(UTC) - last
    assert timedelta() <= age < 7 * DAY
    assert (last.weekday(), last.hour, last.minute) == (ends.weekday(), ends.hour, ends.minute)
    further = request.preferences.lookback.ToTimedelta() - 14 * DAY
    assert age - timedelta(minutes=1) < further <= age + timedelta(hours=1)
    assert "read as if" in ran.err


def test_a_directory_is_many_resources(advising: CannedServer, tmp_path: Path) -> None:
    """Each is asked about; what is no metric is said; the sums stand below; the pictures have names of their own."""
    now = datetime.now(UTC)
    for name in ("cpu_a.csv", "cpu_b.csv", "elb_request_count.csv"):
        csv(tmp_path, ends=now, name=name)
    ran = ask(advising, str(tmp_path), "--plot", str(tmp_path / "use.png"))
    assert ran.code == 0, ran.err
    assert [call.request.resource.resource_id for call in advising.seen("Rightsize")] == ["cpu_a", "cpu_b"]
    assert "elb_request_count: no metric" in ran.err
    assert "$140.16 a month" in ran.out
    for name in ("use-cpu_a.png", "use-cpu_b.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_standard_input_is_a_csv_file(advising: CannedServer) -> None:
    """As `-`; the resource is named after it."""
    arguments = ("-", "--target", advising.target)
    ran = run("rightsize", *arguments, stdin="timestamp,cpu\n1700000000,5\n")
    assert ran.code == 0, ran.err
    (call,) = advising.seen("Rightsize")
    assert call.request.resource.resource_id == "stdin"
    assert list(call.request.telemetry.series[0].values) == [5.0]
    ran = run("rightsize", *arguments, stdin="timestamp,cpu\nnow,5\n")
    assert (ran.code, "stdin, line 2" in " ".join(ran.err.split())) == (2, True)


def test_files_of_one_resource_go_together(advising: CannedServer, tmp_path: Path) -> None:
    """`--resource` says whose they are."""
    now = datetime.now(UTC)
    files = [str(csv(tmp_path, ends=now, name=name)) for name in ("cpu.csv", "memory.csv")]
    assert ask(advising, *files, "--resource", "web-1").code == 0
    request = asked(advising)
    assert request.resource.resource_id == "web-1"
    assert [one.metric for one in request.telemetry.series] == [pb.METRIC_CPU, pb.METRIC_MEMORY]


def test_profiles_stand_side_by_side(advising: CannedServer, tmp_path: Path) -> None:
    """Each is asked for, and shown with its back-test."""
    ran = ask(advising, str(csv(tmp_path, ends=datetime.now(UTC))), "--compare")
    profiles = [call.request.preferences.profile for call in advising.seen("Rightsize")]
    assert profiles == ["safe", "balanced", "economy", "aws-compute-optimizer", "vpa", "krr"]
    assert ran.code == 0
    for shown in (*profiles, "0.4%", "0.6%", "55.0%"):
        assert shown in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 100


def test_store_keeps_what_is_advised(advising: CannedServer, tmp_path: Path) -> None:
    """Once, however often the call is retried."""
    assert ask(advising, str(csv(tmp_path, ends=datetime.now(UTC))), "--store").code == 0
    request = asked(advising)
    assert not request.validate_only
    assert request.request_id


def test_an_inline_request_is_sent_as_it_is(advising: CannedServer, tmp_path: Path) -> None:
    """In the names of the contract; flags are laid over it."""
    file = tmp_path / "request.yaml"
    file.write_text(
        "resource: {resource_id: i-1, cloud: CLOUD_AWS, region: us-east-1, instance_type: m5.large}\n"
        "telemetry:\n"
        "  series: [{metric: METRIC_CPU, start_time: 2026-01-01T00:00:00Z, step: 300s, values: [1, 2, NaN]}]\n"
    )
    assert ask(advising, "--source", "inline", str(file), "--profile", "economy").code == 0
    request = asked(advising)
    assert request.resource.instance_type == "m5.large"
    assert len(request.telemetry.series[0].values) == 3
    assert request.preferences.profile == "economy"


def test_a_source_is_read_by_the_service(advising: CannedServer) -> None:
    """No series are sent, and no type is assumed: the source knows it."""
    assert ask(advising, "--telemetry-source", "prod", "--resource", "i-1").code == 0
    request = asked(advising)
    assert (request.telemetry_source, request.resource.instance_type) == ("prod", "")


def test_large_series_are_streamed(server: CannedServer, tmp_path: Path) -> None:
    """More than a message takes goes in parts."""
    server.answer("StreamRightsize", over_provisioned())
    file = tmp_path / "cpu.csv"
    start = int(datetime.now(UTC).timestamp()) - 200_010
    file.write_text("timestamp,value\n" + "".join(f"{start + index},5\n" for index in range(200_001)))
    assert ask(server, str(file), "--timeout", "60s").code == 0
    (call,) = server.seen("StreamRightsize")
    assert not call.request.request.telemetry.series[0].values


@pytest.mark.parametrize(("finding", "code"), [("INSUFFICIENT_DATA", 3), ("UNSUPPORTED", 3), ("SOURCE_FAILED", 5)])
def test_answers_without_advice_have_exit_codes(server: CannedServer, tmp_path: Path, finding: str, code: int) -> None:
    """What could not be sized is neither a success nor a failure, and what is missing is said."""
    server.answer("Rightsize", without_advice(finding, "memory: no agent"))
    ran = ask(server, str(csv(tmp_path, ends=datetime.now(UTC))))
    assert ran.code == code
    assert "missing: memory: no agent" in ran.out


def test_json_is_the_message(advising: CannedServer, tmp_path: Path) -> None:
    """For programs, alone on the standard output; of several resources one a line."""
    now = datetime.now(UTC)
    file = csv(tmp_path, ends=now)
    ran = ask(advising, str(file), "--json")
    assert json.loads(ran.out)["finding"] == "FINDING_OVER_PROVISIONED"
    csv(tmp_path, ends=now, name="cpu_b.csv")
    ran = ask(advising, str(tmp_path), "--json")
    assert len([json.loads(line) for line in ran.out.splitlines()]) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "name csv files"),
        ("gone.csv", "no such file"),
        ("--telemetry-source prod", "--resource"),
        ("--telemetry-source prod --resource i cpu.csv", "--telemetry-source"),
        ("cpu.csv --profile safe --profile vpa", "--compare"),
        ("cpu.csv --percentile 99", "--percentile"),
        ("cpu.csv --percentile disk=99", "--percentile"),
        ("cpu.csv --metric heat", "--metric"),
        ("cpu.csv --headroom cpu=much", "--headroom"),
        ("--source inline", "RightsizeRequest"),
    ],
)
def test_a_wrong_command_line_is_named(
    server: CannedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    """Exit code 2, before anything is asked."""
    csv(tmp_path, ends=datetime.now(UTC), name="cpu.csv")
    monkeypatch.chdir(tmp_path)
    ran = ask(server, *line.split())
    assert ran.code == 2
    assert words in " ".join(ran.err.split())
    assert not server.calls
