"""Keyset pages over (create_time, id), and the opaque tokens that lead from one to the next."""

import base64
import binascii
import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Row, Select, literal, tuple_

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.filters import parse_filter
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.columns import from_micros, to_micros
from trimtab_service.store.filters import Filterable, compile_filter, kinds

T = TypeVar("T")

DEFAULT_PAGE: Final = 50
LARGEST_PAGE: Final = 1_000
_FORMAT: Final = b"\x01"
_SEAL_BYTES: Final = 12
_HEAD: Final = struct.Struct(">q")


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The arguments of a List call. A token belongs to all of them except `page_size`."""

    method: str
    parent: str
    filter: str = ""
    page_size: int = 0
    page_token: str = ""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page."""

    create_time: datetime
    id: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Items in order; `next_page_token` is empty on the last page."""

    items: tuple[T, ...]
    next_page_token: str


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """What can be listed: `query` already narrows to the parent; `time` and `id` name its order."""

    query: Select[Any]
    time: ColumnElement[datetime]
    id: ColumnElement[str]
    fields: Mapping[str, Filterable]
    read: Callable[[Row[Any]], T]
    newest_first: bool = True


def page_size(requested: int) -> int:
    """How many rows: 0 is 50, more than 1,000 is 1,000, a negative number is an InvalidArgumentError."""
    if requested < 0:
        raise InvalidArgumentError([Violation("page_size", ErrorReason.OUT_OF_RANGE, "must not be negative")])
    return min(requested or DEFAULT_PAGE, LARGEST_PAGE)


def encode_token(cursor: Cursor, request: ListRequest) -> str:
    """The token of the page after `cursor`."""
    payload = _HEAD.pack(to_micros(cursor.create_time)) + cursor.id.encode()
    return base64.urlsafe_b64encode(_FORMAT + seal_of(payload, request) + payload).decode().rstrip("=")


def decode_token(request: ListRequest) -> Cursor | None:
    """Where the page of `request` begins, None for the first one.

    Raises InvalidArgumentError (PAGE_TOKEN_INVALID) for a token of another list, parent or filter. The
    seal is no secret: a token grants nothing, whoever forges one only chooses where to begin.
    """
    if not request.page_token:
        return None
    try:
        padded = request.page_token + "=" * (-len(request.page_token) % 4)
        raw = base64.b64decode(padded.encode("ascii"), altchars=b"-_", validate=True)
        seal, payload = raw[1 : 1 + _SEAL_BYTES], raw[1 + _SEAL_BYTES :]
        (micros,) = _HEAD.unpack_from(payload)
        cursor = Cursor(from_micros(micros), payload[_HEAD.size :].decode())
    except (binascii.Error, struct.error, ValueError, OverflowError):
        raise refused_token() from None
    if raw[:1] != _FORMAT or "\x00" in cursor.id or seal != seal_of(payload, request):
        raise refused_token()
    return cursor


def read_page(conn: Connection, listing: Listing[T], request: ListRequest) -> Page[T]:
    """Read one page. Raises InvalidArgumentError for a bad filter, size or token."""
    size = page_size(request.page_size)
    tree = parse_filter(request.filter, kinds(listing.fields))
    cursor = decode_token(request)
    query = listing.query.where(compile_filter(tree, listing.fields))
    if cursor is not None:
        here = tuple_(listing.time, listing.id)
        last = tuple_(literal(cursor.create_time, listing.time.type), literal(cursor.id, listing.id.type))
        query = query.where(here < last if listing.newest_first else here > last)
    order = (listing.time, listing.id)
    if listing.newest_first:
        order = (listing.time.desc(), listing.id.desc())
    rows = conn.execute(query.order_by(*order).limit(size + 1)).all()
    token = ""
    if len(rows) > size:
        last_row = rows[size - 1]._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
        token = encode_token(Cursor(last_row[listing.time], last_row[listing.id]), request)
    return Page(tuple(listing.read(row) for row in rows[:size]), token)


def seal_of(payload: bytes, request: ListRequest) -> bytes:
    """What binds a token to its list: 96 bits of a hash over unambiguous parts."""
    parts = (request.method.encode(), request.parent.encode(), request.filter.encode(), payload)
    framed = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return hashlib.sha256(framed).digest()[:_SEAL_BYTES]


def refused_token() -> InvalidArgumentError:
    """What a token of another list is answered with."""
    why = "was not issued for this list, parent and filter"
    return InvalidArgumentError([Violation("page_token", ErrorReason.PAGE_TOKEN_INVALID, why)])
