"""What a request for an analysis means: which resources, and what reading them may cost."""

from collections.abc import Callable, Sequence

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.money import NANOS_PER_MICRO, Money, usd_from_nanos
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rightsizing.ports import Scope
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.fleet_progress import SourceCost
from trimtab_service.rpc.preferences_parser import parse_preferences
from trimtab_service.rpc.vocabulary import CLOUD_OF, Vocabulary


def scope_of(request: pb.StartFleetAnalysisRequest) -> Scope:
    """Which resources a (checked) request asks for."""
    regions = frozenset((CLOUD_OF[region.cloud], region.region) for region in request.regions)
    return Scope(regions, tuple(sorted(request.tags.items())))


def preferences_of(request: pb.StartFleetAnalysisRequest, vocabulary: Vocabulary) -> RightsizingPreferences:
    """The preferences of a request that was checked when it came; a catalogue may have lost a name since then."""
    return parse_preferences(request.preferences, vocabulary, Violations(), "preferences")


def refusal_by_cost(
    request: pb.StartFleetAnalysisRequest, estimated: Sequence[SourceCost], cap_nanos: Callable[[str], int | None]
) -> FailedPreconditionError | None:
    """Why it is refused: reading would cost more than the request's cap, or one source more than its own."""
    for cost in estimated:
        cap = cap_nanos(cost.source)
        if cap is not None and cost.cost_nanos > cap:
            return _refused(f"reading {cost.source}", cost.cost_nanos, cap)
    total = sum(cost.cost_nanos for cost in estimated)
    if request.HasField("max_read_cost"):
        asked = request.max_read_cost
        cap = Money.from_units_and_nanos(asked.units, asked.nanos).micros * NANOS_PER_MICRO
        if total > cap:
            return _refused("reading", total, cap)
    return None


def _refused(what: str, cost_nanos: int, cap_nanos: int) -> FailedPreconditionError:
    cost, cap = usd_from_nanos(cost_nanos), usd_from_nanos(cap_nanos)
    message = f"{what} would cost {cost:f} USD, and the cap is {cap:f} USD"
    metadata = {"cost_usd": f"{cost:f}", "cap_usd": f"{cap:f}"}
    return FailedPreconditionError(ErrorReason.READ_COST_CAP, message, metadata=metadata)
