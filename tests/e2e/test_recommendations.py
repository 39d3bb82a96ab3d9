"""`trimtab recommendations` against the real service on a real port."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Ran, run
from tests.support.findings import content, stopping
from tests.support.lifecycles import take_in
from tests.support.machines import Machines
from tests.support.service import RunningService, running_service
from trimtab_service.bootstrap import Overrides


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Machines:
    """A cloud of machines."""
    return Machines(tmp_path_factory.mktemp("cloud") / "machines.json")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, machines: Machines) -> Iterator[RunningService]:
    """One service for all, which may change the machines."""
    with running_service(tmp_path_factory.mktemp("service"), overrides=Overrides(actuators=machines)) as running:
        yield running


def ask(service: RunningService, project: str, *line: str) -> Ran:
    """Run the command in a project."""
    return run("recommendations", *line, "--target", service.target, "--project", project)


def test_the_whole_loop_from_the_command_line(service: RunningService, machines: Machines) -> None:
    """List, get, claim, dry run, apply, verify, summarise, roll back: each says what it did."""
    machines.add("i-00000001")
    (made,) = take_in(service.settings.store_url, "loop", [content(1)])
    own = made.recommendation_id
    listed = ask(service, "loop", "list", "--order-by", "monthly_saving desc")
    assert listed.code == 0, listed.err
    assert own in listed.out
    assert "$140.16" in listed.out
    shown = ask(service, "loop", "get", own)
    assert "Resize i-00000001" in shown.out
    assert "modify-instance-type" in shown.out
    refused = ask(service, "loop", "apply", own, "--execute")
    assert (refused.code, "NOT_CLAIMED" in refused.out) == (7, True)
    assert ask(service, "loop", "claim", own, "--set", "ticket=42", "--comment", "mine").code == 0
    dry = ask(service, "loop", "apply", own)
    assert dry.code == 0
    assert "nothing was changed" in dry.out
    machines.add("i-00000001", InstanceType="c5.large")
    changed = ask(service, "loop", "apply", own)
    assert "InstanceType is c5.large, and was m5.2xlarge when this was advised" in changed.out
    machines.add("i-00000001")
    done = ask(service, "loop", "apply", own, "--execute")
    assert (done.code, "succeeded" in done.out) == (0, True), done.err
    assert machines.fields("i-00000001")["InstanceType"] == "m5.xlarge"
    assert "->" not in done.out
    verified = ask(service, "loop", "verify", own, "--running-hours", "10")
    assert verified.code == 0, verified.err
    assert "saved             $1.92 in 10.0 h" in verified.out
    assert "not measured yet" in verified.out
    assert "a month" not in verified.out.partition("Realised")[2]
    summed = ask(service, "loop", "summarize", "--by", "kind", "--by", "state")
    assert "rightsize succeeded" in summed.out
    back = ask(service, "loop", "rollback", own, "--execute")
    assert (back.code, "undone: the recommendation is failed" in back.out) == (0, True), back.err
    assert machines.fields("i-00000001")["InstanceType"] == "m5.2xlarge"
    history = json.loads(ask(service, "loop", "get", own, "--json").out)["history"]
    assert [step["toState"] for step in history] == [
        "STATE_ACTIVE",
        "STATE_CLAIMED",
        "STATE_SUCCEEDED",
        "STATE_FAILED",
    ]


def test_verbs_of_people(service: RunningService) -> None:
    """Dismissed with a reason, reopened, marked; what is wrong on the command line is said before it is sent."""
    one, two = take_in(service.settings.store_url, "people", [content(1), stopping(2)])
    assert "later" in ask(service, "people", "dismiss", one.recommendation_id, "--reason", "later").out
    assert ask(service, "people", "reopen", one.recommendation_id).code == 0
    assert ask(service, "people", "mark", two.name, "succeeded").code == 0
    marked = ask(service, "people", "mark", one.name, "failed", "--reason", "cloud-failed", "--json")
    assert json.loads(marked.out)["state"] == "STATE_FAILED"
    assert ask(service, "people", "mark", one.name, "perhaps").code == 2
    assert ask(service, "people", "dismiss", one.name, "--reason", "boredom").code == 2
    assert ask(service, "people", "summarize", "--by", "colour").code == 2
    assert ask(service, "people", "claim", two.name).code == 7
    assert ask(service, "people", "get", "none").code == 6
    assert ask(service, "nobody", "list").out == "no recommendations\n"
    lines = ask(service, "people", "list", "--json", "--filter", 'state = "failed"').out.splitlines()
    assert [json.loads(line)["name"] for line in lines] == [one.name]


def test_series_in_a_file_verify_what_was_applied(service: RunningService, tmp_path: Path) -> None:
    """A file that is none is refused by name; one without series too."""
    (made,) = take_in(service.settings.store_url, "series", [content(3)])
    ask(service, "series", "mark", made.name, "succeeded")
    (tmp_path / "cpu.csv").write_text("timestamp,value\n2026-11-01T00:00:00Z,50\n", encoding="utf-8")
    verified = ask(service, "series", "verify", made.name, "--csv", str(tmp_path / "cpu.csv"))
    assert verified.code == 0, verified.err
    assert "NOT_MEASURED_YET" in verified.out
    assert ask(service, "series", "verify", made.name, "--csv", str(tmp_path / "none.csv")).code == 2
