"""`trimtab place`: what is sent, what is shown, which exit code."""

import json
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse
from google.rpc import code_pb2, error_details_pb2, status_pb2

from tests.support.canned_server import CannedServer
from tests.support.command_line import run
from tests.support.decisions import infeasible, placed
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2

TOUR = shlex.split("place --gpu V100 --gpus 1 --hours 8 --spot --residency EU --data aws:eu-west-1:500GiB")


def _request(server: CannedServer, *arguments: str) -> pb.PlaceRequest:
    """What a command line sends."""
    server.answer("Place", placed())
    ran = run("place", *arguments, "--target", server.target)
    assert ran.code == 0, ran.err
    request = server.seen("Place")[-1].request
    assert isinstance(request, pb.PlaceRequest)
    return request


def test_the_tour_question_is_asked_as_it_is_written(server: CannedServer) -> None:
    """The command of the README sends exactly the request that its words say."""
    server.answer("Place", placed())
    assert run(*TOUR, environment={"TRIMTAB_TARGET": server.target}).code == 0
    expected = pb.PlaceRequest(
        parent="projects/default",
        workload=pb.Workload(
            size=pb.Size(gpus=[pb.GpuNeed(model="V100", count=1)]),
            purchase_options=[types_pb2.PURCHASE_OPTION_SPOT],
            residency=pb.Residency(blocs=["EU"]),
            data_sets=[
                pb.DataSet(location=types_pb2.RegionRef(cloud=types_pb2.CLOUD_AWS, region="eu-west-1"), gib=500)
            ],
        ),
    )
    expected.workload.duration.FromTimedelta(timedelta(hours=8))
    assert server.calls[0].request == expected


def test_the_answer_shows_everything_in_a_hundred_columns(server: CannedServer) -> None:
    """Place, price with basis and age, every term, fallbacks, rejections, notes, revisions and name are there."""
    server.answer("Place", placed())
    ran = run(*TOUR, "--explain", "--target", server.target)
    for part in (
        "PLACED  aws eu-west-1  p3.2xlarge  spot  $8.1437",
        "$0.9180/h  derived, of 2026-11-11 (12 days old)",
        "compute       $7.3440",
        "interruption  $0.7997",
        "total         $8.1437",
        "0.08 expected",
        "2 of 5, low",
        "ri-7 cover 0.5 of the instances",
        "eu-west-1b",
        "+125.9%",
        "RESIDENCY    78",
        "V100 was read as V100 [16 GB]",
        "12,034 offers looked at, 14 feasible",
        "allow US",
        "projects/default/decisions/01hqz3w8x9y0abcdefghjkmnpq",
        "catalogue abcdef012345, policies 3, learned 14, commitments 2",
        "730 h a month, 8,760 h a year",
    ):
        assert part in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 100
    assert server.calls[0].request.explain


def test_a_file_gets_no_colour_and_no_trailing_blanks(server: CannedServer) -> None:
    """What is piped or pasted is plain text."""
    server.answer("Place", placed())
    ran = run(*TOUR, "--target", server.target)
    assert "\x1b" not in ran.out
    assert all(line == line.rstrip() for line in ran.out.splitlines())


def test_json_is_the_message(server: CannedServer) -> None:
    """A program reads back the very decision that the server sent."""
    server.answer("Place", placed())
    ran = run(*TOUR, "--json", "--target", server.target)
    assert Parse(ran.out, pb.Decision()) == placed()


def test_infeasible_is_an_answer_with_its_own_exit_code(server: CannedServer) -> None:
    """Exit code 3, and what would make it feasible, on the standard output."""
    server.answer("Place", infeasible())
    ran = run(*TOUR, "--target", server.target)
    assert ran.code == 3
    assert "INFEASIBLE" in ran.out
    assert "allow SE" in ran.out
    assert "eu-north-1" in ran.out


def test_fields_at_fault_are_named(server: CannedServer) -> None:
    """A wrong argument is exit code 2 and one line a field, on the standard error."""
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="workload.size.gpus[0].model", description="unknown; nearest: V100")
    bad.field_violations.add(field="workload.count", description="at most 100,000")
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="two things")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="INVALID_REQUEST"))
    status.details.add().Pack(bad)
    server.answer("Place", status)
    ran = run(*TOUR, "--target", server.target)
    assert (ran.code, ran.out) == (2, "")
    assert "2 fields of the request at fault" in ran.err
    assert "  workload.size.gpus[0].model: unknown; nearest: V100" in ran.err
    assert "  workload.count: at most 100,000" in ran.err
    assert "INVALID_REQUEST" in ran.err


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("UNAUTHENTICATED", 4),
        ("PERMISSION_DENIED", 4),
        ("UNAVAILABLE", 5),
        ("DEADLINE_EXCEEDED", 5),
        ("RESOURCE_EXHAUSTED", 5),
        ("NOT_FOUND", 6),
        ("ABORTED", 7),
        ("ALREADY_EXISTS", 7),
        ("FAILED_PRECONDITION", 7),
        ("INTERNAL", 1),
        ("UNIMPLEMENTED", 1),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(server: CannedServer, code: str, exit_code: int) -> None:
    """Scripts branch on the code alone."""
    server.answer("Place", status_pb2.Status(code=code_pb2.Code.Value(code), message="so it is"))
    ran = run(*TOUR, "--target", server.target)
    assert ran.code == exit_code
    assert "so it is" in ran.err
    assert code in ran.err
    assert "Traceback" not in ran.err


def test_unsupported_is_no_fault(server: CannedServer) -> None:
    """What trimtab knows that it cannot decide shares the exit code of the other answers without a place."""
    status = status_pb2.Status(code=code_pb2.UNIMPLEMENTED, message="no facts")
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason="UNSUPPORTED"))
    server.answer("Place", status)
    assert run(*TOUR, "--target", server.target).code == 3


def test_nobody_listening_is_unavailable() -> None:
    """Exit code 5 and a word on what to look at."""
    ran = run(*TOUR, "--target", "127.0.0.1:1")
    assert ran.code == 5
    assert "trimtab doctor" in ran.err


def test_every_flag_lands_in_its_field(server: CannedServer) -> None:
    """One long command line says the same as the message written out."""
    request = _request(
        server,
        *shlex.split("""
            --vcpus 8 --memory 64GiB --arch arm64 --local-disk-gb 100 --network-gbps 10 --gpu A100 --gpu H100
            --gpus 4 --gpu-memory 40GiB --service-hours 200 --count 3 --spread 2 --on-demand --spot --reserved-1y
            --reserved-3y --owned --checkpoint-write 30s --checkpoint-interval 1h30m --restart 2m
            --checkpoint-store aws:eu-west-1:50GiB --max-interruptions 0.5 --residency DE --residency EEA,SE
            --deny-country fr --clouds aws,gcp --deny-cloud azure --region gcp:europe-west4 --family p3,g4dn
            --deny-region aws:eu-west-3 --deny-family p2 --deny-type p3.16xlarge --block aws::p3.8xlarge:spot
            --service S3 --prefer BigQuery=50 --partition aws-us-gov --no-estimated-prices
            --data aws:us-east-1:2TiBx3 --users aws:eu-west-1:70% --users 52.5,13.4:30 --max-latency 50ms
            --users-egress 100GiB --sent aws:eu-west-1:10TiB --current aws:us-east-1:p3.2xlarge:spot
            --state 20GiB --changeover 15m --moving-cost 3.5 --minimum-gain 5% --workload train-7 --tag team=vision
            --tolerance 2% --quota aws:eu-west-1:gpus=8 --own-price aws:eu-west-1:ml.p4d.24xlarge:on-demand=37.5
            --hours-per-month 720 --hours-per-year 8784 --max-fallbacks 0 --reserve --reserve-for 20m
            --request-id 6f9619ff-8b86-4011-b42d-00c04fc964ff --project vision
        """),
    )
    expected = Parse(
        json.dumps(
            {
                "parent": "projects/vision",
                "reserve": True,
                "reserveDuration": "1200s",
                "requestId": "6f9619ff-8b86-4011-b42d-00c04fc964ff",
                "maxFallbacks": 0,
                "workload": {
                    "workloadId": "train-7",
                    "tags": {"team": "vision"},
                    "size": {
                        "vcpus": 8,
                        "memoryGib": 64,
                        "architecture": "ARCHITECTURE_ARM64",
                        "localDiskGb": 100,
                        "networkGbps": 10,
                        "gpus": [
                            {"model": "A100", "count": 4, "memoryGib": 40},
                            {"model": "H100", "count": 4, "memoryGib": 40},
                        ],
                    },
                    "serviceHoursPerMonth": 200,
                    "count": 3,
                    "spreadZones": 2,
                    "purchaseOptions": [1, 2, 3, 4, 5],
                    "interruption": {
                        "checkpointWriteTime": "30s",
                        "checkpointInterval": "5400s",
                        "restartTime": "120s",
                        "checkpointStore": {"cloud": 1, "region": "eu-west-1"},
                        "checkpointGib": 50,
                        "maxExpectedInterruptions": 0.5,
                    },
                    "residency": {
                        "countries": ["DE", "SE"],
                        "blocs": ["EEA"],
                        "deniedCountries": ["FR"],
                        "clouds": [1, 2],
                        "deniedClouds": [3],
                        "regions": [{"cloud": 2, "region": "europe-west4"}],
                        "deniedRegions": [{"cloud": 1, "region": "eu-west-3"}],
                        "families": ["p3", "g4dn"],
                        "deniedFamilies": ["p2"],
                        "deniedInstanceTypes": ["p3.16xlarge"],
                    },
                    "blockedOffers": [{"cloud": 1, "instanceType": "p3.8xlarge", "purchaseOption": 2}],
                    "services": [
                        {"service": "S3"},
                        {"service": "BigQuery", "preferenceValue": {"currencyCode": "USD", "units": 50}},
                    ],
                    "partitions": ["aws-us-gov"],
                    "allowEstimatedPrices": False,
                    "dataSets": [{"location": {"cloud": 1, "region": "us-east-1"}, "gib": 2048, "reads": 3}],
                    "users": {
                        "groups": [
                            {"region": {"cloud": 1, "region": "eu-west-1"}, "share": 70},
                            {"location": {"latitude": 52.5, "longitude": 13.4}, "share": 30},
                        ],
                        "maxLatencyMs": 50,
                        "egressGib": 100,
                    },
                    "monthToDateEgress": [{"location": {"cloud": 1, "region": "eu-west-1"}, "gib": 10240}],
                    "current": {
                        "location": {"cloud": 1, "region": "us-east-1"},
                        "instanceType": "p3.2xlarge",
                        "purchaseOption": 2,
                        "stateGib": 20,
                        "changeover": "900s",
                        "fixedCost": {"currencyCode": "USD", "units": 3, "nanos": 500000000},
                        "minimumGainFraction": 0.05,
                    },
                    "toleranceFraction": 0.02,
                    "quotas": [{"location": {"cloud": 1, "region": "eu-west-1"}, "unit": 3, "left": 8}],
                    "callerOffers": [
                        {
                            "location": {"cloud": 1, "region": "eu-west-1"},
                            "instanceType": "ml.p4d.24xlarge",
                            "purchaseOption": 1,
                            "pricePerHour": {"currencyCode": "USD", "units": 37, "nanos": 500000000},
                        }
                    ],
                    "hoursPerMonth": 720,
                    "hoursPerYear": 8784,
                },
            }
        ),
        pb.PlaceRequest(),
    )
    assert request == expected


def test_a_deadline_may_be_said_from_now(server: CannedServer) -> None:
    """`12h` is twelve hours from now, an instant is itself."""
    before = datetime.now(UTC)
    request = _request(server, "--hours", "1", "--deadline", "12h")
    deadline = request.workload.deadline.ToDatetime(UTC)
    assert before + timedelta(hours=12) <= deadline <= datetime.now(UTC) + timedelta(hours=12)
    request = _request(server, "--hours", "1", "--deadline", "2026-11-24T10:00+02:00")
    assert request.workload.deadline.ToDatetime(UTC) == datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "aws:eu-west-1:500GB"], "read in two ways"),
        (["--data", "aws:eu-west-1:500"], "500GiB or 2TiB"),
        (["--data", "eu-west-1:500GiB"], "CLOUD:REGION:SIZE"),
        (["--data", "ibm:eu-west-1:500GiB"], "aws, gcp, azure"),
        (["--restart", "5"], "with its unit"),
        (["--hours", "eight"], "with its unit"),
        (["--hours", "8", "--service-hours", "100"], "not both"),
        (["--gpus", "2"], "--gpu"),
        (["--residency", "Germany"], "two letters"),
        (["--prefer", "BigQuery"], "SERVICE=DOLLARS"),
        (["--prefer", "BigQuery=much"], "US dollars"),
        (["--users", "aws:eu-west-1:0"], "above 0"),
        (["--deadline", "2026-11-24T08:00"], "no time zone"),
        (["--state", "5GiB"], "--current"),
        (["--tolerance", "150%"], "such as 5%"),
        (["--timeout", "0s"], "above 0"),
        (["--token", "t", "--target", "203.0.113.7:1"], "in the clear"),
        (["--project", "a/b"], "project"),
        (["--ca", "/nonexistent.pem"], "nonexistent"),
        (["--request", "/nonexistent.json"], "No such file"),
        (["--no-such-flag"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_sent(
    server: CannedServer, arguments: list[str], said: str
) -> None:
    """Exit code 2, and a sentence that says what was expected."""
    ran = run("place", "--target", server.target, *arguments, environment={"COLUMNS": "200"})
    assert ran.code == 2
    assert said in " ".join(ran.err.replace("│", " ").split())
    assert not server.calls


def test_flags_are_laid_over_a_request_from_a_file(server: CannedServer, tmp_path: Path) -> None:
    """The file holds what has no flag; a flag wins over the file's value."""
    path = tmp_path / "request.yaml"
    path.write_text(
        "workload:\n  size: {gpus: [{model: T4}], memory_gib: 16}\n  duration: 3600s\n"
        "  deadline: 2026-11-24T08:00:00Z\nmaxFallbacks: 1\n"
    )
    request = _request(server, "--request", str(path), "--memory", "32GiB", "--service-hours", "100")
    assert request.workload.size.gpus[0].model == "T4"
    assert request.workload.size.memory_gib == 32
    assert request.workload.WhichOneof("usage") == "service_hours_per_month"
    assert request.workload.deadline.ToDatetime(UTC) == datetime(2026, 11, 24, 8, tzinfo=UTC)
    assert request.max_fallbacks == 1


@pytest.mark.parametrize("text", ["[1, 2]", "workload: {siez: {}}", "{", "\x00", "workload: {size: {vcpus: many}}", ""])
def test_a_wrong_file_is_a_usage_error(server: CannedServer, tmp_path: Path, text: str) -> None:
    """A field that the contract does not know is refused, not ignored."""
    path = tmp_path / "request.json"
    path.write_text(text)
    ran = run("place", "--request", str(path), "--target", server.target)
    assert ran.code == 2
    assert "Traceback" not in ran.err
    assert not server.calls
