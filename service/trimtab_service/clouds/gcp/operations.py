"""Compute Engine's operations: changes that go on after the call that asked for them."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.gcp.compute import Compute, last_part
from trimtab_service.clouds.gcp.faults import refused
from trimtab_service.clouds.patience import source_failed

__all__ = ["Operations", "last_part", "request_id"]

_FIRST_POLL_S: Final = 0.1
_LAST_POLL_S: Final = 2.0
"""Many operations are done in a moment, and in an outage traffic waits for them."""

_NAMESPACE: Final = uuid.UUID("5b8a6f0e-6d7b-5c55-9a39-0d9c2d6f6a11")


def request_id(token: str) -> str:
    """The UUID that Compute Engine takes as requestId; the same for the same token."""
    return str(uuid.uuid5(_NAMESPACE, token))


@dataclass(frozen=True, slots=True)
class Operations:
    """Waits for operations of one project."""

    compute: Compute

    def done(self, operation: Any, doing: str, deadline: datetime) -> None:  # noqa: ANN401 - a compute_v1.Operation
        """Return when it is done.

        Raises FailedPreconditionError when it ended in an error, UnavailableError (SOURCE_FAILED) when the deadline
        comes first: then it may still go on, and a repetition with the same token finds it.
        """
        pause = _FIRST_POLL_S
        while operation.status != operation.Status.DONE:
            if self.compute.patience.remaining_s(deadline) <= pause:
                raise source_failed(f"{doing}: not done before the deadline; it may still be going on")
            self.compute.patience.sleep(pause)
            pause = min(2 * pause, _LAST_POLL_S)
            operation = self._read(operation, doing, deadline)
        if operation.error.errors:
            codes = ", ".join(sorted({one.code for one in operation.error.errors}))
            raise refused(f"{doing}: Compute Engine refused it ({codes})")

    def _read(self, operation: Any, doing: str, deadline: datetime) -> Any:  # noqa: ANN401 - a compute_v1.Operation
        request = {"project": self.compute.project, "operation": operation.name}
        if operation.zone:
            collection, request["zone"] = "zone_operations", last_part(operation.zone)
        elif operation.region:
            collection, request["region"] = "region_operations", last_part(operation.region)
        else:
            collection = "global_operations"
        return self.compute.ask(
            lambda timeout: self.compute.client(collection).get(request=request, retry=None, timeout=timeout),
            doing,
            deadline,
        )
