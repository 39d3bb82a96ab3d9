"""From proven facts (claims, certificate names) to grants, by configuration."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Generic, TypeVar

from trimtab_service.domain.identity import Grant, Role
from trimtab_service.settings_values import GrantRule

_Kept = TypeVar("_Kept")


def grants_from_claims(rules: Iterable[GrantRule], claims: Mapping[str, object], roles_claim: str = "") -> list[Grant]:
    """Grants by claim rules, and by the entries `project:role` of `roles_claim` where one is configured.

    An entry that names no known role gives nothing: an issuer may carry roles of other systems in the same claim.
    """
    found = [r.grant for r in rules if r.source == "claim" and r.value in _values(claims.get(r.name))]
    if roles_claim:
        for entry in _values(claims.get(roles_claim)):
            project, colon, word = entry.rpartition(":")
            role = next((role for role in Role if role.value == word), None)
            if colon and project and role is not None:
                found.append(Grant(project, frozenset({role})))
    return found


def grants_from_certificate(rules: Iterable[GrantRule], names: Mapping[str, Sequence[str]]) -> list[Grant]:
    """Grants by certificate rules; `names` maps `uri`, `dns` and `common_name` to what the certificate says."""
    return [r.grant for r in rules if r.value in names.get(r.source, ())]


def _values(claim: object) -> tuple[str, ...]:
    """A claim is one word, words in a string as OAuth scopes are, or a list."""
    if isinstance(claim, str):
        return (claim, *claim.split())
    if isinstance(claim, list | tuple):
        return tuple(value for value in claim if isinstance(value, str))
    return ()


class Recent(Generic[_Kept]):
    """A bounded map that forgets the oldest entry; for values that are costly to compute and safe to recompute."""

    __slots__ = ("_capacity", "_entries", "_lock")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[bytes, _Kept] = OrderedDict()
        self._lock = Lock()

    def get(self, key: bytes) -> _Kept | None:
        """Return the value or None. Reads take no lock: a dict read is atomic, and a miss only costs work."""
        return self._entries.get(key)

    def put(self, key: bytes, value: _Kept) -> None:
        """Keep a value, and forget the oldest when full."""
        with self._lock:
            self._entries[key] = value
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)

    def forget(self, key: bytes) -> None:
        """Drop a value if it is there."""
        with self._lock:
            self._entries.pop(key, None)

    def __len__(self) -> int:
        """Return how many values are kept."""
        return len(self._entries)
