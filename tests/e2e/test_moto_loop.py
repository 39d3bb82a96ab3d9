"""The whole loop on EC2 and CloudWatch (moto): analyse, list, claim, apply, verify, summarise, by the command line."""

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.command_line import Ran, run
from tests.support.moto_fleet import FLEET, SOURCE, MotoFleet, moto_fleet
from tests.support.service import RunningService, running_service
from trimtab_service.bootstrap import Overrides

OVERSIZED = next(machine for machine in FLEET if machine.name == "oversized")
LATER = timedelta(days=3)


class Clock:
    """The wall clock, or later."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        """The instant."""
        return datetime.now(UTC) + self.ahead


def ask(service: RunningService, *line: str) -> Ran:
    """Run the command; it must end well."""
    ran = run(*line, "--target", service.target)
    assert ran.code == 0, ran.out + ran.err
    return ran


def told(ran: Ran) -> list[dict[str, Any]]:
    """The JSON lines of an answer; the service logs to the same output here."""
    lines = [line for line in ran.out.splitlines() if line.startswith('{"name"')]
    return [json.loads(line) for line in lines]


@contextlib.contextmanager
def applied(directory: Path, clock: Clock) -> Iterator[tuple[MotoFleet, RunningService, str, str]]:
    """A fleet whose oversized machine was resized: the fleet, the service, the recommendation, the type before."""
    with (
        moto_fleet(directory, (OVERSIZED,)) as fleet,
        running_service(
            directory / "data",
            overrides=Overrides(clock=clock),
            cloud_accounts=fleet.accounts_file,
            apply_lease=timedelta(seconds=1),
        ) as service,
    ):
        was = fleet.instance_type("oversized")
        ask(service, "fleet", "start", "--source", SOURCE)
        (found,) = told(ask(service, "recommendations", "list", "--json"))
        own = str(found["name"])
        ask(service, "recommendations", "claim", own)
        ask(service, "recommendations", "apply", own, "--execute")
        yield fleet, service, own, was


def later(fleet: MotoFleet, clock: Clock, cpu: tuple[float, float]) -> None:
    """Three days pass under a load of such shares of the new machine."""
    since = clock()
    became = replace(OVERSIZED, instance_type=fleet.instance_type("oversized"), cpu=cpu, memory=(0.5, 0.6))
    fleet.measure(became, since, since + LATER)
    clock.ahead += LATER


def awaited(service: RunningService, where: str) -> dict[str, Any]:
    """The one recommendation of a filter, once it is there; the sweep looks every second."""
    for _ in range(1_200):
        found = told(ask(service, "recommendations", "list", "--filter", where, "--json"))
        if found and (where != _SUCCEEDED or "realizedImpact" in found[0]):
            return found[0]
        time.sleep(0.1)
    raise AssertionError(where)


_SUCCEEDED = 'state = "succeeded"'


def test_what_was_saved_is_measured_by_itself(tmp_path: Path) -> None:
    """Nobody asks: the sweep reads CloudWatch again and keeps what the change brought, and totals tell it."""
    clock = Clock()
    with applied(tmp_path, clock) as (fleet, service, own, _):
        later(fleet, clock, cpu=(0.3, 0.5))
        kept = awaited(service, _SUCCEEDED)
        assert kept["name"] == own
        realized = kept["realizedImpact"]
        assert not realized.get("regression", False)
        assert realized.get("exceedance", 0.0) == 0.0
        assert int(realized["monthlySaving"]["units"]) > 100
        assert "reason" not in realized
        (total,) = ask(service, "recommendations", "summarize", "--by", "state").out.splitlines()[1:2]
        assert "$0.00" not in total.split()[-1]
        assert told(ask(service, "recommendations", "list", "--filter", 'kind = "rollback"', "--json")) == []


def test_what_got_worse_raises_a_rollback_that_can_be_applied(tmp_path: Path) -> None:
    """The new machine is full for three days: the sweep raises a rollback, and applying it brings the old type back."""
    clock = Clock()
    with applied(tmp_path, clock) as (fleet, service, own, was):
        assert fleet.instance_type("oversized") != was
        later(fleet, clock, cpu=(0.995, 1.0))
        back = awaited(service, 'kind = "rollback"')
        assert (back["priority"], back["rollsBack"]) == ("PRIORITY_P1", own)
        assert "exceeded" in str(back["summary"])
        realized = awaited(service, _SUCCEEDED)["realizedImpact"]
        assert realized["regression"]
        assert realized["rollbackRecommendation"] == back["name"]
        ask(service, "recommendations", "claim", str(back["name"]))
        ask(service, "recommendations", "apply", str(back["name"]), "--execute")
        assert (fleet.instance_type("oversized"), fleet.state("oversized")) == (was, "running")
        (undone,) = told(ask(service, "recommendations", "list", "--filter", 'state = "failed"', "--json"))
        assert undone["name"] == own
        assert "rolled-back" in ask(service, "recommendations", "get", own).out


def test_the_instance_type_changes_and_what_it_brought_is_measured(tmp_path: Path) -> None:
    """What CloudWatch says becomes a recommendation; applying it changes the machine; its use afterwards is judged."""
    clock = Clock()
    with (
        moto_fleet(tmp_path) as fleet,
        running_service(
            tmp_path / "data", overrides=Overrides(clock=clock), cloud_accounts=fleet.accounts_file
        ) as service,
    ):
        priced = ask(service, "fleet", "estimate", "--source", SOURCE)
        assert f"{len(FLEET)} resources" in priced.out
        ask(service, "fleet", "start", "--source", SOURCE)
        machine = fleet.ids["oversized"]
        where = f'resource_id = "{machine}"'
        (found,) = told(ask(service, "recommendations", "list", "--filter", where, "--json"))
        own, was = str(found["name"]), fleet.instance_type("oversized")
        ask(service, "recommendations", "claim", own)
        dry = ask(service, "recommendations", "apply", own)
        assert "nothing was changed" in dry.out
        assert fleet.instance_type("oversized") == was
        ask(service, "recommendations", "apply", own, "--execute")
        became = fleet.instance_type("oversized")
        assert became != was
        assert fleet.state("oversized") == "running"
        applied = clock()
        clock.ahead = LATER
        fleet.measure(OVERSIZED, applied, applied + LATER)
        verified = ask(service, "recommendations", "verify", own)
        assert "NOT_MEASURED_YET" not in verified.out
        summed = ask(service, "recommendations", "summarize")
        assert "rightsize succeeded" in summed.out
        (kept,) = told(ask(service, "recommendations", "list", "--filter", where, "--json"))
        realized = kept["realizedImpact"]
        assert int(realized["saving"]["units"]) > 0
        assert realized["runningHours"] > 48
