"""Messages put together from the bytes of their parts, which are there already: parsing them again would cost more."""

from collections.abc import Callable
from typing import Final

from trimtab_service import compiled

_LOW: Final = 0x7F
_MORE: Final = 0x80
_LENGTH_DELIMITED: Final = 2


def spliced(number: int, data: bytes) -> bytes:
    """A field that holds a serialised message (or bytes): its tag, its length, its content. `number` is under 16."""
    head = bytearray((number << 3 | _LENGTH_DELIMITED,))
    size = len(data)
    # Seven bits a byte, the lowest first; the high bit says that more follow.
    while size > _LOW:
        head.append(size & _LOW | _MORE)
        size >>= 7
    head.append(size)
    return bytes(head) + data


_WIRE: Final = compiled.load("wire")

field_bytes: Final[Callable[[int, bytes], bytes]] = spliced if _WIRE is None else _WIRE.field_bytes
"""The same, in the form that is built."""
