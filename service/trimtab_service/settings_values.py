"""How one raw setting, text from the environment or a typed TOML value, becomes the value it means.

Each reader takes the raw value and either returns the typed one or raises ValueError with a sentence that says
what was expected.
"""

import ipaddress
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from trimtab_service.domain.identity import Grant, Role
from trimtab_service.recommendations.windows import ChangeWindow, parse_windows

ASYMMETRIC_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signature algorithms that a public key can verify; `none` and the HMAC family are never accepted."""

_MAX_PORT = 65_535
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "": 1.0}
_DURATION = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)\s*$")
_SOURCES = ("claim", "uri", "dns", "common_name")


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port to bind."""

    host: str
    port: int

    def __str__(self) -> str:
        """As gRPC wants it, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the address. A name other than localhost is never taken for loopback."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class GrantRule:
    """Gives `grant` to callers whose `source` equals `value`.

    `source` is `claim` (then `name` is the claim, whose value or one of whose values must be equal), or a part of
    the client certificate: `uri` and `dns` (subject alternative names) or `common_name`.
    """

    source: str
    name: str
    value: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class MethodLimit:
    """Limits of one full method (`/trimtab.v1.PlacementService/Place`) for each principal."""

    method: str
    rate: float
    burst: int
    concurrency: int


def text(raw: object) -> str:
    """Any string."""
    if not isinstance(raw, str):
        raise ValueError("expected a string")  # noqa: TRY004 - every reader answers ValueError
    return raw


def path(raw: object) -> Path:
    """A path of the file system."""
    shown = text(raw)
    if not shown:
        raise ValueError("expected a path")
    return Path(shown).expanduser()


def optional_path(raw: object) -> Path | None:
    """A path, or nothing when empty."""
    return path(raw) if text(raw) else None


def boolean(raw: object) -> bool:
    """A truth value; text may say true/false, on/off, yes/no, 1/0."""
    if isinstance(raw, bool):
        return raw
    word = str(raw).strip().lower()
    if word in {"true", "on", "yes", "1"}:
        return True
    if word in {"false", "off", "no", "0"}:
        return False
    raise ValueError("expected true or false")


def integer(low: int, high: int) -> Callable[[object], int]:
    """A whole number from `low` to `high`, both included."""

    def read(raw: object) -> int:
        try:
            # A TOML float or truth value has a decimal point or letters, so it does not pass as a whole number.
            value = int(str(raw))
        except ValueError:
            raise ValueError("expected a whole number") from None
        if not low <= value <= high:
            raise ValueError(f"expected {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[object], float]:
    """A finite number from `low` to `high`, both included."""

    def read(raw: object) -> float:
        try:
            value = float(str(raw))
        except ValueError:
            raise ValueError("expected a number") from None
        if not low <= value <= high:
            raise ValueError(f"expected {low:g} to {high:g}")
        return value

    return read


def duration(low_s: float, high_s: float) -> Callable[[object], timedelta]:
    """A duration such as `500ms`, `30s`, `5m`, `2h`, `90d`, or seconds; from `low_s` to `high_s` seconds."""

    def read(raw: object) -> timedelta:
        match = None if isinstance(raw, bool) else _DURATION.match(str(raw))
        if match is None:
            raise ValueError("expected a duration such as 500ms, 30s, 5m, 2h or 90d")
        seconds = float(match[1]) * _UNITS[match[2]]
        if not low_s <= seconds <= high_s:
            raise ValueError(f"expected {low_s:g} to {high_s:g} seconds")
        return timedelta(seconds=seconds)

    return read


def choice(*allowed: str) -> Callable[[object], str]:
    """One of the words."""

    def read(raw: object) -> str:
        word = text(raw).lower()
        if word not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return word

    return read


def address(raw: object) -> Address:
    """`host:port`, or `[v6]:port`."""
    host, colon, port = text(raw).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > _MAX_PORT:
        raise ValueError("expected host:port")
    return Address(host, int(port))


def algorithms(raw: object) -> tuple[str, ...]:
    """Names of asymmetric signature algorithms, as a list or separated by commas."""
    names = raw.split(",") if isinstance(raw, str) else _list(raw)
    read = tuple(str(name).strip() for name in names)
    wrong = [name for name in read if name not in ASYMMETRIC_ALGORITHMS]
    if wrong or not read:
        raise ValueError(f"expected some of {', '.join(ASYMMETRIC_ALGORITHMS)}")
    return read


def grant_rules(raw: object) -> tuple[GrantRule, ...]:
    """A list of tables, or the same as JSON text: `{claim: groups, value: ml, project: vision, roles: [viewer]}`."""
    return tuple(_grant_rule(entry, at) for at, entry in enumerate(_list(raw)))


def method_limits(raw: object) -> tuple[MethodLimit, ...]:
    """A list of tables, or the same as JSON text: `{method: /a.B/C, rate: 5, burst: 10, concurrency: 2}`."""
    return tuple(_method_limit(entry, at) for at, entry in enumerate(_list(raw)))


def _grant_rule(entry: object, at: int) -> GrantRule:
    table = _table(entry, at, {*_SOURCES, "value", "project", "roles"})
    named = [source for source in _SOURCES if source in table]
    if len(named) != 1:
        raise ValueError(f"entry {at}: expected exactly one of {', '.join(_SOURCES)}")
    source = named[0]
    name, value = (str(table["claim"]), table.get("value")) if source == "claim" else ("", table[source])
    if value is None:
        raise ValueError(f"entry {at}: a claim needs the value it must have")
    words = table.get("roles")
    try:
        roles = frozenset(Role(str(word)) for word in _list(words))
        return GrantRule(source, name, str(value), Grant(str(table.get("project", "")), roles))
    except ValueError as error:
        raise ValueError(f"entry {at}: {error}") from None


def _method_limit(entry: object, at: int) -> MethodLimit:
    table = _table(entry, at, {"method", "rate", "burst", "concurrency"})
    try:
        rate = number(0.001, 1e7)(table["rate"])
        burst = integer(1, 10_000_000)(table.get("burst", max(1, int(rate))))
        concurrency = integer(1, 100_000)(table.get("concurrency", 512))
        return MethodLimit(text(table["method"]), rate, burst, concurrency)
    except KeyError as error:
        raise ValueError(f"entry {at}: {error.args[0]} is missing") from None
    except ValueError as error:
        raise ValueError(f"entry {at}: {error}") from None


def _table(entry: object, at: int, known: set[str]) -> dict[str, object]:
    if not isinstance(entry, dict):
        raise ValueError(f"entry {at}: expected a table")  # noqa: TRY004 - every reader answers ValueError
    unknown = sorted(set(entry) - known)
    if unknown:
        raise ValueError(f"entry {at}: unknown key {', '.join(unknown)}")
    return entry


def _list(raw: object) -> list[object]:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw) if raw.strip() else []
        except json.JSONDecodeError:
            raise ValueError("expected a JSON list") from None
    if not isinstance(raw, list):
        raise ValueError("expected a list")  # noqa: TRY004 - every reader answers ValueError
    return raw


def change_windows(raw: object) -> tuple[ChangeWindow, ...]:
    """Hours of the week with `;` between, or a list of them."""
    if isinstance(raw, list) and all(isinstance(one, str) for one in raw):
        return parse_windows(";".join(raw))
    return parse_windows(text(raw))
