"""The key set of an OIDC issuer (JWKS, RFC 7517), from a file or an https URL, cached.

A key id that is not in the cache may be a rotation, so the set is read again; but anyone can send a token with
an invented key id, so this happens at most once an interval.
"""

import json
import urllib.request
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from threading import Lock

import jwt

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason

Fetch = Callable[[], bytes]
"""Reads the key set's JSON. Raises OSError when it cannot."""

_MAX_BYTES = 1_048_576
_TIMEOUT_S = 5.0


class KeySet:
    """Public signing keys by key id."""

    __slots__ = ("_clock", "_fetch", "_keys", "_lock", "_max_age_s", "_min_interval_s", "_read_at", "_tried_at")

    def __init__(
        self,
        fetch: Fetch,
        clock: Callable[[], float],
        *,
        min_interval: timedelta = timedelta(seconds=10),
        max_age: timedelta = timedelta(hours=1),
    ) -> None:
        """Nothing is read yet.

        Args:
            fetch: reads the JSON text.
            clock: seconds, any epoch.
            min_interval: shortest time between two reads, failed ones included.
            max_age: after this the set is read again, so that a key the issuer withdrew stops being trusted.

        """
        self._fetch = fetch
        self._clock = clock
        self._min_interval_s = min_interval.total_seconds()
        self._max_age_s = max_age.total_seconds()
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._lock = Lock()

    def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key, or None when the issuer does not have it.

        Raises:
            UnavailableError: the set was never read, so nothing can be said about any key.

        """
        found = self._keys.get(key_id)
        if found is not None:
            # One caller refreshes an old set; the others go on with the key they have and do not wait.
            if self._old() and self._lock.acquire(blocking=False):
                try:
                    self._refresh()
                finally:
                    self._lock.release()
                return self._keys.get(key_id)
            return found
        with self._lock:
            if key_id not in self._keys:
                self._refresh()
        if self._read_at is None:
            raise UnavailableError(
                ErrorReason.SOURCE_FAILED,
                "the issuer's keys cannot be read, so tokens cannot be judged",
                retry_after=timedelta(seconds=self._min_interval_s),
            )
        return self._keys.get(key_id)

    def _old(self) -> bool:
        return self._read_at is None or self._clock() - self._read_at > self._max_age_s

    def _refresh(self) -> None:
        now = self._clock()
        if self._tried_at is not None and now - self._tried_at < self._min_interval_s:
            return
        self._tried_at = now
        try:
            self._keys = _parse(self._fetch())
        except (OSError, ValueError):
            return  # the keys read last stay in force: an issuer that is down must not lock everyone out
        self._read_at = now


def _parse(text: bytes) -> dict[str, jwt.PyJWK]:
    """Read all usable asymmetric keys; one of an unknown kind does not spoil the others."""
    document = json.loads(text)
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise ValueError("not a JSON Web Key Set")  # noqa: TRY004 - the caller treats all bad content alike
    keys: dict[str, jwt.PyJWK] = {}
    for entry in document["keys"]:
        if not isinstance(entry, dict) or entry.get("kty") == "oct" or entry.get("use", "sig") != "sig":
            continue
        try:
            key = jwt.PyJWK(entry)
        except jwt.PyJWTError:
            continue
        keys[str(entry.get("kid", ""))] = key
    return keys


def fetch_from(source: str) -> Fetch:
    """Return the reader of a key set named in the configuration: a file path, or a URL that `config` has vetted."""
    if "://" not in source:
        return Path(source).read_bytes

    def fetch() -> bytes:
        request = urllib.request.Request(source, headers={"accept": "application/json"})  # noqa: S310 - scheme vetted by config
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as reply:  # noqa: S310 - scheme vetted by config
            body: bytes = reply.read(_MAX_BYTES + 1)
        if len(body) > _MAX_BYTES:
            raise ValueError("the key set is over 1 MiB")
        return body

    return fetch
