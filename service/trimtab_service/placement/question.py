"""One request against one catalogue, compiled: factors, vectors and sets that the search reads.

Cost of an offer at p nano-USD per hour in region r, in micro-USD, every product rounded once, half to even:

- compute       rint(p x k), k = hours paid for x instances bought / 1000;
- interruption  rint(p x (expected paid hours - hours) x instances / 1000), spot only;
- egress        reads of data sets and traffic to users (see `egress`), and for spot checkpoints read again:
                rint(expected interruptions x gib x pair rate / 1000);
- storage       rint(checkpoint gib x rate x months / 1000), spot with checkpoints only;
- moving        unless r (with type and option, where they are known) is the current place: state read as a last
                data set, rint(p x changeover hours x instances / 1000), and the fixed cost;
- preference    the value of each wanted service that r lacks.

Hours paid for: the work's hours on demand and on spot. Reservations are paid in whole terms by a job, and by a
service around the clock: the hours of a month.
"""

from datetime import datetime
from math import ceil
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.catalog.snapshot import day_number
from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PRICE_BASES, PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import CurrentPlace, DataSet, PlaceQuery, Workload
from trimtab_service.placement.cell_rules import (
    OWNED,
    QuotaRoom,
    merged,
    outcome_barriers,
    quota_rooms,
    request_barriers,
)
from trimtab_service.placement.index import FEW_TYPES, OPTION_OF_CODE, Barriers, CheapestBySize, OwnedTypes, SearchIndex
from trimtab_service.placement.latency import mean_latency_ms
from trimtab_service.placement.owned_types import owned_types
from trimtab_service.placement.permits import RegionCount, policy_permits, region_permits, type_steps
from trimtab_service.placement.region_sets import ROWS, RegionSet
from trimtab_service.placement.rooms import Coverage
from trimtab_service.placement.spot import SpotCase, SpotRules
from trimtab_service.placement.state import ProjectState
from trimtab_service.placement.type_sets import TypeSet

SPOT: Final = PLACEMENT_OPTIONS.index(PurchaseOption.SPOT)
ON_DEMAND: Final = PLACEMENT_OPTIONS.index(PurchaseOption.ON_DEMAND)
RESERVED_YEARS: Final = {
    PLACEMENT_OPTIONS.index(PurchaseOption.RESERVED_1Y): 1,
    PLACEMENT_OPTIONS.index(PurchaseOption.RESERVED_3Y): 3,
}

_ESTIMATES: Final = frozenset(code for code, basis in enumerate(PRICE_BASES) if basis.is_estimate)
_ALL_BASES: Final = frozenset(range(len(PRICE_BASES)))


class OptionRows(NamedTuple):
    """Codes of the catalogue's options that are allowed, ascending, and whether owned room is."""

    codes: tuple[int, ...]
    owned: bool
    uniform: bool
    """The hours paid for are those of the work in every row."""
    prefix: bool
    """The codes are 0, 1, ... without a gap."""


_ROWS: dict[tuple[tuple[PurchaseOption, ...], frozenset[PurchaseOption] | None], OptionRows] = {}
_KEPT_ROWS: Final = 1_024


def option_rows(options: tuple[PurchaseOption, ...], allowed: frozenset[PurchaseOption] | None) -> OptionRows:
    """What a request's options come to under a policy's."""
    rows = _ROWS.get((options, allowed))
    if rows is None:
        chosen = {option for option in options if allowed is None or option in allowed}
        codes = tuple(code for code, option in enumerate(PLACEMENT_OPTIONS) if option in chosen)
        rows = OptionRows(
            codes,
            PurchaseOption.OWNED_COMMITMENT in chosen,
            uniform=not any(code in RESERVED_YEARS for code in codes),
            prefix=codes == tuple(range(len(codes))),
        )
        if len(_ROWS) >= _KEPT_ROWS:
            _ROWS.clear()
        _ROWS[options, allowed] = rows
    return rows


class PriceRules(NamedTuple):
    """Which prices may be used: codes of bases, and the first day number that is recent enough."""

    bases: frozenset[int]
    first_day: int


class Question:
    """A compiled request. Belongs to one call; `ok` and `latency_ms` are worked out when first asked for."""

    __slots__ = (
        "_latency",
        "_ok",
        "allowed",
        "barriers",
        "cheapest",
        "changeover",
        "codes",
        "current",
        "current_region",
        "extra",
        "factors",
        "hours",
        "index",
        "instant",
        "learned",
        "left_hours",
        "max_cost",
        "moving",
        "owned",
        "policy",
        "prices",
        "query",
        "is_plain",
        "is_simple",
        "quotas",
        "reads",
        "rereading",
        "rows",
        "spot",
        "state",
        "storage",
        "taken",
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
        self.query, self.index, self.policy, self.state, self.instant = query, index, policy, state, instant
        self.workload: Workload = workload
        self._latency: F64 | None = None
        self.rows = option_rows(workload.options, policy.options)
        self.hours = workload.hours
        self.max_cost = policy.max_cost_micros
        self._ok: TypeSet | None = None
        self._set_places(index)
        self._set_types(index)
        self._set_factors()
        self._set_vectors(index)
        self._set_owned()
        self._set_spot()
        self._set_rules(index)

    def _set_places(self, index: SearchIndex) -> None:
        workload = self.workload
        late: RegionSet = 0
        if workload.users is not None and workload.users.max_latency_ms > 0.0:
            late = index.region_sets.of_bools(self.latency_ms > workload.users.max_latency_ms)
        self.allowed: RegionSet
        self.taken: list[RegionCount]
        self.allowed, self.taken = region_permits(index, workload, self.policy, late)

    def _set_types(self, index: SearchIndex) -> None:
        """`extra`: types left by all that the size table does not know; None where the table says it all."""
        workload, sets = self.workload, index.type_sets
        size = workload.size
        extra: TypeSet | None = None
        if size.instance_type:
            extra = sets.named(size.instance_type)
        if workload.residency is not None:
            for _, types in type_steps(index, workload.residency):
                extra = types if extra is None else extra & types
        if self.policy.residencies:
            types_by_policy = policy_permits(index, self.policy)[1]
            if types_by_policy is not None:
                extra = types_by_policy if extra is None else extra & types_by_policy
        if size.local_disk_gb > 0.0:
            disk = sets.disk(size.local_disk_gb)
            extra = disk if extra is None else extra & disk
        if size.network_gbps > 0.0:
            network = sets.network(size.network_gbps)
            extra = network if extra is None else extra & network
        self.extra = extra
        if extra is not None and (size.instance_type or self.ok.bit_count() <= FEW_TYPES):
            self.cheapest: CheapestBySize = index.cheapest_of_types(self.ok)
            self.extra = None
            return
        self.cheapest, exact = index.cheapest_of_size(size)
        if not exact and extra is None:
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
        """`factors` [option code]: micro-USD per nano-USD of hourly price; and the time left to the deadline."""
        workload = self.workload
        each = self.hours * workload.count / 1000.0
        self.factors: list[float] = [each, each, each, each, each]
        if not self.rows.uniform:
            for code, years in RESERVED_YEARS.items():
                if workload.is_service:
                    paid = workload.hours_per_month
                else:
                    term = years * workload.hours_per_year
                    paid = max(ceil(self.hours / term), 1) * term
                self.factors[code] = paid * workload.count / 1000.0
        self.left_hours: float | None = None
        if workload.deadline is not None:
            self.left_hours = (workload.deadline - self.instant).total_seconds() / 3600.0

    def _set_vectors(self, index: SearchIndex) -> None:
        workload = self.workload
        current = workload.current
        self.current: CurrentPlace | None = current
        self.current_region = -1
        self.changeover = 0.0
        self.moving: F64 | None = None
        month_to_date: dict[int, float] = {}
        for key, gib in workload.month_to_date_egress:
            r = index.snapshot.region_index.get((key.cloud, key.region))
            if r is not None:
                month_to_date[r] = month_to_date.get(r, 0.0) + gib
        data_sets = workload.data_sets
        if current is None:
            self.reads: list[F64] = index.egress.reads(data_sets, month_to_date) if data_sets else []
        else:
            self.current_region = index.snapshot.region_index[current.location.cloud, current.location.region]
            self.changeover = current.changeover_hours * workload.count / 1000.0
            self.reads = index.egress.reads((*data_sets, DataSet(current.location, current.state_gib)), month_to_date)
            self.moving = self.reads.pop() + float(current.fixed_cost_micros)
        users = workload.users
        if users is not None and users.egress_gib > 0.0:
            self.reads.append(np.tile(index.egress.to_users(users.egress_gib, month_to_date), ROWS))
        self.wanted: list[tuple[RegionSet, int]] = [
            (index.regions_with(need.service), need.preference_micros)
            for need in workload.services
            if need.preference_micros
        ]

    def _set_owned(self) -> None:
        """`codes` are the rows of the search: the options of the catalogue, then owned room where there is any."""
        self.codes: tuple[int, ...] = self.rows.codes
        self.owned: OwnedTypes | None = None
        if self.rows.owned and self.state.rooms.has_commitments:
            self.owned = owned_types(self.index, self.state.rooms, self.instant)
            if self.owned.regions & self.allowed:
                self.codes = (*self.codes, OWNED)

    def _set_spot(self) -> None:
        workload = self.workload
        interruption = workload.interruption
        self.storage = 0
        self.rereading = interruption.checkpoint_store is not None and interruption.checkpoint_gib > 0.0
        if SPOT not in self.rows.codes and not workload.caller_offers:
            self.spot: SpotRules | None = None
            return
        limits = [
            limit
            for limit in (interruption.max_expected_interruptions, self.policy.max_expected_interruptions)
            if limit is not None
        ]
        self.spot = SpotRules(
            interruption,
            self.hours,
            workload.count,
            is_service=workload.is_service,
            left_hours=self.left_hours,
            changeover_hours=0.0 if self.current is None else self.current.changeover_hours,
            max_interruptions=min(limits) if limits else None,
        )
        if interruption.checkpoint_write_hours is not None and interruption.checkpoint_nanos_per_gib_month:
            months = 1.0 if workload.is_service else self.hours / workload.hours_per_month
            self.storage = round(
                interruption.checkpoint_gib * interruption.checkpoint_nanos_per_gib_month * months / 1000.0
            )

    def _set_rules(self, index: SearchIndex) -> None:
        workload, policy, learned = self.workload, self.policy, self.state.learned
        self.learned = learned.rates if learned.has_rates else None
        barriers: Barriers = {}
        if workload.blocked_offers:
            barriers = request_barriers(index, workload.blocked_offers)
        if learned.has_blocks:
            active = learned.active_blocks(self.instant)
            if active:
                barriers = merged(barriers, outcome_barriers(index, active))
        self.barriers = barriers
        self.quotas: dict[int, list[QuotaRoom]] = {}
        if workload.quotas:
            self.quotas = quota_rooms(index, self.query, self.state.rooms, self.instant)
        self.prices: PriceRules | None = None
        if policy.price_bases is not None or policy.max_price_age is not None or not workload.allow_estimated_prices:
            bases = _ALL_BASES
            if policy.price_bases is not None:
                bases = frozenset(PRICE_BASES.index(basis) for basis in policy.price_bases)
            if not workload.allow_estimated_prices:
                bases -= _ESTIMATES
            first = 0 if policy.max_price_age is None else day_number(self.instant.date()) - policy.max_price_age.days
            self.prices = PriceRules(bases, first)
        self.is_simple = not (
            barriers or self.quotas or self.extra is not None or self.prices or workload.spread_zones > 1
        )
        """The cheapest large enough offer of a cell needs no further look at its type, zone or price."""
        self.is_plain = (
            self.is_simple and self.current is None and self.left_hours is None and self.max_cost is None
        )
        """And its bound is its cost, but for what spot adds."""

    @property
    def latency_ms(self) -> F64 | None:
        """[region] mean round trip of the users; None without users."""
        if self._latency is None and self.workload.users is not None:
            self._latency = mean_latency_ms(self.index.snapshot, self.workload.users)
        return self._latency

    def bounds(self) -> F64:
        """[option row][region] end to end: what the cheapest large enough offer of each cell costs at least.

        +inf where there is none or the region is not allowed. Exact on demand and reserved, but for moves within
        the current region, which are left out.
        """
        regions = self.index.region_count
        rows = self.rows
        price = self.cheapest.price_nanos
        if rows.prefix:
            price = price[: len(rows.codes) * regions]
        else:
            price = np.concatenate([price[code * regions : (code + 1) * regions] for code in rows.codes] or [[]])
        if rows.uniform:
            costs: F64 = price * self.factors[0]
        else:
            costs = np.concatenate(
                [price[i * regions : (i + 1) * regions] * self.factors[code] for i, code in enumerate(rows.codes)]
            )
        np.rint(costs, costs)
        if self.owned is not None and OWNED in self.codes:
            # Fully covered at best, wherever a large enough type has an on-demand price and some room may cover it.
            on_demand = self.cheapest.price_nanos[ON_DEMAND * regions : (ON_DEMAND + 1) * regions]
            free = np.where(np.isfinite(on_demand), 0.0, np.inf)
            free += self.index.region_sets.barrier(self.owned.regions)[:regions]
            price, costs = np.concatenate((price, np.zeros(regions))), np.concatenate((costs, free))
        size = len(costs)
        costs += self.index.region_sets.barrier(self.allowed)[:size]
        for vector in self.reads:
            costs += vector[:size]
        for having, micros in self.wanted:
            costs += np.tile(np.where(self.index.region_sets.to_bools(having), 0.0, float(micros)), len(self.codes))
        if self.moving is not None:
            here = self.current_region
            costs_here = costs[here::regions].copy()
            costs += self.moving[:size]
            if self.changeover:
                costs += np.rint(price * self.changeover)
            costs[here::regions] = costs_here
        return costs

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

    def place_costs(self, region: int) -> tuple[int, int]:
        """Egress and preference micros of a region, the same for every offer of it; egress without checkpoints."""
        egress = 0
        for vector in self.reads:
            egress += int(vector[region])
        preference = 0
        for having, micros in self.wanted:
            if not having >> region & 1:
                preference += micros
        return egress, preference

    def moving_cost(self, region: int, price_nanos: int, cover: Coverage | None) -> int:
        """Micros of moving to an offer that is not the current place. Covered instances change over for nothing."""
        current = self.current
        if current is None or self.moving is None:
            return 0
        changeover = self.changeover if cover is None else self._owned_factor(current.changeover_hours, cover)
        return int(self.moving[region]) + round(price_nanos * changeover)

    def owned_factor(self, cover: Coverage) -> float:
        """As `factors`, for the instances that owned room leaves to be bought on demand."""
        return self._owned_factor(self.hours, cover)

    def _owned_factor(self, hours: float, cover: Coverage) -> float:
        bought_milli = self.workload.count * MILLI - cover.instances_milli
        return hours * (bought_milli / MILLI) / 1000.0

    def late(self, *, is_current: bool) -> bool:
        """Whether even uninterrupted work would be done too late."""
        left = self.left_hours
        if left is None:
            return False
        if self.current is not None and not is_current:
            left -= self.current.changeover_hours
        return self.hours > left

    def rereads(self, region: int, case: SpotCase) -> int:
        """Micros of reading checkpoints again from where they are kept, at the first tier's rate."""
        if not self.rereading:
            return 0
        interruption = self.workload.interruption
        store = interruption.checkpoint_store
        if store is None:
            return 0
        source = self.index.snapshot.region_index[store.cloud, store.region]
        rate = self.index.egress.pair_nanos(source, region)
        return round(case.outlook.expected_interruptions * interruption.checkpoint_gib * rate / 1000.0)

    def barred_types(self, option: int, region: int) -> tuple[TypeSet, list[tuple[TypeSet, int]]]:
        """Types that blocks and quotas bar from a cell, and (types, zone bits) barred from single zones."""
        barred: TypeSet = 0
        in_zones: list[tuple[TypeSet, int]] = []
        bit = 1 << option
        for barrier in self.barriers.get(region, ()):
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
        zones = self.index.zone_bits[t, region]
        bit = 1 << option
        for barrier in self.barriers.get(region, ()):
            if barrier.zone_bits and barrier.options & bit and barrier.types >> t & 1:
                zones &= ~barrier.zone_bits
        return tuple(name for i, name in enumerate(self.index.zones_of_region[region]) if zones >> i & 1)

    def may_leave_uncovered(self, cover: Coverage) -> bool:
        """Whether the gang may run on so much room: all is covered, or the rest may be bought on demand."""
        return ON_DEMAND in self.rows.codes or cover.instances_milli >= self.workload.count * MILLI

    @property
    def accepts_caller_prices(self) -> bool:
        """Whether the policy takes the caller's own figures."""
        bases = self.policy.price_bases
        return bases is None or PriceBasis.CALLER in bases

    def paid_hours(self, option: int) -> float:
        """Hours that one instance is paid for under an option that nothing interrupts."""
        return self.factors[option] * 1000.0 / self.workload.count if option in RESERVED_YEARS else self.hours

    @property
    def option_names(self) -> tuple[PurchaseOption, ...]:
        """Options by code."""
        return OPTION_OF_CODE
