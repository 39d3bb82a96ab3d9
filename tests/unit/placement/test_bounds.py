"""What bounds a decision: quota, owned room, zones, governments, users, services and policies."""

from dataclasses import replace
from datetime import timedelta

from tests.support.places import IRELAND, ON_DEMAND, WORK, ask, chosen, reasons
from tests.support.project_states import NOW, PROJECT
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment, CommitmentKind, Draw
from trimtab_service.domain.decisions import Decision, Verdict
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.workloads import (
    PlaceQuery,
    Quota,
    RegionKey,
    Residency,
    ServiceNeed,
    UserGroup,
    Users,
)
from trimtab_service.placement.engine import decide
from trimtab_service.placement.rooms import Rooms
from trimtab_service.placement.state import NEW_PROJECT, ProjectState

OD, OWNED = PurchaseOption.ON_DEMAND, PurchaseOption.OWNED_COMMITMENT


def jointly(queries: list[PlaceQuery], snapshot: CatalogSnapshot, state: ProjectState) -> list[Decision]:
    """Decisions in order, each without the room that those before it drew."""
    decisions: list[Decision] = []
    drawn: tuple[Draw, ...] = ()
    for query in queries:
        decisions.append(decide(query, snapshot, NO_POLICY, state.less(drawn, NOW), NOW))
        drawn += chosen(decisions[-1]).draws if decisions[-1].chosen else ()
    return decisions


def test_quota_that_is_drawn_is_not_given_again(starter: CatalogSnapshot) -> None:
    """Of two joint requests for the last unit the first gets it; asked apart, both would."""
    quota = Quota(IRELAND, "instances", 1.0)
    work = replace(ON_DEMAND, residency=Residency(regions=frozenset({IRELAND})), quotas=(quota,))
    queries = [PlaceQuery(PROJECT, work)] * 2
    apart = [decide(query, starter, NO_POLICY, NEW_PROJECT, NOW).verdict for query in queries]
    assert apart == [Verdict.PLACED, Verdict.PLACED]
    joint = jointly(queries, starter, NEW_PROJECT)
    assert [decision.verdict for decision in joint] == [Verdict.PLACED, Verdict.INFEASIBLE]
    assert reasons(joint[1])[RejectionReason.QUOTA] == 1


def test_owned_room_costs_nothing_until_it_is_used_up(starter: CatalogSnapshot) -> None:
    """Joint requests draw the commitment in order; the one after the last room buys on demand."""
    offer = chosen(ask(starter, ON_DEMAND)).offer
    kind = (
        CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD
        if offer.cloud is Cloud.AWS
        else CommitmentKind.AZURE_SAVINGS_PLAN
        if offer.cloud is Cloud.AZURE
        else CommitmentKind.GCP_FLEXIBLE_CUD
    )
    owned = Commitment(PROJECT, "c", kind, offer.cloud, NOW - timedelta(days=1), NOW + timedelta(minutes=10))
    if kind is CommitmentKind.AWS_RESERVED_INSTANCE_STANDARD:
        owned = replace(owned, region=offer.region, instance_type=offer.instance_type, instances=2.0)
    else:
        owned = replace(owned, spend_nanos_per_hour=offer.nanos_per_hour * 2)
    state = ProjectState(rooms=Rooms().change("c", owned))
    place = Residency(regions=frozenset({RegionKey(offer.cloud, offer.region)}))
    work = replace(ON_DEMAND, options=(OD, OWNED), residency=place, data_sets=())
    queries = [PlaceQuery(PROJECT, work)] * 3
    joint = jointly(queries, starter, state)
    assert [chosen(d).offer.option for d in joint] == [OWNED, OWNED, OD]
    assert [chosen(d).terms.total == 0 for d in joint] == [True, True, False]
    assert chosen(joint[0]).commitments == (owned.name,)
    assert joint[0].valid_until == NOW + timedelta(minutes=10)


def test_a_gang_is_spread_over_zones(starter: CatalogSnapshot) -> None:
    """Five over three zones are two, two and one; more zones than any region has is infeasible and says why."""
    place = chosen(ask(starter, replace(ON_DEMAND, count=5, spread_zones=3)))
    assert [count for _, count in place.zones] == [2, 2, 1]
    assert len({zone for zone, _ in place.zones}) == 3
    decision = ask(starter, replace(ON_DEMAND, count=9, spread_zones=9))
    assert decision.verdict is Verdict.INFEASIBLE
    assert RejectionReason.NOT_ENOUGH_ZONES in reasons(decision)
    assert any(r.field == "workload.spread_zones" for r in decision.relaxations)


def test_government_regions_only_when_named(starter: CatalogSnapshot) -> None:
    """They are counted out of every other answer."""
    gov = {r.name for r in starter.regions if r.partition == "gov"}
    assert gov
    anywhere = replace(ON_DEMAND, residency=None, data_sets=())
    assert reasons(ask(starter, anywhere))[RejectionReason.PARTITION_NOT_ALLOWED] == len(gov)
    named = replace(
        anywhere,
        partitions=frozenset({"gov"}),
        residency=Residency(
            regions=frozenset(RegionKey(r.cloud, r.name) for r in starter.regions if r.partition == "gov")
        ),
    )
    assert chosen(ask(starter, named)).offer.region in gov


def test_users_wait_no_longer_than_the_limit(starter: CatalogSnapshot) -> None:
    """The chosen place is within the limit, and the estimate is in the answer."""
    paris = Users((UserGroup(48.86, 2.35, 1.0),), max_latency_ms=20.0)
    decision = ask(starter, replace(ON_DEMAND, users=paris, residency=None))
    assert 2.0 <= chosen(decision).latency_ms <= 20.0
    assert reasons(decision)[RejectionReason.LATENCY] > 50


def test_a_service_is_a_must_or_a_priced_wish(starter: CatalogSnapshot) -> None:
    """A must keeps to the clouds that have it; a wish costs what doing without is worth."""
    must = replace(ON_DEMAND, services=(ServiceNeed("BigQuery"),))
    decision = ask(starter, must)
    assert chosen(decision).offer.cloud is Cloud.GCP
    assert RejectionReason.SERVICE_MISSING in reasons(decision)
    wish = replace(ON_DEMAND, services=(ServiceNeed("BigQuery", 1_000),))
    place = chosen(ask(starter, wish))
    assert place.terms.preference == (0 if place.offer.cloud is Cloud.GCP else 1_000)


def test_policies_bind_and_ask_for_approval(starter: CatalogSnapshot) -> None:
    """Its residency counts as POLICY, its options leave no spot, and a cost over the threshold needs approval."""
    policy = EffectivePolicy(
        key="k",
        residencies=(Residency(clouds=frozenset({Cloud.AWS}), denied_families=frozenset({"t4g", "t3", "t3a"})),),
        options=frozenset({OD}),
        approval_threshold_micros=1,
        approval_source="policies/finance",
    )
    decision = ask(starter, WORK, policy)
    offer = chosen(decision).offer
    assert (offer.cloud, offer.option) == (Cloud.AWS, OD)
    assert not offer.instance_type.startswith(("t4g.", "t3.", "t3a."))
    assert RejectionReason.POLICY in reasons(decision)
    assert decision.approval_required_by == "policies/finance"
    tagged = replace(policy, required_tags=frozenset({"team"}), key="k2")
    assert ask(starter, WORK, tagged).verdict is Verdict.INFEASIBLE
    assert ask(starter, replace(WORK, tags=(("team", "ml"),)), tagged).verdict is Verdict.PLACED
