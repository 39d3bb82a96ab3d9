"""How big a resource should be: telemetry, catalogue, preferences and policy in; findings and ranked options out.

A pure function: no clock, no randomness, no I/O; the same arguments give the same advice.

The order of what is told: stop (where nobody uses it), then other sizes by net cost (see `selection`), then parts of a
GPU, then a schedule. The last two are hand-overs: what they save depends on others, or on another engine.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import MILLI, Commitment
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.preferences import DEFAULT_PREFERENCES, RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.resources import ResourceKind
from trimtab_service.domain.rightsizing import Advice, Finding, RightsizingOption, TelemetrySummary
from trimtab_service.rightsizing.candidates import Candidates, Sized, candidates_of, sized_for, sized_now
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rightsizing.evidence import Evidence
from trimtab_service.rightsizing.findings import finding_of, overall_reasons
from trimtab_service.rightsizing.idleness import is_idle
from trimtab_service.rightsizing.needs import ROUNDING, Needs, needs_of, sized_by
from trimtab_service.rightsizing.options import Size, Teller, size_now, size_of_pick
from trimtab_service.rightsizing.ownership import Ownership
from trimtab_service.rightsizing.present import Present, Unsupported, present_of
from trimtab_service.rightsizing.pricing import hours_of, monthly_micros
from trimtab_service.rightsizing.proposals import Proposals
from trimtab_service.rightsizing.readings import Readings, read
from trimtab_service.rightsizing.region_offers import region_offers, with_own
from trimtab_service.rightsizing.selection import Pick, Standing, select
from trimtab_service.rightsizing.sharing import shares
from trimtab_service.rightsizing.sufficiency import confidence_of, lacking
from trimtab_service.rightsizing.throttling import priced_needs, want_of

_NOTHING_READ: Final = TelemetrySummary(None, None, ())


def advise(case: SizingCase, snapshot: CatalogSnapshot, commitments: Sequence[Commitment], instant: datetime) -> Advice:
    """What to do about the size of one resource at an instant (aware UTC).

    `commitments` are those that the project owns, active or not. Never raises for what telemetry holds; what cannot be
    sized, and what is not known well enough, are findings.
    """
    preferences = case.preferences.values
    if case.failure:
        return _unanswered(case, snapshot, instant, Finding.SOURCE_FAILED, (case.failure, *case.missing))
    case = _with_own_price(case)
    present = present_of(case.resource, snapshot, instant.date())
    if isinstance(present, Unsupported):
        return _unanswered(case, snapshot, instant, Finding.UNSUPPORTED, present.missing)
    readings = read(case.telemetry, present, preferences.lookback or timedelta(days=14), instant)
    missing = lacking(readings, present, preferences)
    if missing:
        told = (*missing, *case.missing)
        return _unanswered(case, snapshot, instant, Finding.INSUFFICIENT_DATA, told, readings)
    needs = needs_of(readings, present, preferences)
    return _Sizing(case, snapshot, present, readings, needs, instant).advice(commitments)


def _with_own_price(case: SizingCase) -> SizingCase:
    """The present type at the caller's price, where it is among the caller's offers and no other was said."""
    resource = case.resource
    own = next((one for one in case.own_offers if one.instance_type == resource.instance_type), None)
    if own is None or resource.price_nanos_per_hour is not None:
        return case
    return replace(case, resource=replace(resource, price_nanos_per_hour=own.price_nanos))


def _unanswered(  # noqa: PLR0913, PLR0917 - what an answer without figures holds
    case: SizingCase,
    snapshot: CatalogSnapshot,
    instant: datetime,
    finding: Finding,
    missing: tuple[str, ...],
    readings: Readings | None = None,
) -> Advice:
    """The answers that say nothing about savings."""
    return Advice(
        finding=finding,
        resource=case.resource,
        reasons=(),
        missing=missing,
        current=None,
        options=(),
        telemetry=_NOTHING_READ if readings is None else readings.summary,
        preferences=case.preferences.sources,
        confidence=0.0,
        catalog_version=snapshot.version,
        policy_revision=case.policy_revision,
        as_of=instant,
        hours_per_month=hours_of(case.resource),
    )


@dataclass(frozen=True, slots=True)
class _Sizing:
    """One sizing under way."""

    case: SizingCase
    snapshot: CatalogSnapshot
    present: Present
    readings: Readings
    needs: Needs
    instant: datetime

    def advice(self, commitments: Sequence[Commitment]) -> Advice:
        present, hours = self.present, hours_of(self.case.resource)
        ownership = Ownership(commitments, self.instant)
        sized = sized_now(present, self.needs)
        covered = 0 if ownership.is_empty else ownership.present(self._facts(), sized.count)
        cost = monthly_micros(present.price_nanos, sized.count * MILLI, hours)
        net = monthly_micros(present.price_nanos, sized.count * MILLI - covered, hours)
        current_size = size_now(present, sized, net, covered)
        preferences = self._limits()
        needs = self.needs
        if preferences.throttled_hour_cost_micros is not None:
            needs = priced_needs(needs)
        regions = [] if present.resource.kind is ResourceKind.CONTAINER else self._regions(needs, preferences)
        teller = self._teller(needs, hours, cost, net, covered, sized)
        current = teller.tell(current_size, 0)
        limit = 4.0 if preferences.max_risk is None else preferences.max_risk
        fits = _fits(teller, current_size)
        want = want_of(needs, teller, current_size, preferences, hours)
        standing = Standing(sized, net, want, serves=fits and current.risk <= limit)
        picks, rejected = select(regions, present, standing, preferences, ownership, hours)
        if preferences.throttled_hour_cost_micros is not None:
            teller, current = self._retold(teller, current_size, picks)
        idle = is_idle(self.needs, self.readings, present)
        options, rejected = self._options(teller, current, picks, regions, rejected, standing, idle=idle)
        finding = finding_of(options, current, idle=idle and bool(preferences.allow_stop), serves=standing.serves)
        return Advice(
            finding=finding,
            resource=self.case.resource,
            reasons=overall_reasons(finding, options, current, self.needs, self.readings, rejected, preferences),
            missing=(),
            current=current,
            options=options,
            telemetry=self.readings.summary,
            preferences=self.case.preferences.sources,
            confidence=confidence_of(self.readings),
            catalog_version=self.snapshot.version,
            policy_revision=self.case.policy_revision,
            as_of=self.instant,
            hours_per_month=hours,
            rejections=tuple(sorted(rejected.items(), key=lambda item: item[0].name)),
        )

    def _limits(self) -> RightsizingPreferences:
        """The preferences; where an hour of want has a price, the default limit of risk gives way to it."""
        preferences = self.case.preferences.values
        if preferences.throttled_hour_cost_micros is None:
            return preferences
        said = {rule.field for rule in self.case.preferences.sources if rule.source != "default"}
        if "rightsizing.max_risk" in said:
            return preferences
        return replace(preferences, max_risk=max(3.0, DEFAULT_PREFERENCES.max_risk or 0.0))

    def _facts(self) -> OfferFacts:
        """What coverage by commitments looks at in the present size."""
        present, resource = self.present, self.present.resource
        own = region_offers(self.snapshot, resource.cloud, resource.region, present.option)
        at = None if own is None else own.at(present)
        if own is not None and at is not None:
            return own.facts(at)
        capacity = present.capacity
        return OfferFacts(
            resource.cloud, resource.region, resource.instance_type, present.family, capacity.vcpus or 0.0,
            capacity.memory_gib or 0.0, capacity.gpu_model, capacity.gpus, present.price_nanos,
            (resource.zone,) if resource.zone else (),
        )  # fmt: skip

    def _regions(self, needs: Needs, preferences: RightsizingPreferences) -> list[Candidates]:
        """Candidates of the resource's own region, and of those asked for."""
        resource = self.present.resource
        own = (resource.cloud, resource.region)
        others = sorted(place for place in preferences.regions or () if place != own)
        today = self.instant.date()
        found = (region_offers(self.snapshot, cloud, region, self.present.option) for cloud, region in (own, *others))
        own_offers = self.case.own_offers
        regions = [
            with_own(offers, own_offers, today) if own_offers and at == 0 else offers
            for at, offers in enumerate(found)
            if offers is not None
        ]
        return [candidates_of(one, self.present, needs, preferences, self.case.policy, today) for one in regions]

    def _teller(  # noqa: PLR0913, PLR0917 - what telling takes
        self, needs: Needs, hours: float, cost: int, net: int, covered: int, sized: Sized
    ) -> Teller:
        return Teller(self.present, needs, Evidence(needs.measured), hours, cost, net, covered, sized)

    def _retold(self, teller: Teller, size: Size, picks: Sequence[Pick]) -> tuple[Teller, RightsizingOption]:
        """With the levels that the price of a throttled hour came to, in the best candidate or the present size."""
        best = size_of_pick(picks[0], self.present, self._sized(picks[0]), teller.sized_now) if picks else size
        levels = [teller.capacity_of(best, need) for need in teller.needs.of]
        needs = priced_needs(self.needs, levels)
        told = replace(teller, needs=needs, evidence=Evidence(needs.measured))
        return told, told.tell(size, 0)

    def _sized(self, pick: Pick) -> Sized:
        """How many of a candidate, and for a group that scales by itself its bounds."""
        candidates = pick.candidates
        if self.present.resource.autoscaling is None:
            return Sized(int(candidates.count[pick.at]))
        capacities = [
            float(capacity if need.is_per_instance else capacity / candidates.count[pick.at])
            for need, capacity in zip(candidates.needs.of, candidates.capacities[:, pick.at], strict=True)
        ]
        return sized_for(self.present, candidates.needs, capacities)

    def _options(  # noqa: PLR0913, PLR0917 - everything that was found
        self,
        teller: Teller,
        current: RightsizingOption,
        picks: Sequence[Pick],
        regions: Sequence[Candidates],
        rejected: Counter[AdviceReason],
        standing: Standing,
        *,
        idle: bool,
    ) -> tuple[tuple[RightsizingOption, ...], Counter[AdviceReason]]:
        """Everything that is offered, in the order of telling, at most as many as were asked for."""
        preferences, present = self.case.preferences.values, self.present
        sizes: list[Size] = []
        proposals = Proposals(present, self.needs, preferences, teller, standing, rejected)
        if idle and preferences.allow_stop:
            sizes.append(proposals.stop())
        if present.resource.kind is ResourceKind.CONTAINER:
            sizes += proposals.requests()
        elif (
            present.is_group
            and present.type_index is None
            and not any(one.offers.at(present) is not None for one in regions[:1])
        ):
            sizes += proposals.own_count()
        most = preferences.max_options or 5
        room = max(0, most - len(sizes))
        sizes += [size_of_pick(pick, present, self._sized(pick), teller.sized_now) for pick in picks[:room]]
        if preferences.allow_gpu_sharing and present.gpus and regions and standing.serves and len(sizes) < most:
            sizes += shares(regions[0], present, teller.needs, teller.hours)
        options = [teller.tell(size, rank) for rank, size in enumerate(sizes[:most], 1)]
        scheduled = proposals.schedule(current, len(options) + 1, self.instant) if not idle else None
        if scheduled is not None and len(options) < most:
            options.append(scheduled)
        return tuple(options), rejected


def _fits(teller: Teller, size: Size) -> bool:
    """Whether a size has what is needed of everything that another size could change."""
    for need in teller.needs.of:
        if not sized_by(need.dimension):
            continue
        capacity = teller.capacity_of(size, need)
        if capacity * need.target < need.demand * (1 - ROUNDING):
            return False
    return True
