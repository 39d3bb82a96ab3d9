"""The client and the CLI against the real service on a real port."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.json_format import Parse

import trimtab
from tests.support import demo
from tests.support.command_line import Ran, run
from tests.support.service import RunningService, running_service
from trimtab import errors, vocabulary
from trimtab.v1.placement_service_pb2 import BatchPlaceResult, Decision, OfferPattern, Outcome

QUESTION = "place --gpu V100 --gpus 1 --hours 8 --spot --residency EU --data aws:eu-west-1:500GiB"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service for all; each test has a project of its own."""
    with running_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def project(request: pytest.FixtureRequest) -> str:
    """A project that no other test uses."""
    name: str = request.node.name
    return name.replace("_", "-").removeprefix("test-")[:50].rstrip("-")


def _ask(service: RunningService, project: str, line: str, *, stdin: str = "") -> Ran:
    return run(*shlex.split(line), "--target", service.target, "--project", project, stdin=stdin)


def _decide(service: RunningService, project: str, line: str) -> Decision:
    ran = _ask(service, project, f"{line} --json")
    assert ran.code == 0, ran.err
    return Parse(ran.out, Decision())


def test_the_readme_question_is_answered_with_terms_and_reasons(service: RunningService, project: str) -> None:
    """The terms add up to the cost, everything stays in the EU, and rejections carry reasons."""
    decision = _decide(service, project, QUESTION)
    terms = sum(vocabulary.amount_of(term.amount) for term in decision.chosen.terms)
    assert terms == vocabulary.amount_of(decision.chosen.expected_cost) > 0
    assert {count.reason for count in decision.rejected_regions} >= {"RESIDENCY"}
    shown = _ask(service, project, QUESTION)
    assert shown.code == 0
    assert decision.chosen.offer.region in shown.out
    assert max(len(line) for line in shown.out.splitlines()) <= 100


def test_a_decision_is_reproduced_byte_for_byte(service: RunningService, project: str) -> None:
    """Replay says identical, and so does its exit code, after the world has moved on."""
    decision = _decide(service, project, QUESTION)
    assert _ask(service, project, f"outcome report {decision.name} --no-capacity").code == 0
    ran = _ask(service, project, f"explain {decision.name} --replay")
    assert (ran.code, ran.out.partition(":")[0]) == (0, "identical")
    assert _ask(service, project, f"decision get {decision.name}").code == 0


def test_an_outcome_changes_the_next_decision(service: RunningService, project: str) -> None:
    """An offer without capacity in its zone is not chosen again at once, and is once there is capacity."""
    first = _decide(service, project, QUESTION)
    assert _ask(service, project, f"outcome report {first.name} --no-capacity").code == 0
    second = _decide(service, project, QUESTION)
    assert second.chosen.offer != first.chosen.offer
    assert _ask(service, project, f"outcome report {first.name} --got-capacity").code == 0
    assert _decide(service, project, QUESTION).chosen.offer == first.chosen.offer


def test_failures_have_their_exit_codes(service: RunningService, project: str) -> None:
    """Infeasible is 3, a wrong name 2 with the nearest, a missing decision 6."""
    infeasible = _ask(service, project, "place --gpu V100 --hours 8 --spot --residency IS")
    assert infeasible.code == 3
    wrong = _ask(service, project, "place --gpu V1000 --hours 8")
    assert wrong.code == 2
    assert "workload.size.gpus[0].model" in wrong.err
    assert "V100" in wrong.err
    assert _ask(service, project, "decision get 01hqz3w8x9y0abcdefghjkmnpq").code == 6


def test_a_batch_keeps_its_order(service: RunningService, project: str) -> None:
    """A good item, a bad one, a good one: as many lines, in that order."""
    items = [{"model": "V100"}, {"model": "V1000"}, {"model": "T4"}]
    lines = "".join(json.dumps({"workload": {"size": {"gpus": [item]}, "duration": "3600s"}}) + "\n" for item in items)
    ran = _ask(service, project, "batch --json", stdin=lines)
    assert ran.code == 1
    results = [Parse(line, BatchPlaceResult()).WhichOneof("result") for line in ran.out.splitlines()]
    assert results == ["decision", "error", "decision"]


def test_a_policy_lives_from_file_to_deletion(service: RunningService, project: str, tmp_path: Path) -> None:
    """It is created, seen in force, guarded by its etag, and gone after its deletion."""
    path = tmp_path / "policy.yaml"
    path.write_text("rules:\n  residency: {countries: [SE]}\n")
    assert _ask(service, project, f"policy create swedish {path}").code == 0
    assert "policies/swedish" in _ask(service, project, "policy effective --vcpus 4 --hours 1").out
    placed = _decide(service, project, "place --vcpus 4 --hours 1")
    assert placed.chosen.offer.region in {"eu-north-1", "europe-north2", "swedencentral", "swedensouth"}
    assert _ask(service, project, f"policy create swedish {path}").code == 7
    assert _ask(service, project, f"policy update swedish {path} --etag stale").code == 7
    path.write_text("condition: siez(request.tags) > 0\nrules: {max_expected_interruptions: 1}\n")
    refused = _ask(service, project, f"policy update swedish {path}")
    assert refused.code == 2
    assert "siez" in refused.err
    assert _ask(service, project, "policy delete swedish").code == 0
    assert _ask(service, project, "policy get swedish").code == 6


def test_owned_room_is_reserved_and_given_back(service: RunningService, project: str, tmp_path: Path) -> None:
    """An owned commitment is the place that costs nothing more; the room it takes shows, and returns."""
    path = tmp_path / "commitment.yaml"
    path.write_text(
        "kind: KIND_AWS_RESERVED_INSTANCE_STANDARD\ncloud: CLOUD_AWS\nregion: eu-west-1\ninstance_type: p3.2xlarge\n"
        "instances: 2\nstart_time: 2026-01-01T00:00:00Z\nend_time: 2090-01-01T00:00:00Z\n"
    )
    assert _ask(service, project, f"commitment create {path} --id ri-7").code == 0
    decision = _decide(service, project, "place --gpu V100 --hours 8 --on-demand --owned --reserve")
    assert decision.reserved
    assert list(decision.chosen.commitments) == [f"projects/{project}/commitments/ri-7"]
    assert "50%" in _ask(service, project, "commitment list").out
    assert _ask(service, project, f"decision release {decision.name}").code == 0
    assert "100%" in _ask(service, project, "commitment list").out
    assert "ended" in _ask(service, project, "commitment end ri-7").out


def test_the_catalogue_can_be_looked_at(service: RunningService, project: str) -> None:
    """The version in force, its offers by filter and by page, and a filter that is wrong."""
    version = json.loads(_ask(service, project, "catalog show --json").out)["name"]
    assert version in {
        json.loads(line)["name"] for line in _ask(service, project, "catalog versions --json").out.splitlines()
    }
    ran = _ask(service, project, "catalog offers --filter 'cloud = \"aws\" AND vcpus >= 8' --limit 1500 --json")
    offers = [json.loads(line) for line in ran.out.splitlines()]
    assert len(offers) == 1500
    assert {offer["offer"]["cloud"] for offer in offers} == {"CLOUD_AWS"}
    assert len({json.dumps(offer["offer"], sort_keys=True) for offer in offers}) == 1500
    assert _ask(service, project, "catalog offers --filter 'oops = 3'").code == 2


def test_doctor_finds_a_running_service_well(service: RunningService, project: str) -> None:
    """Nothing has failed."""
    ran = _ask(service, project, "doctor --json")
    assert ran.code == 0
    assert "failed" not in {json.loads(line)["state"] for line in ran.out.splitlines()}


def test_a_program_of_five_lines_decides(service: RunningService, project: str) -> None:
    """The client's own words: decide, report, read back, and errors as exceptions with the field at fault."""
    with trimtab.Client(service.target, project=project) as client:
        decision = client.place(trimtab.workload(gpu="V100", hours=8, purchase=["spot"], residency=["EU"]))
        offer = decision.chosen.offer
        pattern = OfferPattern(
            cloud=offer.cloud,
            region=offer.region,
            instance_type=offer.instance_type,
            purchase_option=offer.purchase_option,
        )
        assert client.placement.report_outcome([Outcome(offer=pattern, hours_run=8)], decision=decision.name) > 0
        assert next(client.placement.list_decisions()).name == decision.name
        with pytest.raises(errors.InvalidArgumentError) as caught:
            client.place(trimtab.workload(gpu="V1000", hours=8))
    assert caught.value.reason == "UNKNOWN_VALUE"
    assert [violation.field for violation in caught.value.violations] == ["workload.size.gpus[0].model"]


def test_the_demo_ends_as_it_should() -> None:
    """Every command of the tour, in processes of their own, has the exit code that it promises."""
    shown: list[str] = []
    assert demo.main(shown.append) == 0, "".join(shown)
