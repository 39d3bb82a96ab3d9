"""Copies one object: whole where it fits one part, else part by part, and only of one version of the original.

What was counted on the way must be what the source says of its object, before the last byte is handed over, and what
the destination says of the copy afterwards.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.bandwidth import Bandwidth
from trimtab_service.replication.checksums import Checksums, Counted, Crc32c, Tally
from trimtab_service.replication.crew import Crew
from trimtab_service.replication.definition import MIB
from trimtab_service.replication.journal import Held, ReplicationJournal
from trimtab_service.replication.ports import (
    Attributes,
    ChangedError,
    Content,
    CutOffError,
    Head,
    LostUploadError,
    ObjectStore,
    Part,
    Upload,
    Whole,
)
from trimtab_service.replication.progress import Done, KeptUpload, Outcome
from trimtab_service.replication.stamps import STAMP, Stamp, stamped, unstamped, written

_TRIES: Final = 3
_MOST_PARTS: Final = 9_000
"""S3 takes ten thousand parts of an object."""


class CorruptError(Exception):
    """Bytes are not what a store says that they are. The text is safe to show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a copy works with. `check` raises when the replication is not ours any more."""

    source: ObjectStore
    destination: ObjectStore
    journal: ReplicationJournal
    held: Held
    bandwidth: Bandwidth
    part_size: int
    crc32c: Crc32c | None
    check: Callable[[], None]
    clock: Callable[[], datetime]
    call_time: timedelta

    def deadline(self, size: int = 0) -> datetime:
        """Of a call that moves so many bytes."""
        return self.clock() + self.call_time + timedelta(seconds=self.bandwidth.time_for(size))


def copy_object(around: Around, head: Head, expected: str) -> Done:
    """Copy the version `head.version` over the version `expected` of the destination.

    Raises GoneError and ChangedError of either side, NotAcceptedError, CorruptError, UnavailableError.
    """
    if head.size > around.part_size:
        return _copy_in_parts(around, head, expected)
    data, found, tally = b"", head, Tally(around.crc32c, head.checksums)
    if head.size:
        told, data = _collected(around, head, 0, None)
        found = told or head
    if found.attributes is None:
        found = _pinned(around, head)
    tally.add(data)
    mine = tally.checksums()
    _agree(mine, found.checksums, around.source)
    attributes = _copied(around.source, replace(found, version=head.version, size=head.size), mine.md5)
    around.check()
    stored = around.destination.put(head.key, Content(data, mine, attributes), expected, around.deadline(head.size))
    _prove(around, stored, head.size, mine, attributes)
    return Done(Outcome.COPIED, sent=head.size)


def _copy_in_parts(around: Around, listed: Head, expected: str) -> Done:
    head = _pinned(around, listed)
    attributes = _copied(around.source, head, "")
    kept, sent = _resumed(around, head, expected)
    if kept is None:
        part_size = _part_size(around.part_size, head.size)
        handle = around.destination.begin(head.key, attributes, head.size, expected, around.deadline())
        kept = KeptUpload(
            around.source.uri, head.version, around.destination.uri, expected, head.size, handle, part_size
        )
        around.journal.keep_upload(around.held, head.key, kept)
    upload = Upload(head.key, kept.handle, kept.part_size)
    counted = kept.counted
    if counted.length > sent or head.checksums.needs_all_bytes:
        counted = Counted()
    tally = Tally(around.crc32c, head.checksums, counted)
    # What was sent and not counted is read again, and only counted: it is not written twice.
    for start in range(counted.length, sent, kept.part_size):
        tally.add(_part(around, head, start, min(kept.part_size, sent - start)))
    reread = sent - counted.length
    try:
        for start, data in _read_ahead(around, head, sent, kept.part_size):
            tally.add(data)
            if start + len(data) == head.size:
                _agree(tally.checksums(), head.checksums, around.source)
            around.check()
            part = Part(start // kept.part_size + 1, start, data, head.size)
            around.destination.send(upload, part, around.deadline(len(data)))
            kept = replace(kept, counted=tally.counted)
            around.journal.keep_upload(around.held, head.key, kept)
        mine = tally.checksums()
        _agree(mine, head.checksums, around.source)
        around.check()
        whole = Whole(head.size, mine, attributes)
        stored = around.destination.finish(upload, whole, expected, around.deadline(head.size))
    except (CorruptError, LostUploadError):
        give_up(around, head.key, kept)
        raise
    around.journal.drop_uploads(around.held, [head.key])
    _prove(around, stored, head.size, mine, attributes)
    return Done(Outcome.COPIED, sent=head.size - sent, reread=reread)


def _read_ahead(around: Around, head: Head, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Parts in order, each read while the one before it is written: two are in memory."""
    with closing(Crew(1)) as crew:

        def begun(at: int) -> Future[bytes]:
            return crew.submit(lambda: _part(around, head, at, min(size, head.size - at)))

        coming = begun(start) if start < head.size else None
        while coming is not None:
            data = coming.result()
            after = start + len(data)
            coming = begun(after) if after < head.size else None
            yield start, data
            start = after


def _part_size(wanted: int, size: int) -> int:
    """As wanted, or whole MiB where an object would have too many parts."""
    least = -(-size // _MOST_PARTS)
    return wanted if least <= wanted else -(-least // MIB) * MIB


def give_up(around: Around, key: str, kept: KeptUpload) -> None:
    """Forget a copy in parts, at the store that it was begun in and here."""
    for store in (around.destination, around.source):
        if store.uri == kept.destination:
            store.discard(Upload(key, kept.handle, kept.part_size), around.deadline())
    around.journal.drop_uploads(around.held, [key])


def _resumed(around: Around, head: Head, expected: str) -> tuple[KeptUpload | None, int]:
    """What there is of this copy already, and how many bytes of it; None: nothing that is of use."""
    kept = around.journal.upload(around.held.name, head.key)
    if kept is None:
        return None, 0
    wanted = (around.source.uri, head.version, around.destination.uri, expected, head.size)
    if wanted == (kept.origin, kept.version, kept.destination, kept.expected, kept.size):
        try:
            upload = Upload(head.key, kept.handle, kept.part_size)
            return kept, around.destination.sent(upload, head.size, around.deadline())
        except LostUploadError:
            pass
    give_up(around, head.key, kept)
    return None, 0


def _pinned(around: Around, listed: Head) -> Head:
    """All that the source tells of the version that was listed."""
    head = around.source.head(listed.key, around.deadline())
    if head.version != listed.version:
        raise ChangedError
    return head


def _part(around: Around, head: Head, start: int, length: int) -> bytes:
    return _collected(around, head, start, length)[1]


def _collected(around: Around, head: Head, start: int, length: int | None) -> tuple[Head | None, bytes]:
    """Bytes of the pinned version; None: all. What breaks off is asked for again, a few times."""
    wanted = head.size if length is None else length
    cause = ""
    for _ in range(_TRIES):
        reading = around.source.read(head.key, head.version, start, length, around.deadline(wanted))
        try:
            data = b"".join(_paced(around, reading.pieces))
        except CutOffError as error:
            cause = str(error)
            continue
        if len(data) == wanted:
            return reading.head, data
        cause = f"{around.source.uri}: {len(data)} bytes came where {wanted} were asked for"
    raise UnavailableError(ErrorReason.SOURCE_FAILED, cause)


def _paced(around: Around, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        around.bandwidth.take(len(piece))
        yield piece


def _copied(source: ObjectStore, head: Head, md5: str) -> Attributes:
    stamp = Stamp(source.uri, head.version, written(head), head.size, md5)
    return stamped(unstamped(head.attributes or Attributes()), stamp)


def _agree(mine: Checksums, told: Checksums, store: ObjectStore) -> None:
    faults = mine.faults(told)
    if faults:
        raise CorruptError(f"the bytes of {store.uri} do not have the {', '.join(faults)} that it tells")


def _prove(around: Around, stored: Head, size: int, mine: Checksums, sent: Attributes) -> None:
    """The destination must have what was sent; what is not so is taken away again, if it is ours still."""
    if stored.size == size and not mine.faults(stored.checksums):
        return
    if (stored.attributes or Attributes()).metadata.get(STAMP) != sent.metadata[STAMP]:
        raise ChangedError
    around.destination.delete(stored.key, stored.version, around.deadline())
    raise CorruptError(f"{around.destination.uri} did not keep what was sent to it")
