"""Versioned resources with an etag: what policies and commitments have in common.

Each change is one writer's unit: the row, its version, the journal entry and the stored answer to the
request_id are durable together or not at all.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, update

from trimtab_service.domain.errors import AbortedError, AlreadyExistsError, NotFoundError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store import journal
from trimtab_service.store.columns import from_micros, to_micros
from trimtab_service.store.engines import Database
from trimtab_service.store.filters import Filterable
from trimtab_service.store.idempotency import RequestKey, once
from trimtab_service.store.journal import JournalKind
from trimtab_service.store.pages import Listing, ListRequest, Page, read_page
from trimtab_service.store.serial import take_turn
from trimtab_service.store.writer import GroupCommitWriter


@dataclass(frozen=True, slots=True)
class ResourceId:
    """`parent` is the API's parent (`projects/p`, empty for the deployment); `project` owns the change."""

    project: str
    parent: str
    id: str


@dataclass(frozen=True, slots=True)
class Draft:
    """New content: `body` is a JSON object of the domain, `indexed` the columns that lists filter by."""

    body: bytes
    indexed: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Resource:
    """A stored resource. `version` counts its changes from 1; `revision` is the journal's, of the last one."""

    parent: str
    id: str
    revision: int
    version: int
    etag: str
    create_time: datetime
    update_time: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class ResourceKind:
    """One table of resources, the table of its versions if it keeps them, and its name in the journal."""

    noun: str
    journal_kind: JournalKind
    table: Table
    versions: Table | None
    fields: Mapping[str, Filterable]


class ResourceStore:
    """The standard methods over one kind. Reads and changes raise UnavailableError without a database."""

    __slots__ = ("_database", "_kind", "_writer")

    def __init__(self, kind: ResourceKind, database: Database, writer: GroupCommitWriter) -> None:
        self._kind = kind
        self._database = database
        self._writer = writer

    def get(self, parent: str, resource_id: str) -> Resource:
        """Raises NotFoundError."""
        with self._database.read() as conn:
            return get(conn, self._kind, parent, resource_id)

    def list(self, request: ListRequest) -> Page[Resource]:
        """Resources of one parent, oldest first. Raises InvalidArgumentError for a bad filter or token."""
        table = self._kind.table
        listing = Listing(
            query=_resources(table).where(table.c.parent == request.parent),
            time=table.c.create_time,
            id=table.c.id,
            fields=self._kind.fields,
            read=_read,
            newest_first=False,
        )
        with self._database.read() as conn:
            return read_page(conn, listing, request)

    def all(self) -> tuple[Resource, ...]:
        """Every resource of every parent, ordered by parent and id: what a process starts from."""
        table = self._kind.table
        with self._database.read() as conn:
            rows = conn.execute(_resources(table).order_by(table.c.parent, table.c.id)).all()
        return tuple(_read(row) for row in rows)

    def as_of(self, revision: int) -> tuple[Resource, ...]:
        """Every resource as it was at a journal revision. Only for a kind that keeps versions (TypeError)."""
        if self._kind.versions is None:
            raise TypeError(f"{self._kind.noun} keeps no versions")
        with self._database.read() as conn:
            return _as_of(conn, self._kind.versions, revision)

    def create(
        self, key: ResourceId, draft: Draft, now: datetime, request: RequestKey, timeout_s: float | None = None
    ) -> Resource:
        """Raises AlreadyExistsError; the same request again returns the first answer."""
        return self._once(request, now, timeout_s, lambda conn: create(conn, self._kind, key, draft, now))

    def update(  # noqa: PLR0913, PLR0917 - a standard method has these arguments
        self,
        key: ResourceId,
        revise: Callable[[Resource], Draft],
        etag: str,
        now: datetime,
        request: RequestKey,
        timeout_s: float | None = None,
    ) -> Resource:
        """Replace by what `revise` makes of the stored one, atomically; it runs on the writer's thread.

        Raises NotFoundError, and AbortedError (ETAG_MISMATCH) when `etag` is neither empty nor current.
        """
        return self._once(request, now, timeout_s, lambda conn: modify(conn, self._kind, key, revise, etag, now))

    def delete(
        self, key: ResourceId, etag: str, now: datetime, request: RequestKey, timeout_s: float | None = None
    ) -> Resource:
        """Remove and return what was removed, `revision` being that of the removal. Raises as `update`."""
        return self._once(request, now, timeout_s, lambda conn: remove(conn, self._kind, key, etag, now))

    def _once(
        self, request: RequestKey, now: datetime, timeout_s: float | None, change: Callable[[Connection], Resource]
    ) -> Resource:
        def unit(conn: Connection) -> Resource:
            return _unpack(once(conn, request, now, lambda: _pack(change(conn))))

        return self._writer.run(unit, timeout_s)


def get(conn: Connection, kind: ResourceKind, parent: str, resource_id: str) -> Resource:
    """One resource. Raises NotFoundError."""
    row = conn.execute(_resources(kind.table).where(_is(kind.table, parent, resource_id))).first()
    if row is None:
        message = f"{kind.noun} {resource_id!r} does not exist"
        raise NotFoundError(ErrorReason.NOT_FOUND, message, metadata={kind.noun: resource_id})
    return _read(row)


def create(conn: Connection, kind: ResourceKind, key: ResourceId, draft: Draft, now: datetime) -> Resource:
    """Add a resource. Raises AlreadyExistsError."""
    take_turn(conn)
    if conn.execute(select(kind.table.c.etag).where(_is(kind.table, key.parent, key.id))).first() is not None:
        message = f"{kind.noun} {key.id!r} exists already"
        raise AlreadyExistsError(ErrorReason.ALREADY_EXISTS, message, metadata={kind.noun: key.id})
    revision = _enter(conn, kind, key, "create", draft.body, now)
    made = Resource(key.parent, key.id, revision, 1, _etag(revision, draft.body), now, now, draft.body)
    conn.execute(insert(kind.table), {**_columns(made), **draft.indexed})
    _keep_version(conn, kind, made, deleted=False)
    return made


def modify(  # noqa: PLR0913, PLR0917 - a standard method has these arguments
    conn: Connection,
    kind: ResourceKind,
    key: ResourceId,
    revise: Callable[[Resource], Draft],
    etag: str,
    now: datetime,
) -> Resource:
    """Replace a resource. Raises NotFoundError, AbortedError (ETAG_MISMATCH), and what `revise` raises."""
    take_turn(conn)
    old = _current(conn, kind, key, etag)
    draft = revise(old)
    revision = _enter(conn, kind, key, "update", draft.body, now)
    made = Resource(
        key.parent,
        key.id,
        revision,
        old.version + 1,
        _etag(revision, draft.body),
        old.create_time,
        now,
        draft.body,
    )
    changed = update(kind.table).where(_is(kind.table, key.parent, key.id))
    conn.execute(changed.values({**_columns(made), **draft.indexed}))
    _keep_version(conn, kind, made, deleted=False)
    return made


def remove(conn: Connection, kind: ResourceKind, key: ResourceId, etag: str, now: datetime) -> Resource:
    """Delete a resource; its versions stay. Raises NotFoundError, AbortedError (ETAG_MISMATCH)."""
    take_turn(conn)
    old = _current(conn, kind, key, etag)
    revision = _enter(conn, kind, key, "delete", None, now)
    conn.execute(delete(kind.table).where(_is(kind.table, key.parent, key.id)))
    gone = Resource(
        key.parent,
        key.id,
        revision,
        old.version + 1,
        _etag(revision, old.body),
        old.create_time,
        now,
        old.body,
    )
    _keep_version(conn, kind, gone, deleted=True)
    return gone


def _current(conn: Connection, kind: ResourceKind, key: ResourceId, etag: str) -> Resource:
    found = get(conn, kind, key.parent, key.id)
    if etag and etag != found.etag:
        message = f"{kind.noun} {key.id!r} was changed since it was read"
        raise AbortedError(ErrorReason.ETAG_MISMATCH, message, metadata={kind.noun: key.id, "etag": found.etag})
    return found


def _enter(  # noqa: PLR0913, PLR0917 - the parts of one entry
    conn: Connection, kind: ResourceKind, key: ResourceId, action: str, body: bytes | None, now: datetime
) -> int:
    payload = {
        "action": action,
        "parent": key.parent,
        "id": key.id,
        "body": None if body is None else orjson.Fragment(body),
    }
    return journal.append(conn, key.project, kind.journal_kind, payload, now)


def _keep_version(conn: Connection, kind: ResourceKind, resource: Resource, *, deleted: bool) -> None:
    if kind.versions is not None:
        conn.execute(insert(kind.versions), {**_columns(resource), "deleted": deleted})


def _as_of(conn: Connection, versions: Table, revision: int) -> tuple[Resource, ...]:
    query = (
        _resources(versions)
        .add_columns(versions.c.deleted)
        .where(versions.c.revision <= revision)
        .order_by(versions.c.parent, versions.c.id, versions.c.revision)
    )
    newest: dict[tuple[str, str], Resource] = {}
    for *values, deleted in conn.execute(query):
        resource = Resource(*values)
        newest.pop((resource.parent, resource.id), None)
        if not deleted:
            newest[resource.parent, resource.id] = resource
    return tuple(newest[key] for key in sorted(newest))


def _resources(table: Table) -> Any:  # noqa: ANN401 - a Select of the columns of Resource
    return select(*(table.c[name] for name in Resource.__dataclass_fields__))


def _is(table: Table, parent: str, resource_id: str) -> ColumnElement[bool]:
    return (table.c.parent == parent) & (table.c.id == resource_id)


def _read(row: Any) -> Resource:  # noqa: ANN401 - a Row of `_resources`
    return Resource(*row)


def _columns(resource: Resource) -> dict[str, object]:
    return {name: getattr(resource, name) for name in Resource.__dataclass_fields__}


def _etag(revision: int, body: bytes) -> str:
    return hashlib.sha256(b"%d:%b" % (revision, body)).hexdigest()[:16]


def _pack(resource: Resource) -> bytes:
    columns = _columns(resource)
    times = {"create_time": to_micros(resource.create_time), "update_time": to_micros(resource.update_time)}
    return orjson.dumps({**columns, **times, "body": resource.body.decode()})


def _unpack(answer: bytes) -> Resource:
    columns = orjson.loads(answer)
    for name in ("create_time", "update_time"):
        columns[name] = from_micros(columns[name])
    columns["body"] = columns["body"].encode()
    return Resource(**columns)
