"""The tables of placement, policies, commitments and purchases, fleets, profiles and simulated worlds.

Changing a table means a migration beside it, and only ever an expansion (`store.schema`).
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Identity, Index, Table, text
from sqlmodel import Field

from trimtab_service.store.columns import Counter
from trimtab_service.store.rows import (
    METADATA,
    ResourceRow,
    ResourceVersionRow,
    Row,
    bigint,
    binary,
    flag,
    instant,
    string,
)


class JournalRow(Row, table=True):
    """One change of state; `revision` orders all of them (`store.journal`)."""

    __tablename__ = "journal"
    __table_args__ = ({"sqlite_autoincrement": True},)

    revision: int = Field(
        sa_type=Counter,
        primary_key=True,
        sa_column_args=(Identity(),),
    )
    project: str = string()
    kind: str = string()
    create_time: datetime = instant()
    payload: bytes = binary()


class SnapshotRow(Row, table=True):
    """All entries up to `revision`, folded: what allows the journal to be pruned."""

    __tablename__ = "snapshots"

    revision: int = bigint(primary_key=True)
    create_time: datetime = instant()
    body: bytes = binary()


class DecisionRow(Row, table=True):
    """The decision log."""

    __tablename__ = "decisions"

    project: str = string(primary_key=True)
    decision_id: str = string(primary_key=True)
    create_time: datetime = instant()
    workload_id: str = string()
    verdict: str = string()
    request: bytes = binary()
    response: bytes = binary()
    catalog_version: str = string()
    state_revision: int = bigint()
    policy_revision: int = bigint()
    learned_revision: int = bigint()
    commitment_revision: int = bigint()
    cloud: str = string()
    region: str = string()
    instance_type: str = string()
    purchase_option: str = string()
    expected_cost_micros: int | None = bigint(nullable=True)
    valid_until: datetime | None = instant(nullable=True)
    reserved: bool = flag()
    release_time: datetime | None = instant(nullable=True)
    outcome: str | None = string(nullable=True)
    context: bytes | None = binary(nullable=True)


class RequestRow(Row, table=True):
    """The answer once given to a request_id (`store.idempotency`)."""

    __tablename__ = "requests"

    project: str = string(primary_key=True)
    method: str = string(primary_key=True)
    request_id: str = string(primary_key=True)
    body_hash: bytes = binary()
    answer: bytes = binary()
    create_time: datetime = instant()
    expire_time: datetime = instant()


class ReservationRow(Row, table=True):
    """What one decision draws from one room (`store.reservations`)."""

    __tablename__ = "reservations"

    project: str = string(primary_key=True)
    decision_id: str = string(primary_key=True)
    room_key: str = string(primary_key=True)
    amount_milli: int = bigint()
    create_time: datetime = instant()
    expire_time: datetime = instant()
    release_time: datetime | None = instant(nullable=True)


class PolicyRow(ResourceRow, table=True):
    """A policy as it is now; `parent` is empty where it holds for the whole deployment."""

    __tablename__ = "policies"

    disabled: bool = flag()


class PolicyVersionRow(ResourceVersionRow, table=True):
    """A policy as it was from `revision` on; a deletion is a version too."""

    __tablename__ = "policy_versions"


class CommitmentRow(ResourceRow, table=True):
    """An owned commitment."""

    __tablename__ = "commitments"

    cloud: str = string()
    kind: str = string()
    region: str = string()
    family: str = string()
    instance_type: str = string()
    end_time: datetime = instant()


class FleetAnalysisRow(Row, table=True):
    """The analysis of a fleet, and who works on it until when (`store.fleet`)."""

    __tablename__ = "fleet_analyses"

    project: str = string(primary_key=True)
    analysis_id: str = string(primary_key=True)
    create_time: datetime = instant()
    update_time: datetime = instant()
    end_time: datetime | None = instant(nullable=True)
    state: str = string()
    version: int = bigint()
    request: bytes = binary()
    scope_hash: str = string()
    actor: str = string()
    resources: int = bigint()
    resources_done: int = bigint()
    progress: bytes = binary()
    is_cancelling: bool = flag()
    lease_owner: str = string()
    lease_token: int = bigint()
    lease_until: datetime = instant()


class FleetResultRow(Row, table=True):
    """What an analysis found for one resource; `sequence` counts from 1 without a hole."""

    __tablename__ = "fleet_results"

    project: str = string(primary_key=True)
    analysis_id: str = string(primary_key=True)
    sequence: int = bigint(primary_key=True)
    resource_key: str = string()
    finding: str = string()
    advice: bytes = binary()


class ProfileRow(Row, table=True):
    """The series of one resource as they were read last (`rightsizing.profile`)."""

    __tablename__ = "profiles"

    project: str = string(primary_key=True)
    source: str = string(primary_key=True)
    resource_key: str = string(primary_key=True)
    update_time: datetime = instant()
    body: bytes = binary()


class SimulatedWorldRow(Row, table=True):
    """What was done to one simulated cloud (`store.simulated_worlds`); `version` counts the changes."""

    __tablename__ = "simulated_worlds"

    name: str = string(primary_key=True)
    version: int = bigint()
    update_time: datetime = instant()
    body: bytes = binary()


class PurchaseTakingRow(Row, table=True):
    """What a purchase took of its account's day (`store.purchase_budget`), when it was first and last attempted."""

    __tablename__ = "purchase_takings"

    account: str = string(primary_key=True)
    purchase: str = string(primary_key=True)
    nanos_per_hour: int = bigint()
    first_time: datetime = instant()
    last_time: datetime = instant()


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
SIMULATED_WORLDS: Final[Table] = METADATA.tables["simulated_worlds"]
PURCHASE_TAKINGS: Final[Table] = METADATA.tables["purchase_takings"]

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
