"""The tables of replication: how each one stands and who works on it, and the copies that are under way in parts."""

from datetime import datetime
from typing import Final

from sqlalchemy import Table

from trimtab_service.store.rows import METADATA, Row, bigint, binary, flag, instant, string


class ReplicationRow(Row, table=True):
    """One that was started. `progress` is the engine's; `definition` is the hash of what is copied where.

    `token` grows with every change of hands and of direction, so whoever worked on it before writes nothing more.
    """

    __tablename__ = "replications"

    id: str = string(primary_key=True)
    definition: str = string()
    is_active: bool = flag()
    is_reversed: bool = flag()
    token: int = bigint()
    lease_owner: str = string()
    lease_until: datetime = instant()
    wake_time: datetime = instant()
    update_time: datetime = instant()
    progress: bytes = binary()


class ReplicationUploadRow(Row, table=True):
    """An object that is being written in parts: what is needed to go on with it."""

    __tablename__ = "replication_uploads"

    replication: str = string(primary_key=True)
    key: str = string(primary_key=True)
    body: bytes = binary()


REPLICATIONS: Final[Table] = METADATA.tables["replications"]
REPLICATION_UPLOADS: Final[Table] = METADATA.tables["replication_uploads"]
