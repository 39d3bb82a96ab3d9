"""Questions to the placement engine over the packaged catalogue."""

from dataclasses import replace

from tests.support.project_states import NOW, PROJECT
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Decision, Placement
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.policy import NO_POLICY, EffectivePolicy
from trimtab_service.domain.reasons import RejectionReason
from trimtab_service.domain.regions import EU
from trimtab_service.domain.workloads import (
    DataSet,
    PlaceQuery,
    RegionKey,
    Residency,
    Size,
    Workload,
)
from trimtab_service.placement.engine import decide
from trimtab_service.placement.state import NEW_PROJECT, ProjectState

OD, SPOT = PurchaseOption.ON_DEMAND, PurchaseOption.SPOT
IRELAND = RegionKey(Cloud.AWS, "eu-west-1")
WORK = Workload(
    Size(8.0, 32.0),
    hours=8.0,
    options=(OD, SPOT),
    residency=Residency(countries=EU),
    data_sets=(DataSet(IRELAND, 500.0),),
)
ON_DEMAND = replace(WORK, options=(OD,))


def ask(
    snapshot: CatalogSnapshot,
    work: Workload,
    policy: EffectivePolicy = NO_POLICY,
    state: ProjectState = NEW_PROJECT,
    *,
    max_fallbacks: int = 3,
    explain: bool = False,
) -> Decision:
    """A decision at `NOW`."""
    query = PlaceQuery(PROJECT, work, max_fallbacks=max_fallbacks, explain=explain)
    return decide(query, snapshot, policy, state, NOW)


def chosen(decision: Decision) -> Placement:
    """The chosen place of a decision that has one."""
    assert decision.chosen is not None, decision
    return decision.chosen


def reasons(decision: Decision) -> dict[RejectionReason, int]:
    """Rejected regions by reason."""
    return dict(decision.rejected_regions)
