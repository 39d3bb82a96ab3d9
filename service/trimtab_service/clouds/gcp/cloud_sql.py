"""Databases of Cloud SQL that a failover makes primary."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from trimtab_service.clouds.gcp.rest import Rest
from trimtab_service.clouds.patience import PassingFault, refused, source_failed

SQL: Final = "sql"
"""Name of the API in `endpoints` of the account."""
BASE_URL: Final = "https://sqladmin.googleapis.com"

_PRIMARY: Final = "CLOUD_SQL_INSTANCE"
_RUNNING: Final = "RUNNABLE"


@dataclass(frozen=True, slots=True)
class CloudSqlReplica:
    """Implements `failover.ports.DataStoreTarget` for a read replica. A promotion is for good, so again is as once."""

    project: str
    instance: str
    rest: Rest

    def is_primary(self, deadline: datetime) -> bool:
        """Whether it is an instance of its own, and runs."""
        found = self._found(deadline)
        return found.get("instanceType") == _PRIMARY and found.get("state") == _RUNNING

    def promote(self, token: int, key: str, deadline: datetime) -> None:  # noqa: ARG002 - a promotion is once and for good
        """As the port says; `is_primary` tells when it is done."""
        if self._found(deadline).get("instanceType") == _PRIMARY:
            return
        try:
            reply = self.rest.post(f"{self._path}/promoteReplica", {}, "promoting a replica", deadline)
        except PassingFault as fault:
            raise source_failed(str(fault)) from fault
        # Another operation on it is under way: most likely an earlier try of this very one.
        if not reply.is_ok and reply.status != HTTPStatus.CONFLICT:
            raise refused(f"{self.instance}: Cloud SQL refused its promotion ({reply.status})")

    def _found(self, deadline: datetime) -> Mapping[str, Any]:
        reply = self.rest.get(self._path, {}, "reading a database", deadline)
        if not reply.is_ok:
            raise refused(f"{self.instance} does not exist")
        return reply.document

    @property
    def _path(self) -> str:
        return f"v1/projects/{self.project}/instances/{self.instance}"
