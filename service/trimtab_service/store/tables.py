"""The tables. Integers are 64 bits by declaration: SQLModel's own choice overflows on PostgreSQL.

Changing a table means a migration beside it, and only ever an expansion (`store.schema`).
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Identity, Index, LargeBinary, MetaData, Table, text
from sqlmodel import Field, SQLModel

from trimtab_service.store.columns import Counter, Name, UtcTimestamp

METADATA: Final = MetaData()


class Row(SQLModel):
    """Root of the tables; it keeps them out of SQLModel's global registry."""

    metadata = METADATA


def _name(**options: Any) -> Any:  # noqa: ANN401 - what SQLModel's Field itself takes and gives
    return Field(sa_type=Name, **options)


def _instant(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=UtcTimestamp, **options)


def _bigint(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=BigInteger, **options)


def _bytes(**options: Any) -> Any:  # noqa: ANN401
    return Field(sa_type=LargeBinary, **options)


class JournalRow(Row, table=True):
    """One change of state; `revision` orders all of them (`store.journal`)."""

    __tablename__ = "journal"
    __table_args__ = ({"sqlite_autoincrement": True},)

    revision: int = Field(
        sa_type=Counter,
        primary_key=True,
        sa_column_args=(Identity(),),
    )
    project: str = _name()
    kind: str = _name()
    create_time: datetime = _instant()
    payload: bytes = _bytes()


class SnapshotRow(Row, table=True):
    """All entries up to `revision`, folded: what allows the journal to be pruned."""

    __tablename__ = "snapshots"

    revision: int = _bigint(primary_key=True)
    create_time: datetime = _instant()
    body: bytes = _bytes()


class DecisionRow(Row, table=True):
    """The decision log."""

    __tablename__ = "decisions"

    project: str = _name(primary_key=True)
    decision_id: str = _name(primary_key=True)
    create_time: datetime = _instant()
    workload_id: str = _name()
    verdict: str = _name()
    request: bytes = _bytes()
    response: bytes = _bytes()
    catalog_version: str = _name()
    state_revision: int = _bigint()
    policy_revision: int = _bigint()
    learned_revision: int = _bigint()
    commitment_revision: int = _bigint()
    cloud: str = _name()
    region: str = _name()
    instance_type: str = _name()
    purchase_option: str = _name()
    expected_cost_micros: int | None = _bigint(nullable=True)
    valid_until: datetime | None = _instant(nullable=True)
    reserved: bool = Field(sa_type=Boolean)
    release_time: datetime | None = _instant(nullable=True)
    outcome: str | None = _name(nullable=True)
    context: bytes | None = _bytes(nullable=True)


class RequestRow(Row, table=True):
    """The answer once given to a request_id (`store.idempotency`)."""

    __tablename__ = "requests"

    project: str = _name(primary_key=True)
    method: str = _name(primary_key=True)
    request_id: str = _name(primary_key=True)
    body_hash: bytes = _bytes()
    answer: bytes = _bytes()
    create_time: datetime = _instant()
    expire_time: datetime = _instant()


class ReservationRow(Row, table=True):
    """What one decision draws from one room (`store.reservations`)."""

    __tablename__ = "reservations"

    project: str = _name(primary_key=True)
    decision_id: str = _name(primary_key=True)
    room_key: str = _name(primary_key=True)
    amount_milli: int = _bigint()
    create_time: datetime = _instant()
    expire_time: datetime = _instant()
    release_time: datetime | None = _instant(nullable=True)


class PolicyRow(Row, table=True):
    """A policy as it is now; `parent` is empty where it holds for the whole deployment."""

    __tablename__ = "policies"

    parent: str = _name(primary_key=True)
    id: str = _name(primary_key=True)
    version: int = _bigint()
    revision: int = _bigint()
    etag: str = _name()
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    body: bytes = _bytes()
    disabled: bool = Field(sa_type=Boolean)


class PolicyVersionRow(Row, table=True):
    """A policy as it was from `revision` on; a deletion is a version too."""

    __tablename__ = "policy_versions"

    parent: str = _name(primary_key=True)
    id: str = _name(primary_key=True)
    revision: int = _bigint(primary_key=True)
    version: int = _bigint()
    etag: str = _name()
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    body: bytes = _bytes()
    deleted: bool = Field(sa_type=Boolean)


class CommitmentRow(Row, table=True):
    """An owned commitment."""

    __tablename__ = "commitments"

    parent: str = _name(primary_key=True)
    id: str = _name(primary_key=True)
    version: int = _bigint()
    revision: int = _bigint()
    etag: str = _name()
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    body: bytes = _bytes()
    cloud: str = _name()
    kind: str = _name()
    region: str = _name()
    family: str = _name()
    instance_type: str = _name()
    end_time: datetime = _instant()


class FleetAnalysisRow(Row, table=True):
    """The analysis of a fleet, and who works on it until when (`store.fleet`)."""

    __tablename__ = "fleet_analyses"

    project: str = _name(primary_key=True)
    analysis_id: str = _name(primary_key=True)
    create_time: datetime = _instant()
    update_time: datetime = _instant()
    end_time: datetime | None = _instant(nullable=True)
    state: str = _name()
    version: int = _bigint()
    request: bytes = _bytes()
    scope_hash: str = _name()
    actor: str = _name()
    resources: int = _bigint()
    resources_done: int = _bigint()
    progress: bytes = _bytes()
    is_cancelling: bool = Field(sa_type=Boolean)
    lease_owner: str = _name()
    lease_token: int = _bigint()
    lease_until: datetime = _instant()


class FleetResultRow(Row, table=True):
    """What an analysis found for one resource; `sequence` counts from 1 without a hole."""

    __tablename__ = "fleet_results"

    project: str = _name(primary_key=True)
    analysis_id: str = _name(primary_key=True)
    sequence: int = _bigint(primary_key=True)
    resource_key: str = _name()
    finding: str = _name()
    advice: bytes = _bytes()


class ProfileRow(Row, table=True):
    """The series of one resource as they were read last (`rightsizing.profile`)."""

    __tablename__ = "profiles"

    project: str = _name(primary_key=True)
    source: str = _name(primary_key=True)
    resource_key: str = _name(primary_key=True)
    update_time: datetime = _instant()
    body: bytes = _bytes()


JOURNAL: Final[Table] = METADATA.tables["journal"]
SNAPSHOTS: Final[Table] = METADATA.tables["snapshots"]
DECISIONS: Final[Table] = METADATA.tables["decisions"]
REQUESTS: Final[Table] = METADATA.tables["requests"]
RESERVATIONS: Final[Table] = METADATA.tables["reservations"]
POLICIES: Final[Table] = METADATA.tables["policies"]
POLICY_VERSIONS: Final[Table] = METADATA.tables["policy_versions"]
COMMITMENTS: Final[Table] = METADATA.tables["commitments"]
FLEET_ANALYSES: Final[Table] = METADATA.tables["fleet_analyses"]
FLEET_RESULTS: Final[Table] = METADATA.tables["fleet_results"]
PROFILES: Final[Table] = METADATA.tables["profiles"]

_UNRELEASED: Final = text("release_time IS NULL")

# One index serves the list, its pages and the pruning; the log is written far more often than read.
Index("decisions_by_time", DECISIONS.c.project, DECISIONS.c.create_time, DECISIONS.c.decision_id)
Index("requests_by_expiry", REQUESTS.c.expire_time)
Index(
    "reservations_by_room",
    RESERVATIONS.c.room_key,
    RESERVATIONS.c.expire_time,
    RESERVATIONS.c.amount_milli,  # so that a room's sum reads the index alone
    sqlite_where=_UNRELEASED,
    postgresql_where=_UNRELEASED,
)
Index("reservations_by_expiry", RESERVATIONS.c.expire_time)
for _resource in (POLICIES, COMMITMENTS):
    Index(f"{_resource.name}_by_time", _resource.c.parent, _resource.c.create_time, _resource.c.id)
Index("fleet_analyses_by_time", FLEET_ANALYSES.c.project, FLEET_ANALYSES.c.create_time, FLEET_ANALYSES.c.analysis_id)
Index("fleet_analyses_by_lease", FLEET_ANALYSES.c.state, FLEET_ANALYSES.c.lease_until)
Index(
    "fleet_results_by_resource",
    FLEET_RESULTS.c.project,
    FLEET_RESULTS.c.analysis_id,
    FLEET_RESULTS.c.resource_key,
    unique=True,
)
Index("profiles_by_time", PROFILES.c.update_time)
