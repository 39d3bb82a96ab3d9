"""`make demo`: a server on a free port with the packaged catalogue, and the tour through it, at the real command line.

Every command is printed with its real output. The exit status is not 0 when a command ends otherwise than it should.
"""

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_START_S = 60.0
_QUESTION = "place --gpu V100 --gpus 1 --hours 8 --spot --residency EU --data aws:eu-west-1:500GiB"
_SOURCE = "--source simulated"
_ADVISED = "'resource_id = \"api-0000\"'"
_POLICY = """\
description: GPU work stays in the EU, and no decision may cost more than $500
condition: size(request.gpu_models) > 0
rules:
  residency: {blocs: [EU]}
  max_cost: {currency_code: USD, units: 500}
"""
_COMMITMENT = """\
kind: KIND_AWS_RESERVED_INSTANCE_STANDARD
cloud: CLOUD_AWS
region: eu-west-1
instance_type: p3.2xlarge
instances: 2
start_time: 2026-01-01T00:00:00Z
end_time: 2036-01-01T00:00:00Z
"""
_BATCH = """\
{"workload": {"workloadId": "train", "size": {"gpus": [{"model": "A100-80GB", "count": 8}]}, "duration": "86400s"}}
{"workload": {"workloadId": "serve", "size": {"gpus": [{"model": "L4"}]}, "serviceHoursPerMonth": 730}}
{"workload": {"workloadId": "prepare", "size": {"vcpus": 16, "memoryGib": 64}, "duration": "7200s"}}
"""


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the tour, what it shows, and the exit code that it must end with.

    `{decision}` in a command is the id of the latest decision, `{recommendation}` of the one that the tour follows.
    """

    says: str
    command: str
    code: int = 0


TOUR = (
    Step("Is everything well?", "doctor"),
    Step("Where should this run? Priced, explained, with somewhere to go when it fails.", _QUESTION),
    Step("The same decision, made again from the log: byte for byte.", "explain {decision} --replay"),
    Step(
        "There was no spot capacity. That counts from the next decision on.", "outcome report {decision} --no-capacity"
    ),
    Step("So the next answer is another.", _QUESTION),
    Step(
        "What cannot be is an answer too (exit code 3), with the least that would make it possible.",
        "place --gpu V100 --hours 8 --spot --residency IS",
        code=3,
    ),
    Step(
        "A slip of the hand is told with the field and the nearest names (exit code 2).",
        "place --gpu V1000 --hours 8",
        code=2,
    ),
    Step("Many at once.", "batch workloads.jsonl"),
    Step("What shall hold for all: a policy.", "policy create eu-only policy.yaml"),
    Step("Every rule that holds for a workload, with its source.", "policy effective --gpu V100 --hours 8"),
    Step("Reserved instances that are already paid for.", "commitment create commitment.yaml --id ri-7"),
    Step(
        "They cost nothing more, so they win; --reserve holds the room.",
        "place --gpu V100 --hours 8 --on-demand --owned --reserve --max-fallbacks 1",
    ),
    Step("And it is given back.", "decision release {decision}"),
    Step("What was decided.", "decision list"),
    Step("What there is to choose from.", "catalog offers --filter 'gpu_model = \"V100-16GB\"' --limit 5"),
    Step("How big? Whose use can be read: here a simulated account, until there are real ones.", "fleet sources"),
    Step(
        "Everything that it sees, sized: what each needs, what that saves, what could not be said.",
        f"fleet start {_SOURCE}",
    ),
    Step("What was advised, kept as recommendations.", f"recommendations list --filter {_ADVISED}"),
    Step("Take one in hand: from now on it says what it said.", "recommendations claim {recommendation}"),
    Step("What would be done?", "recommendations apply {recommendation}"),
    Step("Do it.", "recommendations apply {recommendation} --execute"),
    Step("Promised, applied, realised.", "recommendations summarize"),
    Step("Undo it: the journal knows what was before.", "recommendations rollback {recommendation} --execute"),
)


def main(write: Callable[[str], object] = sys.stdout.write) -> int:
    """Run the tour; answers the number of commands that ended otherwise than they should."""
    failures = 0
    with tempfile.TemporaryDirectory(prefix="trimtab-demo-") as folder, serving(Path(folder)) as target:
        for name, text in (("policy.yaml", _POLICY), ("commitment.yaml", _COMMITMENT), ("workloads.jsonl", _BATCH)):
            (Path(folder) / name).write_text(text, encoding="utf-8")
        for step in TOUR:
            command = _filled(step.command, target, folder)
            ran = _trimtab(shlex.split(command), target, folder)
            write(f"# {step.says}\n$ trimtab {command}\n{ran.stdout}\n")
            if ran.returncode != step.code:
                failures += 1
                write(f"!! exit code {ran.returncode} where {step.code} was expected\n\n")
    write(f"{len(TOUR)} commands, {failures} of them not as expected\n")
    return failures


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`trimtab serve` in a process of its own, on free ports, writing only to `folder`; yields its target."""
    arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--data-dir",
        str(folder / "data"),
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "trimtab.cli", *arguments],
        cwd=folder,
        env=_environment(TRIMTAB_DRAIN_INTERVAL="0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield _target(server)
    finally:
        server.terminate()
        server.communicate(timeout=_START_S)


def _target(server: "subprocess.Popen[str]") -> str:
    """Read the server's log until it says where it listens."""
    seen = []
    for line in server.stdout or ():
        seen.append(line)
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "listening":
            return str(entry["address"])
    raise SystemExit("the server ended before it listened:\n" + "".join(seen))


def _filled(command: str, target: str, folder: str) -> str:
    if "{decision}" in command:
        return command.format(decision=_latest(target, folder))
    if "{recommendation}" in command:
        listed = ["recommendations", "list", "--filter", shlex.split(_ADVISED)[0], "--json"]
        first = _trimtab(listed, target, folder).stdout.splitlines()[0]
        return command.format(recommendation=str(json.loads(first)["name"]).rpartition("/")[2])
    return command


def _latest(target: str, folder: str) -> str:
    listed = _trimtab(["decision", "list", "--limit", "1", "--json"], target, folder).stdout
    return str(json.loads(listed)["name"]).rpartition("/")[2]


def _trimtab(arguments: list[str], target: str, folder: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "trimtab.cli", *arguments],
        check=False,
        cwd=folder,
        env=_environment(TRIMTAB_TARGET=target),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_START_S,
    )


def _environment(**given: str) -> dict[str, str]:
    """The environment without what a person has set for trimtab, and 100 columns wide."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRIMTAB_")}
    return {**kept, "COLUMNS": "100", **given}


if __name__ == "__main__":
    sys.exit(min(main(), 1))
