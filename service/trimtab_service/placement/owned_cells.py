"""The best offer of a region that runs on owned room.

A covered instance costs nothing more; what room leaves uncovered is bought on demand where that is allowed, else
all of the gang must be covered. A type needs an on-demand price in the region to be considered.
"""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.placement.candidates import Candidate, costed, feasible_offers
from trimtab_service.placement.costs import may_leave_uncovered
from trimtab_service.placement.options import ON_DEMAND, OWNED
from trimtab_service.placement.question import Question

if TYPE_CHECKING:
    from trimtab_service.placement.type_sets import TypeSet


def best_owned(question: Question, region: int) -> Candidate | None:
    """The best candidate under owned room in a region, by the order of candidates.

    Types whose coverage is a matter of their own are looked at one by one. Of those that spend alone covers, the
    cheapest is the best: the dearer a type, the less of the gang is covered and the more the rest costs. Spend may
    leave out types with GPUs, so the cheapest with and without any are looked at.
    """
    index = question.index
    found = (covered(question, region, index.type_of[k], k) for k in owned_offers(question, region))
    return min((candidate for candidate in found if candidate is not None), default=None)


def owned_offers(question: Question, region: int) -> Iterator[int]:
    """Catalogue offers of a region that room may be of use to, whether or not there is any: those of `best_owned`."""
    owned, index = question.owned, question.index
    cell = ON_DEMAND * index.region_count + region
    start, end = index.cell_start[cell] + question.cheapest.rank.item(cell), index.cell_start[cell + 1]
    if owned is None or start >= end:
        return
    singular: TypeSet = owned.singular.get(region, 0)
    if singular & question.ok:
        yield from feasible_offers(question, OWNED, region, start, end, singular)
    if owned.wide >> region & 1:
        without = index.type_sets.no_gpu
        for types in (without & ~singular, ~without & ~singular):
            if types & question.ok:
                yield from islice(feasible_offers(question, OWNED, region, start, end, types), 1)


def covered(question: Question, region: int, t: int, k: int) -> Candidate | None:
    """A catalogue offer on owned room; None where room covers none of it, or less than it must, or cost rejects it."""
    index = question.index
    facts = offer_facts(question, region, t, index.price[k])
    cover = question.state.rooms.cover(facts, question.workload.count, question.instant)
    if not cover.instances_milli or not may_leave_uncovered(question, cover):
        return None
    found = costed(question, OWNED, region, facts.instance_type, index.price[k], None, 0, k, cover)
    return found if type(found) is Candidate else None


def offer_facts(question: Question, region: int, t: int, on_demand_nanos: int) -> OfferFacts:
    """What coverage and quotas ask about a type in a region; zones are those that blocks leave."""
    index = question.index
    types, snapshot = index.snapshot.types, index.snapshot
    model = int(types.gpu_model[t])
    return OfferFacts(
        cloud=index.clouds[region],
        region=snapshot.regions[region].name,
        instance_type=snapshot.type_names[t],
        family=index.family_of[t],
        vcpus=float(types.vcpus[t]),
        memory_gib=float(types.memory_gib[t]),
        gpu_model=snapshot.gpu_models[model] if model >= 0 else "",
        gpus=float(types.gpu_count[t]) if model >= 0 else 0.0,
        on_demand_nanos=on_demand_nanos,
        zones=question.zones_left(OWNED, region, t),
    )
