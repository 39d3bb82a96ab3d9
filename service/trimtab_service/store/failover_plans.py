"""Failover plans: resources that keep every version, because a run carries out the one that it started with."""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from sqlalchemy import Connection, select

from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError
from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.domain.filters import FieldKind
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.admission import PinnedPlan
from trimtab_service.failover.documents import plan_bytes, plan_hash, plan_of
from trimtab_service.store import resources
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_tables import FAILOVER_PLAN_VERSIONS, FAILOVER_PLANS, FAILOVER_RUNS
from trimtab_service.store.filters import Filterable
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.journal import JournalKind
from trimtab_service.store.pages import ListRequest, Page
from trimtab_service.store.resources import Draft, Resource, ResourceId, ResourceKind, ResourceStore
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter

FAILOVER_PLAN: Final = ResourceKind(
    noun="failover_plan",
    journal_kind=JournalKind.FAILOVER_PLAN,
    table=FAILOVER_PLANS,
    versions=FAILOVER_PLAN_VERSIONS,
    fields={
        "service_id": Filterable(FieldKind.TEXT, FAILOVER_PLANS.c.service_id),
        "create_time": Filterable(FieldKind.TIMESTAMP, FAILOVER_PLANS.c.create_time),
    },
)
"""Indexed columns of a draft: `service_id`."""


_MOST_OF_A_SERVICE: Final = 1_000
_KEPT_PLANS: Final = 256


class StoredPlan(NamedTuple):
    """A plan as stored. `version` counts its changes; `plan_hash` is what approvals are bound to."""

    plan: FailoverPlan
    version: int
    revision: int
    etag: str
    create_time: datetime
    update_time: datetime
    plan_hash: str


class FailoverPlanStore:
    """The plans of all projects. Every method raises UnavailableError when the database does not answer."""

    __slots__ = ("_database", "_resources", "_writer")

    def __init__(self, database: Database, writer: GroupCommitWriter) -> None:
        self._database = database
        self._writer = writer
        self._resources = ResourceStore(FAILOVER_PLAN, database, writer)

    def create(
        self, plan: FailoverPlan, now: datetime, request: RequestKey, timeout_s: float | None = None
    ) -> StoredPlan:
        """Raises AlreadyExistsError; the same request again returns the first answer."""
        return _stored(self._resources.create(_id(plan.project, plan.plan_id), _draft(plan), now, request, timeout_s))

    def update(
        self, plan: FailoverPlan, etag: str, now: datetime, request: RequestKey, timeout_s: float | None = None
    ) -> StoredPlan:
        """A new version. Raises NotFoundError, AbortedError (ETAG_MISMATCH) when `etag` is given and not current."""
        key = _id(plan.project, plan.plan_id)
        return _stored(self._resources.update(key, lambda _: _draft(plan), etag, now, request, timeout_s))

    def delete(  # noqa: PLR0913, PLR0917 - a standard method has these arguments
        self,
        project: str,
        plan_id: str,
        etag: str,
        now: datetime,
        request: RequestKey,
        timeout_s: float | None = None,
    ) -> None:
        """Remove; versions stay. Raises as `update`, and FailedPreconditionError while a run of it is under way."""

        def removed(conn: Connection) -> bytes:
            take_turn(conn)
            _refuse_while_used(conn, project, plan_id)
            resources.remove(conn, FAILOVER_PLAN, _id(project, plan_id), etag, now)
            return b"{}"

        self._writer.run(lambda conn: once(conn, request, now, lambda: removed(conn)), timeout_s)

    def get(self, project: str, plan_id: str) -> StoredPlan:
        """Raises NotFoundError."""
        return _stored(self._resources.get(_parent(project), plan_id))

    def list(self, request: ListRequest) -> Page[StoredPlan]:
        """Plans of one parent (`projects/p`), oldest first. Raises InvalidArgumentError for a bad filter or token."""
        page = self._resources.list(request)
        return Page(tuple(_stored(one) for one in page.items), page.next_page_token)

    def of_service(self, project: str, service_id: str) -> tuple[StoredPlan, ...]:
        """The plans that move a service of a project: two may, and one run at a time does."""
        asked = ListRequest("FailoverPlans", _parent(project), f'service_id = "{service_id}"', _MOST_OF_A_SERVICE, "")
        return self.list(asked).items

    def etags(self) -> Mapping[tuple[str, str], str]:
        """Of the plans of every project, by project and id: tells what changed without reading it."""
        table = FAILOVER_PLANS
        with self._database.read() as conn:
            rows = conn.execute(select(table.c.parent, table.c.id, table.c.etag).order_by(table.c.parent, table.c.id))
            return {(parent.removeprefix("projects/"), plan_id): etag for parent, plan_id, etag in rows}

    def version(self, project: str, plan_id: str, revision: int) -> StoredPlan:
        """The version that a run pins (`Run.plan_revision`). Raises NotFoundError."""
        with self._database.read() as conn:
            return version(conn, project, plan_id, revision)


def current(conn: Connection, project: str, plan_id: str) -> StoredPlan:
    """As it is in an open transaction. Raises NotFoundError."""
    return _stored(resources.get(conn, FAILOVER_PLAN, _parent(project), plan_id))


def version(conn: Connection, project: str, plan_id: str, revision: int) -> StoredPlan:
    """A version. Raises NotFoundError."""
    table = FAILOVER_PLAN_VERSIONS
    query = select(*(table.c[name] for name in Resource.__dataclass_fields__)).where(
        table.c.parent == _parent(project), table.c.id == plan_id, table.c.revision == revision
    )
    row = conn.execute(query).first()
    if row is None:
        message = f"failover_plan {plan_id!r} has no version of revision {revision}"
        raise NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"failover_plan": plan_id})
    return _stored(Resource(*row))


def pinned(stored: StoredPlan) -> PinnedPlan:
    """What a run carries out."""
    return PinnedPlan(stored.plan, stored.version, stored.revision, stored.plan_hash)


def _refuse_while_used(conn: Connection, project: str, plan_id: str) -> None:
    live = select(FAILOVER_RUNS.c.run_id).where(
        FAILOVER_RUNS.c.project == project, FAILOVER_RUNS.c.plan_id == plan_id, FAILOVER_RUNS.c.end_time.is_(None)
    )
    run_id = conn.execute(live).scalar()
    if run_id is not None:
        name = f"projects/{project}/failoverRuns/{run_id}"
        message = f"{name} carries it out"
        raise FailedPreconditionError(ErrorReason.STATE_CONFLICT, message, metadata={"failover_run": name})


def _stored(resource: Resource) -> StoredPlan:
    plan, own_hash = _known(bytes(resource.body))
    return StoredPlan(
        plan,
        resource.version,
        resource.revision,
        resource.etag,
        resource.create_time,
        resource.update_time,
        own_hash,
    )


@lru_cache(_KEPT_PLANS)
def _known(document: bytes) -> tuple[FailoverPlan, str]:
    """A plan, which nothing can change, and its hash: a start reads the same document several times."""
    return plan_of(document), plan_hash(document)


def _draft(plan: FailoverPlan) -> Draft:
    return Draft(plan_bytes(plan), {"service_id": plan.service_id})


def _id(project: str, plan_id: str) -> ResourceId:
    return ResourceId(project, _parent(project), plan_id)


def _parent(project: str) -> str:
    return f"projects/{project}"
