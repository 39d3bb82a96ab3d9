"""Guardrails of policies: what placement may not choose, sizing does not offer."""

from datetime import date

import numpy as np

from trimtab_service.catalog.arrays import Bools
from trimtab_service.catalog.snapshot import UNKNOWN_DAY, day_number
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PRICE_BASES
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.workloads import RegionKey
from trimtab_service.rightsizing.region_offers import RegionOffers


def excluded(offers: RegionOffers, policy: EffectivePolicy, resource: CloudResource, today: date) -> Bools:
    """Offers [k] that a guardrail excludes."""
    out = np.zeros(len(offers.names), dtype=bool)
    if policy.required_tags - {key for key, _ in resource.tags}:
        out[:] = True
        return out
    region, families = offers.region, offers.snapshot.families
    for residency in policy.residencies:
        key = RegionKey(region.cloud, region.name)
        if (
            (residency.clouds and region.cloud not in residency.clouds)
            or region.cloud in residency.denied_clouds
            or (residency.regions and key not in residency.regions)
            or key in residency.denied_regions
            or (residency.countries and region.country not in residency.countries)
            or region.country in residency.denied_countries
        ):
            out[:] = True
            return out
        if residency.families or residency.denied_families:
            barred = [
                code
                for code, family in enumerate(families)
                if (residency.families and family not in residency.families) or family in residency.denied_families
            ]
            out |= np.isin(offers.family, barred)
        if residency.instance_types or residency.denied_instance_types:
            out |= np.array(
                [
                    (bool(residency.instance_types) and name not in residency.instance_types)
                    or name in residency.denied_instance_types
                    for name in offers.names
                ],
                dtype=bool,
            )
    if policy.price_bases is not None:
        allowed = [PRICE_BASES.index(basis) for basis in policy.price_bases]
        out |= ~np.isin(offers.basis, allowed)
    if policy.max_price_age is not None:
        oldest = day_number(today - policy.max_price_age)
        out |= (offers.as_of != UNKNOWN_DAY) & (offers.as_of < oldest)
    if policy.options is not None and PLACEMENT_OPTIONS[offers.option] not in policy.options:
        out[:] = True
    return out
