"""The request that most callers send, decided in one pass: the same steps as the engine's, written out.

A size, on demand with or without spot, places to run, data to read; no current place, no time limit, nothing
learned, owned, blocked or ruled by policy. There the cheapest large enough offer of a cell needs no second look,
and calls between small functions would take three times as long as all that they do. Everything else is None here
and goes to the engine. Where it is built, `compiled/kernel.pyx` answers before, these requests and more. All are held
to the same brute-force scorer, and to each other.
"""

from datetime import datetime, timedelta
from heapq import heappop, heappush
from math import inf
from typing import TYPE_CHECKING, Final

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.catalog.snapshot import EPOCH
from trimtab_service.domain.decisions import CostTerms, Decision, FailureDomain, Fallback, Placement, Verdict
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import PlaceQuery, Workload
from trimtab_service.placement.answer import price_notes
from trimtab_service.placement.index import CheapestBySize, SearchIndex
from trimtab_service.placement.learned import NOTHING_LEARNED
from trimtab_service.placement.options import OptionRows, option_rows
from trimtab_service.placement.permits import RegionsTaken, region_permits
from trimtab_service.placement.spot import RATE_OF_BUCKET, SpotCase, SpotRules
from trimtab_service.placement.state import ProjectState

if TYPE_CHECKING:
    from trimtab_service.placement.region_sets import RegionSet
    from trimtab_service.placement.type_sets import TypeSet

_EPOCH_ORDINAL: Final = EPOCH.toordinal()
_NOT_OFFERED: Final = RejectionReason.NOT_OFFERED
_COSTLIER: Final = RejectionReason.COSTLIER
_PLACED: Final = Verdict.PLACED
_ZONE: Final = FailureDomain.ZONE
_REGION: Final = FailureDomain.REGION
_CLOUD: Final = FailureDomain.CLOUD
_NO_ZONES: Final[tuple[tuple[str, int], ...]] = ()

_Found = tuple[int, int, int, int, str, int, int, SpotCase | None]
"""Cost, risk, hourly price, region, type, option, offer and spot case: in the order of candidates, as far as it can
tell two apart here."""


def plain_rows(  # noqa: PLR0911 - one a kind of rule
    query: PlaceQuery, policy: EffectivePolicy, state: ProjectState
) -> OptionRows | None:
    """The rows of options of a plain request; None for any other."""
    work = query.workload
    if (
        work.current is not None
        or work.users is not None
        or work.deadline is not None
        or work.services
        or work.quotas
        or work.blocked_offers
        or work.caller_offers
        or work.month_to_date_egress
        or work.spread_zones > 1
        or work.tolerance_fraction
        or not work.allow_estimated_prices
        or _binds(policy)
    ):
        return None
    size, residency, interruption = work.size, work.residency, work.interruption
    if size.instance_type or size.local_disk_gb > 0.0 or size.network_gbps > 0.0:
        return None
    if residency is not None and (
        residency.families or residency.denied_families or residency.instance_types or residency.denied_instance_types
    ):
        return None
    if (
        interruption.checkpoint_store is not None
        or interruption.max_expected_interruptions is not None
        or interruption.checkpoint_nanos_per_gib_month
    ):
        return None
    learned = state.learned
    if learned is not NOTHING_LEARNED and (learned.has_rates or learned.has_blocks):
        return None
    rows = option_rows(work.options, None)
    if not rows.uniform or not rows.prefix or not rows.codes or (rows.owned and state.rooms.has_commitments):
        return None
    return rows


def _binds(policy: EffectivePolicy) -> bool:
    """Whether a policy says anything that a plain request could feel. Its revision is not such a thing."""
    return bool(
        policy.residencies
        or policy.options is not None
        or policy.price_bases is not None
        or policy.max_price_age is not None
        or policy.max_expected_interruptions is not None
        or policy.max_cost_micros is not None
        or policy.approval_threshold_micros is not None
        or policy.tolerance_fraction
    )


def plain_decision(  # noqa: PLR0913, PLR0917 - as `decide`
    query: PlaceQuery,
    index: SearchIndex,
    policy: EffectivePolicy,
    state: ProjectState,
    instant: datetime,
    valid: timedelta,
) -> Decision | None:
    """The decision on a plain request; None where it is not plain, or where nothing can be found for it."""
    rows = plain_rows(query, policy, state)
    if rows is None:
        return None
    work = query.workload
    cheapest = index.cheapest_of_size(work.size)
    if not cheapest.exact:
        return None
    codes = len(rows.codes)
    allowed, taken = region_permits(index, work, policy, 0)
    rejected = _rejected(rows, cheapest, allowed, taken)
    reads = index.egress.plain_reads(work.data_sets, codes)
    if reads is None:
        return None
    costs: F64 = cheapest.price_nanos[: codes * index.region_count] * (work.hours * work.count / 1000.0)
    np.rint(costs, costs)
    costs += index.region_sets.barrier(allowed)[: len(costs)]
    for vector in reads:
        costs += vector
    found = _search(work, query.max_fallbacks, index, cheapest, costs)
    if not found:
        return None
    return _answer(query, index, instant, found, reads, rejected, valid)


def _rejected(
    rows: OptionRows, cheapest: CheapestBySize, allowed: "RegionSet", taken: list[RegionsTaken]
) -> tuple[tuple[RejectionReason, int], ...]:
    """Regions by the reason why they were not chosen, when one was."""
    offered: RegionSet = 0
    for code in rows.codes:
        offered |= cheapest.offered[code]
    counts = [(reason, regions.bit_count()) for reason, regions in taken]
    nothing = (allowed & ~offered).bit_count()
    if nothing:
        counts.append((_NOT_OFFERED, nothing))
    costlier = (allowed & offered).bit_count() - 1
    if costlier:
        counts.append((_COSTLIER, costlier))
    return tuple(counts)


def _large_enough(work: Workload, index: SearchIndex) -> "TypeSet":
    """Types that the work could run on."""
    size, sets = work.size, index.type_sets
    ok = sets.with_gpus(size) & sets.large_enough(size)
    if size.architecture is not None:
        ok &= sets.by_arch.get(size.architecture, 0)
    return ok


def _search(  # noqa: C901, PLR0912, PLR0915 - written out on purpose
    work: Workload, fallbacks: int, index: SearchIndex, cheapest: CheapestBySize, costs: F64
) -> list[_Found]:
    """The chosen offer and then the best of each region that a fallback is wanted from.

    Empty where it takes more than a look at each cell's cheapest offers.
    """
    regions = index.region_count
    argmin, item, rank_of = costs.argmin, costs.item, cheapest.rank.item
    starts, prices, buckets, type_of = index.cell_start, index.price, index.bucket, index.type_of
    names, clouds = index.snapshot.type_names, index.clouds
    hours, count = work.hours, work.count
    factor = hours * count / 1000.0
    rules = SpotRules(work, None, None)
    cases: list[SpotCase | None] = [None] * len(RATE_OF_BUCKET)
    waiting: list[_Found] = []
    picks: list[_Found] = []
    done: RegionSet = 0
    wanted, same_cloud, home = 1, True, clouds[0]
    spare: _Found | None = None
    while True:
        cell = int(argmin())
        bound = item(cell)
        if waiting and waiting[0][0] < bound:
            best = heappop(waiting)
            region = best[3]
            if done >> region & 1:
                continue
            done |= 1 << region
            if not picks:
                home = clouds[region]
                wanted += fallbacks - (fallbacks > 0 and index.has_next_zone(type_of[best[6]], region))
            elif same_cloud:
                same_cloud = clouds[region] is home
                if same_cloud and fallbacks > 1 and len(picks) == wanted - 1:
                    # The last fallback, and none in another cloud yet: the best of those, or else this one.
                    spare = best
                    done |= index.region_sets.by_cloud[home]
                    costs += index.other_clouds[home][: len(costs)]
                    continue
            picks.append(best)
            if len(picks) == wanted:
                return picks
            continue
        if bound == inf:
            if spare is not None:
                picks.append(spare)
            return picks
        costs[cell] = inf
        option, region = divmod(cell, regions)
        if done >> region & 1:
            continue
        cost = int(bound)
        k = starts[cell] + rank_of(cell)
        price = prices[k]
        if not option:
            heappush(waiting, (cost, 0, price, region, names[type_of[k]], 0, k, None))
            continue
        bucket = buckets[k]
        case = cases[bucket]
        if case is None:
            case = cases[bucket] = rules.case(RATE_OF_BUCKET[bucket])
            if case.barred is not None:
                return []
        rest = cost - round(price * factor)
        cost += round(price * case.extra)
        end = starts[cell + 1]
        best = (cost, case.risk, price, region, names[type_of[k]], 1, k, case)
        if k + 1 < end and rest + round(prices[k + 1] * factor) <= cost:
            best = _among(work, index, rules, best, range(k + 1, end), rest)
        heappush(waiting, best)


def _among(  # noqa: PLR0913, PLR0917 - what `_search` has in hand
    work: Workload, index: SearchIndex, rules: SpotRules, best: _Found, others: range, rest: int
) -> _Found:
    """The best of a spot offer and those after it in its cell, as far as their price leaves them in reach."""
    ok = _large_enough(work, index)
    factor = work.hours * work.count / 1000.0
    rates = {RATE_OF_BUCKET[index.bucket[best[6]]]}
    for k in others:
        price = index.price[k]
        least = rest + round(price * factor)
        if least > best[0]:
            break
        rate = RATE_OF_BUCKET[index.bucket[k]]
        t = index.type_of[k]
        if rate in rates or not ok >> t & 1:
            continue
        rates.add(rate)
        case = rules.case(rate)
        if case.barred is not None:
            continue  # never finishing costs infinitely much
        found = (least + round(price * case.extra), case.risk, price, best[3], index.snapshot.type_names[t], 1, k, case)
        best = min(best, found)
    return best


def _answer(  # noqa: PLR0913, PLR0917 - what was found out
    query: PlaceQuery,
    index: SearchIndex,
    instant: datetime,
    found: list[_Found],
    reads: list[F64],
    rejected: tuple[tuple[RejectionReason, int], ...],
    valid: timedelta,
) -> Decision:
    work = query.workload
    hours = work.hours
    factor = hours * work.count / 1000.0
    today = instant.toordinal() - _EPOCH_ORDINAL
    places = []
    offers_of = index.offers_in_zones
    for _, risk, price, region, _, option, k, case in found:
        egress = 0
        for vector in reads:
            egress += int(vector.item(region))
        age = today - index.as_of[k]
        age = max(0, age)
        offers = offers_of(k, region, option)
        compute = round(price * factor)
        if case is None:
            terms = CostTerms(compute, 0, egress, 0, 0, 0)
            place = Placement(offers[0], terms, hours, 0.0, 0, _NO_ZONES, None, age)
        else:
            terms = CostTerms(compute, round(price * case.extra), egress, 0, 0, 0)
            billed, interruptions, interval, _ = case.outlook
            place = Placement(offers[0], terms, billed, interruptions, risk, _NO_ZONES, interval, age)
        places.append((place, offers))
    chosen, offers = places[0]
    home = chosen.offer.cloud
    fallbacks = []
    if query.max_fallbacks and len(offers) > 1:
        fallbacks.append(Fallback(Placement(offers[1], *chosen[1:]), _ZONE))
    clouds = {home}
    for place, _ in places[1:]:
        cloud = place.offer.cloud
        fallbacks.append(Fallback(place, _REGION if cloud in clouds else _CLOUD))
        clouds.add(cloud)
    notes = price_notes(work.readings, chosen)
    return Decision(_PLACED, chosen, tuple(fallbacks), rejected, instant + valid, notes)
