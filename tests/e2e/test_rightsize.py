"""`trimtab rightsize` against the real service on a real port."""

import json
import math
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.command_line import Ran, run
from tests.support.fleets import EVERYTHING, Sources, simulated
from tests.support.service import RunningService, running_service
from tests.support.shared_data import shared_metrics
from trimtab_service.bootstrap import Overrides, utc_now


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all, which may read one simulated source."""
    overrides = Overrides(sources=Sources({"prod": simulated(utc_now, "prod")}))
    with running_service(tmp_path_factory.mktemp("service"), overrides=overrides) as running:
        yield running


def ask(service: RunningService, line: str) -> Ran:
    """Run the command in a project of its own."""
    return run("rightsize", *shlex.split(line), "--target", service.target, "--project", "e2e")


def written(directory: Path, name: str, level: float, days: int = 14) -> Path:
    """A load that goes up and down with the day, up to now."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    file = directory / name
    lines = ["timestamp,value"]
    for index in range(days * 288):
        stamp = now - timedelta(minutes=5 * (days * 288 - index))
        lines.append(f"{stamp.isoformat()},{level * (1 + 0.5 * math.sin(2 * math.pi * index / 288)):.3f}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_a_directory_of_series_is_sized(service: RunningService, tmp_path: Path) -> None:
    """Ranked options with back-tests, within a hundred columns, pictures beside."""
    written(tmp_path, "cpu_small.csv", 6.0)
    written(tmp_path, "cpu_busy.csv", 60.0)
    ran = ask(service, f"--source csv {tmp_path} --type m5.4xlarge --plot {tmp_path / 'use.png'}")
    assert ran.code == 0, ran.err
    assert "cpu_small" in ran.out
    assert "cpu_busy" in ran.out
    assert "exceeded" in ran.out
    assert "assumed" not in ran.err
    assert max(len(line) for line in ran.out.splitlines()) <= 100
    assert (tmp_path / "use-cpu_small.png").read_bytes().startswith(b"\x89PNG")


def test_several_metrics_of_one_resource_are_sized_together(service: RunningService, tmp_path: Path) -> None:
    """What is stored is one recommendation, the same when it is asked for again."""
    written(tmp_path, "cpu.csv", 6.0)
    written(tmp_path, "memory.csv", 20.0)
    line = f"{tmp_path} --resource web-1 --type m5.4xlarge --store --json"
    first, second = (json.loads(ask(service, line).out) for _ in range(2))
    assert {one["metric"] for one in first["telemetry"]["series"]} == {"METRIC_CPU", "METRIC_MEMORY"}
    assert first["recommendation"].startswith("projects/e2e/recommendations/")
    assert second["recommendation"] == first["recommendation"]


def test_an_endpoint_is_sized_by_own_prices(service: RunningService, tmp_path: Path) -> None:
    """SageMaker's types have no price in the catalogue: those that are said are sized, and none else."""
    file = written(tmp_path, "cpu.csv", 6.0)
    line = f"{file} --kind endpoint --type ml.m5.4xlarge --count 4"
    assert ask(service, line).code == 3
    said = " ".join(f"--own-price ml.m5.{size}={usd}" for size, usd in (("xlarge", 0.23), ("4xlarge", 0.922)))
    ran = ask(service, f"{line} {said} --json")
    assert ran.code == 0, ran.err
    advice = json.loads(ran.out)
    assert advice["current"]["priceBasis"] == "PRICE_BASIS_CALLER"
    assert advice["options"]
    for option in advice["options"]:
        assert option["instanceType"].startswith("ml.m5.")
        assert "SIZE_OF_MACHINE_BENEATH" in option["reasons"]
    ran = ask(service, f"{line} --own-price ml.x0.huge=1")
    assert ran.code == 2
    assert "own_prices[0].instance_type" in ran.err


def test_profiles_are_compared(service: RunningService, tmp_path: Path) -> None:
    """All six, or those that are named."""
    file = written(tmp_path, "cpu.csv", 20.0)
    ran = ask(service, f"{file} --type m5.4xlarge --compare")
    assert ran.code == 0, ran.err
    for profile in ("safe", "balanced", "economy", "aws-compute-optimizer", "vpa", "krr"):
        assert f"  {profile}" in ran.out
    ran = ask(service, f"{file} --type m5.4xlarge --compare --profile safe --profile economy")
    assert "balanced" not in ran.out


def test_a_source_is_read_by_the_service(service: RunningService) -> None:
    """By the id alone; a resource that is not there is exit code 6, a source that is not, too."""
    source = simulated(utc_now, "prod").inner
    listed = next(one for one in source.inventory(EVERYTHING, datetime.now(UTC)) if one.cloud == "aws")
    line = f"--telemetry-source prod --resource {listed.resource_id} --region {listed.region}"
    ran = ask(service, f"{line} --json")
    assert ran.code in {0, 3, 5}, ran.err
    assert json.loads(ran.out)["resource"]["resourceId"] == listed.resource_id
    assert ask(service, "--telemetry-source prod --resource i-gone").code == 6
    assert ask(service, "--telemetry-source gone --resource i-gone").code == 6


def test_too_little_data_is_an_answer(service: RunningService, tmp_path: Path) -> None:
    """Exit code 3, and what is missing."""
    file = tmp_path / "cpu.csv"
    file.write_text(f"timestamp,value\n{datetime.now(UTC).isoformat()},5\n", encoding="utf-8")
    ran = ask(service, f"{file} --type m5.large")
    assert ran.code == 3
    assert "INSUFFICIENT-DATA" in ran.out
    assert "missing:" in ran.out


def test_a_wrong_field_is_told_by_the_server(service: RunningService, tmp_path: Path) -> None:
    """Exit code 2, the path of the field, the nearest name."""
    file = written(tmp_path, "cpu.csv", 20.0, days=1)
    ran = ask(service, f"{file} --type m5.large --region us-esat-1")
    assert ran.code == 2
    assert "resource.region" in ran.err
    assert "us-east-1" in ran.err


def test_the_shared_series_are_sized(service: RunningService) -> None:
    """Every file with a metric that sizes go by, of long ago though they are."""
    directory = shared_metrics()
    ran = ask(service, f"--source csv {directory}")
    assert ran.code == 0, ran.err
    for file in directory.glob("*cpu_utilization*.csv"):
        assert file.stem in ran.out
    assert "elb_request_count" in ran.err
    assert "assumed: each is one m5.xlarge" in ran.err
    assert "saves $" in ran.out
