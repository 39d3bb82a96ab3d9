"""What a purchase plan is asked with: usage keys, offers, owned levels, spot, declared changes, limits, preference.

Money per hour is in one currency; a plan's rate is plan money per on-demand money, so 0.6 is a discount of 40 %.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import DroppedReason

LOCKED_KINDS: frozenset[CommitmentKind] = frozenset(
    {
        CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD,
        CommitmentKind.AWS_RESERVED_INSTANCE_CONVERTIBLE,
        CommitmentKind.AWS_EC2_INSTANCE_SAVINGS_PLAN,
        CommitmentKind.GCP_RESOURCE_CUD,
        CommitmentKind.AZURE_RESERVATION,
    }
)
"""Bound to a family in a region; the other kinds float over a whole service."""


class Payment(StrEnum):
    """When a plan is paid."""

    NO_UPFRONT = "no_upfront"
    PARTIAL_UPFRONT = "partial_upfront"
    ALL_UPFRONT = "all_upfront"


class CommitmentBasis(StrEnum):
    """In which prices a spend commitment is expressed. GCP changed from on-demand to discounted by January 2026."""

    DISCOUNTED = "discounted"
    ON_DEMAND = "on_demand"


class Service(StrEnum):
    """Usage of one service never draws from the flexible plans of another."""

    COMPUTE = "compute"
    SAGEMAKER = "sagemaker"


class Preference(StrEnum):
    """What is minimised over the scenarios."""

    EXPECTED_COST = "expected_cost"
    CVAR = "cvar"
    MAXIMUM_REGRET = "maximum_regret"


class ChangeKind(StrEnum):
    """What the caller knows and the past does not show."""

    RETIRES = "retires"
    """The family's usage ends."""
    SCALES = "scales"
    """The family's usage is multiplied by `factor`: growth, shrinking, accepted rightsizing."""
    MIGRATES = "migrates"
    """The family's usage moves to `to_family`, `factor` on-demand money there per on-demand money here."""


@dataclass(frozen=True, slots=True, order=True)
class UsageKey:
    """What is used: the finest unit that an offer may tell apart. Empty `sku` and `account` mean not told apart."""

    cloud: Cloud
    family: str
    region: str
    sku: str = ""
    account: str = ""
    service: Service = Service.COMPUTE


@dataclass(frozen=True, slots=True)
class ProviderQuote:
    """What the provider asked for one unit and hour of a kind of usage under an offer, when the offer was made."""

    usage_type: str
    rate_nanos: int


@dataclass(frozen=True, slots=True)
class PlanOffer:
    """What can be bought. `rate` applies to every usage in scope but the SKUs, else families, named in `rates`.

    Empty `family`, `region`, `sku` do not narrow the scope. `upfront_fraction` of the term's price is paid at once.
    `unit_per_hour` is plan money per hour of one unit where whole units are sold (instances); 0 where any amount is.
    """

    offer_id: str
    kind: CommitmentKind
    cloud: Cloud
    term: timedelta
    rate: float
    family: str = ""
    region: str = ""
    sku: str = ""
    payment: Payment = Payment.NO_UPFRONT
    upfront_fraction: float = 0.0
    rates: Mapping[str, float] = field(default_factory=dict)
    basis: CommitmentBasis = CommitmentBasis.DISCOUNTED
    unit_per_hour: float = 0.0
    currency: str = "USD"
    quote: ProviderQuote | None = None

    @property
    def locked(self) -> bool:
        """Whether it is bound to a family."""
        return self.kind in LOCKED_KINDS

    @property
    def service(self) -> Service:
        """The service whose usage it covers."""
        sagemaker = self.kind is CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN
        return Service.SAGEMAKER if sagemaker else Service.COMPUTE

    def covers(self, key: UsageKey) -> bool:
        """Whether usage under `key` is in scope."""
        return (
            key.cloud is self.cloud
            and key.service is self.service
            and self.family in {"", key.family}
            and self.region in {"", key.region}
            and self.sku in {"", key.sku}
        )

    def is_one_scope(self, keys: Iterable[UsageKey]) -> bool:
        """Whether it can be bought for all that it covers of these: what is locked binds to a family in a region."""
        return not self.locked or len({(key.family, key.region) for key in keys if self.covers(key)}) <= 1

    def rate_of(self, key: UsageKey) -> float:
        """Plan money per on-demand money, before the cost of paying ahead."""
        return self.rates.get(key.sku, self.rates.get(key.family, self.rate))


@dataclass(frozen=True, slots=True)
class OwnedLevel:
    """A commitment that is there already: `offer` says scope and rates, `per_hour` plan money, until `end_time`."""

    commitment_id: str
    offer: PlanOffer
    per_hour: float
    start_time: datetime
    end_time: datetime
    account: str = ""


@dataclass(frozen=True, slots=True)
class SpotShare:
    """Up to `share` of a family's usage may run on spot at `price` of the on-demand price. Empty region: all."""

    cloud: Cloud
    family: str
    share: float
    price: float
    region: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredChange:
    """From `effective` on. Empty region: all regions of the family."""

    kind: ChangeKind
    cloud: Cloud
    family: str
    effective: datetime
    factor: float = 1.0
    to_family: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class PurchaseLimits:
    """What may be bought. `commitment_per_hour` bounds new plan money per hour in any hour; None does not bound."""

    commitment_per_hour: float | None = None
    terms: frozenset[timedelta] | None = None
    payments: frozenset[Payment] | None = None


@dataclass(frozen=True, slots=True)
class RiskAim:
    """What is minimised; `tail` is the share of worst scenarios that CVaR averages (0.05 is CVaR-95)."""

    preference: Preference = Preference.EXPECTED_COST
    tail: float = 0.05


@dataclass(frozen=True, slots=True)
class Scenario:
    """A future: every class's usage times `scale`, families in `scales` besides; `probability` sums to 1 over all."""

    name: str
    probability: float
    scale: float = 1.0
    scales: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """How the plan is made: `horizon` from `start` on, the yearly `cost_of_capital`, instants at which may be bought.

    With `renewed` a plan is bought again when it ends; else it covers its term alone.
    """

    start: datetime
    horizon: timedelta
    cost_of_capital: float = 0.0
    purchase_times: tuple[datetime, ...] = ()
    renewed: bool = True


@dataclass(frozen=True, slots=True)
class DroppedOffer:
    """An offer that was not considered further, and by which other it is dominated, if that is why."""

    offer_id: str
    reason: DroppedReason
    by: str = ""
