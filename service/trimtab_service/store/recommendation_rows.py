"""A recommendation between its row and the domain: what the columns hold, and what lists narrow by."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Select, and_, case, select

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.filters import FieldKind
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    Approval,
    RealizedImpact,
    Recommendation,
    RecommendationContent,
    State,
    Transition,
    TransitionReason,
)
from trimtab_service.recommendations.identity import RANK
from trimtab_service.recommendations.intake import monthly_saving_micros, risk_of
from trimtab_service.recommendations.lifecycle import SERVICE
from trimtab_service.store.filters import Filterable
from trimtab_service.store.recommendation_documents import Written, read_content, written
from trimtab_service.store.recommendation_tables import RECOMMENDATION_CONFIRMATIONS, RECOMMENDATIONS

VERIFY_AFTER: Final = timedelta(days=1)
"""What was applied is measured this long after, and as often, while its telemetry has a source."""

_R: Final = RECOMMENDATIONS.c


class StoredRecommendation(NamedTuple):
    """A row. `content` and `body` are read where they are needed: most of what a page costs would be reading them."""

    project: str
    recommendation_id: str
    identity: str
    is_live: bool
    state: str
    kind: str
    priority: str
    cloud: str
    region: str
    account: str
    resource_id: str
    workload_id: str
    team: str
    instance_type: str
    exclusive_group: str
    precedence: int
    monthly_saving_micros: int
    realized_monthly_saving_micros: int | None
    risk: float
    create_time: datetime
    update_time: datetime
    refresh_time: datetime
    expire_time: datetime | None
    verify_time: datetime | None
    change: int
    content_hash: str
    content: bytes
    body: bytes

    def recommendation(
        self, transitions: Sequence[Transition] = (), operations: Sequence[AppliedOperation] = ()
    ) -> Recommendation:
        """As the domain has it. `transitions` are those after the first, which is made of `create_time`."""
        return assembled(self, read_content(self.content), transitions, operations)


class Live(NamedTuple):
    """What a run has to know of a recommendation whose identity is taken."""

    recommendation_id: str
    identity: str
    state: str
    kind: str
    priority: str
    cloud: str
    account: str
    team: str
    resource_id: str
    exclusive_group: str
    monthly_saving_micros: int
    realized_monthly_saving_micros: int | None
    create_time: datetime
    verify_time: datetime | None
    content_hash: str
    body: bytes


COLUMNS: Final = StoredRecommendation._fields


def later_of(name: str) -> ColumnElement[datetime]:
    """The row's own refresh_time or expire_time, or that of a later confirmation; NULL where the row has none."""
    confirmed = RECOMMENDATION_CONFIRMATIONS.c[name]
    return case((confirmed > _R[name], confirmed), else_=_R[name])


# One look beside each row: PostgreSQL spends half a millisecond a hundred rows on every further one.
WITH_CONFIRMATIONS: Final = RECOMMENDATIONS.outerjoin(
    RECOMMENDATION_CONFIRMATIONS,
    and_(
        RECOMMENDATION_CONFIRMATIONS.c.project == _R.project,
        RECOMMENDATION_CONFIRMATIONS.c.recommendation_id == _R.recommendation_id,
    ),
)
_READ: Final[Mapping[str, ColumnElement[Any]]] = {
    name: later_of(name).label(name) if name in {"refresh_time", "expire_time"} else _R[name] for name in COLUMNS
}
SELECTED: Final[Select[Any]] = select(*_READ.values()).select_from(WITH_CONFIRMATIONS)
FIELDS: Final[Mapping[str, Filterable]] = {
    **{
        name: Filterable(FieldKind.TEXT, _R[name])
        for name in (
            "state",
            "kind",
            "priority",
            "cloud",
            "region",
            "account",
            "resource_id",
            "workload_id",
            "team",
            "instance_type",
            "exclusive_group",
        )
    },
    "monthly_saving_micros": Filterable(FieldKind.INTEGER, _R.monthly_saving_micros),
    "risk": Filterable(FieldKind.NUMBER, _R.risk),
    "create_time": Filterable(FieldKind.TIMESTAMP, _R.create_time),
    "update_time": Filterable(FieldKind.TIMESTAMP, _R.update_time),
}
"""What filters may name. Values of enums are lower-case, as `active` and `rightsize`."""


@dataclass(frozen=True, slots=True)
class Body:
    """What of a recommendation is in no column of its own."""

    state_metadata: tuple[tuple[str, str], ...] = ()
    claimed_by: str = ""
    approval_source: str = ""
    approval: Approval | None = None
    realized_impact: RealizedImpact | None = None
    superseded_by: str = ""


EMPTY_BODY: Final = b"{}"


def packed(body: Body) -> bytes:
    """The body as stored."""
    return orjson.dumps(to_document(body))


def unpacked(data: bytes) -> Body:
    """The body of `packed`."""
    return Body() if data == EMPTY_BODY else from_document(Body, orjson.loads(data))


def body_of(recommendation: Recommendation) -> Body:
    """What goes into the body."""
    return Body(
        recommendation.state_metadata,
        recommendation.claimed_by,
        recommendation.approval_source,
        recommendation.approval,
        recommendation.realized_impact,
        recommendation.superseded_by,
    )


def etag_of(change: int) -> str:
    """Another one after every change."""
    return f"{change:012x}"


def first_transition(create_time: datetime) -> Transition:
    """How every recommendation begins; it is not stored."""
    return Transition(create_time, None, State.ACTIVE, SERVICE, TransitionReason.ADVISED)


def assembled(
    row: StoredRecommendation,
    content: RecommendationContent,
    transitions: Sequence[Transition] = (),
    operations: Sequence[AppliedOperation] = (),
) -> Recommendation:
    """The domain's object of a row whose content was read before."""
    body = unpacked(row.body)
    return Recommendation(
        project=row.project,
        recommendation_id=row.recommendation_id,
        etag=etag_of(row.change),
        state=State(row.state),
        content=content,
        create_time=row.create_time,
        update_time=row.update_time,
        refresh_time=row.refresh_time,
        expire_time=row.expire_time,
        history=(first_transition(row.create_time), *transitions),
        state_metadata=body.state_metadata,
        claimed_by=body.claimed_by,
        approval_source=body.approval_source,
        approval=body.approval,
        applied_operations=tuple(operations),
        realized_impact=body.realized_impact,
        superseded_by=body.superseded_by,
        content_hash=row.content_hash,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A content with all that is made of it, made before the turn is taken.

    `ready` are the bytes to keep where they were made ahead: deflating is a third of it, and for nothing where the same
    content is there already.
    """

    content: RecommendationContent
    parts: Written
    content_hash: str
    ready: bytes | None

    @classmethod
    def of(cls, content: RecommendationContent, *, is_new: bool = False) -> "Prepared":
        """`is_new`: it will most likely be written. Raises ValueError for texts that a database cannot keep."""
        parts = written(content)
        return cls(content, parts, parts.digest(), parts.stored() if is_new else None)

    @property
    def data(self) -> bytes:
        """The bytes to keep."""
        return self.parts.stored() if self.ready is None else self.ready


def row_of(  # noqa: PLR0913, PLR0917 - the parts of a row
    project: str,
    own: str,
    prepared: Prepared,
    now: datetime,
    expire_time: datetime | None,
    change: int,
    *,
    create_time: datetime,
    state: State = State.ACTIVE,
    body: bytes = EMPTY_BODY,
) -> StoredRecommendation:
    """The row of a recommendation that holds this content from now on."""
    content, resource = prepared.content, prepared.content.resource
    return StoredRecommendation(
        project,
        own,
        content.identity,
        True,  # noqa: FBT003 - is_live
        state.value,
        content.kind.value,
        content.priority.value,
        resource.cloud.value,
        resource.region,
        resource.account,
        resource.resource_id,
        resource.workload_id,
        resource.team,
        resource.instance_type,
        content.exclusive_group,
        RANK[content.kind],
        monthly_saving_micros(content),
        None,
        risk_of(content),
        create_time,
        now,
        now,
        expire_time,
        None,
        change,
        prepared.content_hash,
        prepared.data,
        body,
    )
