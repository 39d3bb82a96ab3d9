"""The demo's plan on emulators, by commands: an outage is noticed, approved, moved, moved back, and proved."""

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToJson

from tests.support.command_line import run
from tests.support.emulated_clouds import FULL, NAME, EmulatedClouds, emulated_clouds
from tests.support.service import RunningService, running_service
from tests.support.switching import soon
from trimtab.cli.failover_demo_plan import PLAN, plan
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import Side
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.ports import StaleTokenError

PROJECT = "shop"
_REPORTS = 12
"""Enough for a word to turn either way."""


def asked(service: RunningService, line: str) -> str:
    """`trimtab failover ...`, which has to succeed."""
    done = run("failover", *shlex.split(line), "--target", service.target, "--project", PROJECT)
    assert done.code == 0, done.out + done.err
    return done.out


def observed(service: RunningService, world: EmulatedClouds, times: int) -> pb.ServiceHealth:
    """The three observers tell what they see, so often."""
    name = f"projects/{PROJECT}/failoverPlans/{PLAN}"
    health = pb.ServiceHealth()
    for _ in range(times):
        for observer in ("observer-aws", "observer-azure", "observer-gcp"):
            sides = [pb.SideReport(side_id=side, is_healthy=world.sees_well(side)) for side in ("virginia", "iowa")]
            request = pb.ReportHealthRequest(name=name, observer_id=observer, sides=sides)
            health = service.failover.ReportHealth(request).health
    return health


def over(service: RunningService, started: dict[str, Any], step: str) -> pb.FailoverRun:
    """Approved by the hash that was shown when it waits there, and followed to its end."""
    run_id = started["name"].rpartition("/")[2]

    def waits(stands: pb.FailoverRun) -> bool:
        return stands.state == pb.FailoverRun.STATE_PENDING_APPROVAL

    until(service, started["name"], waits)
    asked(service, f"approve {run_id} {step} --plan-hash {started['planHash']} --comment go")
    assert "run ended" in asked(service, f"watch {run_id}")
    return until(service, started["name"], lambda stands: stands.HasField("end_time"))


def until(service: RunningService, name: str, holds: Callable[[pb.FailoverRun], bool]) -> pb.FailoverRun:
    """The run once something holds of it."""
    give_up = time.monotonic() + 60
    while not holds(stands := service.failover.GetFailoverRun(pb.GetFailoverRunRequest(name=name))):
        assert time.monotonic() < give_up, stands
        assert stands.state != pb.FailoverRun.STATE_PAUSED, stands.reason
        time.sleep(0.05)
    found: pb.FailoverRun = stands
    return found


def proved(service: RunningService, tmp_path: Path, stands: pb.FailoverRun) -> None:
    """Its evidence is sound without the service, and a changed byte of it is found."""
    evidence = tmp_path / "evidence.json"
    asked(service, f"evidence {stands.name.rpartition('/')[2]} --out {evidence}")
    assert run("failover", "verify", str(evidence)).code == 0
    assert json.loads(json.loads(evidence.read_bytes())["evidence"]["events"][0]["body"])["run"] == stands.name
    evidence.write_bytes(evidence.read_bytes().replace(b"virginia", b"Virginia", 1))
    assert run("failover", "verify", str(evidence)).code == 1


def mirrored(message: pb.FailoverPlan) -> pb.FailoverPlan:
    """The same, away from Google to AWS: no plan may need the control plane of the cloud that it leaves."""
    one, other = message.sides
    one.cloud, other.cloud = other.cloud, one.cloud
    return message


@pytest.mark.parametrize("is_group_of_aws", [False, True], ids=["managed group", "auto scaling group"])
def test_the_demos_plan_on_emulators(tmp_path: Path, is_group_of_aws: bool) -> None:
    """From the first failed probe there, to the last event back, at real name servers."""
    home = tmp_path / "service"
    with (
        emulated_clouds(tmp_path, is_group_of_aws=is_group_of_aws) as world,
        running_service(home, cloud_accounts=world.accounts) as service,
    ):
        file = tmp_path / "plan.json"
        file.write_text(MessageToJson(mirrored(plan()) if is_group_of_aws else plan()), encoding="utf-8")
        world.write_canary()
        asked(service, f"plan create {file} --id {PLAN}")
        assert observed(service, world, 1).verdict == pb.ServiceHealth.VERDICT_WELL

        world.down.add("virginia")
        health = observed(service, world, _REPORTS)
        assert health.verdict == pb.ServiceHealth.VERDICT_FAIL_OVER
        assert not health.failover_run, "a person starts it"
        started = json.loads(asked(service, f"start {PLAN} --from virginia --to iowa --mode ungraceful --json"))
        there = over(service, started, "approve")
        assert there.state == pb.FailoverRun.STATE_SUCCEEDED
        assert world.points_at("iowa")
        assert world.standby() == FULL
        assert world.said() == ["serving runs in Iowa"]

        asleep = world.targets().traffic(PROJECT, NAME)
        assert asleep is not None
        token = world.fence()
        with pytest.raises(StaleTokenError):
            asleep.switch(Side("virginia", Cloud.AWS, "us-east-1"), 1.0, token - 1, "late", soon())
        assert world.points_at("iowa")

        world.down.clear()
        observed(service, world, _REPORTS)
        started = json.loads(asked(service, f"start {PLAN} --from iowa --to virginia --kind post-recovery --json"))
        back = over(service, started, "approve-back")
        assert back.state == pb.FailoverRun.STATE_SUCCEEDED
        assert world.points_at("virginia")
        assert world.standby() == 2
        assert world.fence() > token
        for stands in (there, back):
            proved(service, tmp_path, stands)
