"""Buckets in memory, as strict as a cloud's: versions, conditions, writes in parts, listings in pages.

What is in them follows from their names, the clock that is passed in, and what is written.
"""

import hashlib
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from trimtab_service.clouds.buckets import BucketEnd, Use
from trimtab_service.clouds.patience import Patience
from trimtab_service.replication.checksums import Checksums
from trimtab_service.replication.ports import (
    ABSENT,
    Attributes,
    ChangedError,
    Content,
    GoneError,
    Head,
    Listed,
    LostUploadError,
    NotAcceptedError,
    Part,
    Reading,
    Upload,
    Whole,
)

_LONGEST_KEY: Final = 1024
_PIECE: Final = 1 << 16
_SEEDED: Final = 12
TRAINED_INTO: Final = "models-aws"


@dataclass(frozen=True, slots=True)
class _Kept:
    head: Head
    data: bytes


@dataclass(slots=True)
class _Begun:
    key: str
    expected: str
    attributes: Attributes
    parts: dict[int, bytes] = field(default_factory=dict)


class SimulatedBucket:
    """Implements `replication.ports.ObjectStore`. `writes` are the keys that were written or deleted, in order."""

    def __init__(self, name: str, clock: Callable[[], datetime], *, page_size: int = 1_000) -> None:
        self.writes: list[str] = []
        self._name = name
        self._clock = clock
        self._page_size = page_size
        self._lock = threading.RLock()
        self._objects: dict[str, _Kept] = {}
        self._uploads: dict[str, _Begun] = {}
        self._count = 0

    @property
    def uri(self) -> str:
        """As the port says."""
        return f"simulated://{self._name}"

    def write(self, key: str, data: bytes, attributes: Attributes | None = None) -> Head:
        """What an application does: write, whatever is there."""
        with self._lock:
            return self._store(key, data, attributes or Attributes("application/octet-stream"))

    def content(self, key: str) -> bytes:
        """The bytes of an object. Raises GoneError."""
        with self._lock:
            return self._get(key).data

    @property
    def keys(self) -> list[str]:
        """All of them, in order."""
        with self._lock:
            return sorted(self._objects, key=str.encode)

    def page(self, prefix: str, token: str, deadline: datetime) -> Listed:
        """As the port says; the token is the last key."""
        del deadline
        with self._lock:
            wanted = [key for key in self.keys if key.startswith(prefix) and key.encode() > token.encode()]
            heads = tuple(replace(self._objects[key].head, attributes=None) for key in wanted[: self._page_size])
            return Listed(heads, heads[-1].key if len(wanted) > len(heads) else "")

    def head(self, key: str, deadline: datetime) -> Head:
        """As the port says."""
        del deadline
        with self._lock:
            return self._get(key).head

    def read(self, key: str, version: str, start: int, length: int | None, deadline: datetime) -> Reading:
        """As the port says."""
        del deadline
        with self._lock:
            kept = self._get(key)
        if kept.head.version != version:
            raise ChangedError
        data = kept.data[start:] if length is None else kept.data[start : start + length]
        return Reading(kept.head, (data[at : at + _PIECE] for at in range(0, len(data), _PIECE)))

    def put(self, key: str, content: Content, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        del deadline
        with self._lock:
            self._expect(key, expected)
            return self._store(key, content.data, content.attributes)

    def begin(self, key: str, attributes: Attributes, size: int, expected: str, deadline: datetime) -> str:
        """As the port says."""
        del size, deadline
        with self._lock:
            self._expect(key, expected)
            self._count += 1
            self._uploads[f"upload-{self._count}"] = _Begun(key, expected, attributes)
            return f"upload-{self._count}"

    def sent(self, upload: Upload, size: int, deadline: datetime) -> int:
        """As the port says."""
        del size, deadline
        with self._lock:
            return sum(len(data) for _, data in _in_order(self._begun(upload)))

    def send(self, upload: Upload, part: Part, deadline: datetime) -> None:
        """As the port says."""
        del deadline
        with self._lock:
            self._begun(upload).parts[part.number] = part.data

    def finish(self, upload: Upload, whole: Whole, expected: str, deadline: datetime) -> Head:
        """As the port says."""
        del deadline
        with self._lock:
            begun = self._begun(upload)
            self._expect(begun.key, expected)
            data = b"".join(data for _, data in _in_order(begun))
            if len(data) != whole.size:
                raise LostUploadError
            del self._uploads[upload.handle]
            return self._store(begun.key, data, begun.attributes)

    def discard(self, upload: Upload, deadline: datetime) -> None:
        """As the port says."""
        del deadline
        with self._lock:
            self._uploads.pop(upload.handle, None)

    def delete(self, key: str, expected: str, deadline: datetime) -> None:
        """As the port says."""
        del deadline
        with self._lock:
            if key in self._objects:
                self._expect(key, expected)
                self.writes.append(key)
                del self._objects[key]

    @property
    def uploads(self) -> int:
        """Writes in parts that were neither finished nor discarded."""
        return len(self._uploads)

    def _get(self, key: str) -> _Kept:
        if key not in self._objects:
            raise GoneError
        return self._objects[key]

    def _begun(self, upload: Upload) -> _Begun:
        if upload.handle not in self._uploads:
            raise LostUploadError
        return self._uploads[upload.handle]

    def _expect(self, key: str, expected: str) -> None:
        there = self._objects.get(key)
        if (ABSENT if there is None else there.head.version) != expected:
            raise ChangedError

    def _store(self, key: str, data: bytes, attributes: Attributes) -> Head:
        if not 0 < len(key.encode()) <= _LONGEST_KEY:
            raise NotAcceptedError(f"a key has 1 to {_LONGEST_KEY} bytes")
        self._count += 1
        head = Head(key, len(data), f"v{self._count}", self._clock(), checksums_of(data), attributes)
        self._objects[key] = _Kept(head, bytes(data))
        self.writes.append(key)
        return head


def checksums_of(data: bytes) -> Checksums:
    """Those that a simulated bucket keeps."""
    return Checksums(md5=hashlib.md5(data, usedforsecurity=False).hexdigest(), crc32=f"{zlib.crc32(data):08x}")


def open_bucket(end: BucketEnd, use: Use, patience: Patience) -> SimulatedBucket:
    """A bucket of an account of kind `simulated`. The one that models are trained into has some already."""
    del use
    bucket = SimulatedBucket(f"{end.account.name}/{end.bucket}", patience.clock)
    if end.bucket == TRAINED_INTO:
        for number in range(_SEEDED):
            data = hashlib.shake_256(f"{bucket.uri}{number}".encode()).digest(1_000 * (number + 1))
            bucket.write(f"models/{number:03}/weights.bin", data)
    return bucket


def _in_order(begun: _Begun) -> Iterator[tuple[int, bytes]]:
    for number in range(1, len(begun.parts) + 1):
        if number not in begun.parts:
            return
        yield number, begun.parts[number]
