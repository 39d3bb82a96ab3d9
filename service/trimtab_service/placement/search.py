"""Best first over cells: the best feasible offer of each region, one after the other, exactly.

Every cell (option, region) has a lower bound: its cheapest large enough offer, with all that the region adds. The
cell with the least bound is opened, which finds its best feasible offer; what was found waits until no unopened
cell can be cheaper or tie. Dominated cells are never opened.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from math import floor, inf

from trimtab_service.placement.candidates import Candidate, feasible_offers, priced, spot_case, spot_offers, spot_rate
from trimtab_service.placement.costs import bounds, reread_cost
from trimtab_service.placement.options import OWNED, SPOT
from trimtab_service.placement.owned_cells import best_owned
from trimtab_service.placement.question import Question


class Frontier:
    """The search's state: what is opened, found, and still only bounded."""

    __slots__ = (
        "_bounds",
        "_codes",
        "_done",
        "_plain",
        "_question",
        "_regions",
        "_simple",
        "_stream",
        "_waiting",
        "closed",
    )

    def __init__(self, question: Question, explicit: Iterable[Candidate] = ()) -> None:
        self._question = question
        self._bounds = bounds(question)
        self._regions = question.index.region_count
        self._codes = question.codes
        self._waiting: list[Candidate] = list(explicit)
        heapify(self._waiting)
        self._done = 0
        self._simple = question.is_simple
        self._plain = question.is_plain
        self._stream = self._candidates()
        self.closed: list[tuple[int, int]] = []
        """Cells (option, region) that were opened and had no feasible offer."""

    def next_best(self) -> Candidate | None:
        """The best candidate of the regions that are left, whose region is then left out; None when there is none."""
        return next(self._stream, None)

    def _candidates(self) -> Iterator[Candidate]:
        """Candidates of ever new regions in order, for as long as they are asked for."""
        left, waiting, regions = self._bounds, self._waiting, self._regions
        while len(left):
            cell = int(left.argmin())
            bound = left.item(cell)
            if waiting and waiting[0][0] < bound:
                best = heappop(waiting)
                if not self._done >> best.region & 1:
                    self._done |= 1 << best.region
                    yield best
                continue
            if bound == inf:
                return
            left[cell] = inf
            row, region = divmod(cell, regions)
            if self._done >> region & 1:
                continue
            option = self._codes[row]
            found = self._open(option, region, int(bound))
            if found is None:
                self.closed.append((option, region))
            else:
                heappush(waiting, found)
        while waiting:
            best = heappop(waiting)
            if not self._done >> best.region & 1:
                self._done |= 1 << best.region
                yield best

    def leave_out(self, regions: int) -> None:
        """Leaves a set of regions out from now on."""
        self._done |= regions
        if len(self._bounds):
            self._bounds += self._question.index.region_sets.barrier(~regions & self._question.index.region_sets.all)[
                : len(self._bounds)
            ]

    def open_region(self, region: int) -> list[Candidate]:
        """The best candidate of each cell of a region, which stays as it is."""
        found = []
        for row, option in enumerate(self._codes):
            bound = self._bounds.item(row * self._regions + region)
            candidate = None if bound == inf else self._open(option, region, int(bound))
            if candidate is not None:
                found.append(candidate)
        return found

    def next_in_band(self, tolerance: float) -> Candidate | None:
        """Like `next_best`, but of all within the tolerance of the least cost the one of least risk, then nearest.

        Opens afresh what lies in the band, so it is not to be mixed with `next_best` on one frontier.
        """
        left = self._bounds.copy()
        explicit = list(self._waiting)
        least = self.next_best()
        if least is None:
            return None
        limit = least.cost + floor(least.cost * tolerance)
        done = self._done & ~(1 << least.region)
        found = [c for c in (*explicit, least) if c.cost <= limit and not done >> c.region & 1]
        for risky in (False, True):
            for cell in (left <= limit).nonzero()[0].tolist():
                row, region = divmod(cell, self._regions)
                if (self._codes[row] == SPOT) is not risky:
                    continue
                candidate = (
                    self._open_band(region, int(left[cell]), limit)
                    if risky
                    else self._open(self._codes[row], region, int(left[cell]))
                )
                if candidate is not None and candidate.cost <= limit:
                    found.append(candidate)
            if any(candidate.risk == 0 for candidate in found):
                break
        best = min(found, key=band_order)
        self._bounds = left
        left[best.region :: self._regions] = inf
        self._done = done | 1 << best.region
        self._waiting = explicit
        heapify(explicit)
        self._stream = self._candidates()
        return best

    def _open(self, option: int, region: int, bound: int) -> Candidate | None:
        """The best feasible offer of a cell, by the order of candidates."""
        question = self._question
        index = question.index
        if option == OWNED:
            return best_owned(question, region)
        cell = option * self._regions + region
        k = index.cell_start[cell] + question.cheapest.rank.item(cell)
        if option != SPOT:
            if self._plain:
                return Candidate(
                    bound,
                    0,
                    2,
                    index.price[k],
                    region,
                    index.snapshot.type_names[index.type_of[k]],
                    option,
                    0,
                    k,
                    None,
                    None,
                )
            for first in (
                (k,) if self._simple else feasible_offers(question, option, region, k, index.cell_start[cell + 1])
            ):
                # What fails here fails for all that cost more; the current type is looked at by itself.
                candidate = priced(question, option, region, first)
                return candidate if type(candidate) is Candidate else None
            return None
        return self._open_spot(region, bound, k, index.cell_start[cell + 1])

    def _open_spot(self, region: int, bound: int, k: int, end: int) -> Candidate | None:
        """As `_open`, for spot: interruptions may make a dearer offer the better one, so all in reach are priced.

        Of a cell's offers at one rate only the cheapest counts: it has the least cost and the same risk.
        """
        question = self._question
        index = question.index
        factor = question.factors[SPOT]
        rest = bound - round(index.price[k] * factor)
        best: Candidate | None = None
        rates: set[float] = set()
        if self._simple:
            best = self._spot_at_bound(region, bound, k)
            rates.add(spot_rate(question, region, index.type_of[k], k))
            k += 1
        limit: float = inf if question.max_cost is None else question.max_cost
        if best is not None:
            limit = best.cost
        if limit < inf:
            # What costs more per hour than this cannot be in reach; a micro more, for what rounding may do.
            end = bisect_right(index.price, (limit - rest + 1) / factor, k, end)
        if k >= end:
            return best
        for other in spot_offers(question, region, k, end):
            if rest + round(index.price[other] * factor) > limit:
                break
            rate = spot_rate(question, region, index.type_of[other], other)
            if rate in rates:
                continue
            rates.add(rate)
            candidate = priced(question, SPOT, region, other)
            if type(candidate) is Candidate and (best is None or candidate < best):
                best = candidate
                limit = best.cost
        return best

    def _spot_at_bound(self, region: int, bound: int, k: int) -> Candidate | None:
        """The offer that the bound of its cell was made from."""
        question = self._question
        index = question.index
        if not self._plain:
            candidate = priced(question, SPOT, region, k)
            return candidate if type(candidate) is Candidate else None
        t = index.type_of[k]
        case = spot_case(question, region, t, k)
        if case.barred is not None:
            return None
        price = index.price[k]
        cost = bound + round(price * case.extra)
        if question.rereading:
            cost += reread_cost(question, region, case)
        return Candidate(cost, case.risk, 2, price, region, index.snapshot.type_names[t], SPOT, 0, k, case, None)

    def _open_band(self, region: int, bound: int, limit: int) -> Candidate | None:
        """The best spot offer of a cell by the order within the band, of those that cost no more than `limit`."""
        question = self._question
        index = question.index
        cell = SPOT * self._regions + region
        k = index.cell_start[cell] + question.cheapest.rank.item(cell)
        factor = question.factors[SPOT]
        rest = bound - round(index.price[k] * factor)
        best: Candidate | None = None
        rates: set[float] = set()
        for other in feasible_offers(question, SPOT, region, k, index.cell_start[cell + 1]):
            if rest + round(index.price[other] * factor) > limit:
                break
            rate = spot_rate(question, region, index.type_of[other], other)
            if rate in rates:
                continue
            rates.add(rate)
            candidate = priced(question, SPOT, region, other)
            if (
                type(candidate) is Candidate
                and candidate.cost <= limit
                and (best is None or band_order(candidate) < band_order(best))
            ):
                best = candidate
        return best


def band_order(candidate: Candidate) -> tuple[int, int, int, int, int, str, int, int]:
    """Order of candidates that are held to cost the same: risk and nearness before cost."""
    return (
        candidate.risk,
        candidate.nearness,
        candidate.cost,
        candidate.price_nanos,
        candidate.region,
        candidate.instance_type,
        candidate.option,
        candidate.origin,
    )
