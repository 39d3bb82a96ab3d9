"""Policies through a real server: kept as written, in force at once, and tried on past decisions before that."""

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from google.type.money_pb2 import Money
from grpc_status import rpc_status

from tests.support import oidc
from tests.support.service import RunningService, running_service
from trimtab.v1 import placement_service_pb2 as place
from trimtab.v1 import policy_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.domain.identity import Grant, Role
from trimtab_service.settings_values import GrantRule

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

EU = pb.Rules(residency=place.Residency(blocs=["EU"]))
CHEAP = pb.Rules(max_cost=Money(currency_code="USD", units=1))
NO_AWS = pb.Rules(residency=place.Residency(denied_clouds=[types_pb2.CLOUD_AWS]))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """One service on SQLite; each test has a project of its own."""
    with running_service(tmp_path_factory.mktemp("policies")) as started:
        yield started


@pytest.fixture
def project() -> str:
    """A project that no other test uses."""
    return f"projects/p{uuid.uuid4().hex[:12]}"


def workload(**fields: object) -> place.Workload:
    """Ten hours of something small."""
    small = place.Workload(
        workload_id="train", size=place.Size(vcpus=4, memory_gib=16), duration=Duration(seconds=36_000)
    )
    small.MergeFrom(place.Workload(**fields))  # type: ignore[arg-type] # fields of one message, by name
    return small


def placed(service: RunningService, project: str, **fields: object) -> place.Decision:
    """A decision."""
    return service.placement.Place(place.PlaceRequest(parent=project, workload=workload(**fields)))


def create(service: RunningService, parent: str, own: str, rules: pb.Rules, condition: str = "") -> pb.Policy:
    """A new policy."""
    policy = pb.Policy(rules=rules, condition=condition)
    return service.policy.CreatePolicy(pb.CreatePolicyRequest(parent=parent, policy_id=own, policy=policy))


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str, list[tuple[str, str]]]:
    """Status code, reason, and the fields at fault with their descriptions."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(refused.value).details:
        if not detail.Unpack(info):
            detail.Unpack(bad)
    code: grpc.StatusCode = refused.value.code()
    return code, info.reason, [(violation.field, violation.description) for violation in bad.field_violations]


def await_log(service: RunningService, project: str, decisions: int) -> None:
    """Until the log, which is written behind the answers, has so many decisions of the project."""
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if len(service.placement.ListDecisions(place.ListDecisionsRequest(parent=project)).decisions) == decisions:
            return
        time.sleep(0.02)
    pytest.fail("the decisions did not reach the log")


def test_a_policy_lives_as_the_contract_says(dsn: str, tmp_path: Path) -> None:
    """Created, read, listed, changed, deleted, on each database: what was written comes back, and etags move."""
    with running_service(tmp_path / "data", database_url=dsn) as service:
        written = pb.Policy(
            description="GPU work stays in the EU",
            condition="request.gpu_count > 0 // only GPUs",
            rules=pb.Rules(
                residency=place.Residency(countries=["DE", "AT"], blocs=["EU"]),
                purchase_options=[types_pb2.PURCHASE_OPTION_SPOT, types_pb2.PURCHASE_OPTION_ON_DEMAND],
                max_price_age=Duration(seconds=5_400, nanos=1),
                tolerance_fraction=0.0,
            ),
        )
        parent = "projects/vision/workloads/train"
        made = service.policy.CreatePolicy(pb.CreatePolicyRequest(parent=parent, policy_id="eu", policy=written))
        assert made.name == f"{parent}/policies/eu"
        assert (made.description, made.condition, made.rules) == (written.description, written.condition, written.rules)
        assert made.revision == 1
        assert made.create_time == made.update_time != Duration()
        assert service.policy.GetPolicy(pb.GetPolicyRequest(name=made.name)) == made

        made.disabled = True
        changed = service.policy.UpdatePolicy(pb.UpdatePolicyRequest(policy=made))
        assert (changed.revision, changed.disabled, changed.rules) == (2, True, written.rules)
        assert changed.etag != made.etag
        listed = service.policy.ListPolicies(pb.ListPoliciesRequest(parent=parent, filter="disabled = true"))
        assert list(listed.policies) == [changed]
        assert not service.policy.ListPolicies(pb.ListPoliciesRequest(parent="projects/vision")).policies

        service.policy.DeletePolicy(pb.DeletePolicyRequest(name=made.name, etag=changed.etag))
        code, reason, _ = refusal(lambda: service.policy.GetPolicy(pb.GetPolicyRequest(name=made.name)))
        assert (code, reason) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


def test_policies_outlive_the_process(tmp_path: Path) -> None:
    """A new process folds the journal and rules as the old one did."""
    with running_service(tmp_path) as service:
        create(service, "", "no-aws", NO_AWS)
        before = placed(service, "projects/vision")
    with running_service(tmp_path) as service:
        after = placed(service, "projects/vision")
        assert after.chosen.offer == before.chosen.offer
        assert after.revisions == before.revisions
        assert after.chosen.offer.cloud != types_pb2.CLOUD_AWS


def test_pages_of_a_level_go_on_where_they_ended(service: RunningService, project: str) -> None:
    """Every policy once, oldest first."""
    for own in ("c", "a", "b"):
        create(service, project, own, EU)
    names: list[str] = []
    token = ""
    while True:
        page = service.policy.ListPolicies(pb.ListPoliciesRequest(parent=project, page_size=2, page_token=token))
        names += [policy.name.rpartition("/")[2] for policy in page.policies]
        token = page.next_page_token
        if not token:
            break
    assert names == ["c", "a", "b"]


def test_a_change_of_what_was_changed_meanwhile_is_aborted(service: RunningService, project: str) -> None:
    """A stale etag loses, for updates and deletions."""
    first = create(service, project, "a", EU)
    service.policy.UpdatePolicy(pb.UpdatePolicyRequest(policy=pb.Policy(name=first.name, rules=CHEAP)))
    for call in (
        lambda: service.policy.UpdatePolicy(pb.UpdatePolicyRequest(policy=first)),
        lambda: service.policy.DeletePolicy(pb.DeletePolicyRequest(name=first.name, etag=first.etag)),
    ):
        assert refusal(call)[:2] == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert service.policy.GetPolicy(pb.GetPolicyRequest(name=first.name)).rules == CHEAP


def test_a_request_id_is_taken_once(service: RunningService, project: str) -> None:
    """The same request again is the first answer; another body under the id is refused."""
    request = pb.CreatePolicyRequest(
        parent=project, policy_id="a", policy=pb.Policy(rules=EU), request_id=str(uuid.uuid4())
    )
    first = service.policy.CreatePolicy(request)
    assert service.policy.CreatePolicy(request) == first
    request.policy.rules.CopyFrom(CHEAP)
    assert refusal(lambda: service.policy.CreatePolicy(request))[1] == "REQUEST_ID_REUSED"
    del_request = pb.DeletePolicyRequest(name=first.name, request_id=str(uuid.uuid4()))
    service.policy.DeletePolicy(del_request)
    service.policy.DeletePolicy(del_request)
    assert refusal(lambda: create(service, project, "B", EU))[0] is grpc.StatusCode.INVALID_ARGUMENT
    create(service, project, "b", EU)
    assert refusal(lambda: create(service, project, "b", EU))[:2] == (
        grpc.StatusCode.ALREADY_EXISTS,
        "ALREADY_EXISTS",
    )


def test_every_fault_of_a_policy_is_named_at_once(service: RunningService, project: str) -> None:
    """The condition with its position, the rules with their fields; nothing is stored."""
    rules = pb.Rules(residency=place.Residency(countries=["Germania"]), tolerance_fraction=2.0)
    code, _, faults = refusal(lambda: create(service, project, "a", rules, "true &&\n request.vcpu > 1.0"))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [field for field, _ in faults] == [
        "policy.condition",
        "policy.rules.residency.countries[0]",
        "policy.rules.tolerance_fraction",
    ]
    assert faults[0][1].startswith("2:9: undeclared reference to 'request.vcpu'; did you mean request.vcpus")
    assert refusal(lambda: create(service, project, "a", pb.Rules()))[2][0][0] == "policy.rules"
    assert not service.policy.ListPolicies(pb.ListPoliciesRequest(parent=project)).policies


def test_a_policy_rules_the_next_decision(service: RunningService, project: str) -> None:
    """Created, changed and deleted: in force when the answer is there, for its own project only."""
    free = placed(service, project)
    policy = create(service, project, "a", NO_AWS if free.chosen.offer.cloud == types_pb2.CLOUD_AWS else EU)
    ruled = placed(service, project)
    assert ruled.chosen.offer != free.chosen.offer
    assert ruled.revisions.policy_revision > free.revisions.policy_revision
    assert placed(service, f"{project}x").chosen.offer == free.chosen.offer

    service.policy.UpdatePolicy(
        pb.UpdatePolicyRequest(policy=pb.Policy(name=policy.name, rules=CHEAP, condition="false"))
    )
    assert placed(service, project).chosen.offer == free.chosen.offer
    service.policy.UpdatePolicy(
        pb.UpdatePolicyRequest(
            policy=pb.Policy(name=policy.name, rules=pb.Rules(max_cost=Money(currency_code="USD", nanos=1_000)))
        )
    )
    assert placed(service, project).verdict == place.Decision.VERDICT_INFEASIBLE
    service.policy.DeletePolicy(pb.DeletePolicyRequest(name=policy.name))
    assert placed(service, project).chosen.offer == free.chosen.offer


def test_a_decision_is_replayed_under_the_policies_it_had(service: RunningService, project: str) -> None:
    """Byte for byte, though the policy was deleted since."""
    policy = create(service, project, "a", EU, '"env" in request.tags')
    decision = placed(service, project, tags={"env": "prod"})
    service.policy.DeletePolicy(pb.DeletePolicyRequest(name=policy.name))
    again = service.placement.ExplainPlacement(place.ExplainPlacementRequest(parent=project, decision=decision.name))
    assert again.replay_identical
    assert again.decision.chosen.offer == decision.chosen.offer


def test_required_tags_and_approvals_hold(service: RunningService, project: str) -> None:
    """A request without the tag is refused by name; a costly one says whose approval it needs."""
    create(service, project, "tags", pb.Rules(required_tags=["team"]))
    policy = create(service, project, "approval", pb.Rules(approval_threshold=Money(currency_code="USD", nanos=1_000)))
    code, reason, faults = refusal(lambda: placed(service, project))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "POLICY_VIOLATED")
    assert faults[0][0] == "workload.tags"
    assert "team" in faults[0][1]
    assert placed(service, project, tags={"team": "ml"}).approval_required_by == policy.name


def test_the_effective_policy_shows_every_value_with_its_source(service: RunningService, project: str) -> None:
    """Policies of both levels, the request's own words, defaults, and who does not speak."""
    create(service, project, "a", pb.Rules(tolerance_fraction=0.1, minimum_gain_fraction=0.2))
    create(service, f"{project}/workloads/train", "b", pb.Rules(tolerance_fraction=0.3))
    create(service, project, "c", CHEAP, "request.is_service")
    create(service, project, "d", EU, 'request.tags["env"] == "prod"')

    def shown(**fields: object) -> pb.EffectivePolicy:
        asked = pb.GetEffectivePolicyRequest(parent=project, workload=workload(**fields))
        return service.policy.GetEffectivePolicy(asked)

    plain = shown(tags={"env": "dev"})
    sources = {rule.field: (rule.value, rule.source) for rule in plain.rules}
    assert sources["tolerance_fraction"] == ("0.3", f"{project}/workloads/train/policies/b")
    assert sources["minimum_gain_fraction"] == ("0.2", f"{project}/policies/a")
    assert sources["purchase_options"][1] == "default"
    assert list(plain.not_applicable) == [f"{project}/policies/c", f"{project}/policies/d"]
    assert plain.policy_revision == placed(service, project, tags={"env": "dev"}).revisions.policy_revision

    own = shown(tolerance_fraction=0.5, purchase_options=[types_pb2.PURCHASE_OPTION_SPOT])
    sources = {rule.field: (rule.value, rule.source) for rule in own.rules}
    assert sources["tolerance_fraction"] == ("0.5", "request")
    assert sources["purchase_options"] == ("spot", "request")
    assert sources["residency.countries"][1].startswith(f"{project}/policies/d (its condition could not be evaluated")


def test_a_dry_run_says_what_would_change_and_changes_nothing(service: RunningService, project: str) -> None:
    """The place then and under the policy, why, and what it would cost; the log and the policies stay as they are."""
    create(service, project, "tags", pb.Rules(required_tags=["team"]))
    first = placed(service, project, tags={"team": "ml"})
    second = placed(service, project, tags={"team": "ml"}, purchase_options=[types_pb2.PURCHASE_OPTION_SPOT])
    await_log(service, project, 2)

    def tried(own: str, rules: pb.Rules, condition: str = "", most: int = 0) -> pb.DryRunPolicyResponse:
        policy = pb.Policy(name=f"{project}/policies/{own}", rules=rules, condition=condition)
        asked = pb.DryRunPolicyRequest(parent=project, policy=policy, max_decisions=most)
        return service.policy.DryRunPolicy(asked)

    same = tried("new", NO_AWS, "false")
    assert (same.decisions, same.unchanged, len(same.changes)) == (2, 2, 0)

    on_demand = pb.Rules(purchase_options=[types_pb2.PURCHASE_OPTION_ON_DEMAND])
    moved = tried("new", on_demand)
    assert (moved.decisions, moved.unchanged) == (2, 1)
    (change,) = moved.changes
    assert change.decision == second.name
    assert change.before.offer == second.chosen.offer
    assert not change.HasField("after")
    assert list(change.reasons) == ["PURCHASE_OPTION_NOT_ALLOWED"]
    assert moved.cost_difference.units == moved.cost_difference.nanos == 0

    elsewhere = tried("new", EU)
    by_name = {change.decision: change for change in elsewhere.changes}
    assert list(by_name[first.name].reasons) == ["RESIDENCY"]
    assert by_name[first.name].before.offer == first.chosen.offer
    assert by_name[first.name].after.offer.region != first.chosen.offer.region
    costs = [
        (change.after.expected_cost.units - change.before.expected_cost.units) * 10**9
        + (change.after.expected_cost.nanos - change.before.expected_cost.nanos)
        for change in elsewhere.changes
    ]
    assert sum(costs) > 0
    assert elsewhere.cost_difference.units * 10**9 + elsewhere.cost_difference.nanos == sum(costs)

    refused = tried("tags", pb.Rules(required_tags=["cost-centre"]), most=1)
    assert refused.decisions == 1
    assert list(refused.changes[0].reasons) == ["POLICY"]
    assert not refused.changes[0].HasField("after")

    assert placed(service, project, tags={"team": "ml"}).chosen.offer == first.chosen.offer
    await_log(service, project, 3)


def test_a_dry_run_of_another_projects_policy_is_refused(service: RunningService, project: str) -> None:
    """The level must be the deployment's or the project's own."""
    policy = pb.Policy(name=f"{project}x/policies/a", rules=EU)
    code, _, faults = refusal(
        lambda: service.policy.DryRunPolicy(pb.DryRunPolicyRequest(parent=project, policy=policy))
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert faults[0][0] == "policy.name"


def test_a_dry_run_stops_when_the_caller_stops_waiting(service: RunningService, project: str) -> None:
    """The deadline ends it; it does not run on for nobody."""
    for _ in range(40):
        placed(service, project)
    await_log(service, project, 40)
    policy = pb.Policy(name="policies/a", rules=EU)
    request = pb.DryRunPolicyRequest(parent=project, policy=policy)
    with pytest.raises(grpc.RpcError) as refused:
        service.policy.DryRunPolicy(request, timeout=0.005)
    assert refused.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.policy.DryRunPolicy(request).decisions == 40


def test_roles_and_projects_bound_who_may_rule(tmp_path: Path) -> None:
    """A viewer may look, an operator of a project may rule it, and only the deployment's operator may rule all."""
    issuer = oidc.Issuer()
    grants = tuple(
        GrantRule("claim", "groups", name, Grant(where, frozenset({role})))
        for name, where, role in (
            ("viewer", "vision", Role.VIEWER),
            ("operator", "vision", Role.OPERATOR),
            ("all", "*", Role.OPERATOR),
        )
    )
    with running_service(
        tmp_path / "data",
        oidc_issuer=oidc.ISSUER,
        oidc_audience=oidc.AUDIENCE,
        oidc_jwks=str(issuer.write(tmp_path)),
        grants=grants,
    ) as service:

        def code(group: str, method: "grpc.UnaryUnaryMultiCallable[Asked, Answered]", request: Asked) -> str:
            token = issuer.token(groups=[group], nbf=None)
            try:
                method(request, metadata=(("authorization", f"Bearer {token}"),))
            except grpc.RpcError as error:
                status: grpc.StatusCode = error.code()
                return status.name
            return "OK"

        def creating(parent: str) -> pb.CreatePolicyRequest:
            return pb.CreatePolicyRequest(parent=parent, policy_id="a", policy=pb.Policy(rules=EU))

        policies = service.policy
        assert code("viewer", policies.CreatePolicy, creating("projects/vision")) == "PERMISSION_DENIED"
        assert code("operator", policies.CreatePolicy, creating("projects/speech")) == "PERMISSION_DENIED"
        assert code("operator", policies.CreatePolicy, creating("")) == "PERMISSION_DENIED"
        assert code("operator", policies.CreatePolicy, creating("projects/vision/workloads/w")) == "OK"
        assert code("all", policies.CreatePolicy, creating("")) == "OK"
        assert code("viewer", policies.GetPolicy, pb.GetPolicyRequest(name="policies/a")) == "OK"
        assert code("viewer", policies.GetPolicy, pb.GetPolicyRequest(name="projects/vision/policies/a")) == "NOT_FOUND"
        assert (
            code("viewer", policies.GetPolicy, pb.GetPolicyRequest(name="projects/speech/policies/a"))
            == "PERMISSION_DENIED"
        )
        foreign = pb.Policy(name="projects/speech/policies/a", rules=EU)
        dry_run = pb.DryRunPolicyRequest(parent="projects/vision", policy=foreign)
        assert code("operator", policies.DryRunPolicy, dry_run) == "PERMISSION_DENIED"
