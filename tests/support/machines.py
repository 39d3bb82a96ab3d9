"""A cloud of machines in a file: what one process did to it, another sees, also after the first was killed.

Implements the port of actuators. It counts what was really changed, so that a test can tell once from twice.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Actuator, Effect, Observed

RUNNING: Final = {"State": "running", "InstanceType": "m5.2xlarge"}


class Machines:
    """The world. `faults` in the file say which kinds of operations are refused, silent, or slow."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_text(json.dumps({"machines": {}, "changes": [], "refuse": [], "mute": [], "slow_s": {}}))

    def add(self, own: str, *, is_protected: bool = False, **fields: str) -> None:
        """A machine; by default a running m5.2xlarge."""
        with self.open() as world:
            world["machines"][own] = {"fields": {**RUNNING, **fields}, "protected": is_protected}

    def fail(self, **faults: object) -> None:
        """Set faults: `refuse`, `mute` (lists of kinds), `slow_s` (kind to seconds)."""
        with self.open() as world:
            world.update(faults)

    def protect(self, own: str) -> None:
        """Forbid changes."""
        with self.open() as world:
            world["machines"][own]["protected"] = True

    def remove(self, own: str) -> None:
        """Terminate it."""
        with self.open() as world:
            del world["machines"][own]

    def fields(self, own: str) -> dict[str, str]:
        """A machine as it stands."""
        with self.open() as world:
            return dict(world["machines"][own]["fields"])

    def changes(self) -> list[str]:
        """Kinds of the operations that changed something, in order."""
        with self.open() as world:
            return list(world["changes"])

    @contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """The file, locked; written back at the end."""
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            world = json.loads(self.path.read_text())
            yield world
            # Whole or not at all: a process may be killed at any moment.
            new = self.path.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(world))
            new.replace(self.path)

    def find(self, project: str, resource: CloudResource, operation: Operation) -> Actuator | None:
        """The port of all actuators: this one, for AWS."""
        return self if resource.cloud.value == "aws" else None

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """As the port says."""
        return True

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        with self.open() as world:
            if "observe" in world["mute"]:
                raise UnavailableError(ErrorReason.SOURCE_FAILED, "the cloud does not answer")
            machine = world["machines"].get(operation.resource_id)
        if machine is None:
            return Observed(exists=False)
        fields = tuple((change.field, machine["fields"].get(change.field, "")) for change in operation.changes)
        return Observed(True, fields, machine["protected"], machine["fields"]["State"])

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """As the port says. A type is changed only while it is stopped; slow ones change at the end of their time."""
        kind = operation.kind.value
        with self.open() as world:
            slow_s, mute, refuse = world["slow_s"].get(kind, 0.0), kind in world["mute"], kind in world["refuse"]
        time.sleep(slow_s)
        if refuse:
            raise FailedPreconditionError(ErrorReason.SOURCE_FAILED, "the cloud refuses: no capacity")
        with self.open() as world:
            fields = world["machines"][operation.resource_id]["fields"]
            if operation.kind is OperationKind.MODIFY_INSTANCE_TYPE and fields["State"] != "stopped":
                raise FailedPreconditionError(ErrorReason.SOURCE_FAILED, "it must be stopped first")
            wanted = {change.field: change.after for change in operation.changes}
            is_changed = any(fields.get(field) != value for field, value in wanted.items())
            if is_changed:
                fields.update(wanted)
                world["changes"].append(kind)
        if mute:
            raise UnavailableError(ErrorReason.SOURCE_FAILED, "the answer was lost")
        return Effect(is_changed)
