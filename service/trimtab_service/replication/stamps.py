"""What a copy carries of its original: where it is from, which version, when that was written.

It is one entry of the user metadata, so it goes wherever the object goes. A stamp counts only while the content is the
one it was written for: a program that takes over metadata to new content makes a new original, not a copy.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final
from urllib.parse import quote, unquote

from trimtab_service.replication.ports import Attributes, Head

STAMP: Final = "trimtab_copy"
_FORM: Final = "1"
_FIELDS: Final = 6
_NOTHING: Final = "*"


@dataclass(frozen=True, slots=True)
class Stamp:
    """`origin` is the bucket of the original; `modified` when it was written there first. `md5` may be empty."""

    origin: str
    version: str
    modified: datetime
    size: int
    md5: str = ""

    def text(self) -> str:
        """As metadata: ASCII without spaces at its ends."""
        at = self.modified.astimezone(UTC).isoformat()
        told = (self.origin, self.version, at, str(self.size), self.md5)
        # Headers lose spaces at their ends, so an empty field is written as what quoting never gives.
        return " ".join((_FORM, *(quote(each, safe=":/") or _NOTHING for each in told)))


def stamp_of(head: Head) -> Stamp | None:
    """The stamp of a copy; None of an original, and of a copy that was written anew. `head` has its attributes."""
    told = (head.attributes or Attributes()).metadata.get(STAMP, "").split(" ")
    if len(told) != _FIELDS or told[0] != _FORM:
        return None
    origin, version, at, size, md5 = ("" if each == _NOTHING else unquote(each) for each in told[1:])
    try:
        stamp = Stamp(origin, version, datetime.fromisoformat(at), int(size), md5)
    except ValueError:
        return None
    fits = stamp.size == head.size and (not md5 or not head.checksums.md5 or md5 == head.checksums.md5)
    return stamp if fits and stamp.modified.tzinfo is not None else None


def written(head: Head) -> datetime:
    """When the content was written first, in whichever bucket."""
    stamp = stamp_of(head)
    return head.modified if stamp is None else stamp.modified


def stamped(attributes: Attributes, stamp: Stamp) -> Attributes:
    """The attributes of a copy: those of the original, and the stamp in the place of any other."""
    return replace(attributes, metadata=MappingProxyType({**attributes.metadata, STAMP: stamp.text()}))


def unstamped(attributes: Attributes) -> Attributes:
    """Without the stamp: what the user wrote."""
    kept = {name: value for name, value in attributes.metadata.items() if name != STAMP}
    return replace(attributes, metadata=MappingProxyType(kept))
