"""`trimtab failover` against a real service, and its demo."""

import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from tests.support.command_line import Ran, run
from tests.support.failover_plans import failover_plan, step
from tests.support.failover_service import AT_ONCE, FailoverHouse, failover_house
from trimtab.evidence import verify_evidence
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.clouds.simulated.failover import Group
from trimtab_service.domain.failover import Wait, Workflow
from trimtab_service.rpc.failover_plan_encoder import plan_message


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FailoverHouse]:
    """A service over simulated clouds."""
    with failover_house(tmp_path / "service") as running:
        yield running


def ask(house: FailoverHouse, line: str) -> Ran:
    """Run `trimtab failover ...` in the project of the plan."""
    return run("failover", *shlex.split(line), "--target", house.service.target, "--project", "shop")


def _file(tmp_path: Path) -> Path:
    file = tmp_path / "plan.json"
    file.write_text(MessageToJson(plan_message(failover_plan(approve=True))), encoding="utf-8")
    return file


def test_from_a_file_to_evidence(house: FailoverHouse, tmp_path: Path) -> None:
    """Kept, rehearsed, started, approved by the hash that was seen, followed, handed over, checked."""
    made = ask(house, f"plan create {_file(tmp_path)} --id serving")
    assert made.code == 0, made.err
    assert "ready" in made.out
    tried = ask(house, "plan evaluate serving --from virginia --to iowa --dry-run")
    assert tried.code == 0
    assert "10 instances" in tried.out
    started = json.loads(ask(house, "start serving --from virginia --to iowa --json").out)
    name = started["name"]
    run_id, plan_hash = name.rpartition("/")[2], started["planHash"]
    waiting = _until_pending(house, run_id)
    assert "pending" in waiting
    assert ask(house, f"approve {run_id} approve --plan-hash {'0' * 64}").code == 7
    assert ask(house, f"approve {run_id} approve --plan-hash {plan_hash} --comment go").code == 0
    followed = ask(house, f"watch {run_id}")
    assert followed.code == 0
    assert "run ended" in followed.out
    assert run_id in ask(house, "runs").out
    assert "**" in ask(house, "runbook serving").out
    evidence, page = tmp_path / "evidence.json", tmp_path / "evidence.html"
    assert ask(house, f"evidence {run_id} --out {evidence} --html {page}").code == 0
    assert name in page.read_text(encoding="utf-8")
    assert run("failover", "verify", str(evidence)).code == 0
    evidence.write_bytes(evidence.read_bytes().replace(b"iowa", b"ohio", 1))
    forged = run("failover", "verify", str(evidence))
    assert forged.code == 1
    assert "NOT SOUND" in forged.out
    assert run("failover", "verify", str(page)).code == 2


def test_the_example_has_every_kind_of_step_and_runs(tmp_path: Path) -> None:
    """What the documents show is accepted, ready, shown step by step, and carried out but for its wait."""
    text = (Path(__file__).parents[2] / "docs" / "examples" / "failover_plan.yaml").read_text(encoding="utf-8")
    file = tmp_path / "plan.yaml"
    file.write_text(text.replace("duration: 30s", "duration: 0s").replace("four_eyes: true", "four_eyes: false"))
    pool = Group("gcp", "iowa", ready=0, peak=0, quota=8, is_reserved=True)
    pools = {"gcp/mig/a100": pool, "gcp/mig/l4": pool}
    home = replace(AT_ONCE.groups["aws/asg/serving"], quota=20, is_reserved=True)
    layout = replace(AT_ONCE, groups={**AT_ONCE.groups, **pools, "aws/asg/serving": home})
    queue = failover_plan(service_id="queue", plan_id="queue", activate=Workflow(((step("rest", Wait(timedelta())),),)))
    child = tmp_path / "queue.json"
    child.write_text(MessageToJson(plan_message(queue)), encoding="utf-8")
    with failover_house(tmp_path / "service", layout) as house:
        assert ask(house, f"plan create {child} --id queue").code == 0
        made = ask(house, f"plan create {file} --id serving")
        assert made.code == 0, made.err
        assert "findings" not in made.out
        dry = json.loads(ask(house, "plan evaluate serving --from virginia --to iowa --dry-run --json").out)
        shown = [one["stepId"] for one in dry["steps"]]
        assert shown == [
            "go",
            "tell",
            "ttl",
            "drain",
            "fresh",
            "serve",
            "gpus",
            "orders",
            "queue",
            "queue/rest",
            "healthy",
            "switch",
        ]
        plan = json.loads(ask(house, "plan get serving --json").out)
        kinds = {key for stage in plan["activate"]["stages"] for one in stage["steps"] for key in one}
        assert kinds >= {one.json_name for one in pb.Step.DESCRIPTOR.oneofs_by_name["action"].fields}
        started = json.loads(ask(house, "start serving --from virginia --to iowa --json").out)
        run_id = started["name"].rpartition("/")[2]
        _until_pending(house, run_id)
        assert ask(house, f"approve {run_id} go --plan-hash {started['planHash']}").code == 0
        assert ask(house, f"watch {run_id}").code == 0
        changes = [one.change for one in house.world.effects()]
        assert "switch iowa 1" in changes
        assert "scale 4" in changes


def test_a_run_is_paused_and_aborted(house: FailoverHouse, tmp_path: Path) -> None:
    """By words; an abort wants a reason."""
    ask(house, f"plan create {_file(tmp_path)} --id serving")
    run_id = json.loads(ask(house, "start serving --from virginia --to iowa --json").out)["name"].rpartition("/")[2]
    _until_pending(house, run_id)
    assert "paused" in ask(house, f"steer {run_id} pause --reason lunch").out
    assert ask(house, f"steer {run_id} abort").code == 2
    assert ask(house, f"steer {run_id} vanish").code == 2
    assert ask(house, f"steer {run_id} abort --reason 'not today'").code == 0
    assert ask(house, f"watch {run_id}").code == 7


def test_advice_is_drawn(house: FailoverHouse, tmp_path: Path) -> None:
    """Four strategies, one advised, a picture of the frontier; what nothing meets is exit code 3."""
    asked = "advise --vcpus 4 --memory 16GiB --count 10 --primary aws:us-east-1 --data-held 1TiB --loss 10000 --rpo 5m"
    picture = tmp_path / "frontier.png"
    advised = ask(house, f"{asked} --rto 30m --plot {picture}")
    assert advised.code == 0, advised.err
    assert "advised: warm-standby" in advised.out.replace("_", "-")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert ask(house, f"{asked} --rto 1s").code == 3
    nowhere = ask(house, f"{asked} --rto 30m --plot {tmp_path}/none/frontier.png")
    # The message stands in a box that breaks the path wherever a line of it ends.
    told = re.sub(r"[\s│]", "", nowhere.err)
    assert (nowhere.code, "none/frontier.png" in told) == (2, True)


def test_no_amount_of_an_advice_is_broken_over_lines(house: FailoverHouse) -> None:
    """A cluster at a million an hour: each figure of its two tables stands on the line of its strategy."""
    asked = (
        "advise --gpu A100 --gpus 8 --count 12 --primary aws:us-east-1 --standby gcp:us-central1 --loss 1000000 "
        "--data-held 500TiB --changed 20TiB --criticality low --storage-price 0.02"
    )
    shown = ask(house, asked).out
    assert "$0.0200 a GiB and month" in shown
    heads = [line.split() for line in shown.splitlines() if line.startswith("strategy")]
    assert heads[0] == [
        "strategy",
        "runs",
        "recovery",
        "data",
        "age",
        "basis",
        "meets",
        "capacity",
        "there",
        "frontier",
    ]
    lines = [line.split() for line in shown.splitlines() if line.startswith("backup-and-restore")]
    assert lines == [
        ["backup-and-restore", "0", "1d", "1d", "default", "yes", "90%", "-"],
        ["backup-and-restore", "$0.00", "$10,240.00", *lines[1][3:5], "$4,880,000.00", *lines[1][6:]],
    ]
    assert [cell.count(".") for cell in lines[1][1:]] == [1] * 6
    assert ask(house, asked.replace(" low ", " dire ")).code == 2
    unsaid = ask(house, asked.replace("--loss 1000000 ", "")).out
    assert re.search(r"loss +not said", unsaid)
    assert all(line.split()[-2] == "-" for line in unsaid.splitlines() if "$10,240.00" in line)


def test_a_drill_goes_before_the_default_and_is_compared_with_the_last(house: FailoverHouse, tmp_path: Path) -> None:
    """From the command line: two drills, the second against the first; advice then counts with what was measured."""
    file = tmp_path / "plan.json"
    file.write_text(MessageToJson(plan_message(failover_plan())), encoding="utf-8")
    assert ask(house, f"plan create {file} --id serving").code == 0
    asked = (
        "advise --vcpus 4 --memory 16GiB --count 10 --primary aws:us-east-1 --rpo 5m --rto 30m --plan serving --json"
    )
    before = {one["strategy"]: one for one in json.loads(ask(house, asked).out)["options"]}
    assert {one["basis"] for one in before.values()} == {"default"}
    for _ in range(2):
        ran = ask(house, "start serving --from virginia --to iowa --kind drill --follow")
        assert ran.code == 0, ran.err
    newest = ask(house, "runs --filter 'kind = \"drill\"'").out
    last = next(word for line in newest.splitlines() for word in line.split() if word.startswith("01"))
    shown = ask(house, f"get {last}").out
    assert "against" in shown
    assert re.search(r"recovery [0-9.]+ s (slower|faster) than then", shown)
    after = {one["strategy"]: one for one in json.loads(ask(house, asked).out)["options"]}
    warm = "DR_STRATEGY_WARM_STANDBY"
    assert after[warm]["basis"] == "drill"
    assert after[warm]["expectedRto"] != before[warm]["expectedRto"]
    assert sum(one.get("onFrontier", False) for one in after.values()) >= 2
    dry = ask(house, "plan evaluate serving --from virginia --to iowa --dry-run").out
    for words in ("what it touches", "8 instances", "unpriced: scale", "100% is moved", "promote"):
        assert words in dry


@pytest.mark.parametrize("moment", [r"by default a person starts", r"step begun\s+scale"])
def test_the_demo_is_killed_in_the_middle_and_a_restart_finishes_it(tmp_path: Path, moment: str) -> None:
    """SIGKILL of the whole program when the outage is known, or while the standby boots: the same again ends well."""
    command = [sys.executable, "-m", "trimtab.cli", "failover", "demo", "--data-dir", str(tmp_path)]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        if re.search(moment, line):
            break
    first.send_signal(signal.SIGKILL)
    first.stdout.close()
    first.wait()
    second = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "scale" not in moment or "going on with" in second.stdout
    assert "refused" in second.stdout
    assert verify_evidence((tmp_path / "evidence.json").read_bytes()).is_sound
    effects = [one[2] for one in json.loads((tmp_path / "world.json").read_bytes())["effects"]]
    assert effects == ["scale 10", "switch iowa 1", "switch virginia 1", "scale 2"]


def _until_pending(house: FailoverHouse, run_id: str) -> str:
    give_up = time.monotonic() + 60
    while "pending" not in (shown := ask(house, f"get {run_id}").out.partition("steps")[0]):
        assert time.monotonic() < give_up, shown
        time.sleep(0.05)
    return shown
