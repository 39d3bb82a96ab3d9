"""Every offer of the catalogue with the first reason against it and its cost: one pass over arrays.

What the search never looks at, explanations count here. The order of reasons is that of `OFFER_ORDER`.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np

from trimtab_service.catalog.arrays import F64, I8, I64, Bools
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.placement.costs import place_costs, reread_cost
from trimtab_service.placement.options import OPTION_OF_CODE, SPOT
from trimtab_service.placement.permits import policy_permits, type_steps
from trimtab_service.placement.question import Question
from trimtab_service.placement.rates import PRIOR_HOURS, RateBook
from trimtab_service.placement.spot import RATE_OF_BUCKET
from trimtab_service.placement.type_sets import TypeSet

FEASIBLE: Final = -1

OFFER_ORDER: Final = (
    RejectionReason.PARTITION_NOT_ALLOWED,
    RejectionReason.CLOUD_NOT_ALLOWED,
    RejectionReason.REGION_NOT_ALLOWED,
    RejectionReason.RESIDENCY,
    RejectionReason.POLICY,
    RejectionReason.SERVICE_MISSING,
    RejectionReason.LATENCY,
    RejectionReason.FAMILY_NOT_ALLOWED,
    RejectionReason.TYPE_NOT_ALLOWED,
    RejectionReason.GPU_MISMATCH,
    RejectionReason.TOO_SMALL,
    RejectionReason.ARCH_MISMATCH,
    RejectionReason.DISK_TOO_SMALL,
    RejectionReason.NETWORK_TOO_SLOW,
    RejectionReason.NOT_ENOUGH_ZONES,
    RejectionReason.PRICE_BASIS,
    RejectionReason.PRICE_STALE,
    RejectionReason.BLOCKED_BY_REQUEST,
    RejectionReason.BLOCKED_BY_OUTCOME,
    RejectionReason.QUOTA,
    RejectionReason.NEVER_FINISHES,
    RejectionReason.INTERRUPTION_RISK,
    RejectionReason.DEADLINE,
    RejectionReason.COST_LIMIT,
)
"""An offer counts under the first of these that holds against it."""

_CODE: Final = {reason: code for code, reason in enumerate(OFFER_ORDER)}


class Scanned(NamedTuple):
    """Aligned arrays over the offers of the allowed options, or of some regions.

    Offer k, region, option, type, code of the first reason in `OFFER_ORDER` (`FEASIBLE` for none), and whole cost
    in micros, +inf where spot never finishes.
    """

    k: I64
    region: I64
    option: I64
    types: I64
    reason: I8
    cost: F64


class Scan:
    """Works out a `Scanned`, rule by rule."""

    __slots__ = ("_question", "elapsed", "found")

    def __init__(self, question: Question, regions: list[int] | None = None) -> None:
        """Over all regions, or some."""
        self._question = question
        index = question.index
        count = index.region_count
        chosen = range(count) if regions is None else regions
        cells = [(option, r) for option in question.rows.codes for r in chosen]
        spans = [(index.cell_start[o * count + r], index.cell_start[o * count + r + 1]) for o, r in cells]
        sizes = [end - start for start, end in spans]
        k = np.concatenate([np.arange(a, b, dtype=np.int64) for a, b in spans] or [np.empty(0, np.int64)])
        self.found = Scanned(
            k,
            np.repeat(np.array([r for _, r in cells], np.int64), sizes),
            np.repeat(np.array([o for o, _ in cells], np.int64), sizes),
            index.snapshot.offers.type_index[k].astype(np.int64),
            np.full(k.size, FEASIBLE, np.int8),
            np.zeros(k.size),
        )
        self.elapsed = np.full(k.size, np.inf)
        """Expected hours to the finish of spot offers; +inf for all others."""
        self._regions()
        self._types()
        self._offers()
        self._cells()
        self._costs()

    def _reject(self, reason: RejectionReason, against: Bools) -> None:
        found = self.found.reason
        found[against & (found == FEASIBLE)] = _CODE[reason]

    def _reject_types(self, reason: RejectionReason, allowed: TypeSet) -> None:
        sets = self._question.index.type_sets
        if allowed != sets.all:
            self._reject(reason, ~sets.to_bools(allowed)[self.found.types])

    def _regions(self) -> None:
        sets = self._question.index.region_sets
        for reason, regions in self._question.taken:
            self._reject(reason, sets.to_bools(regions)[self.found.region])

    def _types(self) -> None:
        question = self._question
        sets, size, residency = question.index.type_sets, question.workload.size, question.workload.residency
        by_policy = policy_permits(question.index, question.policy)[1]
        # POLICY stands before the reasons of places that come later in the order, but types are only told apart here.
        if by_policy is not None:
            self._reject_types(RejectionReason.POLICY, by_policy)
        if residency is not None:
            for reason, allowed in type_steps(question.index, residency):
                self._reject_types(reason, allowed)
        if size.instance_type:
            self._reject_types(RejectionReason.TYPE_NOT_ALLOWED, sets.named(size.instance_type))
        self._reject_types(RejectionReason.GPU_MISMATCH, sets.with_gpus(size))
        self._reject_types(RejectionReason.TOO_SMALL, sets.large_enough(size))
        if size.architecture is not None:
            self._reject_types(RejectionReason.ARCH_MISMATCH, sets.by_arch.get(size.architecture, 0))
        if size.local_disk_gb > 0.0:
            self._reject_types(RejectionReason.DISK_TOO_SMALL, sets.disk(size.local_disk_gb))
        if size.network_gbps > 0.0:
            self._reject_types(RejectionReason.NETWORK_TOO_SLOW, sets.network(size.network_gbps))

    def _offers(self) -> None:
        question, found = self._question, self.found
        snapshot, prices = question.index.snapshot, question.prices
        if question.workload.spread_zones > 1:
            zones = np.bitwise_count(snapshot.type_region_zones[found.types, found.region])
            self._reject(RejectionReason.NOT_ENOUGH_ZONES, zones < question.workload.spread_zones)
        if prices is not None:
            self._reject(RejectionReason.PRICE_BASIS, ~prices.accepted[snapshot.offers.basis[found.k]])
            self._reject(RejectionReason.PRICE_STALE, snapshot.offers.as_of[found.k] < prices.first_day)

    def _cells(self) -> None:
        """Blocks and quotas, which name regions one by one."""
        question, found = self._question, self.found
        index, sets = question.index, question.index.type_sets
        places = range(index.region_count) if question.request_barriers or question.outcome_barriers else ()
        barriers_of = {r: barriers for r in places if (barriers := question.barriers_of(r))}
        here = {r: np.flatnonzero(found.region == r) for r in {*barriers_of, *question.quotas}}
        barred = {
            RejectionReason.BLOCKED_BY_REQUEST: np.zeros(found.k.size, np.bool_),
            RejectionReason.BLOCKED_BY_OUTCOME: np.zeros(found.k.size, np.bool_),
        }
        for region, barriers in barriers_of.items():
            rows = here[region]
            types, options = found.types[rows], found.option[rows]
            zones = listed = index.snapshot.type_region_zones[types, region]
            for reason, against in barred.items():
                for barrier in barriers:
                    if barrier.reason is not reason:
                        continue
                    hit = sets.to_bools(barrier.types)[types] & ((barrier.options >> options & 1) == 1)
                    if barrier.zone_bits:
                        zones = np.where(hit, zones & ~np.uint16(barrier.zone_bits), zones)
                    else:
                        against[rows[hit]] = True
                gone = np.bitwise_count(zones) < max(question.workload.spread_zones, 1)
                against[rows[gone & (listed != 0)]] = True
        for reason, against in barred.items():
            self._reject(reason, against)
        over = np.zeros(found.k.size, np.bool_)
        for region, rooms in question.quotas.items():
            rows = here[region]
            for room in rooms:
                hit = sets.to_bools(room.bars)[found.types[rows]] & ((room.options >> found.option[rows] & 1) == 1)
                over[rows[hit]] = True
        self._reject(RejectionReason.QUOTA, over)

    def _costs(self) -> None:
        question, found = self._question, self.found
        index = question.index
        prices = index.snapshot.offers.price_nanos[found.k].astype(np.float64)
        places = np.array([sum(place_costs(question, r)) for r in range(index.region_count)], np.float64)
        cost = np.rint(prices * np.array(question.factors)[found.option]) + places[found.region]
        stays = self._stays()
        if question.moving is not None:
            move = question.moving[found.region] + np.rint(prices * question.changeover)
            cost += np.where(stays, 0.0, move)
        spot = found.option == SPOT
        if spot.any():
            self._spot(np.flatnonzero(spot), prices, cost, stays)
        if question.left_hours is not None:
            late = np.where(stays, question.late(is_current=True), question.late(is_current=False))
            self._reject(RejectionReason.DEADLINE, late.astype(np.bool_) & ~spot)
        if question.max_cost is not None:
            self._reject(RejectionReason.COST_LIMIT, cost > question.max_cost)
        found.cost[:] = cost

    def _stays(self) -> Bools:
        question, found = self._question, self.found
        current = question.current
        if current is None:
            return np.zeros(found.k.size, np.bool_)
        stays: Bools = found.region == question.current_region
        if current.instance_type:
            stays &= question.index.type_sets.to_bools(question.index.type_sets.named(current.instance_type))[
                found.types
            ]
        if current.option is not None:
            codes = [i for i, option in enumerate(OPTION_OF_CODE) if option is current.option]
            stays &= np.isin(found.option, codes)
        return stays

    def _spot(self, rows: I64, prices: F64, cost: F64, stays: Bools) -> None:
        question, found = self._question, self.found
        rates, which = np.unique(self._rates(rows), return_inverse=True)
        cases = [question.spot.case(rate) for rate in rates.tolist()]
        extra = np.array([case.extra for case in cases])[which]
        cost[rows] += np.rint(prices[rows] * extra) + question.storage
        self.elapsed[rows] = np.array([case.outlook.elapsed_hours for case in cases])[which]
        if question.rereading:
            regions = question.index.region_count
            # What never finishes costs infinitely much already.
            finite = [case if np.isfinite(case.extra) else None for case in cases]
            again = np.array(
                [[0 if case is None else reread_cost(question, r, case) for case in finite] for r in range(regions)],
                np.float64,
            )
            cost[rows] += again[found.region[rows], which]
        for reason in (
            RejectionReason.NEVER_FINISHES,
            RejectionReason.INTERRUPTION_RISK,
            RejectionReason.DEADLINE,
        ):
            staying = np.array([case.barred is reason for case in cases], np.bool_)[which]
            moving = np.array([case.barred_moving is reason for case in cases], np.bool_)[which]
            against = np.zeros(found.k.size, np.bool_)
            against[rows] = np.where(stays[rows], staying, moving)
            self._reject(reason, against)

    def _rates(self, rows: I64) -> F64:
        """As `candidates.spot_rate`: whole families at once, then the places that something was learned of."""
        question, found = self._question, self.found
        index, learned = question.index, question.learned
        rates: F64 = np.array(RATE_OF_BUCKET)[index.snapshot.offers.bucket[found.k[rows]]]
        if learned is None:
            return rates
        sets, snapshot = index.type_sets, index.snapshot
        types, regions = found.types[rows], found.region[rows]
        priors = rates.copy()
        for (cloud, family), (interruptions, hours) in learned.families():
            of_family = sets.by_family.get(family, 0) & sets.by_cloud.get(Cloud(cloud), 0)
            here = sets.to_bools(of_family)[types]
            rates[here] = (priors[here] * PRIOR_HOURS + interruptions) / (PRIOR_HOURS + hours)
        known = np.unique([t * index.region_count + r for t, r in self._learned_places(learned)])
        keys = types * index.region_count + regions
        if known.size:
            at = np.searchsorted(known, keys)
            for i in np.flatnonzero(known[np.minimum(at, known.size - 1)] == keys).tolist():
                t, r = int(types[i]), int(regions[i])
                names = (index.clouds[r], index.family_of[t], snapshot.regions[r].name, snapshot.type_names[t])
                rates[i] = learned.rate(*names, "", float(priors[i]))
        return rates

    def _learned_places(self, learned: RateBook) -> Iterator[tuple[int, int]]:
        """Types and regions of this catalogue that something was learned of together."""
        snapshot = self._question.index.snapshot
        for (cloud, region, name), _ in learned.places():
            t, r = snapshot.type_index.get((Cloud(cloud), name)), snapshot.region_index.get((Cloud(cloud), region))
            if t is not None and r is not None:
                yield t, r
