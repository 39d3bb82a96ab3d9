"""What an offer costs a request, term by term.

Cost of an offer at p nano-USD per hour in region r, in micro-USD, every product rounded once, half to even:

- compute       rint(p x k), k = hours paid for x instances bought / 1000;
- interruption  rint(p x ((expected paid hours - hours) x instances / 1000)), spot only;
- egress        reads of data sets and traffic to users (see `egress`), and for spot checkpoints read again:
                rint(expected interruptions x gib x pair rate / 1000);
- storage       rint(checkpoint gib x rate x months / 1000), spot with checkpoints only;
- moving        unless r (with type and option, where they are known) is the current place: its state read as a last
                data set, rint(p x (changeover hours x instances / 1000)), and the fixed cost;
- preference    the value of each wanted service that r lacks.

Hours paid for: the work's hours on demand and on spot. Reservations are paid in whole terms by a job, and by a
service around the clock: the hours of a month. Of owned room only what it leaves uncovered is bought.
"""

import numpy as np

from trimtab_service.catalog.arrays import F64
from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.decisions import CostTerms
from trimtab_service.placement.options import ON_DEMAND, OPTION_OF_CODE, RESERVED_YEARS, SPOT
from trimtab_service.placement.question import Question
from trimtab_service.placement.rooms import Coverage
from trimtab_service.placement.spot import SpotCase


def bounds(question: Question) -> F64:
    """[option row][region] end to end: what the cheapest large enough offer of each cell costs at least.

    +inf where there is none or the region is not allowed. Exact on demand and reserved, but for moves within the
    current region, which are left out.
    """
    index, rows, factors = question.index, question.rows, question.factors
    regions = index.region_count
    price = question.cheapest.price_nanos
    if rows.prefix:
        price = price[: len(rows.codes) * regions]
    else:
        some = [price[code * regions : (code + 1) * regions] for code in rows.codes]
        price = np.concatenate(some) if some else price[:0]
    costs: F64
    if rows.uniform:
        costs = price * factors[0]
    else:
        parts = [price[i * regions : (i + 1) * regions] * factors[code] for i, code in enumerate(rows.codes)]
        costs = np.concatenate(parts)
    np.rint(costs, costs)
    if question.storage and SPOT in rows.codes:
        row = rows.codes.index(SPOT) * regions
        costs[row : row + regions] += question.storage
    if question.codes is not rows.codes and question.owned is not None:
        # Fully covered at best, wherever a large enough type has an on-demand price and some room may cover it.
        on_demand = question.cheapest.price_nanos[ON_DEMAND * regions : (ON_DEMAND + 1) * regions]
        free = np.where(np.isfinite(on_demand), 0.0, np.inf)
        free += index.region_sets.barrier(question.owned.regions)[:regions]
        price, costs = np.concatenate((price, np.zeros(regions))), np.concatenate((costs, free))
    costs += index.region_sets.barrier(question.allowed)[: len(costs)]
    for vector in question.reads:
        costs += vector[: len(costs)]
    for having, micros in question.wanted:
        lacking = np.where(index.region_sets.to_bools(having), 0.0, float(micros))
        costs += np.tile(lacking, len(question.codes))
    if question.moving is not None:
        here = question.current_region
        staying = costs[here::regions].copy()
        costs += question.moving[: len(costs)]
        if question.changeover:
            costs += np.rint(price * question.changeover)
        costs[here::regions] = staying
    return costs


def place_costs(question: Question, region: int) -> tuple[int, int]:
    """Egress and preference micros of a region, the same for every offer of it; egress without checkpoints."""
    egress = 0
    for vector in question.reads:
        egress += int(vector.item(region))
    preference = 0
    for having, micros in question.wanted:
        if not having >> region & 1:
            preference += micros
    return egress, preference


def moving_cost(question: Question, region: int, price_nanos: int, cover: Coverage | None) -> int:
    """Micros of moving to an offer that is not the current place. Covered instances change over for nothing."""
    current = question.current
    if current is None or question.moving is None:
        return 0
    changeover = question.changeover if cover is None else _uncovered(question, current.changeover_hours, cover)
    return int(question.moving.item(region)) + round(price_nanos * changeover)


def owned_factor(question: Question, cover: Coverage) -> float:
    """As `Question.factors`, for the instances that owned room leaves to be bought on demand."""
    return _uncovered(question, question.hours, cover)


def _uncovered(question: Question, hours: float, cover: Coverage) -> float:
    bought_milli = question.workload.count * MILLI - cover.instances_milli
    return hours * (bought_milli / MILLI) / 1000.0


def may_leave_uncovered(question: Question, cover: Coverage) -> bool:
    """Whether the gang may run on so much room: all is covered, or the rest may be bought on demand."""
    return ON_DEMAND in question.rows.codes or cover.instances_milli >= question.workload.count * MILLI


def reread_cost(question: Question, region: int, case: SpotCase) -> int:
    """Micros of reading checkpoints again from where they are kept, at the first tier's rate."""
    interruption = question.workload.interruption
    store = interruption.checkpoint_store
    if store is None or not question.rereading:
        return 0
    source = question.index.snapshot.region_index[store.cloud, store.region]
    rate = question.index.egress.pair_nanos(source, region)
    return round(case.outlook.expected_interruptions * interruption.checkpoint_gib * rate / 1000.0)


def paid_hours(question: Question, option: int) -> float:
    """Hours that one instance is paid for under an option that nothing interrupts."""
    if option not in RESERVED_YEARS:
        return question.hours
    return question.factors[option] * 1000.0 / question.workload.count


def cost_terms(  # noqa: PLR0913, PLR0917 - an offer's parts
    question: Question,
    option: int,
    region: int,
    name: str,
    price: int,
    case: SpotCase | None,
    cover: Coverage | None,
) -> CostTerms:
    """The terms whose sum is the offer's cost."""
    egress, preference = place_costs(question, region)
    interruption = storage = moving = 0
    if case is not None:
        interruption = round(price * case.extra)
        storage = question.storage
        if question.rereading:
            egress += reread_cost(question, region, case)
    factor = question.factors[option] if cover is None else owned_factor(question, cover)
    if question.current is not None and not question.is_current(region, name, OPTION_OF_CODE[option]):
        moving = moving_cost(question, region, price, cover)
    return CostTerms(round(price * factor), interruption, egress, storage, moving, preference)
