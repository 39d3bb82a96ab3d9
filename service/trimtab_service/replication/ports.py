"""What replication needs of the outside: a bucket of objects, whoever keeps it.

Every method takes a `deadline`, aware UTC, and raises UnavailableError (SOURCE_FAILED) when the store does not answer
by then, or refuses to. Text of errors is safe to show. Methods are called by several threads.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol

from trimtab_service.replication.checksums import NO_CHECKSUMS, Checksums

ABSENT: Final = ""
"""As the expected version of an object: there is none of that key."""


class GoneError(Exception):
    """There is no object of the key."""


class ChangedError(Exception):
    """The object, or that there is none, is not what was expected."""


class LostUploadError(Exception):
    """The store knows nothing (any more) of a write in parts."""


class CutOffError(Exception):
    """Bytes that were being read broke off; they are worth asking for again. The text is safe to show."""


class NotAcceptedError(Exception):
    """The store takes no object of that key, size or metadata. The text says why and is safe to show."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What belongs to an object beside its content. `metadata` are the user's own names and values."""

    content_type: str = ""
    content_encoding: str = ""
    content_disposition: str = ""
    content_language: str = ""
    cache_control: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Head:
    """An object without its content.

    `version` changes with every change of content. `attributes` is None where a listing does not tell them.
    """

    key: str
    size: int
    version: str
    modified: datetime
    checksums: Checksums = NO_CHECKSUMS
    attributes: Attributes | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """One page of a listing, in the order of the store. `next_token` is empty on the last page."""

    heads: tuple[Head, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The bytes asked for; iterating may raise CutOffError. `head` is None where a read tells nothing but them."""

    head: Head | None
    pieces: Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes to be written, their checksums, and the attributes of the object."""

    data: bytes
    checksums: Checksums
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Whole:
    """What the parts of an object have to become."""

    size: int
    checksums: Checksums
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of an object that is written in parts; `number` counts from 1, and `total` is the size of the object."""

    number: int
    start: int
    data: bytes
    total: int


@dataclass(frozen=True, slots=True)
class Upload:
    """A write in parts. `handle` is the store's; it is kept across restarts, and no secret of it is ever shown."""

    key: str
    handle: str
    part_size: int


class ObjectStore(Protocol):
    """A bucket. Listings and reads are consistent with the writes that were answered before."""

    @property
    def uri(self) -> str:
        """Which bucket it is, `s3://name`: equal for equal ones, in ASCII."""
        ...

    def page(self, prefix: str, token: str, deadline: datetime) -> Listed:
        """Objects whose key begins with the prefix, from where `token` says; empty: from the first."""
        ...

    def head(self, key: str, deadline: datetime) -> Head:
        """With attributes and all checksums that are kept. Raises GoneError."""
        ...

    def read(self, key: str, version: str, start: int, length: int | None, deadline: datetime) -> Reading:
        """Bytes of that version as they are stored, at least one; None: all. Raises GoneError, ChangedError."""
        ...

    def put(self, key: str, content: Content, expected: str, deadline: datetime) -> Head:
        """Write an object at once, if the one that is there has the version `expected`.

        Raises ChangedError, NotAcceptedError. When it raises UnavailableError it may have been written.
        """
        ...

    def begin(self, key: str, attributes: Attributes, size: int, expected: str, deadline: datetime) -> str:
        """Begin a write in parts; its handle. Raises ChangedError, NotAcceptedError."""
        ...

    def sent(self, upload: Upload, size: int, deadline: datetime) -> int:
        """How many bytes of the object are kept, from its first on, in whole parts. Raises LostUploadError."""
        ...

    def send(self, upload: Upload, part: Part, deadline: datetime) -> None:
        """Write a part; parts come in order. Raises LostUploadError, and ChangedError where the last one decides."""
        ...

    def finish(self, upload: Upload, whole: Whole, expected: str, deadline: datetime) -> Head:
        """Make the parts an object. Raises ChangedError, LostUploadError."""
        ...

    def discard(self, upload: Upload, deadline: datetime) -> None:
        """Forget a write in parts; nothing when it is not known."""
        ...

    def delete(self, key: str, expected: str, deadline: datetime) -> None:
        """Delete that version. Raises ChangedError; nothing when there is none."""
        ...
