"""Which of two objects of one key counts.

The last writer wins, by the time at which content was first written, in whichever bucket: a copy keeps the time of its
original. So nothing that was written to the destination itself is replaced by something older, whichever way is copied.
"""

from datetime import datetime
from enum import StrEnum

from trimtab_service.replication.ports import Attributes, Head
from trimtab_service.replication.stamps import stamp_of, unstamped, written


class Verdict(StrEnum):
    """What follows."""

    SAME = "same"
    COPY = "copy"
    NEWER_THERE = "newer_there"


def same_as_listed(source: Head, destination: Head, since: datetime | None) -> bool:
    """Whether the listings alone show that there is nothing to do.

    `since`: what was written after it is looked at more closely, for metadata may have changed and content not.
    """
    if since is not None and source.modified >= since:
        return False
    return source.size == destination.size and source.checksums.agrees_with(destination.checksums) is True


def decide(source: Head, destination: Head, origin: str, target: str) -> Verdict:
    """By all that both stores tell (`ObjectStore.head`). `origin` and `target` are the URIs of the two buckets."""
    copy, back = stamp_of(destination), stamp_of(source)
    is_copy = copy is not None and copy.origin == origin
    same = source.size == destination.size and (
        (copy is not None and is_copy and copy.version == source.version)
        or (back is not None and back.origin == target and back.version == destination.version)
        or source.checksums.agrees_with(destination.checksums) is True
    )
    if same:
        told = unstamped(source.attributes or Attributes()), unstamped(destination.attributes or Attributes())
        rewritten = told[0] != told[1] and source.modified > destination.modified
        return Verdict.COPY if rewritten else Verdict.SAME
    if copy is not None and is_copy:
        # Times of one store may be equal for two versions that follow each other: a copy gives way to its original.
        return Verdict.COPY if written(source) >= copy.modified else Verdict.NEWER_THERE
    return Verdict.COPY if written(source) > written(destination) else Verdict.NEWER_THERE
