"""`trimtab purchase` against the real service on a real port, and its proof checked without one."""

import json
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.command_line import Ran, run
from tests.support.purchase_requests import daily
from tests.support.service import RunningService, running_service
from tests.support.shared_data import demand_file
from tests.support.traces import write_trace

OFFERS = """
- {offerId: locked, kind: KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN, cloud: CLOUD_AWS, family: "*", term: 31536000s, rate: 0.5}
- {offerId: flexible, kind: KIND_AWS_COMPUTE_SAVINGS_PLAN, cloud: CLOUD_AWS, term: 31536000s, rate: 0.62}
"""
OWNED = """
- commitmentId: mine
  offer: {kind: KIND_AWS_COMPUTE_SAVINGS_PLAN, cloud: CLOUD_AWS, term: 31536000s, rate: 0.5}
  commitmentPerHour: {currencyCode: USD, units: 20}
  startTime: 2026-01-01T00:00:00Z
  endTime: 2027-01-01T00:00:00Z
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with two months of usage and offers for it."""
    directory = tmp_path_factory.mktemp("files")
    start = datetime(2026, 2, 1, tzinfo=UTC)
    lines = ["hour,region,vm_type,count"]
    for family, level, phase in (("A", 60, 0), ("B", 25, 9)):
        for hour, value in enumerate(daily(level, 24 * 60, phase)):
            lines.append(f"{(start + timedelta(hours=hour)).isoformat()},1,{family},{value}")
    (directory / "usage.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (directory / "offers.yaml").write_text(OFFERS, encoding="utf-8")
    (directory / "owned.yaml").write_text(OWNED, encoding="utf-8")
    return directory


def ask(service: RunningService, line: str) -> Ran:
    """Run the command in a project of its own."""
    return run("purchase", *shlex.split(line), "--target", service.target, "--project", "e2e")


def test_a_plan_is_made_drawn_written_and_verified(service: RunningService, files: Path, tmp_path: Path) -> None:
    """Tables with plan, proof and alternatives; pictures; a file whose proof holds without the server."""
    plan = tmp_path / "plan.json"
    ran = ask(
        service,
        f"optimize --demand {files}/usage.csv --offers {files}/offers.yaml --plot {tmp_path}/p --out {plan}",
    )
    assert ran.code == 0, ran.err
    for words in ("locked/1/A", "Proof", "(optimal)", "flexible_only", "clouds_own_rule"):
        assert words in ran.out
    for name in ("curve", "usage", "coverage", "calendar"):
        assert (tmp_path / f"p-{name}.png").read_bytes().startswith(b"\x89PNG")
    checked = run("purchase", "verify", str(plan))
    assert checked.code == 0, checked.out
    assert "holds: no portfolio" in checked.out


def changed(plan: Path, *path: str | int) -> None:
    """Change one number of the file by a little, and leave all else as it is."""
    document = json.loads(plan.read_text())
    inner = document["plan"]
    for key in path[:-1]:
        inner = inner[key]
    value = inner[path[-1]]
    inner[path[-1]] = str(int(value) + 1) if isinstance(value, str) else value * 1.001 + 1e-3
    plan.write_text(json.dumps(document))


@pytest.mark.parametrize(
    "path",
    [
        ("certificate", "lowerBound", "units"),
        ("certificate", "cost", "units"),
        ("certificate", "gap"),
        ("purchases", 0, "commitmentPerHour", "units"),
        ("coverage",),
        ("bill", "totalCost", "units"),
        ("alternatives", 1, "cost", "units"),
    ],
)
def test_one_changed_number_is_noticed(
    service: RunningService, files: Path, tmp_path: Path, path: tuple[str | int, ...]
) -> None:
    """Whatever number it is; and those of the proof also where somebody makes a new hash for the file."""
    plan = tmp_path / "plan.json"
    assert ask(service, f"optimize --demand {files}/usage.csv --offers {files}/offers.yaml --out {plan}").code == 0
    changed(plan, *path)
    ran = run("purchase", "verify", str(plan), "--json")
    assert ran.code == 1
    faults = json.loads(ran.out)["faults"]
    assert any("hash" in fault for fault in faults)
    if path[0] in {"certificate", "purchases"}:
        bare = tmp_path / "bare.json"
        bare.write_text(json.dumps(json.loads(plan.read_text())["plan"]))
        assert run("purchase", "verify", str(bare)).code == 1


def test_a_plan_without_its_evidence_cannot_be_verified(files: Path, tmp_path: Path) -> None:
    """It is said what to do, and nothing is claimed."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"verdict": "VERDICT_BUY"}))
    ran = run("purchase", "verify", str(plan))
    assert ran.code == 2
    assert "without the evidence" in ran.err
    assert run("purchase", "verify", str(files / "usage.csv")).code == 2


def test_usage_is_billed_back_tested_and_laddered(service: RunningService, files: Path, tmp_path: Path) -> None:
    """The other commands answer; a history that is too short is no failure of theirs."""
    usage = f"--demand {files}/usage.csv"
    billed = ask(service, f"evaluate {usage} --plans {files}/owned.yaml")
    assert billed.code == 0, billed.err
    assert "mine" in billed.out
    assert ask(service, f"backtest {usage} --rate 0.6").code == 3
    assert ask(service, f"backtest {usage} --rate 0.6 --term 168h").code in {0, 3}
    one = tmp_path / "one.yaml"
    one.write_text(OFFERS.strip().splitlines()[1])
    laddered = ask(service, f"ladder {usage} --offers {one} --plot {tmp_path}/ladder.png")
    assert laddered.code == 0, laddered.err
    assert (tmp_path / "ladder.png").is_file()
    idle = ask(service, f"shadow {usage} --plans {files}/owned.yaml --region 1 --family A")
    assert idle.code == 0, idle.err
    assert "a committed dollar is idle in" in idle.out


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("optimize --demand {files}/none.csv", 2, "cannot be read"),
        ("optimize --demand {files}/offers.yaml", 2, "no column"),
        ("optimize --demand {files}/usage.csv --region mars", 2, "nothing was used"),
        ("optimize --demand {files}/usage.csv", 3, "no offer covers"),
        ("provider nobody", 6, "no account"),
    ],
)
def test_what_is_wrong_is_said(service: RunningService, files: Path, line: str, code: int, words: str) -> None:
    """Exit codes as for every command."""
    ran = ask(service, line.format(files=files))
    assert ran.code == code, ran.err + ran.out
    assert words in ran.err + ran.out


def planned_and_verified(service: RunningService, demand: Path, directory: Path) -> None:
    """The last year of a region, under the offers of the example; the proof holds."""
    offers = Path(__file__).parents[2] / "docs" / "examples" / "purchase_offers.yaml"
    plan = directory / "plan.json"
    ran = ask(
        service,
        f"optimize --demand {demand} --offers {offers} --last-hours 8760 --region 1 --out {plan} --timeout 300s",
    )
    assert ran.code == 0, ran.err
    assert "(optimal)" in ran.out
    checked = run("purchase", "verify", str(plan))
    assert checked.code == 0, checked.out


def test_a_trace_is_planned(service: RunningService, tmp_path: Path) -> None:
    """Usage as parquet, in the layout of published traces: growth, working weeks, a generation on its way out."""
    planned_and_verified(service, write_trace(tmp_path / "trace.parquet", 7, regions=1), tmp_path)


def test_the_published_trace_is_planned(service: RunningService, tmp_path: Path) -> None:
    """The real one."""
    demand = demand_file()
    if demand is None:
        pytest.skip("the shared demand is not there: set TRIMTAB_SHARED_DATA to the directory that holds demand/")
    planned_and_verified(service, demand, tmp_path)


def test_idle_hours_reach_placement(service: RunningService, files: Path, tmp_path: Path) -> None:
    """From usage to the hour at which deferrable work costs least: kept by one command, asked for by another."""
    owned = tmp_path / "commitment.yaml"
    owned.write_text(
        "{kind: KIND_AWS_COMPUTE_SAVINGS_PLAN, cloud: CLOUD_AWS, startTime: 2026-01-01T00:00:00Z, "
        "endTime: 2099-01-01T00:00:00Z, spendPerHour: {units: 50}, discountFraction: 0.3}"
    )
    to = ("--target", service.target, "--project", "waiting")
    made = run("commitment", "create", str(owned), "--id", "csp", *to)
    assert made.code == 0, made.err
    kept = run("purchase", "shadow", "--demand", f"{files}/usage.csv", "--keep", *to)
    assert kept.code == 0, kept.err
    assert "kept with 1 commitments" in kept.err
    asked = ("--vcpus", "8", "--hours", "4", "--region", "aws:us-east-1", "--on-demand", "--owned", "--start-by", "24h")
    placed = run("place", *asked, *to)
    assert placed.code == 0, placed.err
    assert "Best start" in placed.out
    assert "csp" in placed.out
