"""How one value of the file of accounts and targets is read: the value, or ValueError that says what was expected."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from trimtab_service import settings_values as values
from trimtab_service.domain.identity import EVERY_PROJECT

Reader = Callable[[object], object]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})

NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
"""Names of accounts and targets."""


def matching(pattern: re.Pattern[str], expected: str) -> Reader:
    """Text that is as the pattern says as a whole."""

    def read(raw: object) -> str:
        shown = values.text(raw)
        if not pattern.fullmatch(shown):
            raise ValueError(f"expected {expected}")
        return shown

    return read


def word(raw: object) -> str:
    """Printable text without spaces at its ends."""
    shown = values.text(raw)
    if not shown or shown != shown.strip() or not shown.isprintable():
        raise ValueError("expected a word")
    return shown


def words(raw: object) -> tuple[str, ...]:
    """A list of different words, at least one."""
    if not isinstance(raw, list) or not raw:
        raise ValueError("expected a list of words")
    found = tuple(word(entry) for entry in raw)
    if len(set(found)) != len(found):
        raise ValueError("an entry stands twice")
    return found


def projects(raw: object) -> frozenset[str]:
    """Ids of projects, or `*` alone."""
    found = frozenset(words(raw))
    if EVERY_PROJECT in found and len(found) > 1:
        raise ValueError("* stands alone")
    if any("/" in project for project in found):
        raise ValueError("expected project ids, without projects/")
    return found


def https_url(raw: object) -> str:
    """An https URL that holds no credential, or an http one on loopback."""
    shown = url(raw)
    if not shown.startswith("https://") and (urlsplit(shown).hostname or "") not in _LOOPBACK:
        raise ValueError("expected an https URL (http on loopback)")
    return shown


def url(raw: object) -> str:
    """An http(s) URL that holds no credential."""
    shown = values.text(raw)
    parts = urlsplit(shown)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected an http(s) URL without query")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL holds no credential; name a credentials_file")
    return shown.rstrip("/")
