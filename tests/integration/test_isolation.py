# ruff: noqa: ANN401 - messages of every method
"""Who may ask what of the real service, and that one project neither sees nor moves another."""

import copy
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest

from tests.support import oidc
from tests.support import whole_requests as whole
from tests.support.catalog_sources import good_source
from tests.support.contract import (
    CATALOG,
    COMMITMENT,
    METHODS,
    PLACEMENT,
    POLICY,
    Refusal,
    answered,
    call,
    refused,
)
from tests.support.service import RunningService, running_service
from tests.support.spots import spots
from tests.support.whole_requests import place_request
from tests.support.whole_values import UUID
from trimtab.v1 import catalog_service_pb2, commitment_service_pb2, policy_service_pb2
from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.identity import Role
from trimtab_service.rpc.access import ACCESS, Scope

UNAUTHENTICATED: Final = grpc.StatusCode.UNAUTHENTICATED
DENIED: Final = grpc.StatusCode.PERMISSION_DENIED
NAMED: Final = [path for path, access in ACCESS.items() if access.field]


@dataclass(frozen=True, slots=True)
class House:
    """A service with OIDC, and tokens for it."""

    service: RunningService
    issuer: oidc.Issuer

    def token(self, *grants: str, **claims: Any) -> str:
        """A token with roles `project:role`."""
        now = time.time()
        times = {"exp": now + 3_600, "nbf": now - 10}
        return self.issuer.token(roles=list(grants), **{**times, "sub": "-".join(grants) or "nobody", **claims})

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the service."""
        return self.service.channel


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for the module; every test has projects of its own."""
    root = tmp_path_factory.mktemp("isolation")
    issuer = oidc.Issuer()
    with running_service(
        root / "data",
        catalog_dir=good_source().write(root / "catalog"),
        oidc_issuer=oidc.ISSUER,
        oidc_audience=oidc.AUDIENCE,
        oidc_jwks=str(issuer.write(root)),
        oidc_roles_claim="roles",
    ) as service:
        yield House(service, issuer)


@pytest.fixture
def ours() -> str:
    """A project that no other test uses."""
    return f"ours{uuid.uuid4().hex[:12]}"


@pytest.fixture
def theirs() -> str:
    """Another."""
    return f"theirs{uuid.uuid4().hex[:12]}"


def request_for(path: str, project: str) -> Any:
    """A right request of a method on a project."""
    return copy.deepcopy(whole.whole_requests(project)[path][0])


@pytest.mark.parametrize("path", METHODS)
def test_no_rpc_answers_without_a_good_token(house: House, ours: str, path: str) -> None:
    """None, expired, of another issuer, for another audience, not yet valid, and garbage."""
    request = request_for(path, ours)
    good = ("*:admin",)
    now = time.time()
    stranger = oidc.Issuer().token(roles=list(good), exp=now + 3_600, nbf=now - 10)
    bad = (
        "",
        house.token(*good, exp=now - 3_600),
        house.token(*good, nbf=now + 3_600),
        house.token(*good, iss="https://other.example"),
        house.token(*good, aud="other"),
        house.token(*good)[:-4] + "AAAA",
        "garbage",
        stranger,
    )
    for token in bad:
        answer = refused(house.channel, path, request, token)
        assert (answer.code, answer.reason) == (UNAUTHENTICATED, "UNAUTHENTICATED")


@pytest.mark.parametrize("path", METHODS)
def test_rpc_needs_its_role(house: House, ours: str, path: str) -> None:
    """Each role that does not carry the method's is refused, and each that does is let in; none needs two."""
    access = ACCESS[path]
    where = "*" if access.scope is Scope.DEPLOYMENT else ours
    for role in Role:
        answer = call(house.channel, path, request_for(path, ours), house.token(f"{where}:{role.value}"))
        let_in = not (isinstance(answer, Refusal) and answer.code in {DENIED, UNAUTHENTICATED})
        assert let_in is (access.role in role.includes), (role, answer)


@pytest.mark.parametrize("path", METHODS)
def test_token_without_a_role_opens_nothing(house: House, ours: str, path: str) -> None:
    """Being known is no right."""
    assert refused(house.channel, path, request_for(path, ours), house.token()).code is DENIED


@pytest.mark.parametrize("path", NAMED)
def test_administrator_of_one_project_is_refused_in_another(house: House, ours: str, theirs: str, path: str) -> None:
    """Whether what is named exists or not, in the same words."""
    mine = house.token(f"{ours}:admin")
    requests = [copy.deepcopy(request) for request in whole.whole_requests(theirs)[path]]
    for request in requests:
        answer = refused(house.channel, path, request, mine)
        assert (answer.code, answer.reason, answer.metadata["project"]) == (DENIED, "PERMISSION_DENIED", theirs)


@pytest.mark.parametrize("path", NAMED)
def test_every_name_within_a_request_counts(house: House, ours: str, theirs: str, path: str) -> None:
    """A request on one's own project that names another's resource anywhere is refused."""
    mine = house.token(f"{ours}:admin")
    for right in whole.whole_requests(ours)[path]:
        request = copy.deepcopy(right)
        named = [
            spot
            for spot in spots(request)
            if isinstance(spot.value, str) and spot.value.startswith(f"projects/{ours}") and spot.path != "filter"
        ]
        assert named
        for spot in named:
            own = spot.value
            spot.put(own.replace(ours, theirs))
            assert refused(house.channel, path, request, mine).code is DENIED, spot.path
            spot.put(own)


@pytest.mark.parametrize("path", NAMED)
@pytest.mark.parametrize("project", ["-", "*"])
def test_wildcards_are_no_projects(house: House, ours: str, path: str, project: str) -> None:
    """They need the role everywhere, and even then no resource has such a name."""
    request = request_for(path, ours)
    for spot in spots(request):
        if isinstance(spot.value, str) and spot.value.startswith(f"projects/{ours}"):
            spot.put(spot.value.replace(ours, project))
    assert refused(house.channel, path, request, house.token(f"{ours}:admin")).code is DENIED
    assert refused(house.channel, path, request, house.token("*:admin")).code is grpc.StatusCode.INVALID_ARGUMENT


def test_what_holds_for_all_needs_the_role_everywhere(house: House, ours: str) -> None:
    """The deployment's policies and the catalogue are changed deployment-wide only, and read by everyone."""
    policy = whole.whole_policy(ours, f"p{uuid.uuid4().hex[:8]}")
    policy.parent = ""
    policy.policy.disabled = True
    mine, every = house.token(f"{ours}:admin"), house.token("*:operator")
    create = POLICY + "CreatePolicy"
    assert refused(house.channel, create, policy, mine).code is DENIED
    created = answered(house.channel, create, policy, every)
    change = policy_service_pb2.UpdatePolicyRequest(policy=created)
    remove = policy_service_pb2.DeletePolicyRequest(name=created.name)
    refresh = catalog_service_pb2.RefreshCatalogRequest()
    reader = house.token(f"{ours}:viewer")
    assert answered(house.channel, POLICY + "GetPolicy", policy_service_pb2.GetPolicyRequest(name=created.name), reader)
    for path, request in (
        (POLICY + "UpdatePolicy", change),
        (POLICY + "DeletePolicy", remove),
        (CATALOG + "RefreshCatalog", refresh),
    ):
        assert refused(house.channel, path, request, mine).code is DENIED
        answered(house.channel, path, request, every)


def test_dry_run_of_a_policy_of_another_project_is_refused(house: House, ours: str, theirs: str) -> None:
    """Also for an operator of both: the policy would not hold for what is tried."""
    request = request_for(POLICY + "DryRunPolicy", ours)
    request.policy.name = f"projects/{theirs}/policies/p"
    both = house.token(f"{ours}:operator", f"{theirs}:operator")
    answer = refused(house.channel, POLICY + "DryRunPolicy", request, both)
    assert answer.fields == {"policy.name": "CONTRADICTION"}


def same_but_for_names(decision: pb.Decision) -> bytes:
    """What a decision says, without what is its own: name and times."""
    bare = copy.deepcopy(decision)
    for field in ("name", "create_time", "valid_until"):
        bare.ClearField(field)
    return bare.SerializeToString(deterministic=True)


def asked(project: str) -> pb.PlaceRequest:
    """A request that outcomes, policies, commitments and quotas would all move."""
    request = place_request(
        project,
        workloadId="train",
        tags={"team": "x"},
        purchaseOptions=[f"PURCHASE_OPTION_{name}" for name in ("ON_DEMAND", "SPOT", "OWNED_COMMITMENT")],
        quotas=[
            {"location": {"cloud": "CLOUD_AWS", "region": "us-east-1"}, "unit": "UNIT_VCPUS", "left": 2},
        ],
    )
    request.explain = True
    return request


def test_nothing_that_one_project_does_moves_another(house: House, ours: str, theirs: str) -> None:
    """Failures, interruptions, policies, commitments of the same ids and reservations: the other decides as before."""
    channel = house.channel
    theirs_token, ours_token = house.token(f"{theirs}:admin"), house.token(f"{ours}:admin")
    place = PLACEMENT + "Place"
    before = same_but_for_names(answered(channel, place, asked(theirs), theirs_token))
    mine = [answered(channel, place, asked(ours), ours_token)]
    assert same_but_for_names(mine[0]) == before

    def again() -> None:
        mine.append(answered(channel, place, asked(ours), ours_token))
        assert same_but_for_names(answered(channel, place, asked(theirs), theirs_token)) == before

    offer = mine[0].chosen.offer
    pattern = pb.OfferPattern(
        cloud=offer.cloud,
        region=offer.region,
        instance_type=offer.instance_type,
        purchase_option=offer.purchase_option,
    )
    answered(
        channel,
        PLACEMENT + "ReportOutcome",
        pb.ReportOutcomeRequest(
            parent=f"projects/{ours}",
            request_id=str(uuid.uuid4()),
            outcomes=[
                pb.Outcome(offer=pattern, capacity_failure=True),
                pb.Outcome(offer=pattern, interruptions=50, hours_run=10),
            ],
        ),
        ours_token,
    )
    again()
    answered(channel, COMMITMENT + "ImportCommitments", whole.whole_commitments(ours), ours_token)
    again()
    for parent in (f"projects/{ours}", f"projects/{ours}/workloads/train"):
        created = whole.whole_policy(ours)
        created.parent, created.request_id = parent, str(uuid.uuid4())
        created.policy.rules.ClearField("required_tags")
        answered(channel, POLICY + "CreatePolicy", created, ours_token)
    again()
    # Each of these moved the project itself: what was shown would else show nothing.
    assert len({same_but_for_names(decision) for decision in mine}) == len(mine)


def test_reservations_of_one_project_take_no_room_of_another(house: House, ours: str, theirs: str) -> None:
    """The same quota in two projects is two quotas, and the same commitment id two commitments."""
    quota = {"location": {"cloud": "CLOUD_AWS", "region": "us-east-1"}, "unit": "UNIT_INSTANCES", "left": 1}
    only = {"regions": [{"cloud": "CLOUD_AWS", "region": "us-east-1"}]}
    decided: dict[str, list[Any]] = {ours: [], theirs: []}
    for project in (ours, theirs, ours, theirs):
        request = place_request(project, quotas=[quota], residency=only)
        request.reserve, request.request_id = True, str(uuid.uuid4())
        answer = answered(house.channel, PLACEMENT + "Place", request, house.token(f"{project}:scheduler"))
        decided[project].append((answer.verdict, answer.reserved))
    for project in (ours, theirs):
        assert decided[project] == [
            (pb.Decision.VERDICT_PLACED, True),
            (pb.Decision.VERDICT_INFEASIBLE, False),
        ]


def test_same_ids_in_two_projects_are_two_things(house: House, ours: str, theirs: str) -> None:
    """Commitments and policies of one id, and request ids, which count per project."""
    requests = {project: whole.whole_requests(project) for project in (ours, theirs)}
    for path in (
        COMMITMENT + "CreateCommitment",
        POLICY + "CreatePolicy",
        PLACEMENT + "ReportOutcome",
        COMMITMENT + "ImportCommitments",
    ):
        for project in (ours, theirs):
            request: Any = requests[project][path][-1]
            assert request.request_id == UUID
            answered(house.channel, path, request, house.token(f"{project}:operator"))
    change: Any = copy.deepcopy(requests[ours][COMMITMENT + "EndCommitment"][0])
    change.etag = ""
    answered(house.channel, COMMITMENT + "EndCommitment", change, house.token(f"{ours}:operator"))
    remove = policy_service_pb2.DeletePolicyRequest(name=f"projects/{ours}/policies/p")
    answered(house.channel, POLICY + "DeletePolicy", remove, house.token(f"{ours}:operator"))
    viewer = house.token(f"{theirs}:viewer")
    kept = answered(
        house.channel, COMMITMENT + "GetCommitment", requests[theirs][COMMITMENT + "GetCommitment"][0], viewer
    )
    assert not kept.HasField("ended_time")
    answered(house.channel, POLICY + "GetPolicy", requests[theirs][POLICY + "GetPolicy"][0], viewer)


def test_lists_hold_what_is_of_the_project(house: House, ours: str, theirs: str) -> None:
    """Decisions, commitments and policies, whatever the filter says, and page tokens of one are none of the other."""
    tokens = {project: house.token(f"{project}:admin") for project in (ours, theirs)}
    for project in (ours, theirs):
        for _ in range(2):
            answered(house.channel, PLACEMENT + "Place", place_request(project), tokens[project])
        made = answered(house.channel, PLACEMENT + "Place", place_request(project), tokens[project])
        answered(
            house.channel, PLACEMENT + "GetDecision", pb.GetDecisionRequest(name=made.name), tokens[project]
        )  # is written now
        answered(house.channel, COMMITMENT + "ImportCommitments", whole.whole_commitments(project), tokens[project])
        answered(house.channel, POLICY + "CreatePolicy", whole.whole_policy(project), tokens[project])
    lists: list[tuple[str, Any, str]] = [
        (PLACEMENT + "ListDecisions", pb.ListDecisionsRequest(), "decisions"),
        (COMMITMENT + "ListCommitments", commitment_service_pb2.ListCommitmentsRequest(), "commitments"),
        (POLICY + "ListPolicies", policy_service_pb2.ListPoliciesRequest(), "policies"),
    ]
    for path, request, field in lists:
        request.parent = f"projects/{theirs}"
        request.page_size = 1
        page = answered(house.channel, path, request, tokens[theirs])
        request.parent, request.page_size = f"projects/{ours}", 1_000
        found = getattr(answered(house.channel, path, request, tokens[ours]), field)
        assert found
        assert {entry.name.split("/")[1] for entry in found} == {ours}
        if page.next_page_token:
            request.page_token = page.next_page_token
            assert refused(house.channel, path, request, tokens[ours]).fields == {"page_token": "PAGE_TOKEN_INVALID"}


def test_decision_of_another_project_cannot_be_named(house: House, ours: str, theirs: str) -> None:
    """Not to explain it, nor to report on it; and an own name with its id is not found."""
    both = house.token(f"{ours}:admin", f"{theirs}:admin")
    made = answered(house.channel, PLACEMENT + "Place", place_request(theirs), both)
    own_name = made.name.replace(theirs, ours)
    parent = f"projects/{ours}"
    explain, report = PLACEMENT + "ExplainPlacement", PLACEMENT + "ReportOutcome"
    asked_for: list[tuple[str, Any]] = [
        (explain, pb.ExplainPlacementRequest(parent=parent, decision=made.name)),
        (report, whole.whole_outcomes(ours, made.name)),
    ]
    for path, request in asked_for:
        assert refused(house.channel, path, request, house.token(f"{ours}:admin")).code is DENIED
        assert refused(house.channel, path, request, both).fields == {"decision": "CONTRADICTION"}
    for path, request in (
        (PLACEMENT + "GetDecision", pb.GetDecisionRequest(name=own_name)),
        (PLACEMENT + "ReleaseDecision", pb.ReleaseDecisionRequest(name=own_name)),
        (explain, pb.ExplainPlacementRequest(parent=parent, decision=own_name)),
    ):
        assert refused(house.channel, path, request, both).code is grpc.StatusCode.NOT_FOUND


def test_effective_policy_shows_nothing_of_other_projects(house: House, ours: str, theirs: str) -> None:
    """Neither among the rules nor among the policies that do not apply, and not those of another workload."""
    operator = house.token(f"{ours}:operator", f"{theirs}:operator")
    hidden = whole.whole_policy(theirs)
    answered(house.channel, POLICY + "CreatePolicy", hidden, operator)
    inapplicable = whole.whole_policy(theirs, "never")
    inapplicable.policy.condition, inapplicable.request_id = "false", str(uuid.uuid4())
    answered(house.channel, POLICY + "CreatePolicy", inapplicable, operator)
    request = policy_service_pb2.GetEffectivePolicyRequest(
        parent=f"projects/{ours}", workload=place_request(ours).workload
    )
    answer = answered(house.channel, POLICY + "GetEffectivePolicy", request, house.token(f"{ours}:viewer"))
    assert theirs not in str(answer)
    assert not answer.not_applicable
