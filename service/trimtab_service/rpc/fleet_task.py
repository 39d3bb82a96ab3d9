"""What a worker process does for a fleet analysis: unpack, advise, encode. Nothing of it takes the server's GIL."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.recommendations import RecommendationContent
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.recommendations.intake import RETIRING, content_of
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rightsizing.preferences import EffectivePreferences
from trimtab_service.rightsizing.profile import unpack
from trimtab_service.rpc.advice_codec import encode_advice
from trimtab_service.rpc.sizing_task import advise_apart


@dataclass(frozen=True, slots=True)
class FleetCase:
    """One resource as read: its packed profile, or why the source failed for it."""

    resource: CloudResource
    profile: bytes
    failure: str
    missing: tuple[str, ...]
    preferences: EffectivePreferences
    policy: EffectivePolicy
    own_offers: tuple[OwnOffer, ...] = ()


@dataclass(frozen=True, slots=True)
class FleetBatch:
    """Cases of one source. `catalog` is the directory of the version that the analysis is priced with."""

    catalog: Path
    source: str
    cases: tuple[FleetCase, ...]
    commitments: tuple[Commitment, ...]
    instant: datetime


@dataclass(frozen=True, slots=True)
class FleetFound:
    """What was found for one resource. `content` is None where nothing is recommended.

    `is_settled`: it is known that there is nothing to recommend, so earlier recommendations go.
    """

    resource: CloudResource
    finding: str
    advice: bytes
    content: RecommendationContent | None
    is_settled: bool
    monthly_saving_micros: int


def advise_on(batch: FleetBatch) -> tuple[FleetFound, ...]:
    """One answer a case, in their order."""
    return tuple(_found(case, batch) for case in batch.cases)


def _found(case: FleetCase, batch: FleetBatch) -> FleetFound:
    sizing = SizingCase(
        case.resource,
        unpack(case.profile),
        case.preferences,
        case.policy,
        case.policy.revision,
        case.missing,
        case.failure,
        case.own_offers,
    )
    advice = advise_apart(batch.catalog, sizing, batch.commitments, batch.instant)
    return FleetFound(
        case.resource,
        advice.finding.value,
        encode_advice(advice).SerializeToString(),
        content_of(advice, batch.source),
        advice.finding in RETIRING,
        advice.options[0].monthly_saving_micros if advice.options else 0,
    )
