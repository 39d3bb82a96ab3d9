"""Settles one key: sees what is to be done, does it, and looks again when either side changed meanwhile."""

import hashlib
import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from trimtab_service.domain.errors import TrimtabError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.alignment import Pair
from trimtab_service.replication.checksums import NO_CHECKSUMS, Tally
from trimtab_service.replication.copying import Around, CorruptError, copy_object
from trimtab_service.replication.deciding import Verdict, decide
from trimtab_service.replication.definition import Deletes
from trimtab_service.replication.ports import (
    ABSENT,
    Attributes,
    ChangedError,
    Content,
    GoneError,
    Head,
    LostUploadError,
    NotAcceptedError,
    ObjectStore,
)
from trimtab_service.replication.progress import Done, Outcome
from trimtab_service.replication.stamps import stamp_of

_TRIES: Final = 4
_OF_VERSION: Final = "trimtab_version"


@dataclass(frozen=True, slots=True)
class Settler:
    """Used by several threads. `marks` is the prefix of marks of deletions."""

    around: Around
    deletes: Deletes
    marks: str

    def settle(self, pair: Pair) -> Done:
        """Raises UnavailableError and NotAcceptedError where the key cannot be settled now."""
        source, destination = pair.source, pair.destination
        cause: Exception | None = None
        for attempt in range(_TRIES):
            if attempt:
                source = self._seen(self.around.source, pair.key)
                destination = self._seen(self.around.destination, pair.key)
            try:
                if source is not None:
                    return self._bring(source, destination)
                return Done(Outcome.VANISHED) if destination is None else self._left_over(destination)
            except (ChangedError, GoneError, LostUploadError, CorruptError) as fault:
                cause = fault
        why = str(cause) or "it changes faster than it can be copied"
        raise UnavailableError(ErrorReason.SOURCE_FAILED, why)

    def _bring(self, source: Head, destination: Head | None) -> Done:
        if destination is None:
            return copy_object(self.around, source, ABSENT)
        there = self.around.destination.head(source.key, self.around.deadline())
        here = source
        if here.attributes is None:
            here = self.around.source.head(source.key, self.around.deadline())
        match decide(here, there, self.around.source.uri, self.around.destination.uri):
            case Verdict.SAME:
                return Done(Outcome.SAME)
            case Verdict.NEWER_THERE:
                return Done(Outcome.NEWER_THERE)
            case Verdict.COPY:
                return copy_object(self.around, here, there.version)

    def _left_over(self, destination: Head) -> Done:
        """Only copies of what is gone are deleted or marked: what was written to the destination itself never is."""
        if self.deletes is Deletes.KEEP:
            return Done(Outcome.EXTRA)
        there = self.around.destination
        mark = f"{self.marks}{hashlib.sha256(destination.key.encode()).hexdigest()}.json"
        before = self._seen(there, mark) if self.deletes is Deletes.MARK else None
        known = (before.attributes or Attributes()).metadata if before is not None else {}
        if known.get(_OF_VERSION) == destination.version:
            return Done(Outcome.EXTRA)
        head = there.head(destination.key, self.around.deadline())
        stamp = stamp_of(head)
        if stamp is None or stamp.origin != self.around.source.uri:
            return Done(Outcome.EXTRA)
        if self._seen(self.around.source, destination.key) is not None:
            raise ChangedError
        self.around.check()
        if self.deletes is Deletes.PROPAGATE:
            there.delete(destination.key, head.version, self.around.deadline())
            return Done(Outcome.DELETED)
        there.put(mark, self._mark(head), ABSENT if before is None else before.version, self.around.deadline())
        return Done(Outcome.MARKED)

    def _mark(self, head: Head) -> Content:
        told = {"key": head.key, "version": head.version, "time": self.around.clock().isoformat()}
        data = json.dumps(told).encode()
        tally = Tally(self.around.crc32c, NO_CHECKSUMS)
        tally.add(data)
        attributes = Attributes("application/json", metadata=MappingProxyType({_OF_VERSION: head.version}))
        return Content(data, tally.checksums(), attributes)

    def _seen(self, store: ObjectStore, key: str) -> Head | None:
        try:
            return store.head(key, self.around.deadline())
        except GoneError:
            return None


def cause_of(error: Exception) -> str:
    """Why a key failed, in words that are safe to show."""
    if isinstance(error, TrimtabError):
        return error.message
    return str(error) if isinstance(error, NotAcceptedError) else "a fault of trimtab; the log has more"
