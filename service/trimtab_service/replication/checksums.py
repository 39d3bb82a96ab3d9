"""Checksums of content: which ones are known, whether two sides agree, and counting them while bytes pass by."""

import base64
import hashlib
import zlib
from dataclasses import dataclass, fields
from typing import Any, Final, Protocol


class Crc32c(Protocol):
    """Goes on with a CRC-32C (Castagnoli). The standard library has none, so who assembles the engine passes one in."""

    def __call__(self, crc: int, data: bytes, /) -> int:
        """The checksum of all bytes so far."""
        ...


@dataclass(frozen=True, slots=True)
class Checksums:
    """Of the whole content, in hexadecimal; empty: not known."""

    md5: str = ""
    sha256: str = ""
    crc32: str = ""
    crc32c: str = ""

    def agrees_with(self, other: "Checksums") -> bool | None:
        """Whether the strongest that both know is equal; None: they know none in common."""
        for name in _STRONGEST_FIRST:
            mine, others = getattr(self, name), getattr(other, name)
            if mine and others:
                return bool(mine == others)
        return None

    def faults(self, other: "Checksums") -> tuple[str, ...]:
        """Names of those that both know and that differ."""
        names = (field.name for field in fields(self))
        return tuple(
            name
            for name in names
            if getattr(self, name) and getattr(other, name) and getattr(self, name) != getattr(other, name)
        )

    @property
    def needs_all_bytes(self) -> bool:
        """Whether nothing but hashes is known, whose state cannot be kept across a restart."""
        return not (self.crc32 or self.crc32c) and bool(self.md5 or self.sha256)


NO_CHECKSUMS: Final = Checksums()
_STRONGEST_FIRST: Final = ("sha256", "md5", "crc32c", "crc32")


@dataclass(frozen=True, slots=True)
class Counted:
    """Checksums so far, as far as they can be kept: a CRC is its own state."""

    length: int = 0
    crc32: int = 0
    crc32c: int = 0


NOTHING: Final = Counted()


class Tally:
    """Counts checksums of bytes in order. Hashes are counted only from the first byte on."""

    __slots__ = ("_counted", "_crc32c", "_md5", "_sha256")

    def __init__(self, crc32c: Crc32c | None, wanted: Checksums, counted: Counted | None = None) -> None:
        """`wanted` says, by what it knows, whether SHA-256 is worth its time. `counted`: go on there."""
        self._crc32c = crc32c
        self._counted = counted or NOTHING
        from_first = self._counted.length == 0
        self._md5: Any = hashlib.md5(usedforsecurity=False) if from_first else None
        self._sha256: Any = hashlib.sha256() if from_first and wanted.sha256 else None

    @property
    def counted(self) -> Counted:
        """What can be kept."""
        return self._counted

    def add(self, data: bytes) -> None:
        """The next bytes."""
        before = self._counted
        castagnoli = 0 if self._crc32c is None else self._crc32c(before.crc32c, data)
        self._counted = Counted(before.length + len(data), zlib.crc32(data, before.crc32), castagnoli)
        for each in (self._md5, self._sha256):
            if each is not None:
                each.update(data)

    def checksums(self) -> Checksums:
        """Of all bytes."""
        return Checksums(
            md5="" if self._md5 is None else self._md5.hexdigest(),
            sha256="" if self._sha256 is None else self._sha256.hexdigest(),
            crc32=f"{self._counted.crc32:08x}",
            crc32c="" if self._crc32c is None else f"{self._counted.crc32c:08x}",
        )


def hex_of(encoded: str) -> str:
    """Hexadecimal of a checksum in base64, as clouds write them; empty for none, or what is no whole one."""
    try:
        return base64.b64decode(encoded, validate=True).hex() if encoded else ""
    except ValueError:
        return ""


def base64_of(hexadecimal: str) -> str:
    """The other way round."""
    return base64.b64encode(bytes.fromhex(hexadecimal)).decode()
