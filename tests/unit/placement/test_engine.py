"""What a decision holds: verdicts, fallbacks, counts, time and reasons, on the packaged catalogue."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.places import IRELAND, ON_DEMAND, WORK, ask, chosen, reasons
from tests.support.project_states import NOW, PROJECT
from tests.support.requests import Requests
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import FailureDomain, Placement, Verdict
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import (
    CallerOffer,
    CurrentPlace,
    GpuNeed,
    OfferPattern,
    PlaceQuery,
    Quota,
    RegionKey,
    Residency,
    Size,
)
from trimtab_service.placement.engine import VALID_FOR, decide
from trimtab_service.placement.learned import NOTHING_LEARNED
from trimtab_service.placement.state import ProjectState

OD, SPOT = PurchaseOption.ON_DEMAND, PurchaseOption.SPOT


def test_the_same_arguments_give_the_same_decision(starter: CatalogSnapshot) -> None:
    """Whatever was decided in between, and in whatever order."""
    requests = Requests(starter, 3)
    cases = [requests.full() for _ in range(60)]
    first = [decide(c.query, starter, c.policy, c.state, c.instant) for c in cases]
    again = [decide(c.query, starter, c.policy, c.state, c.instant) for c in reversed(cases)]
    assert first == again[::-1]


def test_every_region_is_counted_once(starter: CatalogSnapshot) -> None:
    """The counts of rejected regions and the chosen one add up to all regions."""
    requests = Requests(starter, 4)
    for _ in range(120):
        case = requests.full()
        decision = decide(case.query, starter, case.policy, case.state, case.instant)
        counted = sum(count for _, count in decision.rejected_regions)
        assert counted + (decision.chosen is not None) == len(starter.regions), decision.rejected_regions
        assert all(count > 0 for _, count in decision.rejected_regions)


def test_fallbacks_share_no_failure_domain(starter: CatalogSnapshot) -> None:
    """A zone of the chosen region at most, then regions of their own, and another cloud where there is one."""
    decision = ask(starter, ON_DEMAND, max_fallbacks=4)
    domains = [other.differs_by for other in decision.fallbacks]
    assert domains[0] is FailureDomain.ZONE
    assert FailureDomain.CLOUD in domains
    places = [chosen(decision), *(other.placement for other in decision.fallbacks)]
    assert len({(p.offer.cloud, p.offer.region, p.offer.zone) for p in places}) == 5
    assert len({(p.offer.cloud, p.offer.region) for p in places}) == 4
    costs = [p.terms.total for p in places]
    assert costs == sorted(costs)


def test_terms_are_declared_and_add_up(starter: CatalogSnapshot) -> None:
    """The data set next door costs nothing, the one across clouds its egress; spot adds interruption."""
    here = chosen(ask(starter, replace(ON_DEMAND, residency=Residency(regions=frozenset({IRELAND})))))
    assert here.terms.egress == 0
    assert here.terms.total == here.terms.compute
    away = chosen(ask(starter, replace(WORK, residency=Residency(clouds=frozenset({Cloud.GCP})))))
    assert away.terms.egress == 500 * 90_000
    assert away.offer.option is SPOT
    assert away.terms.interruption > 0
    assert away.risk > 0
    assert away.billed_hours > 8.0


def test_a_blocked_zone_leaves_the_others(starter: CatalogSnapshot) -> None:
    """Blocking the zone that was chosen moves to the next zone of the region at the same cost."""
    before = chosen(ask(starter, ON_DEMAND))
    offer = before.offer
    pattern = OfferPattern(offer.cloud, offer.region, offer.zone, offer.instance_type)
    after = chosen(ask(starter, replace(ON_DEMAND, blocked_offers=(pattern,))))
    assert after.offer.zone != offer.zone
    assert after.offer._replace(zone=offer.zone) == offer
    assert after.terms == before.terms
    zones = [pattern, *(replace(pattern, zone=zone) for zone in starter.regions[_index(starter, before)].zones)]
    gone = chosen(ask(starter, replace(ON_DEMAND, blocked_offers=tuple(zones))))
    assert (gone.offer.region, gone.offer.instance_type) != (offer.region, offer.instance_type)


def _index(snapshot: CatalogSnapshot, place: Placement) -> int:
    return snapshot.region_index[place.offer.cloud, place.offer.region]


def test_a_reported_failure_is_skipped_until_it_decays(starter: CatalogSnapshot) -> None:
    """The next decision avoids the offer, says so by asking again when the block ends, and returns to it after."""
    before = chosen(ask(starter, ON_DEMAND))
    offer = before.offer
    failure = Outcome(offer.cloud, offer.region, "", offer.instance_type, offer.option, NOW, capacity_failure=True)
    state = ProjectState(NOTHING_LEARNED.report([failure]))
    after = ask(starter, ON_DEMAND, state=state)
    assert (chosen(after).offer.region, chosen(after).offer.instance_type) != (offer.region, offer.instance_type)
    assert after.valid_until == NOW + timedelta(minutes=5)
    query = PlaceQuery(PROJECT, ON_DEMAND)
    later = decide(query, starter, NO_POLICY, state, NOW + timedelta(minutes=6))
    assert chosen(later).offer == offer
    assert later.valid_until == NOW + timedelta(minutes=6) + VALID_FOR


def test_learned_interruptions_turn_spot_down(starter: CatalogSnapshot) -> None:
    """After many interruptions of its family the same spot offer is chosen no more."""
    before = chosen(ask(starter, WORK))
    offer = before.offer
    assert offer.option is SPOT
    t = starter.type_index[offer.cloud, offer.instance_type]
    family = starter.families[int(starter.types.family[t])]
    bad = Outcome(
        offer.cloud, offer.region, "", offer.instance_type, SPOT, NOW, interruptions=200, hours_run=100.0, family=family
    )
    after = chosen(ask(starter, WORK, state=ProjectState(NOTHING_LEARNED.report([bad]))))
    assert (after.offer.region, after.offer.instance_type) != (offer.region, offer.instance_type)
    assert after.terms.total > before.terms.total


def test_an_unknown_pinned_type_is_unsupported_unless_the_caller_prices_it(starter: CatalogSnapshot) -> None:
    """No facts is another answer than no way; a caller's price makes it an offer."""
    pinned = replace(ON_DEMAND, size=Size(instance_type="ml.p3.2xlarge"))
    decision = ask(starter, pinned)
    assert decision.verdict is Verdict.UNSUPPORTED
    assert decision.chosen is None
    assert not decision.relaxations
    offer = CallerOffer(IRELAND, "ml.p3.2xlarge", OD, 4_000_000_000)
    priced = chosen(ask(starter, replace(pinned, caller_offers=(offer,))))
    assert priced.offer.instance_type == "ml.p3.2xlarge"
    assert priced.offer.basis is PriceBasis.CALLER
    assert priced.terms.compute == 32_000_000


def test_a_small_gain_is_not_worth_moving(starter: CatalogSnapshot) -> None:
    """Under the minimum gain the answer is to stay; over it, to move; the better regions are counted."""
    best = chosen(ask(starter, ON_DEMAND))
    dear = chosen(ask(starter, replace(ON_DEMAND, residency=Residency(regions=frozenset({IRELAND})))))
    place = CurrentPlace(IRELAND, instance_type=dear.offer.instance_type, option=OD)
    work = replace(ON_DEMAND, current=place)
    gain = dear.terms.total - best.terms.total
    if gain > 0:
        assert ask(starter, work).verdict is Verdict.PLACED
    stay = ask(starter, replace(work, current=replace(place, minimum_gain_micros=max(gain, 0) + 1)))
    assert stay.verdict is Verdict.STAY
    assert chosen(stay).offer.region == "eu-west-1"
    assert chosen(stay).terms.moving == 0
    if gain > 0:
        assert reasons(stay)[RejectionReason.NOT_WORTH_MOVING] >= 1


def test_where_it_is_best_already_it_stays(starter: CatalogSnapshot) -> None:
    """The best place being the current one is an answer of its own, in the zone where it runs."""
    best = chosen(ask(starter, ON_DEMAND)).offer
    zone = starter.regions[starter.region_index[best.cloud, best.region]].zones[-1]
    key = RegionKey(best.cloud, best.region)
    decision = ask(starter, replace(ON_DEMAND, current=CurrentPlace(key, zone, best.instance_type, OD)))
    assert decision.verdict is Verdict.STAY
    offered = starter.zones_of(starter.type_index[best.cloud, best.instance_type], _index(starter, chosen(decision)))
    assert chosen(decision).offer.zone == (zone if zone in offered else offered[0])


def test_spot_that_would_be_late_is_bought_on_demand(starter: CatalogSnapshot) -> None:
    """With little slack nothing interruptible is chosen; the answer ends when even on demand would be late."""
    tight = replace(WORK, deadline=NOW + timedelta(hours=8.1))
    decision = ask(starter, tight)
    assert chosen(decision).offer.option is OD
    assert decision.valid_until == NOW + timedelta(minutes=6)
    assert chosen(ask(starter, replace(WORK, deadline=NOW + timedelta(hours=12)))).offer.option is SPOT


def test_a_missed_deadline_says_how_much_later_would_do(starter: CatalogSnapshot) -> None:
    """Infeasible, with a relaxation that is feasible when asked for, and would not be a minute earlier."""
    late = replace(ON_DEMAND, deadline=NOW + timedelta(hours=5))
    decision = ask(starter, late)
    assert decision.verdict is Verdict.INFEASIBLE
    (relaxation,) = [r for r in decision.relaxations if r.field == "workload.deadline"]
    assert relaxation.change == "3.00 h later"
    assert relaxation.reason is RejectionReason.DEADLINE
    assert ask(starter, replace(late, deadline=NOW + timedelta(hours=8))).chosen == relaxation.place
    assert ask(starter, replace(late, deadline=NOW + timedelta(hours=8, minutes=-1))).chosen is None


def test_relaxations_name_the_least_that_helps(starter: CatalogSnapshot) -> None:
    """A country, a smaller gang, more quota, a higher limit: each alone, each with the place it would bring."""
    nowhere = replace(ON_DEMAND, residency=Residency(countries=frozenset({"XX"})))
    decision = ask(starter, nowhere)
    assert decision.verdict is Verdict.INFEASIBLE
    (country,) = [r for r in decision.relaxations if r.field == "workload.residency.countries"]
    place = starter.regions[_index(starter, country.place)]
    assert country.change == f"allow {place.country}"
    assert country.place == ask(starter, replace(nowhere, residency=None)).chosen

    quota = Quota(IRELAND, "vcpus", 20.0)
    gang = replace(ON_DEMAND, residency=Residency(regions=frozenset({IRELAND})), count=4, quotas=(quota,))
    changes = {r.field: r.change for r in ask(starter, gang).relaxations}
    assert changes["workload.count"] == "2 instead of 4"
    assert changes["workload.quotas"] == "raise vcpus of aws:eu-west-1 by 12"

    capped = EffectivePolicy(max_cost_micros=1_000)
    (limit,) = [r for r in ask(starter, ON_DEMAND, capped).relaxations if r.field == "policy.max_cost"]
    assert limit.place == ask(starter, ON_DEMAND).chosen


def test_the_band_prefers_what_is_not_interrupted(starter: CatalogSnapshot) -> None:
    """Within the tolerance the lower risk wins; the cost is then within the tolerance of the least."""
    least = chosen(ask(starter, WORK))
    assert least.risk > 0
    wide = chosen(ask(starter, replace(WORK, tolerance_fraction=1.0)))
    assert wide.risk <= least.risk
    assert wide.terms.total <= least.terms.total * 2
    assert chosen(ask(starter, replace(WORK, tolerance_fraction=0.0))) == least


def test_stale_and_derived_prices_are_said(starter: CatalogSnapshot) -> None:
    """Notes name the basis that is no list price, and an age over three months; readings of names come along."""
    work = replace(WORK, residency=Residency(clouds=frozenset({Cloud.AWS})), readings=("A100 read as any",))
    decision = ask(starter, work)
    assert decision.notes[0] == "A100 read as any"
    assert any("days old" in note for note in decision.notes)
    assert chosen(decision).price_age_days == (NOW.date() - chosen(decision).offer.as_of).days  # type: ignore[operator] # catalogue offers have a date


@pytest.mark.parametrize("gpu", ["V100-16GB", "T4"])
def test_explanations_say_what_would_win(starter: CatalogSnapshot, gpu: str) -> None:
    """Denying what was chosen shows it as the best rejected candidate, with what it would save."""
    work = replace(ON_DEMAND, size=Size(gpus=(GpuNeed((gpu,), 1),)), residency=None)
    free = chosen(ask(starter, work))
    family = starter.families[int(starter.types.family[starter.type_index[free.offer.cloud, free.offer.instance_type]])]
    denied = replace(work, residency=Residency(denied_families=frozenset({family})))
    decision = ask(starter, denied, explain=True)
    assert decision.explanation is not None
    shown = {candidate.reason: candidate for candidate in decision.explanation.candidates}
    best = shown[RejectionReason.FAMILY_NOT_ALLOWED]
    assert best.placement.terms.total == free.terms.total
    saved = (chosen(decision).terms.total - free.terms.total) / 1e6
    assert best.would_win == f"family {family} allowed: saves {saved:.2f} USD"
    assert "lower" in shown[RejectionReason.COSTLIER].would_win


def test_the_zone_with_fewer_interruptions_is_taken(starter: CatalogSnapshot) -> None:
    """What was learned of single zones picks the zone; the price of interruptions stays that of the region."""
    spot = replace(ON_DEMAND, options=(PurchaseOption.SPOT,))
    first = chosen(ask(starter, spot))
    offer = first.offer
    family = starter.families[int(starter.types.family[starter.type_index[offer.cloud, offer.instance_type]])]
    bad = Outcome(
        offer.cloud,
        offer.region,
        offer.zone,
        offer.instance_type,
        PurchaseOption.SPOT,
        NOW - timedelta(hours=1),
        interruptions=1,
        hours_run=400.0,
        family=family,
    )
    other = starter.zones_of(starter.type_index[offer.cloud, offer.instance_type], _index(starter, first))[1]
    good = replace(bad, zone=other, interruptions=0)
    state = ProjectState(NOTHING_LEARNED.report([bad, good]))
    again = chosen(decide(PlaceQuery(PROJECT, spot), starter, NO_POLICY, state, NOW))
    assert (again.offer.region, again.offer.instance_type) == (offer.region, offer.instance_type)
    assert again.offer.zone == other
