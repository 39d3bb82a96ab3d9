"""One request against one catalogue, compiled: sets, factors and vectors that the search reads."""

from datetime import datetime
from math import ceil
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from trimtab_service.catalog.snapshot import EPOCH
from trimtab_service.domain.offers import PRICE_BASES, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import DataSet, PlaceQuery, Workload
from trimtab_service.placement.cell_rules import (
    QuotaRoom,
    outcome_barriers,
    quota_rooms,
    request_barriers,
)
from trimtab_service.placement.index import FEW_TYPES, Barrier, Barriers, CheapestBySize, OwnedTypes, SearchIndex
from trimtab_service.placement.latency import mean_latency_ms
from trimtab_service.placement.options import OWNED, RESERVED_YEARS, ROWS, option_rows
from trimtab_service.placement.owned_types import owned_types
from trimtab_service.placement.permits import RegionsTaken, policy_permits, region_permits, type_steps
from trimtab_service.placement.spot import SpotRules
from trimtab_service.placement.state import ProjectState
from trimtab_service.placement.type_sets import TypeSet

if TYPE_CHECKING:
    from trimtab_service.catalog.arrays import F64, Bools
    from trimtab_service.placement.rates import RateBook
    from trimtab_service.placement.region_sets import RegionSet

_ESTIMATES: Final = frozenset(code for code, basis in enumerate(PRICE_BASES) if basis.is_estimate)
_ALL_BASES: Final = frozenset(range(len(PRICE_BASES)))
_EPOCH_ORDINAL: Final = EPOCH.toordinal()
_NO_QUOTAS: Final[dict[int, list[QuotaRoom]]] = {}


class PriceRules(NamedTuple):
    """Which prices may be used: codes of bases, also as [code], and the first day number that is recent enough."""

    bases: frozenset[int]
    accepted: "Bools"
    first_day: int


class Question:
    """A compiled request. Belongs to one call.

    `allowed` are the regions that rules leave, `taken` those that each rule took. `cheapest` has the cheapest large
    enough offer of each cell; `extra` are the types left by what it does not know, None where it knows all, and
    `ok` the types that are large enough and allowed, whatever the place. `factors` [option code] are micro-USD per
    nano-USD of hourly price. `reads` are vectors over [option][region] of egress; `moving` is one of leaving the
    current place but for the changeover, whose factor is `changeover`; `wanted` are (regions having a service,
    micros of doing without). `codes` are the rows of the search.
    """

    __slots__ = (
        "_ok",
        "allowed",
        "changeover",
        "cheapest",
        "codes",
        "current",
        "current_region",
        "extra",
        "factors",
        "hours",
        "index",
        "instant",
        "is_plain",
        "is_simple",
        "known_types",
        "latency_ms",
        "learned",
        "left_hours",
        "max_cost",
        "moving",
        "outcome_barriers",
        "owned",
        "policy",
        "prices",
        "query",
        "quotas",
        "reads",
        "request_barriers",
        "rereading",
        "rows",
        "spot",
        "state",
        "storage",
        "taken",
        "today",
        "wanted",
        "workload",
    )

    def __init__(
        self,
        query: PlaceQuery,
        index: SearchIndex,
        policy: EffectivePolicy,
        state: ProjectState,
        instant: datetime,
    ) -> None:
        workload = query.workload
        self.query = query
        self.workload: Workload = workload
        self.index = index
        self.policy = policy
        self.state = state
        self.instant = instant
        self.today = instant.toordinal() - _EPOCH_ORDINAL
        self.rows = option_rows(workload.options, policy.options)
        self.codes = self.rows.codes
        self.hours = workload.hours
        self.max_cost = policy.max_cost_micros
        self.current = workload.current
        self.left_hours: float | None = None
        if workload.deadline is not None:
            self.left_hours = (workload.deadline - instant).total_seconds() / 3600.0
        late: RegionSet = 0
        users = workload.users
        self.latency_ms: F64 | None = None
        if users is not None:
            self.latency_ms = mean_latency_ms(index.snapshot, users)
            if users.max_latency_ms > 0.0:
                late = index.region_sets.of_bools(self.latency_ms > users.max_latency_ms)
        self.allowed: RegionSet
        self.taken: list[RegionsTaken]
        self.allowed, self.taken = region_permits(index, workload, policy, late)
        self.owned: OwnedTypes | None = None
        if self.rows.owned and state.rooms.has_commitments:
            self.owned = owned_types(index, state.rooms, instant)
            if self.owned.regions & self.allowed:
                self.codes = (*self.codes, OWNED)
        self._ok: TypeSet | None = None
        self._set_types(index)
        self._set_factors()
        self._set_vectors(index)
        self.wanted: list[tuple[RegionSet, int]] = []
        if workload.services:
            self.wanted = [
                (index.regions_with(need.service), need.preference_micros)
                for need in workload.services
                if need.preference_micros
            ]
        self._set_spot()
        self._set_rules(index)

    def _set_types(self, index: SearchIndex) -> None:
        workload, policy = self.workload, self.policy
        size, residency, sets = workload.size, workload.residency, index.type_sets
        extra: TypeSet | None = None
        if size.instance_type:
            extra = sets.named(size.instance_type)
        if residency is not None:
            for _, types in type_steps(index, residency):
                extra = types if extra is None else extra & types
        if policy.residencies:
            by_policy = policy_permits(index, policy)[1]
            if by_policy is not None:
                extra = by_policy if extra is None else extra & by_policy
        if size.local_disk_gb > 0.0:
            disk = sets.disk(size.local_disk_gb)
            extra = disk if extra is None else extra & disk
        if size.network_gbps > 0.0:
            network = sets.network(size.network_gbps)
            extra = network if extra is None else extra & network
        self.extra = extra
        self.cheapest: CheapestBySize
        if extra is not None and extra.bit_count() <= FEW_TYPES:
            self.cheapest = index.cheapest_of_types(self.ok)
            self.extra = None
            return
        self.cheapest = index.cheapest_of_size(size)
        if extra is None and not self.cheapest.exact:
            self.extra = sets.all

    @property
    def ok(self) -> TypeSet:
        """Types that are large enough and allowed, whatever the place."""
        ok = self._ok
        if ok is None:
            size, sets = self.workload.size, self.index.type_sets
            ok = sets.with_gpus(size) & sets.large_enough(size)
            if self.extra is not None:
                ok &= self.extra
            if size.architecture is not None:
                ok &= sets.by_arch.get(size.architecture, 0)
            self._ok = ok
        return ok

    def _set_factors(self) -> None:
        workload = self.workload
        each = self.hours * workload.count / 1000.0
        self.factors: list[float] = [each] * ROWS
        if not self.rows.uniform:
            for code, years in RESERVED_YEARS.items():
                if workload.is_service:
                    paid = workload.hours_per_month
                else:
                    term = years * workload.hours_per_year
                    paid = max(ceil(self.hours / term), 1) * term
                self.factors[code] = paid * workload.count / 1000.0

    def _set_vectors(self, index: SearchIndex) -> None:
        workload, current = self.workload, self.current
        self.current_region = -1
        self.changeover = 0.0
        self.moving: F64 | None = None
        month_to_date: dict[int, float] = {}
        if workload.month_to_date_egress:
            for key, gib in workload.month_to_date_egress:
                r = index.snapshot.region_index.get((key.cloud, key.region))
                if r is not None:
                    month_to_date[r] = month_to_date.get(r, 0.0) + gib
        rows = max(len(self.codes), 1)
        self.reads: list[F64] = []
        if current is not None:
            self.current_region = index.snapshot.region_index[current.location.cloud, current.location.region]
            self.changeover = current.changeover_hours * workload.count / 1000.0
            data_sets = (*workload.data_sets, DataSet(current.location, current.state_gib))
            self.reads = index.egress.reads(data_sets, month_to_date, rows)
            self.moving = self.reads.pop() + float(current.fixed_cost_micros)
        elif workload.data_sets:
            self.reads = index.egress.reads(workload.data_sets, month_to_date, rows)
        users = workload.users
        if users is not None and users.egress_gib > 0.0:
            self.reads.append(np.tile(index.egress.to_users(users.egress_gib, month_to_date), rows))

    def _set_spot(self) -> None:
        workload = self.workload
        interruption = workload.interruption
        limit = interruption.max_expected_interruptions
        by_policy = self.policy.max_expected_interruptions
        if by_policy is not None and (limit is None or by_policy < limit):
            limit = by_policy
        self.spot = SpotRules(workload, self.left_hours, limit)
        self.storage = 0
        self.rereading = interruption.checkpoint_store is not None and interruption.checkpoint_gib > 0.0
        if interruption.checkpoint_write_hours is not None and interruption.checkpoint_nanos_per_gib_month:
            months = 1.0 if workload.is_service else self.hours / workload.hours_per_month
            self.storage = round(
                interruption.checkpoint_gib * interruption.checkpoint_nanos_per_gib_month * months / 1000.0
            )

    def _set_rules(self, index: SearchIndex) -> None:
        workload, policy, learned = self.workload, self.policy, self.state.learned
        self.learned: RateBook | None = None
        if learned.has_rates:
            self.learned = learned.rates
            self.known_types: dict[int, bool] = index.known_types(learned.rates)
        self.request_barriers: Barriers | None = None
        if workload.blocked_offers:
            self.request_barriers = request_barriers(index, workload.blocked_offers)
        self.outcome_barriers: Barriers | None = None
        if learned.has_blocks:
            active = learned.active_blocks(self.instant)
            if active.blocks:
                self.outcome_barriers = outcome_barriers(index, active)
        self.quotas = quota_rooms(index, self.query, self.state.rooms, self.instant) if workload.quotas else _NO_QUOTAS
        self.prices: PriceRules | None = None
        if policy.price_bases is not None or policy.max_price_age is not None or not workload.allow_estimated_prices:
            self.prices = self._price_rules()
        self.is_simple = not (
            self.request_barriers
            or self.outcome_barriers
            or self.quotas
            or self.extra is not None
            or self.prices is not None
            or workload.spread_zones > 1
        )
        """The cheapest large enough offer of a cell needs no further look at its type, zone or price."""
        self.is_plain = self.is_simple and self.current is None and self.left_hours is None and self.max_cost is None
        """And its bound is its cost, but for what spot adds."""

    def _price_rules(self) -> PriceRules:
        policy, bases = self.policy, _ALL_BASES
        if policy.price_bases is not None:
            bases = frozenset(PRICE_BASES.index(basis) for basis in policy.price_bases)
        if not self.workload.allow_estimated_prices:
            bases -= _ESTIMATES
        accepted = np.array([code in bases for code in range(len(PRICE_BASES))])
        return PriceRules(
            bases, accepted, 0 if policy.max_price_age is None else self.today - policy.max_price_age.days
        )

    def is_current(self, region: int, name: str, option: PurchaseOption) -> bool:
        """Whether an offer is where the workload runs now, as far as that is known."""
        current = self.current
        return (
            current is not None
            and region == self.current_region
            and (not current.instance_type or current.instance_type == name)
            and (current.option is None or current.option is option)
        )

    def nearness(self, region: int, name: str) -> int:
        """0 for the current region and type, 1 for the current region, 2 elsewhere or without a current place."""
        current = self.current
        if current is None or region != self.current_region:
            return 2
        return 0 if not current.instance_type or current.instance_type == name else 1

    def late(self, *, is_current: bool) -> bool:
        """Whether even uninterrupted work would be done too late."""
        left = self.left_hours
        if left is None:
            return False
        if self.current is not None and not is_current:
            left -= self.current.changeover_hours
        return self.hours > left

    def barriers_of(self, region: int) -> list[Barrier]:
        """Blocks of the request, then reported failures, that hold in a region."""
        asked, reported = self.request_barriers, self.outcome_barriers
        if asked is None:
            return [] if reported is None else reported.of_region(region)
        if reported is None:
            return asked.of_region(region)
        return [*asked.of_region(region), *reported.of_region(region)]

    def barred_types(self, option: int, region: int) -> tuple[TypeSet, list[tuple[TypeSet, int]]]:
        """Types that blocks and quotas bar from a cell, and (types, zone bits) barred from single zones."""
        barred: TypeSet = 0
        in_zones: list[tuple[TypeSet, int]] = []
        bit = 1 << option
        for barrier in self.barriers_of(region):
            if barrier.options & bit:
                if barrier.zone_bits:
                    in_zones.append((barrier.types, barrier.zone_bits))
                else:
                    barred |= barrier.types
        for room in self.quotas.get(region, ()):
            if room.options & bit:
                barred |= room.bars
        return barred, in_zones

    def zones_left(self, option: int, region: int, t: int) -> tuple[str, ...]:
        """Names of the zones where a type may run under an option, in order; empty where none is listed."""
        barred = 0
        bit = 1 << option
        for barrier in self.barriers_of(region):
            if barrier.zone_bits and barrier.options & bit and barrier.types >> t & 1:
                barred |= barrier.zone_bits
        if not barred:
            return self.index.zones_offered(t, region)
        zones = self.index.zone_bits[t, region] & ~barred
        return tuple(name for i, name in enumerate(self.index.zones_of_region[region]) if zones >> i & 1)
