"""What replication needs of the store: who works on what, and how far it is. All under a token that only grows.

Every method raises UnavailableError when the database does not answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from trimtab_service.replication.progress import UNBEGUN, KeptUpload, Progress


class LeaseLostError(Exception):
    """Another process has the replication, or it was paused or turned: whoever gets this stops at once."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a replication stands. `definition` is the identity of what it was started as."""

    name: str
    definition: str = ""
    is_active: bool = False
    is_reversed: bool = False
    token: int = 0
    lease_until: datetime | None = None
    update_time: datetime | None = None
    progress: Progress = UNBEGUN


@dataclass(frozen=True, slots=True)
class Held:
    """A replication that this process works on."""

    name: str
    token: int
    is_reversed: bool
    progress: Progress


class ReplicationJournal(Protocol):
    """All replications that were ever started. Leases last by the database's clock."""

    def standing(self, name: str) -> Standing:
        """As it stands; one that was never started is neither active nor reversed."""
        ...

    def claim(self, definitions: Mapping[str, str], owner: str, lease: timedelta) -> Held | None:
        """Take one that is active, due, and as it was started (name to identity); None when there is none."""
        ...

    def renew(self, held: Sequence[Held], lease: timedelta) -> frozenset[str]:
        """Hold on; the names of those that are still ours and active."""
        ...

    def save(self, held: Held, progress: Progress) -> None:
        """Keep progress. Raises LeaseLostError."""
        ...

    def finish(self, held: Held, progress: Progress, again: timedelta) -> None:
        """Keep progress, and let go until so much later. Raises LeaseLostError."""
        ...

    def release(self, held: Held) -> None:
        """Let go as it stands; nothing when it is another's already."""
        ...

    def upload(self, name: str, key: str) -> KeptUpload | None:
        """The copy in parts of a key."""
        ...

    def keep_upload(self, held: Held, key: str, upload: KeptUpload) -> None:
        """Remember how far it is. Raises LeaseLostError."""
        ...

    def drop_uploads(self, held: Held, keys: Iterable[str]) -> None:
        """Forget them. Raises LeaseLostError."""
        ...

    def uploads(self, name: str) -> Mapping[str, KeptUpload]:
        """All of a replication, by key."""
        ...
