"""Which regions and which instance types rules leave over, and which regions each rule took.

Rules are applied in the order of `REGION_ORDER`; a region counts under the first that excludes it.
"""

from typing import Final

from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import Residency, Workload
from trimtab_service.placement.index import SearchIndex
from trimtab_service.placement.region_sets import RegionSet
from trimtab_service.placement.type_sets import TypeSet

REGION_ORDER: Final = (
    RejectionReason.PARTITION_NOT_ALLOWED,
    RejectionReason.CLOUD_NOT_ALLOWED,
    RejectionReason.REGION_NOT_ALLOWED,
    RejectionReason.RESIDENCY,
    RejectionReason.POLICY,
    RejectionReason.SERVICE_MISSING,
    RejectionReason.LATENCY,
)
"""The order in which whole regions are rejected."""

_KEPT_POLICIES: Final = 256

RegionsTaken = tuple[RejectionReason, RegionSet]
"""A reason and the regions that it took."""

RegionStep = tuple[RejectionReason, RegionSet]
"""A reason and the regions that its rule allows."""

TypeStep = tuple[RejectionReason, TypeSet]
"""A reason and the types that its rule allows."""


def policy_permits(index: SearchIndex, policy: EffectivePolicy) -> tuple[RegionSet, TypeSet | None]:
    """Regions and types (None: all) in the intersection of a policy's residencies; kept by its content key."""
    if not policy.residencies:
        return index.region_sets.all, None
    known = index.policies.get(policy.key) if policy.key else None
    if known is None:
        regions, types = index.region_sets.all, index.type_sets.all
        for residency in policy.residencies:
            for _, allowed in region_steps(index, residency):
                regions &= allowed
            for _, some in type_steps(index, residency):
                types &= some
        known = (regions, None if types == index.type_sets.all else types)
        if policy.key:
            if len(index.policies) >= _KEPT_POLICIES:
                index.policies.clear()
            index.policies[policy.key] = known
    return known


def region_steps(index: SearchIndex, residency: Residency) -> list[RegionStep]:
    """Regions that each part of a residency allows, in the order of `REGION_ORDER`."""
    sets, steps = index.region_sets, []
    if residency.clouds or residency.denied_clouds:
        allowed = sets.of_clouds(residency.clouds) if residency.clouds else sets.all
        steps.append((RejectionReason.CLOUD_NOT_ALLOWED, allowed & ~sets.of_clouds(residency.denied_clouds)))
    if residency.regions or residency.denied_regions:
        allowed = sets.of_keys(residency.regions) if residency.regions else sets.all
        steps.append((RejectionReason.REGION_NOT_ALLOWED, allowed & ~sets.of_keys(residency.denied_regions)))
    if residency.countries or residency.denied_countries:
        allowed = sets.of_countries(residency.countries) if residency.countries else sets.all
        if residency.denied_countries:
            allowed &= ~sets.of_countries(residency.denied_countries)
        steps.append((RejectionReason.RESIDENCY, allowed))
    return steps


def type_steps(index: SearchIndex, residency: Residency) -> list[TypeStep]:
    """Types that each part of a residency allows: families, then types."""
    sets, steps = index.type_sets, []
    if residency.families or residency.denied_families:
        allowed = sets.of_families(residency.families) if residency.families else sets.all
        steps.append((RejectionReason.FAMILY_NOT_ALLOWED, allowed & ~sets.of_families(residency.denied_families)))
    if residency.instance_types or residency.denied_instance_types:
        allowed = sets.of_names(residency.instance_types) if residency.instance_types else sets.all
        steps.append((RejectionReason.TYPE_NOT_ALLOWED, allowed & ~sets.of_names(residency.denied_instance_types)))
    return steps


def region_permits(
    index: SearchIndex, workload: Workload, policy: EffectivePolicy, late: RegionSet
) -> tuple[RegionSet, list[RegionsTaken]]:
    """Regions left over by partition, residency, policy, services and latency, and those taken by each.

    `late` are regions whose users would wait too long.
    """
    sets = index.region_sets
    left = sets.of_partitions(workload.partitions) if workload.partitions else sets.public
    taken: list[RegionsTaken] = []
    if left != sets.all:
        taken.append((RejectionReason.PARTITION_NOT_ALLOWED, sets.all & ~left))
    if workload.residency is not None:
        for reason, allowed in region_steps(index, workload.residency):
            left = _take(left, allowed, reason, taken)
    if policy.residencies:
        left = _take(left, policy_permits(index, policy)[0], RejectionReason.POLICY, taken)
    if policy.required_tags and not policy.required_tags <= {name for name, _ in workload.tags}:
        left = _take(left, 0, RejectionReason.POLICY, taken)
    if workload.services:
        for need in workload.services:
            if need.preference_micros is None:
                left = _take(left, index.regions_with(need.service), RejectionReason.SERVICE_MISSING, taken)
    if late:
        left = _take(left, ~late, RejectionReason.LATENCY, taken)
    return left, taken


def _take(left: RegionSet, allowed: RegionSet, reason: RejectionReason, taken: list[RegionsTaken]) -> RegionSet:
    gone = left & ~allowed
    if gone:
        taken.append((reason, gone))
    return left & allowed
