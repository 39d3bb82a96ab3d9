"""The answer to 'where', before it becomes a message.

What every decision makes several of is a named tuple: a frozen dataclass of this many fields takes 2 us to make,
ten times as long, and the whole decision has 15.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple

from trimtab_service.domain.commitments import Draw
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.reasons import RejectionReason


class Verdict(StrEnum):
    """Kinds of answer; see the contract."""

    PLACED = "placed"
    STAY = "stay"
    INFEASIBLE = "infeasible"
    UNSUPPORTED = "unsupported"


class FailureDomain(StrEnum):
    """What two places do not share."""

    ZONE = "zone"
    REGION = "region"
    CLOUD = "cloud"


class CostTerms(NamedTuple):
    """Expected cost in micro-USD over the duration (or a month). Their sum is the cost that was compared."""

    compute: int = 0
    interruption: int = 0
    egress: int = 0
    storage: int = 0
    moving: int = 0
    preference: int = 0

    @property
    def total(self) -> int:
        """The exact sum."""
        return self.compute + self.interruption + self.egress + self.storage + self.moving + self.preference


class ChosenOffer(NamedTuple):
    """One thing to buy."""

    cloud: Cloud
    region: str
    zone: str
    instance_type: str
    option: PurchaseOption
    nanos_per_hour: int
    basis: PriceBasis
    as_of: date | None


class Placement(NamedTuple):
    """A place with its cost. `covered_instances` of the gang run on owned commitments, the rest is bought."""

    offer: ChosenOffer
    terms: CostTerms
    billed_hours: float
    expected_interruptions: float
    risk: int
    zones: tuple[tuple[str, int], ...] = ()
    checkpoint_interval_hours: float | None = None
    price_age_days: int = 0
    commitments: tuple[str, ...] = ()
    covered_instances: float = 0.0
    latency_ms: float = 0.0
    draws: tuple[Draw, ...] = ()
    """What `reserve` has to draw for it: commitment room, and quotas asked for."""


class Fallback(NamedTuple):
    """A place to go when the ones before it fail."""

    placement: Placement
    differs_by: FailureDomain


class StartAdvice(NamedTuple):
    """When work that may wait is best started: at `start_time`, at `offer`, for `terms`; `cost_now` when not waiting.

    Costs in micro-USD; `cost_now` is None where it cannot be run from now on. `commitments` cover `covered_hours` of
    the `instance_hours` of its run; `starts` were compared.
    """

    start_time: datetime
    offer: ChosenOffer
    terms: CostTerms
    cost_now: int | None
    covered_hours: float
    instance_hours: float
    commitments: tuple[str, ...]
    starts: int


@dataclass(frozen=True, slots=True)
class Relaxation:
    """A smallest change that makes an infeasible request feasible."""

    field: str
    change: str
    reason: RejectionReason
    place: Placement


@dataclass(frozen=True, slots=True)
class RejectedCandidate:
    """The best of those rejected for one reason."""

    placement: Placement
    reason: RejectionReason
    would_win: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every offer counted once by its first reason."""

    offers: int
    feasible_offers: int
    rejected_offers: tuple[tuple[RejectionReason, int], ...]
    candidates: tuple[RejectedCandidate, ...]


class Decision(NamedTuple):
    """The engine's answer. `chosen` is None when infeasible or unsupported."""

    verdict: Verdict
    chosen: Placement | None
    fallbacks: tuple[Fallback, ...]
    rejected_regions: tuple[tuple[RejectionReason, int], ...]
    valid_until: datetime
    notes: tuple[str, ...] = ()
    relaxations: tuple[Relaxation, ...] = ()
    explanation: Explanation | None = None
    approval_required_by: str = ""
