"""Buying Savings Plans: once, at the price that was quoted, within the caps, and entered as commitments."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import grpc
import pytest

from tests.support import oidc
from tests.support.contract import refusal_of
from tests.support.fleets import Sources
from tests.support.purchase_requests import FLEXIBLE, question, usd
from tests.support.savings_plans_api import ACCOUNT, SavingsPlansApi, aws_account, offering
from tests.support.service import RunningService, running_service
from trimtab.v1 import commitment_service_pb2
from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab.v1 import recommendation_service_pb2 as recommendation_pb
from trimtab_service.bootstrap import Overrides
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.connection import connect, observed
from trimtab_service.clouds.configuration import parse_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.sources import open_clouds
from trimtab_service.config import ConfigError
from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.errors import FailedPreconditionError, UnsupportedError
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.purchasing import Payment
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.purchasing.ports import ProviderQuestion
from trimtab_service.recommendations.ports import Actuator
from trimtab_service.store.engines import open_database
from trimtab_service.store.purchase_budget import StoredPurchaseBudget
from trimtab_service.store.schema import migrate

USAGE_TYPE = "BoxUsage:m5.xlarge"
YEAR = timedelta(days=365)


@pytest.fixture
def api() -> SavingsPlansApi:
    """One Compute plan and one for m5 are on offer."""
    return SavingsPlansApi(
        offerings=[
            offering("compute"),
            offering("m5", "EC2Instance", region="us-east-1", instanceFamily="m5"),
            offering("c5", "EC2Instance", region="us-east-1", instanceFamily="c5"),
        ],
        rates={("compute", USAGE_TYPE): "0.13", ("m5", USAGE_TYPE): "0.096"},
    )


@pytest.fixture
def account(api: SavingsPlansApi, tmp_path: Path) -> Iterator[CloudAccount]:
    """An account that may buy 50 USD an hour at once and 80 a day."""
    with aws_account(api, tmp_path) as configured:
        yield configured


def purchase(commitment: str = "10", **said: str) -> tuple[CloudResource, Operation]:
    """An operation as a plan makes it."""
    fields = {
        "Kind": "KIND_AWS_COMPUTE_SAVINGS_PLAN",
        "TermSeconds": "31536000",
        "PaymentOption": "PAYMENT_OPTION_NO_UPFRONT",
        "CommitmentPerHour": commitment,
        "PlanHash": "a" * 64,
        "QuotedUsageType": USAGE_TYPE,
        "QuotedRate": "0.130",
        **said,
    }
    changes = tuple(FieldChange(field, "", value) for field, value in fields.items() if value)
    resource = CloudResource("commitments", Cloud.AWS, "", kind=ResourceKind.INSTANCE_GROUP)
    return resource, Operation(OperationKind.PURCHASE_COMMITMENT, said.get("OfferId", "flexible"), changes)


def budget_of(account: CloudAccount) -> StoredPurchaseBudget:
    """The account's days, in a store beside its credentials."""
    assert account.credentials_file is not None
    database = open_database(f"sqlite:///{account.credentials_file.parent / 'budget.sqlite'}")
    migrate(database)
    return StoredPurchaseBudget(database, lambda: datetime.now(UTC))


def buyer(account: CloudAccount) -> Actuator:
    """The account's actuator."""
    actuator = connect(account, Patience(sleep=lambda _: None), budget_of(account)).actuator
    assert actuator is not None
    return actuator


def soon() -> datetime:
    """A deadline."""
    return datetime.now(UTC) + timedelta(seconds=300)


def test_a_plan_is_bought_once(api: SavingsPlansApi, account: CloudAccount) -> None:
    """A repetition finds what stands, whatever its token; what was bought says of which plan it is."""
    actuator, (resource, operation) = buyer(account), purchase()
    assert actuator.handles(resource, operation)
    assert not any(value for _, value in actuator.observe(resource, operation, soon()).fields)
    assert actuator.carry_out(resource, operation, "t-1", soon()).is_changed
    assert not actuator.carry_out(resource, operation, "t-2", soon()).is_changed
    (bought,) = api.plans
    assert (bought["commitment"], bought["offeringId"]) == ("10", "compute")
    assert bought["tags"] == {"trimtab:plan": "a" * 64, "trimtab:offer": "flexible"}
    seen = actuator.observe(resource, operation, soon())
    assert dict(seen.fields) == {change.field: change.after for change in operation.changes}


def test_the_token_of_a_repeated_call_is_the_same(api: SavingsPlansApi, account: CloudAccount) -> None:
    """Where AWS does not list a plan yet, its token keeps it from being bought twice."""
    actuator, (resource, operation) = buyer(account), purchase()
    actuator.carry_out(resource, operation, "t-1", soon())
    hidden = list(api.plans)
    api.plans.clear()
    assert "sp-1" in actuator.carry_out(resource, operation, "t-1", soon()).detail
    assert api.plans == []
    assert len(hidden) == len(api.tokens) == 1


def test_a_family_is_bought_by_its_own_offering(api: SavingsPlansApi, account: CloudAccount) -> None:
    """EC2 Instance plans are looked up by region and family."""
    resource, operation = purchase(
        Kind="KIND_AWS_EC2_INSTANCE_SAVINGS_PLAN", Family="m5", Region="us-east-1", QuotedRate="0.096"
    )
    buyer(account).carry_out(resource, operation, "t", soon())
    assert [plan["offeringId"] for plan in api.plans] == ["m5"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"QuotedRate": "0.12"}, "quoted at 0.12 an hour, and is now at 0.13"),
        ({"QuotedRate": ""}, "without the provider's quote"),
        ({"QuotedUsageType": "BoxUsage:other"}, "now at none"),
        ({"PaymentOption": "PAYMENT_OPTION_ALL_UPFRONT"}, "0 offerings"),
        ({"TermSeconds": "94608000"}, "0 offerings"),
        ({"CommitmentPerHour": "50.00001"}, "one purchase may have 50"),
    ],
)
def test_what_moved_or_is_too_large_is_not_bought(
    api: SavingsPlansApi, account: CloudAccount, said: dict[str, str], why: str
) -> None:
    """Neither in a dry run nor in earnest is anything bought."""
    actuator, (resource, operation) = buyer(account), purchase(**said)
    with pytest.raises(FailedPreconditionError, match=why):
        actuator.observe(resource, operation, soon())
    with pytest.raises(FailedPreconditionError, match=why):
        actuator.carry_out(resource, operation, "t", soon())
    assert "CreateSavingsPlan" not in api.asked


def test_the_cap_of_a_day_counts_whoever_bought(api: SavingsPlansApi, account: CloudAccount) -> None:
    """Ours of 40 and another's of 40 fill 80, a third of 1 does not fit; another's of the day before does not count."""
    actuator = buyer(account)
    actuator.carry_out(*purchase("40", OfferId="one"), "one", soon())
    api.plans.insert(0, {**api.plans[0], "savingsPlanId": "sp-other", "tags": {}})
    with pytest.raises(FailedPreconditionError, match="on top of the 80"):
        actuator.carry_out(*purchase("1", OfferId="three"), "three", soon())
    yesterday = datetime.now(UTC) - timedelta(hours=25)
    api.plans[0]["start"] = f"{yesterday:%Y-%m-%dT%H:%M:%S.000Z}"
    assert actuator.carry_out(*purchase("1", OfferId="three"), "three", soon()).is_changed


def test_an_account_without_caps_buys_nothing(api: SavingsPlansApi, tmp_path: Path) -> None:
    """Changes alone are no leave to buy; nor is another account's, or another product's operation one of its own."""
    with aws_account(api, tmp_path, max_purchase_nanos_per_hour=0) as poor:
        assert not buyer(poor).handles(*purchase())
        found = open_clouds([poor], Patience()).actuators.find("p", *purchase())
        assert found is None
    with aws_account(api, tmp_path) as rich:
        assert not buyer(rich).handles(*purchase(Kind="KIND_GCP_FLEXIBLE_CUD"))
        assert not connect(rich, Patience()).actuator.handles(*purchase())  # type: ignore[union-attr] # it has one
        assert not buyer(rich).handles(*purchase(PlanHash=""))


def test_caps_are_configured_both_and_with_changes() -> None:
    """Faults name their keys."""
    table = {"name": "prod", "kind": "cloudwatch", "account": ACCOUNT, "projects": ["*"], "regions": ["us-east-1"]}
    with pytest.raises(ConfigError, match="both, or neither"):
        parse_accounts({"accounts": [{**table, "changes": True, "max_purchase_usd_per_hour": "50"}]})
    both = {"max_purchase_usd_per_hour": "50", "max_daily_purchase_usd_per_hour": 80}
    with pytest.raises(ConfigError, match="only with changes"):
        parse_accounts({"accounts": [{**table, **both}]})
    (account,) = parse_accounts({"accounts": [{**table, **both, "changes": True}]})
    assert (account.max_purchase_nanos_per_hour, account.max_daily_purchase_nanos_per_hour) == (50 * 10**9, 80 * 10**9)


def test_cost_explorers_own_recommendation_is_fetched(api: SavingsPlansApi, account: CloudAccount) -> None:
    """In its own figures; that it recommends nothing is an answer; what it does not know is unsupported."""
    api.advice = {
        "Metadata": {"GenerationTimestamp": "2026-11-22T04:05:06Z"},
        "SavingsPlansPurchaseRecommendation": {
            "SavingsPlansPurchaseRecommendationDetails": [
                {"HourlyCommitmentToPurchase": "3", "EstimatedAverageUtilization": "90", "UpfrontCost": "0.0"},
                {"HourlyCommitmentToPurchase": "1", "EstimatedAverageUtilization": "98", "UpfrontCost": "0.0"},
            ],
            "SavingsPlansPurchaseRecommendationSummary": {
                "HourlyCommitmentToPurchase": "4.000",
                "EstimatedMonthlySavingsAmount": "1234.56",
            },
        },
    }
    advisor = connect(account, Patience(sleep=lambda _: None)).advisor
    assert advisor is not None
    question_of = ProviderQuestion(
        CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN, YEAR, Payment.NO_UPFRONT, timedelta(days=30)
    )
    advice = advisor.recommend(question_of, soon())
    assert advice.commitment_nanos_per_hour == 4 * 10**9
    assert advice.monthly_saving_nanos == 1_234_560_000_000
    assert advice.utilisation == pytest.approx(0.92)
    assert advice.upfront_nanos == 0
    assert advice.as_of == datetime(2026, 11, 22, 4, 5, 6, tzinfo=UTC)
    api.advice = {"SavingsPlansPurchaseRecommendation": {}}
    assert advisor.recommend(question_of, soon()).commitment_nanos_per_hour == 0
    with pytest.raises(UnsupportedError):
        advisor.recommend(
            ProviderQuestion(CommitmentKind.GCP_FLEXIBLE_CUD, YEAR, Payment.NO_UPFRONT, timedelta(days=30)), soon()
        )


@dataclass(frozen=True)
class Buyers:
    """A service, and people who may call it."""

    service: RunningService
    issuer: oidc.Issuer

    def as_one(self, subject: str, role: str = "operator") -> tuple[tuple[str, str], ...]:
        """Call metadata of a person with a role everywhere."""
        now = datetime.now(UTC).timestamp()
        token = self.issuer.token(roles=[f"*:{role}"], sub=subject, exp=now + 3_600, nbf=now - 10)
        return (("authorization", f"Bearer {token}"),)

    @property
    def ada(self) -> tuple[tuple[str, str], ...]:
        """She plans and buys."""
        return self.as_one("ada", "admin")

    def advised(self, parent: str) -> recommendation_pb.Recommendation:
        """A plan of one Compute Savings Plan, as it was stored and claimed."""
        request = question(parent, hours=240)
        del request.offers[:2]
        request.offers[0].quote.usage_type = USAGE_TYPE
        request.offers[0].quote.rate.CopyFrom(usd("0.13"))
        del request.demand.series[1:]
        plan = self.service.purchasing.OptimizePurchasePlan(request, timeout=60, metadata=self.ada)
        assert plan.verdict == pb.PurchasePlan.VERDICT_BUY
        claim = recommendation_pb.ClaimRecommendationRequest(name=plan.recommendation, request_id=str(uuid.uuid4()))
        return self.service.recommendation.ClaimRecommendation(claim, timeout=30, metadata=self.ada)

    def approved(self, found: recommendation_pb.Recommendation) -> None:
        """By somebody else."""
        request = recommendation_pb.ApproveRecommendationRequest(
            name=found.name, etag=found.etag, request_id=str(uuid.uuid4())
        )
        self.service.recommendation.ApproveRecommendation(
            request, timeout=30, metadata=self.as_one("grace", "approver")
        )

    def applied(self, name: str, *, execute: bool) -> recommendation_pb.ApplyRecommendationResponse:
        """Carry it out, or only look."""
        request = recommendation_pb.ApplyRecommendationRequest(name=name, execute=execute, request_id=str(uuid.uuid4()))
        answer: recommendation_pb.ApplyRecommendationResponse = self.service.recommendation.ApplyRecommendation(
            request, timeout=60, metadata=self.ada
        )
        return answer

    def owned(self, parent: str) -> list[commitment_service_pb2.Commitment]:
        """The project's commitments."""
        request = commitment_service_pb2.ListCommitmentsRequest(parent=parent)
        return list(self.service.commitment.ListCommitments(request, timeout=30, metadata=self.ada).commitments)


@pytest.fixture
def buyers(tmp_path: Path, account: CloudAccount) -> Iterator[Buyers]:
    """A service with the account's actuators."""
    days = budget_of(account)
    clouds = open_clouds([account], Patience(sleep=lambda _: None), lambda of, patience: connect(of, patience, days))
    issuer = oidc.Issuer()
    with running_service(
        tmp_path / "data",
        overrides=Overrides(actuators=clouds.actuators, sources=Sources({})),
        oidc_issuer=oidc.ISSUER,
        oidc_audience=oidc.AUDIENCE,
        oidc_jwks=str(issuer.write(tmp_path)),
        oidc_roles_claim="roles",
    ) as running:
        yield Buyers(running, issuer)


@pytest.fixture
def parent() -> str:
    """A project."""
    return f"projects/p{uuid.uuid4().hex[:12]}"


def test_a_plan_is_approved_bought_and_entered(buyers: Buyers, api: SavingsPlansApi, parent: str) -> None:
    """Not without an approval; the commitment is then the project's, with what the plan said of it."""
    found = buyers.advised(parent)
    looked = buyers.applied(found.name, execute=False)
    assert list(looked.obstacles) == ["APPROVAL_REQUIRED"]
    assert len(looked.operations) == 1
    assert not buyers.applied(found.name, execute=True).executed
    assert api.plans == []
    buyers.approved(found)
    assert not list(buyers.applied(found.name, execute=False).obstacles)
    assert "CreateSavingsPlan" not in api.asked
    done = buyers.applied(found.name, execute=True)
    assert done.executed
    assert done.recommendation.state == recommendation_pb.Recommendation.STATE_SUCCEEDED
    (bought,) = api.plans
    (commitment,) = buyers.owned(parent)
    assert commitment.kind == FLEXIBLE
    spend = Decimal(commitment.spend_per_hour.units) + Decimal(commitment.spend_per_hour.nanos).scaleb(-9)
    assert spend == Decimal(bought["commitment"])
    assert commitment.discount_fraction == pytest.approx(0.34)


def test_a_price_that_moved_since_the_approval_ends_the_application(
    buyers: Buyers, api: SavingsPlansApi, parent: str
) -> None:
    """Nothing is bought, and nothing entered."""
    found = buyers.advised(parent)
    buyers.approved(found)
    api.rates["compute", USAGE_TYPE] = "0.14"
    with pytest.raises(grpc.RpcError) as caught:
        buyers.applied(found.name, execute=True)
    assert "0.14" in refusal_of(caught.value).text
    assert api.plans == []
    assert buyers.owned(parent) == []


def planned_anew(buyers: Buyers, parent: str, hours: int = 480) -> pb.PurchasePlan:
    """A plan of the same scope over other usage."""
    request = question(parent, hours=hours)
    del request.offers[:2]
    del request.demand.series[1:]
    request.offers[0].quote.usage_type = USAGE_TYPE
    request.offers[0].quote.rate.CopyFrom(usd("0.13"))
    plan: pb.PurchasePlan = buyers.service.purchasing.OptimizePurchasePlan(request, timeout=60, metadata=buyers.ada)
    return plan


def test_a_newer_plan_takes_the_approval_of_the_older_one(buyers: Buyers, api: SavingsPlansApi, parent: str) -> None:
    """Neither is bought: the older one is replaced under the same name, which nobody has claimed or approved."""
    found = buyers.advised(parent)
    buyers.approved(found)
    again = planned_anew(buyers, parent)
    assert again.verdict == pb.PurchasePlan.VERDICT_BUY
    assert again.recommendation == found.name
    answer = buyers.applied(found.name, execute=True)
    assert not answer.executed
    assert set(answer.obstacles) == {"NOT_CLAIMED", "APPROVAL_REQUIRED"}
    assert api.plans == []
    stands = buyers.service.recommendation.GetRecommendation(
        recommendation_pb.GetRecommendationRequest(name=found.name), timeout=30, metadata=buyers.ada
    )
    assert stands.state == recommendation_pb.Recommendation.STATE_ACTIVE
    said = {one.after for group in stands.operation_groups for op in group.operations for one in op.changes}
    assert again.plan_hash in said
    claim = recommendation_pb.ClaimRecommendationRequest(name=found.name, request_id=str(uuid.uuid4()))
    buyers.approved(buyers.service.recommendation.ClaimRecommendation(claim, timeout=30, metadata=buyers.ada))
    assert buyers.applied(found.name, execute=True).executed
    assert {plan["tags"]["trimtab:plan"] for plan in api.plans} == {again.plan_hash}


def test_the_same_plan_again_leaves_claim_and_approval(buyers: Buyers, api: SavingsPlansApi, parent: str) -> None:
    """Asking the same twice is no news."""
    planned_anew(buyers, parent)
    first = planned_anew(buyers, parent)
    claim = recommendation_pb.ClaimRecommendationRequest(name=first.recommendation, request_id=str(uuid.uuid4()))
    buyers.approved(buyers.service.recommendation.ClaimRecommendation(claim, timeout=30, metadata=buyers.ada))
    if planned_anew(buyers, parent).plan_hash == first.plan_hash:  # the hour may have turned
        assert buyers.applied(first.recommendation, execute=True).executed
        assert len(api.plans) == 1


def test_a_plan_to_buy_nothing_withdraws_the_one_before(buyers: Buyers, api: SavingsPlansApi, parent: str) -> None:
    """What was approved is over when a newer plan finds that there is nothing to buy."""
    found = buyers.advised(parent)
    buyers.approved(found)
    request = question(parent, hours=240)
    for one in request.offers:
        one.rate = 1.2
        one.rates.clear()
    plan = buyers.service.purchasing.OptimizePurchasePlan(request, timeout=60, metadata=buyers.ada)
    assert plan.verdict in {pb.PurchasePlan.VERDICT_BUY_NOTHING, pb.PurchasePlan.VERDICT_UNSUPPORTED}
    assert not buyers.applied(found.name, execute=True).executed
    assert api.plans == []
    stands = buyers.service.recommendation.GetRecommendation(
        recommendation_pb.GetRecommendationRequest(name=found.name), timeout=30, metadata=buyers.ada
    )
    assert stands.state == recommendation_pb.Recommendation.STATE_EXPIRED


def test_buying_and_comparing_need_exactly_their_policies(api: SavingsPlansApi, account: CloudAccount) -> None:
    """What is called is what `deploy/iam` allows, beside the tag that AWS asks for by itself."""
    called: set[str] = set()
    connection = observed(
        account,
        Patience(sleep=lambda _: None),
        lambda service, name: called.add(f"{service}:{name}"),
        budget_of(account),
    )
    assert connection.actuator is not None
    assert connection.advisor is not None
    connection.actuator.carry_out(*purchase(), "t", soon())
    reserved = {name for name in allowed("aws-purchases.json") if name.startswith("ec2:")}
    assert called == allowed("aws-purchases.json") - reserved - {"savingsplans:TagResource"} | {
        "ec2:DescribeReservedInstances"
    }
    called.clear()
    api.advice = {"SavingsPlansPurchaseRecommendation": {}}
    connection.advisor.recommend(
        ProviderQuestion(CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN, YEAR, Payment.NO_UPFRONT, timedelta(days=7)), soon()
    )
    assert called == allowed("aws-purchase-advice.json")


def allowed(name: str) -> set[str]:
    """The actions of a policy."""
    document = json.loads((Path(__file__).parents[2] / "deploy" / "iam" / name).read_text(encoding="utf-8"))
    found: set[str] = set()
    for statement in document["Statement"]:
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)
    return found
