"""How values of targets are read: name servers, and what belongs to each side."""

import ipaddress
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from trimtab_service import settings_values as values
from trimtab_service.clouds.dns.names import record_type
from trimtab_service.clouds.dns.observers import NameServer
from trimtab_service.clouds.document_values import NAME, word, words

_DNS_PORT: Final = 53
_SERVER: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::(\d{1,5}))?")
_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
)


def name_server(raw: object) -> NameServer:
    """`192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::53]:53`: a name could not be resolved when it counts."""
    found = _SERVER.fullmatch(values.text(raw).lower())
    host = "" if found is None else found[1] or found[2]
    if found is None or not _is_address(host):
        raise ValueError("expected the IP address of a name server, with or without a port")
    port = int(found[3] or _DNS_PORT)
    if not 1 <= port <= 65_535:  # noqa: PLR2004 - ports
        raise ValueError("expected a port of 1 to 65535")
    return NameServer(str(ipaddress.ip_address(host)), port)


def _is_address(host: str) -> bool:
    return record_type(host) != "CNAME"


def name_servers(raw: object) -> tuple[NameServer, ...]:
    """A list of different ones, at least one."""
    return tuple(name_server(one) for one in words(raw))


def values_by_side(raw: object) -> Mapping[str, str]:
    """A table of a word by side, at least one side, each with a word of its own."""
    found = {side: word(value) for side, value in _sides(raw).items()}
    if len(set(found.values())) != len(found):
        raise ValueError("two sides have the same value")
    return MappingProxyType(found)


def addresses_by_side(raw: object) -> Mapping[str, tuple[str, ...]]:
    """A table of addresses (all IPv4, or all IPv6), or of one host name, by side. No two sides share one."""
    found = {side: tuple(map(_answer, words(value))) for side, value in _sides(raw).items()}
    every = [value for own in found.values() for value in own]
    kinds = {record_type(value) for value in every}
    if len(kinds) != 1:
        raise ValueError("all values are IPv4 addresses, or all IPv6 addresses, or all host names")
    if kinds == {"CNAME"} and any(len(own) != 1 for own in found.values()):
        raise ValueError("a side has one host name")
    if len(set(every)) != len(every):
        raise ValueError("two sides have the same value")
    return MappingProxyType(found)


def _answer(value: str) -> str:
    if record_type(value) != "CNAME":
        return str(ipaddress.ip_address(value))
    if not _HOST_NAME.fullmatch(value):
        raise ValueError("expected IP addresses, or a host name in small letters without the final dot")
    return value


def _sides(raw: object) -> dict[str, object]:
    if not isinstance(raw, dict) or not raw or not all(NAME.fullmatch(str(side)) for side in raw):
        raise ValueError("expected a table by side id")
    return {str(side): value for side, value in raw.items()}
