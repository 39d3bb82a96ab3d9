"""Why a place that was chosen would not be chosen under a policy: every guardrail that it breaks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from trimtab_service.domain.offers import PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import RegionKey, Residency


@dataclass(frozen=True, slots=True)
class Place:
    """What guardrails look at. An empty `family` and an unknown `as_of` match no rule."""

    location: RegionKey
    country: str
    family: str
    instance_type: str
    option: PurchaseOption
    basis: PriceBasis | None
    as_of: date | None
    expected_interruptions: float
    cost_micros: int


def exclusions(policy: EffectivePolicy, place: Place, today: date) -> tuple[RejectionReason, ...]:
    """Every reason, in the order of the rules; empty when no guardrail excludes the place itself."""
    return tuple(dict.fromkeys(_broken(policy, place, today)))


def _broken(policy: EffectivePolicy, place: Place, today: date) -> Iterator[RejectionReason]:
    for residency in policy.residencies:
        yield from _outside(residency, place)
    if policy.options is not None and place.option not in policy.options:
        yield RejectionReason.PURCHASE_OPTION_NOT_ALLOWED
    if policy.price_bases is not None and place.basis is not None and place.basis not in policy.price_bases:
        yield RejectionReason.PRICE_BASIS
    if policy.max_price_age is not None and place.as_of is not None and today - place.as_of > policy.max_price_age:
        yield RejectionReason.PRICE_STALE
    most = policy.max_expected_interruptions
    if most is not None and place.expected_interruptions > most:
        yield RejectionReason.INTERRUPTION_RISK
    if policy.max_cost_micros is not None and place.cost_micros > policy.max_cost_micros:
        yield RejectionReason.COST_LIMIT


def _outside(residency: Residency, place: Place) -> Iterator[RejectionReason]:
    cloud = place.location.cloud
    if (residency.clouds and cloud not in residency.clouds) or cloud in residency.denied_clouds:
        yield RejectionReason.CLOUD_NOT_ALLOWED
    regions, denied = residency.regions, residency.denied_regions
    if (regions and place.location not in regions) or place.location in denied:
        yield RejectionReason.REGION_NOT_ALLOWED
    for value, allowed, refused, reason in (
        (place.country, residency.countries, residency.denied_countries, RejectionReason.RESIDENCY),
        (place.family, residency.families, residency.denied_families, RejectionReason.FAMILY_NOT_ALLOWED),
        (
            place.instance_type,
            residency.instance_types,
            residency.denied_instance_types,
            RejectionReason.TYPE_NOT_ALLOWED,
        ),
    ):
        if (allowed and value not in allowed) or value in refused:
            yield reason
