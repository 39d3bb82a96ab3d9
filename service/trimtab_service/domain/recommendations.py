"""One lifecycle for what every engine advises: a recommendation, its states, and who moved it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trimtab_service.domain.resources import CloudResource
from trimtab_service.domain.rightsizing import RightsizingOption


class State(StrEnum):
    """Where a recommendation stands."""

    ACTIVE = "active"
    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DISMISSED = "dismissed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Kind(StrEnum):
    """What kind of advice."""

    STOP = "stop"
    RIGHTSIZE = "rightsize"
    SCHEDULE = "schedule"
    PURCHASE = "purchase"
    ROLLBACK = "rollback"
    MOVE = "move"


class Priority(StrEnum):
    """How pressing: P1 hurts now, P4 is worth knowing."""

    P1 = "p1"
    P2 = "p2"
    P3 = "p3"
    P4 = "p4"


class TransitionReason(StrEnum):
    """Why a state changed (`trimtab.v1.TransitionReason`)."""

    ADVISED = "advised"
    TAKEN = "taken"
    APPLIED = "applied"
    DONE_ELSEWHERE = "done_elsewhere"
    CLOUD_FAILED = "cloud_failed"
    PRECONDITION_FAILED = "precondition_failed"
    TOO_RISKY = "too_risky"
    NOT_WORTH_IT = "not_worth_it"
    WRONG = "wrong"
    LATER = "later"
    GIVEN_BACK = "given_back"
    JUDGED_ANEW = "judged_anew"
    NOT_CONFIRMED = "not_confirmed"
    RESOURCE_GONE = "resource_gone"
    REPLACED = "replaced"
    ROLLED_BACK = "rolled_back"
    OTHER = "other"


class ImpactCategory(StrEnum):
    """In which respect something changes."""

    COST = "cost"
    PERFORMANCE = "performance"
    RELIABILITY = "reliability"
    SUSTAINABILITY = "sustainability"


@dataclass(frozen=True, slots=True)
class Impact:
    """What carrying it out changes. `cost_micros` is over `duration`; negative is a saving."""

    category: ImpactCategory
    cost_micros: int = 0
    duration: timedelta = timedelta(hours=730)
    performance_risk: float = 0.0
    reliability_reasons: tuple[str, ...] = ()
    carbon_kg: float | None = None


class OperationKind(StrEnum):
    """What can be done to a cloud."""

    STOP_INSTANCE = "stop_instance"
    START_INSTANCE = "start_instance"
    MODIFY_INSTANCE_TYPE = "modify_instance_type"
    UPDATE_GROUP_TEMPLATE = "update_group_template"
    SET_GROUP_CAPACITY = "set_group_capacity"
    UPDATE_ENDPOINT_CONFIG = "update_endpoint_config"
    PATCH_CONTAINER_RESOURCES = "patch_container_resources"
    PURCHASE_COMMITMENT = "purchase_commitment"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field, by the cloud's own name, before (empty: not known before reading) and after."""

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do to one resource. Carrying it out when it stands so already changes nothing."""

    kind: OperationKind
    resource_id: str
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class OperationGroup:
    """Operations in order; whole or not at all (what was done is undone where a later one fails)."""

    operations: tuple[Operation, ...]


class Outcome(StrEnum):
    """How an operation ended; UNDER_WAY also when the process died in it."""

    UNDER_WAY = "under_way"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AppliedOperation:
    """Journal of one operation: `operation.changes[].before` is what was found."""

    operation: Operation
    start_time: datetime
    end_time: datetime | None
    outcome: Outcome
    detail: str = ""
    rollback: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of state. `from_state` is None for the first."""

    time: datetime
    from_state: State | None
    to_state: State
    actor: str
    reason: TransitionReason
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """Good for the content of `content_hash` only, until `expire_time`."""

    approver: str
    time: datetime
    expire_time: datetime
    content_hash: str


@dataclass(frozen=True, slots=True)
class RealizedImpact:
    """What it really brought. `reason` (a constant) says why there is no measure yet."""

    measure_time: datetime
    start_time: datetime
    running_hours: float
    saving_micros: int
    promised_saving_micros: int
    monthly_saving_micros: int
    exceedance: float
    promised_exceedance: float
    regression: bool = False
    rollback_recommendation: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RecommendationContent:
    """What an engine advises. Refreshed while ACTIVE, frozen from CLAIMED on.

    `identity` names the finding over runs: the same identity is the same recommendation. `exclusive_group` (empty:
    none) holds alternatives of which at most one is to be carried out. `telemetry_source` is where it was measured.
    """

    identity: str
    kind: Kind
    priority: Priority
    resource: CloudResource
    primary_impact: Impact
    additional_impacts: tuple[Impact, ...] = ()
    exclusive_group: str = ""
    operation_groups: tuple[OperationGroup, ...] = ()
    summary: str = ""
    reasons: tuple[str, ...] = ()
    confidence: float = 0.0
    catalog_version: str = ""
    telemetry_source: str = ""
    rolls_back: str = ""
    rightsizing_option: RightsizingOption | None = None
    rightsizing_current: RightsizingOption | None = None
    rightsizing_alternatives: tuple[RightsizingOption, ...] = ()


def recommendation_name(project: str, recommendation_id: str) -> str:
    """`projects/{project}/recommendations/{recommendation}`."""
    return f"projects/{project}/recommendations/{recommendation_id}"


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommendation as it stands. Ids are lower-case ULIDs.

    `content_hash` is of the stored content: what an approval is bound to.
    """

    project: str
    recommendation_id: str
    etag: str
    state: State
    content: RecommendationContent
    create_time: datetime
    update_time: datetime
    refresh_time: datetime
    expire_time: datetime | None
    history: tuple[Transition, ...] = ()
    state_metadata: tuple[tuple[str, str], ...] = ()
    claimed_by: str = ""
    approval_source: str = ""
    approval: Approval | None = None
    applied_operations: tuple[AppliedOperation, ...] = ()
    realized_impact: RealizedImpact | None = None
    superseded_by: str = ""
    content_hash: str = ""

    @property
    def name(self) -> str:
        """Its resource name."""
        return recommendation_name(self.project, self.recommendation_id)
