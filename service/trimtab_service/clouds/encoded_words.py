"""Metadata in headers: what is not ASCII travels as encoded words (RFC 2047), as S3 itself answers it."""

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from types import MappingProxyType
from typing import Final

_ONE_LINE: Final = 1 << 20


def encoded(metadata: Mapping[str, str]) -> dict[str, str]:
    """Values as headers can carry them."""
    return {
        name: value if value.isascii() and value.isprintable() else Header(value, "utf-8", _ONE_LINE).encode()
        for name, value in metadata.items()
    }


def decoded(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """Values as they were before."""
    return MappingProxyType({name: _decoded(value) for name, value in metadata.items()})


def _decoded(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, ValueError):
        return value
