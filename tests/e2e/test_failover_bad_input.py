"""What people, observers and clouds do wrong, through `trimtab failover` against a running service."""

import json
import shlex
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToJson

from tests.support.command_line import Ran, run
from tests.support.failover_plans import OBSERVERS, failover_plan, step
from tests.support.failover_service import AT_ONCE, PARENT, PLAN, FailoverHouse, failover_house
from tests.support.service import running_service
from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.bootstrap import utc_now
from trimtab_service.clouds.simulated.failover import SimulatedClouds
from trimtab_service.domain.failover import (
    Approve,
    ChildPlan,
    Detection,
    FailoverPlan,
    Notify,
    ScaleCapacity,
    SwitchTraffic,
    Wait,
    Workflow,
)
from trimtab_service.rpc.failover_plan_encoder import plan_message

SIDES = "--from virginia --to iowa"
NAME, GROUP = "dns/api.example.com", "gcp/mig/serving"
SHORT = timedelta(seconds=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[FailoverHouse]:
    """A service over simulated clouds."""
    with failover_house(tmp_path / "service") as running:
        yield running


def _ask(house: FailoverHouse, line: str) -> Ran:
    return run("failover", *shlex.split(line), "--target", house.service.target, "--project", "shop")


def _file(tmp_path: Path, plan: FailoverPlan | pb.FailoverPlan) -> Path:
    file = tmp_path / f"{uuid.uuid4()}.json"
    message = plan if isinstance(plan, pb.FailoverPlan) else plan_message(plan)
    file.write_text(MessageToJson(message), encoding="utf-8")
    return file


def _kept(house: FailoverHouse, tmp_path: Path, plan: FailoverPlan, plan_id: str = "serving") -> Ran:
    return _ask(house, f"plan create {_file(tmp_path, plan)} --id {plan_id}")


def _plan(*actions: tuple[str, object], service_id: str = "serving") -> FailoverPlan:
    stages = tuple((step(name, action, timeout=SHORT),) for name, action in actions)
    return failover_plan(activate=Workflow(stages), service_id=service_id)


def _start(house: FailoverHouse, more: str = "", plan: str = "serving") -> dict[str, str]:
    started = _ask(house, f"start {plan} {SIDES} {more} --json")
    assert started.code == 0, started.err
    found: dict[str, str] = json.loads(started.out)
    return found


def _until(house: FailoverHouse, name: str, wanted: Callable[[pb.FailoverRun], bool]) -> pb.FailoverRun:
    return house.until(pb.FailoverRun(name=name), wanted)


def _is(state: "pb.FailoverRun.State.ValueType") -> Callable[[pb.FailoverRun], bool]:
    return lambda one: one.state == state


def test_a_plan_with_a_cycle_is_told_and_does_not_start(house: FailoverHouse, tmp_path: Path) -> None:
    """By itself, or by way of another."""
    made = _kept(house, tmp_path, _plan(("child", ChildPlan(PLAN)), ("switch", SwitchTraffic(NAME))))
    assert "PLAN_CYCLE" in made.out
    assert "not ready" in made.out
    other = _plan(("back", ChildPlan(f"{PARENT}/failoverPlans/there")), service_id="other")
    _kept(house, tmp_path, other, "here")
    there = _plan(("forth", ChildPlan(f"{PARENT}/failoverPlans/here")), service_id="third")
    assert "PLAN_CYCLE" in _kept(house, tmp_path, there, "there").out
    refused = _ask(house, f"start serving {SIDES}")
    assert refused.code == 7
    assert "PLAN_CYCLE" in refused.err


def test_every_field_at_fault_is_named_where_it_stands(house: FailoverHouse, tmp_path: Path) -> None:
    """All at once, by their paths: of 500 steps nobody finds the one that is meant."""
    message = pb.FailoverPlan(service_id="serving", safety=pb.SafetyRules(minimum_healthy_sides=3))
    message.sides.add(side_id="virginia", cloud=types_pb2.CLOUD_AWS, region="us-east-1", cidr_blocks=["10.0.0.1/16"])
    message.sides.add(side_id="-")
    message.detection.observers.add()
    stage = message.activate.stages.add()
    stage.steps.add(step_id="Bad Id").notify.channel = "chat/on-call"
    stage.steps.add(step_id="child").child_plan.failover_plan = "queue"
    stage.steps.add(step_id="child")
    message.post_recovery.stages.add()
    made = _ask(house, f"plan create {_file(tmp_path, message)} --id serving")
    assert made.code == 2
    step = "failover_plan.activate.stages[0].steps"
    for field in (
        "failover_plan.sides[0].cidr_blocks[0]",
        "failover_plan.sides[1].side_id",
        "failover_plan.sides[1].cloud",
        "failover_plan.sides[1].region",
        f"{step}[0].step_id",
        f"{step}[0].notify.text",
        f"{step}[1].child_plan.failover_plan",
        f"{step}[2].step_id",
        f"{step}[2].action",
        "failover_plan.post_recovery.stages[0].steps",
        "failover_plan.safety.minimum_healthy_sides",
        "failover_plan.detection.observers[0].cloud",
        "failover_plan.detection.observers[0].observer_id",
    ):
        assert f"  {field}: " in made.err
    assert "13 fields" in made.err


def test_a_word_that_the_contract_does_not_know_is_answered_with_those_it_knows(
    house: FailoverHouse, tmp_path: Path
) -> None:
    """People write `aws`, as everywhere else on the command line."""
    file = tmp_path / "plan.yaml"
    file.write_text("service_id: serving\nsides: [{side_id: home, cloud: aws, region: us-east-1}]\n")
    refused = _ask(house, f"plan create {file} --id serving")
    assert refused.code == 2
    said = " ".join(refused.err.replace("│", " ").split())
    assert "sides[0].cloud" in said
    assert "Known: CLOUD_AWS, CLOUD_GCP, CLOUD_AZURE." in said


def test_who_overrides_has_seen_all_that_stands_against_it(house: FailoverHouse, tmp_path: Path) -> None:
    """The refusal names every error once, with its steps; the reason is kept in the evidence beside them."""
    many = [(f"s{number}", SwitchTraffic("dns/nowhere")) for number in range(9)]
    quota, child = ScaleCapacity(GROUP, count=25), ChildPlan(f"{PARENT}/failoverPlans/none")
    _kept(house, tmp_path, _plan(*many, ("scale", quota), ("child", child)))
    refused = _ask(house, f"start serving {SIDES}")
    assert refused.code == 7
    said = " ".join(refused.err.split())
    assert "UNKNOWN_TARGET (s0, s1, s2, s3, s4, s5, s6, s7 and 1 more)" in said
    assert "UNKNOWN_CHILD (child)" in said
    assert "QUOTA_BELOW_TARGET (scale)" in said
    run_id = _start(house, "--override 'the CTO said so'")["name"].rpartition("/")[2]
    assert _ask(house, f"steer {run_id} abort --reason enough").code == 0
    evidence = tmp_path / "evidence.json"
    assert _ask(house, f"evidence {run_id} --out {evidence}").code == 0
    kept = evidence.read_text(encoding="utf-8")
    assert "the CTO said so" in kept
    assert "QUOTA_BELOW_TARGET" in kept


def test_an_unknown_target_is_told_and_a_run_in_spite_of_it_pauses(house: FailoverHouse, tmp_path: Path) -> None:
    """The step says which; nothing else was done."""
    assert "UNKNOWN_TARGET" in _kept(house, tmp_path, _plan(("switch", SwitchTraffic("dns/nowhere")))).out
    assert _ask(house, f"start serving {SIDES}").code == 7
    started = _start(house, "--override 'it is a test'")
    paused = _until(house, started["name"], _is(pb.FailoverRun.STATE_PAUSED))
    assert "dns/nowhere" in paused.reason
    assert house.world.effects() == ()


def test_500_steps_are_taken_and_501_are_not(house: FailoverHouse, tmp_path: Path) -> None:
    """Eight stages of 64 at most; the count is told."""

    def wide(count: int) -> FailoverPlan:
        told = [step(f"s{number}", Notify("chat/on-call", "x")) for number in range(count)]
        return failover_plan(activate=Workflow(tuple(tuple(told[at : at + 64]) for at in range(0, count, 64))))

    assert _kept(house, tmp_path, wide(500)).code == 0
    run_id = _start(house)["name"]
    assert _until(house, run_id, lambda one: one.HasField("end_time")).state == pb.FailoverRun.STATE_SUCCEEDED
    assert len(house.world.told()) == 500
    refused = _kept(house, tmp_path, wide(501), "wider")
    assert refused.code == 2
    assert "501" in refused.err


def test_two_plans_of_one_service_take_turns(house: FailoverHouse, tmp_path: Path) -> None:
    """The second is refused while the first is under way, and told which run it is."""
    for plan_id in ("one", "two"):
        assert _kept(house, tmp_path, failover_plan(approve=True), plan_id).code == 0
    first = _start(house, plan="one")["name"]
    refused = _ask(house, f"start two {SIDES}")
    assert refused.code == 7
    assert first in refused.err


def test_an_approval_is_not_the_requesters_and_good_once(house: FailoverHouse, tmp_path: Path) -> None:
    """Four eyes; another hash; a second time."""
    _kept(house, tmp_path, _plan(("ask", Approve(timedelta(hours=1), four_eyes=True)), ("switch", SwitchTraffic(NAME))))
    started = _start(house)
    run_id = started["name"].rpartition("/")[2]
    _until(house, started["name"], _is(pb.FailoverRun.STATE_PENDING_APPROVAL))
    own = _ask(house, f"approve {run_id} ask --plan-hash {started['planHash']}")
    assert own.code == 7
    assert own.err
    assert _ask(house, f"approve {run_id} ask --plan-hash {'0' * 64}").code == 7
    assert _ask(house, f"approve {run_id} nothing --plan-hash {started['planHash']}").code == 7
    _kept(house, tmp_path, replace(_plan(("ask", Approve())), service_id="other"), "other")
    other = _start(house, plan="other")
    _until(house, other["name"], _is(pb.FailoverRun.STATE_PENDING_APPROVAL))
    line = f"approve {other['name'].rpartition('/')[2]} ask --plan-hash {other['planHash']}"
    assert _ask(house, line).code == 0
    assert _ask(house, line).code == 7
    assert house.world.effects() == ()


def test_an_abort_during_a_switch_leaves_traffic_where_it_was(house: FailoverHouse, tmp_path: Path) -> None:
    """The name servers do not answer: the switch is tried, given up, and what was scaled goes back."""
    stages = (
        (step("scale", ScaleCapacity(GROUP, count=10)),),
        (step("switch", SwitchTraffic(NAME), timeout=timedelta(minutes=5)),),
    )
    _kept(house, tmp_path, failover_plan(activate=Workflow(stages)))
    house.world.fail("")
    name = _start(house)["name"]
    _until(house, name, lambda one: one.steps[1].state == pb.StepRun.STATE_BEGUN)
    assert _ask(house, f"steer {name.rpartition('/')[2]} abort --reason 'not now'").code == 0
    ended = _until(house, name, lambda one: one.HasField("end_time"))
    assert ended.state == pb.FailoverRun.STATE_ABORTED
    assert [one.change for one in house.world.effects()] == ["scale 10", "scale 2"]


def _reported(house: FailoverHouse, observer: str, **sides: bool) -> pb.ServiceHealth:
    request = pb.ReportHealthRequest(name=PLAN, observer_id=observer)
    for side, is_healthy in sides.items():
        request.sides.add(side_id=side, is_healthy=is_healthy)
    health: pb.ServiceHealth = house.stub.ReportHealth(request).health
    return health


def test_an_observer_that_lies_moves_nothing(house: FailoverHouse, tmp_path: Path) -> None:
    """Everything is down, it says again and again; two others see a side well, so it is not believed."""
    _kept(house, tmp_path, failover_plan(detection=Detection(OBSERVERS, automatic=True)))
    liar, *honest = (one.observer_id for one in OBSERVERS)
    for _ in range(20):
        _reported(house, liar, virginia=False, iowa=False)
        for observer in honest:
            _reported(house, observer, virginia=True, iowa=True)
    assert _reported(house, liar, virginia=False, iowa=False).verdict == pb.ServiceHealth.VERDICT_WELL
    shown = _ask(house, "health serving")
    assert "OBSERVER_ISOLATED" in shown.out
    assert "no runs" in _ask(house, "runs").out


def test_a_storm_of_reports_starts_one_run(house: FailoverHouse, tmp_path: Path) -> None:
    """Eight threads report an outage as fast as they can; a person still gets an answer meanwhile."""
    _kept(house, tmp_path, failover_plan(detection=Detection(OBSERVERS, automatic=True)))
    house.world.fail("aws")

    def storm(observer: str) -> None:
        for _ in range(40):
            _reported(house, observer, virginia=False, iowa=True)

    threads = [threading.Thread(target=storm, args=(OBSERVERS[at % 3].observer_id,)) for at in range(8)]
    for thread in threads:
        thread.start()
    assert _ask(house, "plan get serving").code == 0
    for thread in threads:
        thread.join(60)
    listed = list(house.stub.ListFailoverRuns(pb.ListFailoverRunsRequest(parent=PARENT)).failover_runs)
    assert len(listed) == 1
    assert house.over(listed[0]).state == pb.FailoverRun.STATE_SUCCEEDED


def test_a_standby_without_capacity_pauses_the_run_before_traffic_moves(tmp_path: Path) -> None:
    """Three machines are all there are; a person may take them, in an ungraceful run, by a share."""
    short = replace(AT_ONCE, groups={**AT_ONCE.groups, GROUP: replace(AT_ONCE.groups[GROUP], stock=3)})
    with failover_house(tmp_path / "service", short) as house:
        _kept(house, tmp_path, _plan(("scale", ScaleCapacity(GROUP, count=10)), ("switch", SwitchTraffic(NAME))))
        name = _start(house)["name"]
        paused = _until(house, name, _is(pb.FailoverRun.STATE_PAUSED))
        assert "3 of 10" in paused.reason
        assert not any(one.change.startswith("switch") for one in house.world.effects())


def test_a_credential_that_expires_in_the_middle_pauses_and_a_new_one_goes_on(
    house: FailoverHouse, tmp_path: Path
) -> None:
    """The step says so; after the renewal a retry does it."""
    _kept(house, tmp_path, _plan(("ask", Approve()), ("scale", ScaleCapacity(GROUP, count=10))))
    started = _start(house)
    run_id = started["name"].rpartition("/")[2]
    _until(house, started["name"], _is(pb.FailoverRun.STATE_PENDING_APPROVAL))
    house.world.refuse("gcp")
    assert _ask(house, f"approve {run_id} ask --plan-hash {started['planHash']}").code == 0
    paused = _until(house, started["name"], _is(pb.FailoverRun.STATE_PAUSED))
    assert "credential" in paused.reason
    house.world.trust("gcp")
    assert _ask(house, f"steer {run_id} retry-step --step scale").code == 0
    ended = _until(house, started["name"], lambda one: one.HasField("end_time"))
    assert ended.state == pb.FailoverRun.STATE_SUCCEEDED


def test_a_name_server_that_is_not_there_pauses_the_run_and_says_so(tmp_path: Path) -> None:
    """A real target of the file: found when the plan is kept, and again when the switch gives up in time."""
    key = tmp_path / "key"
    key.write_text('key "k" { algorithm hmac-sha256; secret "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"; };\n')
    accounts = tmp_path / "accounts.toml"
    accounts.write_text(
        '[[targets]]\nname = "www"\nkind = "rfc2136"\nprojects = ["shop"]\nzone = "example.test"\n'
        f'record = "www.example.test"\nserver = "127.0.0.1:9"\nkey_file = "{key}"\n'
        'sides = { virginia = ["192.0.2.1"], iowa = ["198.51.100.1"] }\n'
    )
    with running_service(tmp_path / "service", cloud_accounts=accounts) as service:
        house = FailoverHouse(service, SimulatedClouds(AT_ONCE, clock=utc_now))
        made = _kept(house, tmp_path, _plan(("switch", SwitchTraffic("www"))))
        assert "TARGET_NOT_READABLE" in made.out
        name = house.start(override_reason="it is a test").name
        paused = _until(house, name, _is(pb.FailoverRun.STATE_PAUSED))
        assert "before it was asked" not in paused.reason
        assert "127.0.0.1" in paused.reason or "answer" in paused.reason


def test_evidence_with_one_byte_changed_is_found_out_without_a_server(house: FailoverHouse, tmp_path: Path) -> None:
    """And printed only while it is sound."""
    _kept(house, tmp_path, _plan(("wait", Wait(timedelta()))))
    name = _start(house)["name"]
    _until(house, name, lambda one: one.HasField("end_time"))
    evidence, printed = tmp_path / "evidence.json", tmp_path / "evidence.pdf"
    assert _ask(house, f"evidence {name.rpartition('/')[2]} --out {evidence} --pdf {printed}").code == 0
    assert printed.read_bytes().startswith(b"%PDF-")
    whole = evidence.read_bytes()
    again = tmp_path / "again.pdf"
    assert run("failover", "verify", str(evidence), "--pdf", str(again)).code == 0
    assert again.read_bytes() == printed.read_bytes()
    again.unlink()
    for at in (20, len(whole) // 2, len(whole) - 30):
        evidence.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert run("failover", "verify", str(evidence), "--pdf", str(again)).code in {1, 2}
    assert not again.exists()
