"""The cached key set: rotation, withdrawal, and an issuer that is down."""

from typing import TYPE_CHECKING

import pytest

from tests.support.oidc import Issuer
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.identity.keys import KeySet

if TYPE_CHECKING:
    from collections.abc import Callable


class Source:
    """An issuer's key set that counts its reads and can fail, with the clock beside it."""

    def __init__(self) -> None:
        self.issuer = Issuer()
        self.reads = 0
        self.failure: Exception | None = None
        self.content: Callable[[], bytes] = self.issuer.key_set
        self.now = 0.0
        self.keys = KeySet(self._fetch, lambda: self.now)

    def _fetch(self) -> bytes:
        self.reads += 1
        if self.failure is not None:
            raise self.failure
        return self.content()


@pytest.fixture
def source() -> Source:
    """A fresh source."""
    return Source()


def test_keys_are_read_once_and_kept(source: Source) -> None:
    """A hundred calls cost one read."""
    assert all(source.keys.key("first") for _ in range(100))
    assert source.reads == 1


def test_rotated_key_is_found_after_the_interval_at_most(source: Source) -> None:
    """An unknown key id reads the set again, but only once in ten seconds."""
    assert source.keys.key("first")
    source.issuer.add_key("second", elliptic=True)
    assert source.keys.key("second") is None
    source.now = 10.0
    assert source.keys.key("second") is not None
    assert source.reads == 2


def test_withdrawn_key_stops_being_trusted(source: Source) -> None:
    """After the greatest age the set is read again and the key is gone."""
    source.issuer.add_key("second")
    assert source.keys.key("second")
    source.issuer.remove_key("second")
    source.now = 3601.0
    assert source.keys.key("second") is None
    assert source.keys.key("first")


@pytest.mark.parametrize("failure", [OSError("down"), TimeoutError(), ValueError("too large")])
def test_issuer_that_is_down_locks_nobody_out_who_could_be_judged(source: Source, failure: Exception) -> None:
    """Keys read before stay in force; without any the answer is 'unavailable', not 'wrong'."""
    source.failure = failure
    with pytest.raises(UnavailableError):
        source.keys.key("first")
    source.failure = None
    source.now = 10.0
    assert source.keys.key("first")
    source.failure = failure
    source.now = 10_000.0
    assert source.keys.key("first")


@pytest.mark.parametrize("content", [b"", b"[]", b'{"keys": 3}', b"<html>", b"\xff"])
def test_content_that_is_no_key_set_changes_nothing(source: Source, content: bytes) -> None:
    """A login page at the key set's address does not remove the keys."""
    assert source.keys.key("first")
    source.content = lambda: content
    source.now = 20.0
    assert source.keys.key("other") is None
    assert source.keys.key("first")


def test_symmetric_and_encryption_keys_are_left_out(source: Source) -> None:
    """A shared secret in the set must not verify anything; an unknown kind does not spoil the rest."""
    source.content = lambda: (
        b'{"keys": [{"kty": "oct", "kid": "shared", "k": "c2VjcmV0"}, {"kty": "what", "kid": "odd"}, 7]}'
    )
    assert source.keys.key("shared") is None
    assert source.keys.key("odd") is None
