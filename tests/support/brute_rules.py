"""Which places, types and offers a request may have, one offer at a time."""

from datetime import datetime
from math import asin, cos, radians, sin, sqrt

from tests.support.brute_rows import OfferRow, TypeRow
from trimtab_service.catalog.services import UnknownService, packaged_services
from trimtab_service.catalog.snapshot import CatalogSnapshot, day_of
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import CallerOffer, PlaceQuery, Quota, Residency
from trimtab_service.placement.state import ProjectState

OWNED = PurchaseOption.OWNED_COMMITMENT
OD, SPOT = PurchaseOption.ON_DEMAND, PurchaseOption.SPOT


class Rules:
    """What one request, its policy and the project's state forbid."""

    def __init__(
        self,
        snapshot: CatalogSnapshot,
        query: PlaceQuery,
        policy: EffectivePolicy,
        state: ProjectState,
        instant: datetime,
    ) -> None:
        self.snapshot, self.query, self.policy, self.state, self.instant = snapshot, query, policy, state, instant
        self.work = query.workload
        blocks = state.learned.active_blocks(instant).blocks
        self.patterns = [(p.cloud, p.region, p.zone, p.instance_type, p.option) for p in self.work.blocked_offers]
        self.patterns += [(b.cloud, b.region, b.zone, b.instance_type, b.option) for b in blocks]

    def region_ok(self, r: int) -> bool:  # noqa: PLR0911 - one a rule
        """Whether a region may be used at all."""
        region = self.snapshot.regions[r]
        if region.partition != "public" and not (
            {region.partition, f"{region.cloud}-{region.partition}"} & self.work.partitions
        ):
            return False
        if not self.policy.required_tags <= {name for name, _ in self.work.tags}:
            return False
        for rules in self.residencies():
            if (rules.clouds and region.cloud not in rules.clouds) or region.cloud in rules.denied_clouds:
                return False
            if (rules.countries and region.country not in rules.countries) or region.country in rules.denied_countries:
                return False
            allowed = {(k.cloud, k.region) for k in rules.regions}
            denied = {(k.cloud, k.region) for k in rules.denied_regions}
            if (allowed and (region.cloud, region.name) not in allowed) or (region.cloud, region.name) in denied:
                return False
        if any(n.preference_micros is None and not self.has_service(r, n.service) for n in self.work.services):
            return False
        users = self.work.users
        return users is None or users.max_latency_ms <= 0 or self.latency(r) <= users.max_latency_ms

    def residencies(self) -> list[Residency]:
        """The request's own and the policy's."""
        own = [self.work.residency] if self.work.residency is not None else []
        return [*own, *self.policy.residencies]

    def has_service(self, r: int, name: str) -> bool:
        """Whether a service is there."""
        facts = packaged_services().find(name)
        if isinstance(facts, UnknownService):
            return False
        return bool(packaged_services().regions_with(facts, self.snapshot)[r])

    def latency(self, r: int) -> float:
        """Milliseconds to the users, in the mean."""
        region = self.snapshot.regions[r]
        total = 2.0
        for group in self.work.users.groups if self.work.users is not None else ():
            a, b = radians(region.latitude), radians(group.latitude)
            h = sin((a - b) / 2) ** 2 + cos(a) * cos(b) * sin(radians(region.longitude - group.longitude) / 2) ** 2
            km = 2 * 6371.0088 * asin(sqrt(min(1.0, h)))
            total += group.share * (2 * km * 1.5 / (299.792458 * 2 / 3))
        return total

    def type_ok(self, kind: TypeRow) -> bool:  # noqa: PLR0911 - one a rule
        """Whether a type is large enough and allowed."""
        size = self.work.size
        if not self.names_ok(kind.name, kind.family):
            return False
        if size.gpus:
            if not any(
                kind.gpu in g.models and kind.gpus >= g.count and kind.gpu_memory >= g.memory_gib for g in size.gpus
            ):
                return False
        elif kind.gpu and not size.instance_type:
            return False
        if kind.vcpus < size.vcpus or kind.memory < size.memory_gib:
            return False
        if size.architecture is not None and kind.arch != size.architecture:
            return False
        if size.local_disk_gb > 0 and not kind.disk >= size.local_disk_gb:
            return False
        return size.network_gbps <= 0 or kind.network >= size.network_gbps

    def names_ok(self, name: str, family: str | None) -> bool:
        """Whether type and family are allowed."""
        if self.work.size.instance_type and name != self.work.size.instance_type:
            return False
        for rules in self.residencies():
            if (rules.families and family not in rules.families) or family in rules.denied_families:
                return False
            if (rules.instance_types and name not in rules.instance_types) or name in rules.denied_instance_types:
                return False
        return True

    def price_ok(self, offer: OfferRow) -> bool:
        """Whether a price may be trusted."""
        if offer.basis.is_estimate and not self.work.allow_estimated_prices:
            return False
        if self.policy.price_bases is not None and offer.basis not in self.policy.price_bases:
            return False
        oldest = self.policy.max_price_age
        return oldest is None or self.instant.date() - day_of(offer.day) <= oldest

    def caller_ok(self, caller: CallerOffer) -> bool:
        """Whether the caller's own offer may be taken."""
        if any(rules.families for rules in self.residencies()) or not self.names_ok(caller.instance_type, None):
            return False
        if self.policy.price_bases is not None and PriceBasis.CALLER not in self.policy.price_bases:
            return False
        need, size = self.work.size, caller.size
        if size is None:
            return True
        if need.gpus and not any(
            set(have.models) & set(want.models) and have.count >= want.count and have.memory_gib >= want.memory_gib
            for want in need.gpus
            for have in size.gpus
        ):
            return False
        return (
            size.vcpus >= need.vcpus
            and size.memory_gib >= need.memory_gib
            and (need.architecture is None or size.architecture == need.architecture)
            and size.local_disk_gb >= need.local_disk_gb
            and size.network_gbps >= need.network_gbps
        )

    def zones_left(
        self, cloud: Cloud, region: str, name: str, option: PurchaseOption, zones: tuple[str, ...]
    ) -> tuple[str, ...] | None:
        """Zones that no block takes; None where the whole offer is blocked."""
        left = list(zones)
        runs_as = {option, OD} if option is OWNED else {option}
        for p_cloud, p_region, p_zone, p_type, p_option in self.patterns:
            if p_cloud not in {None, cloud} or p_region not in {"", region} or p_type not in {"", name}:
                continue
            if p_option is not None and p_option not in runs_as:
                continue
            if not p_zone:
                return None
            if p_zone in left:
                left.remove(p_zone)
        return tuple(left)

    def room_ok(self, facts: OfferFacts, option: PurchaseOption) -> bool:
        """Whether no quota is exceeded."""
        return all(self.quota_ok(quota, facts, option) for quota in self.work.quotas)

    def quota_ok(self, quota: Quota, facts: OfferFacts, option: PurchaseOption) -> bool:
        """Whether one quota is kept to."""
        runs_as = {option, OD} if option is OWNED else {option}
        if (quota.location.cloud, quota.location.region) != (facts.cloud, facts.region):
            return True
        if quota.family not in {"", facts.family} or quota.gpu_model not in {"", facts.gpu_model}:
            return True
        if quota.options and not quota.options & runs_as:
            return True
        each = {"vcpus": facts.vcpus, "gpus": facts.gpus, "instances": 1.0}[quota.unit]
        options = "+".join(sorted(quota.options)) or "*"
        key = (
            f"projects/{self.query.project}/quota/{facts.cloud}/{facts.region}/{quota.family or '*'}"
            f"/{quota.gpu_model or '*'}/{options}/{quota.unit}"
        )
        drawn = self.state.rooms.ledger.drawn_milli(key, self.instant)
        return round(each * self.work.count * 1000) <= max(0, int(quota.left * 1000) - drawn)
