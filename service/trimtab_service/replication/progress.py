"""What is kept of a replication between two commits, and across restarts."""

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Final

from trimtab_service.replication.alignment import START, Position
from trimtab_service.replication.checksums import NOTHING, Counted


class Outcome(StrEnum):
    """What became of one key."""

    SAME = "same"
    COPIED = "copied"
    NEWER_THERE = "newer_there"
    """Left alone: the destination was written later than the source."""
    EXTRA = "extra"
    """Only at the destination, and left there."""
    DELETED = "deleted"
    MARKED = "marked"
    VANISHED = "vanished"
    """Gone before it was copied."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Done:
    """One key, settled. `sent` are bytes that were written, `reread` those that were read again to be counted."""

    outcome: Outcome
    sent: int = 0
    reread: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """Keys of a pass by outcome, and bytes."""

    same: int = 0
    copied: int = 0
    newer_there: int = 0
    extra: int = 0
    deleted: int = 0
    marked: int = 0
    vanished: int = 0
    failed: int = 0
    sent_bytes: int = 0
    reread_bytes: int = 0

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @staticmethod
    def of(done: Done) -> "Counts":
        """One key."""
        return Counts(**{done.outcome.value: 1}, sent_bytes=done.sent, reread_bytes=done.reread)


_NONE: Final = Counts()


@dataclass(frozen=True, slots=True)
class Failure:
    """A key that could not be settled, and why, in words that are safe to show."""

    key: str
    cause: str


@dataclass(frozen=True, slots=True)
class PassState:
    """A pass over all keys. `begin_time` is the time within the canary that is carried over at its end."""

    begin_time: datetime
    position: Position = START
    source_objects: int = 0
    counts: Counts = _NONE
    failures: tuple[Failure, ...] = ()
    end_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """`watermark`: everything that was written to the source before it is at the destination. `fault`: of the last try.

    `complete_since` is the beginning of the last pass that settled every key.
    """

    current: PassState | None = None
    last: PassState | None = None
    watermark: datetime | None = None
    complete_since: datetime | None = None
    fault: str = ""


UNBEGUN: Final = Progress()


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """A copy in parts: of which version, to where, and the checksums of its first `counted.length` bytes."""

    origin: str
    version: str
    destination: str
    expected: str
    size: int
    handle: str
    part_size: int
    counted: Counted = NOTHING
