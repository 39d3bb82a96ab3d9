"""The groups of the CLI: what each command sends, and that its answer is shown."""

import json
import shlex
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import Parse, ParseDict
from google.protobuf.message import Message

from tests.support.canned_server import CannedServer
from tests.support.command_line import run
from tests.support.decisions import placed
from trimtab.cli import extensions
from trimtab.v1 import catalog_service_pb2, commitment_service_pb2, placement_service_pb2, policy_service_pb2, types_pb2

POLICY = ParseDict(
    {
        "name": "projects/default/policies/eu-only",
        "etag": "e1",
        "revision": 4,
        "condition": "gpu_count > 0",
        "rules": {"residency": {"blocs": ["EU"]}, "maxCost": {"currencyCode": "USD", "units": 500}},
    },
    policy_service_pb2.Policy(),
)
COMMITMENT = ParseDict(
    {
        "name": "projects/default/commitments/ri-7",
        "kind": "KIND_AWS_RESERVED_INSTANCE_STANDARD",
        "cloud": "CLOUD_AWS",
        "region": "eu-west-1",
        "instanceType": "p3.2xlarge",
        "instances": 4,
        "inUseFraction": 0.25,
        "startTime": "2026-01-01T00:00:00Z",
        "endTime": "2027-01-01T00:00:00Z",
    },
    commitment_service_pb2.Commitment(),
)
CATALOG = ParseDict(
    {
        "name": "catalogs/abc",
        "current": True,
        "priceRows": 305845,
        "newestPriceAge": "86400s",
        "bases": [{"basis": "PRICE_BASIS_LIST", "rows": 300000, "oldestDays": 40, "newestDays": 1}],
        "quarantined": [{"reason": "NEGATIVE_PRICE", "rows": 3, "examples": ["prices.csv:7: -1"]}],
        "lastRefreshFailure": "prices.csv is cut off",
    },
    catalog_service_pb2.Catalog(),
)
OFFERS = ParseDict(
    {
        "offers": [
            {
                "offer": {
                    "cloud": "CLOUD_AWS",
                    "region": "eu-west-1",
                    "instanceType": "p3.2xlarge",
                    "purchaseOption": "PURCHASE_OPTION_ON_DEMAND",
                    "pricePerHour": {"currencyCode": "USD", "units": 3, "nanos": 305000000},
                    "priceBasis": "PRICE_BASIS_LIST",
                },
                "vcpus": 8,
                "memoryGib": 61,
                "gpuModel": "V100",
                "gpuCount": 1,
            }
        ]
    },
    catalog_service_pb2.ListOffersResponse(),
)
EFFECTIVE = policy_service_pb2.EffectivePolicy(
    rules=[policy_service_pb2.EffectiveRule(field="residency.blocs", value="EU", source="policies/base")],
    not_applicable=["policies/night"],
)
DRY_RUN = ParseDict(
    {
        "decisions": 9,
        "unchanged": 8,
        "changes": [{"decision": "projects/default/decisions/d1", "reasons": ["RESIDENCY"]}],
        "costDifference": {"currencyCode": "USD", "units": 3},
    },
    policy_service_pb2.DryRunPolicyResponse(),
)
LISTED = {
    "ListDecisions": placement_service_pb2.ListDecisionsResponse(decisions=[placed()]),
    "ListCatalogs": catalog_service_pb2.ListCatalogsResponse(catalogs=[CATALOG]),
    "ListPolicies": policy_service_pb2.ListPoliciesResponse(policies=[POLICY]),
    "ListCommitments": commitment_service_pb2.ListCommitmentsResponse(commitments=[COMMITMENT]),
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy and commitments in the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("policy.yaml").write_text("condition: gpu_count > 0\nrules:\n  residency: {blocs: [EU]}\n")
    commitment = {"name": "ri-7", "kind": "KIND_AWS_RESERVED_INSTANCE_STANDARD", "cloud": "CLOUD_AWS", "instances": 4}
    Path("one.json").write_text(json.dumps(commitment))
    Path("lines.jsonl").write_text(json.dumps(commitment) + "\n" + json.dumps(commitment | {"name": "ri-8"}) + "\n")
    Path("wrapped.yaml").write_text("commitments:\n- name: ri-7\n- name: ri-8\n")


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("line", "method", "reply", "sent", "shown"),
    [
        (
            "decision list --filter 'cloud = \"aws\"'",
            "ListDecisions",
            LISTED["ListDecisions"],
            {"parent": "projects/default", "filter": 'cloud = "aws"'},
            "01hqz3w8x9y0abcdefghjkmnpq",
        ),
        ("decision get 01hq", "GetDecision", placed(), {"name": "projects/default/decisions/01hq"}, "$8.1437"),
        (
            "decision get projects/p/decisions/d",
            "GetDecision",
            placed(),
            {"name": "projects/p/decisions/d"},
            "eu-west-1b",
        ),
        ("decision release 01hq", "ReleaseDecision", placed(), {"name": "projects/default/decisions/01hq"}, "released"),
        (
            "outcome report aws:eu-west-1:p3.2xlarge:spot --no-capacity --zone eu-west-1b",
            "ReportOutcome",
            placement_service_pb2.ReportOutcomeResponse(learned_revision=7),
            {"parent": "projects/default"},
            "learned revision 7",
        ),
        ("catalog show", "GetCatalog", CATALOG, {"name": "catalogs/current"}, "prices.csv is cut off"),
        ("catalog show abc", "GetCatalog", CATALOG, {"name": "catalogs/abc"}, "NEGATIVE_PRICE"),
        ("catalog versions", "ListCatalogs", LISTED["ListCatalogs"], {"filter": ""}, "in force"),
        (
            "catalog offers --filter 'vcpus > 4'",
            "ListOffers",
            OFFERS,
            {"parent": "catalogs/current", "filter": "vcpus > 4"},
            "$3.3050/h",
        ),
        ("catalog refresh", "RefreshCatalog", CATALOG, {}, "305,845"),
        ("policy list", "ListPolicies", LISTED["ListPolicies"], {"parent": "projects/default"}, "eu-only"),
        ("policy list --level deployment", "ListPolicies", LISTED["ListPolicies"], {"parent": ""}, "gpu_count > 0"),
        (
            "policy list --level train-7",
            "ListPolicies",
            LISTED["ListPolicies"],
            {"parent": "projects/default/workloads/train-7"},
            "eu-only",
        ),
        ("policy get eu-only", "GetPolicy", POLICY, {"name": "projects/default/policies/eu-only"}, "blocs: EU"),
        (
            "policy create eu-only policy.yaml",
            "CreatePolicy",
            POLICY,
            {"parent": "projects/default", "policy_id": "eu-only"},
            "revision",
        ),
        ("policy update eu-only policy.yaml --etag e1", "UpdatePolicy", POLICY, {}, "max_cost"),
        (
            "policy delete policies/base --etag e1",
            "DeletePolicy",
            Empty(),
            {"name": "policies/base", "etag": "e1"},
            "deleted policies/base",
        ),
        (
            "policy effective --gpu V100 --hours 8",
            "GetEffectivePolicy",
            EFFECTIVE,
            {"parent": "projects/default"},
            "policies/night",
        ),
        (
            "policy dry-run policy.yaml --as eu-only --decisions 9",
            "DryRunPolicy",
            DRY_RUN,
            {"max_decisions": 9},
            "9 decisions made anew: 8 the same, 1 different, $3.0000 in cost",
        ),
        (
            "commitment list --filter 'cloud = \"aws\"'",
            "ListCommitments",
            LISTED["ListCommitments"],
            {"filter": 'cloud = "aws"'},
            "75%",
        ),
        (
            "commitment get ri-7",
            "GetCommitment",
            COMMITMENT,
            {"name": "projects/default/commitments/ri-7"},
            "4 instances",
        ),
        (
            "commitment create one.json --id ri-7",
            "CreateCommitment",
            COMMITMENT,
            {"commitment_id": "ri-7"},
            "aws-reserved-instance-standard",
        ),
        (
            "commitment import lines.jsonl",
            "ImportCommitments",
            commitment_service_pb2.ImportCommitmentsResponse(commitments=[COMMITMENT]),
            {"validate_only": False},
            "imported 2 commitments",
        ),
        (
            "commitment import wrapped.yaml --check",
            "ImportCommitments",
            commitment_service_pb2.ImportCommitmentsResponse(),
            {"validate_only": True},
            "checked 2 commitments",
        ),
        (
            "commitment end ri-7 --etag e1",
            "EndCommitment",
            COMMITMENT,
            {"name": "projects/default/commitments/ri-7", "etag": "e1"},
            "ri-7",
        ),
    ],
)
def test_each_command_makes_its_call_and_shows_the_answer(
    server: CannedServer, line: str, method: str, reply: Message, sent: dict[str, object], shown: str
) -> None:
    """Names are completed with the project, the answer is a table, the exit code is 0."""
    server.answer(method, reply)
    ran = run(*shlex.split(line), "--target", server.target)
    assert ran.code == 0, ran.err
    assert shown in ran.out
    assert max(len(row) for row in ran.out.splitlines()) <= 100
    request = server.seen(method)[0].request
    assert {field: getattr(request, field) for field in sent} == sent
    if "request_id" in request.DESCRIPTOR.fields_by_name:
        assert request.request_id


@pytest.mark.parametrize(
    ("line", "method", "kind"),
    [
        ("decision list", "ListDecisions", placement_service_pb2.Decision),
        ("catalog versions", "ListCatalogs", catalog_service_pb2.Catalog),
        ("policy list", "ListPolicies", policy_service_pb2.Policy),
        ("commitment list", "ListCommitments", commitment_service_pb2.Commitment),
    ],
)
def test_lists_are_json_lines(server: CannedServer, line: str, method: str, kind: type[Message]) -> None:
    """One object a line, each the message itself, so that a long list can be read as it comes."""
    server.answer(method, LISTED[method])
    ran = run(*line.split(), "--json", "--target", server.target)
    (only,) = [Parse(row, kind()) for row in ran.out.splitlines()]
    assert only in {"ListDecisions": [placed()]}.get(method, [CATALOG, POLICY, COMMITMENT])


def test_a_list_asks_for_no_more_than_its_limit(server: CannedServer) -> None:
    """The first page already has the size that is shown."""
    page = catalog_service_pb2.ListOffersResponse(next_page_token="more")
    page.offers.extend([OFFERS.offers[0]] * 5)
    server.answer("ListOffers", page)
    ran = run("catalog", "offers", "--limit", "5", "--json", "--target", server.target)
    assert len(ran.out.splitlines()) == 5
    assert [call.request.page_size for call in server.calls] == [5]


def test_an_empty_list_says_so(server: CannedServer) -> None:
    """Nothing is said in words to people, and as no lines to programs."""
    server.answer("ListPolicies", policy_service_pb2.ListPoliciesResponse())
    assert run("policy", "list", "--target", server.target).out == "no policies\n"
    assert run("policy", "list", "--json", "--target", server.target).out == ""


def test_an_outcome_may_name_its_decision(server: CannedServer) -> None:
    """The id of a decision stands for the offer that it chose."""
    server.answer("GetDecision", placed())
    server.answer("ReportOutcome", placement_service_pb2.ReportOutcomeResponse())
    ran = run("outcome", "report", "01hq", "--interruptions", "2", "--hours-run", "7.5", "--target", server.target)
    assert ran.code == 0
    request = server.seen("ReportOutcome")[0].request
    assert request.decision == placed().name
    (outcome,) = request.outcomes
    assert (outcome.offer.region, outcome.offer.instance_type) == ("eu-west-1", "p3.2xlarge")
    assert outcome.offer.purchase_option == types_pb2.PURCHASE_OPTION_SPOT
    assert (outcome.interruptions, outcome.hours_run) == (2, 7.5)


def test_an_outcome_without_anything_is_refused(server: CannedServer) -> None:
    """A report that says nothing is a slip of the hand."""
    assert run("outcome", "report", "aws:eu-west-1:p3.2xlarge:spot", "--target", server.target).code == 2
    assert not server.calls


def test_a_policy_file_lands_in_the_request(server: CannedServer, tmp_path: Path) -> None:
    """The file's content goes under the name on the command line, with the etag given there."""
    path = tmp_path / "policy.yaml"
    path.write_text("etag: old\nrules: {max_expected_interruptions: 0.5}\n")
    server.answer("UpdatePolicy", POLICY)
    run("policy", "update", "eu-only", str(path), "--target", server.target)
    sent = server.calls[0].request.policy
    assert (sent.name, sent.etag, sent.rules.max_expected_interruptions) == (
        "projects/default/policies/eu-only",
        "old",
        0.5,
    )


def test_the_environment_says_where_and_who(server: CannedServer, tmp_path: Path) -> None:
    """Target, project and token need no flag."""
    token = tmp_path / "token"
    token.write_text("abc\n")
    server.answer("GetDecision", placed())
    environment = {"TRIMTAB_TARGET": server.target, "TRIMTAB_PROJECT": "vision", "TRIMTAB_TOKEN_FILE": str(token)}
    assert run("decision", "get", "d1", environment=environment).code == 0
    assert server.calls[0].request.name == "projects/vision/decisions/d1"
    assert server.calls[0].metadata["authorization"] == "Bearer abc"


def test_help_and_version_need_no_server() -> None:
    """Both are exit code 0; the help names every command."""
    assert run("--version").out.startswith("trimtab ")
    ran = run("--help")
    assert ran.code == 0
    for name in (
        "place",
        "batch",
        "explain",
        "outcome",
        "decision",
        "catalog",
        "policy",
        "commitment",
        "doctor",
        "serve",
    ):
        assert name in ran.out
    assert run("place", "--help").code == 0


def test_an_extension_is_loaded_when_it_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    """Its flags are its own, its exit code is that of the command; another command does not load it."""
    app = typer.Typer()
    here = EntryPoint(name="greet", value="tests.unit.client.test_cli_commands:greet", group=extensions.GROUP)
    broken = EntryPoint(name="broken", value="no.such.module:serve", group=extensions.GROUP)
    extensions.add_commands(app, [here, broken])
    with pytest.raises(SystemExit) as left:
        app(["greet", "--name", "Ada"])
    assert left.value.code == 9
    assert capsys.readouterr().out == "hello Ada\n"
    with pytest.raises(SystemExit) as left:
        app(["broken", "--any", "flag"])
    assert left.value.code == 1
    assert "pip install" in capsys.readouterr().err


def greet(name: str = typer.Option()) -> None:
    """An extension of these tests."""
    typer.echo(f"hello {name}")
    raise typer.Exit(9)
