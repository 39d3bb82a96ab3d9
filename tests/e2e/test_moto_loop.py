"""The whole loop on EC2 and CloudWatch (moto): analyse, list, claim, apply, verify, summarise, by the command line."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.command_line import Ran, run
from tests.support.moto_fleet import FLEET, SOURCE, moto_fleet
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


def told(ran: Ran) -> list[dict[str, object]]:
    """The JSON lines of an answer; the service logs to the same output here."""
    lines = [line for line in ran.out.splitlines() if line.startswith('{"name"')]
    return [json.loads(line) for line in lines]


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
        assert isinstance(realized, dict)
        assert int(realized["saving"]["units"]) > 0
        assert realized["runningHours"] > 48
