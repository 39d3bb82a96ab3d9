"""The seam between the server and whatever proves identity, and the simplest implementations."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from trimtab_service.domain.errors import UnauthenticatedError
from trimtab_service.domain.identity import EVERY_PROJECT, Grant, Principal, Role, principal
from trimtab_service.domain.reasons import ErrorReason


class Caller(Protocol):
    """What an authenticator may look at. A gRPC servicer context has this shape."""

    def invocation_metadata(self) -> Sequence[tuple[str, str | bytes]] | None:
        """Return the call's metadata, keys in lower case."""

    def auth_context(self) -> Mapping[str, Any]:
        """Return the properties of the peer that the transport has verified: lists of bytes, whatever the stubs say."""


class Authenticator(Protocol):
    """Proves who calls. Called once a call from many threads; must be cheap for a caller seen before."""

    def authenticate(self, caller: Caller) -> Principal:
        """Return the caller's principal.

        Raises:
            UnauthenticatedError: no credential, or one that is not trusted. The text never repeats the credential.
            UnavailableError: the credential cannot be judged now (keys cannot be fetched).

        """


class AnonymousAuthenticator:
    """Everyone is the administrator. For loopback only; `config` sees to that."""

    __slots__ = ("_principal",)

    def __init__(self) -> None:
        self._principal = principal("anonymous", [Grant(EVERY_PROJECT, frozenset({Role.ADMIN}))])

    def authenticate(self, caller: Caller) -> Principal:
        """Return the one anonymous principal."""
        del caller
        return self._principal


class FirstOf:
    """A bearer token where the call brings one, else the client certificate.

    A token that is present and wrong fails the call: falling back to the certificate would let a program run
    with rights that it did not ask for.
    """

    __slots__ = ("_certificates", "_tokens")

    def __init__(self, tokens: Authenticator, certificates: Authenticator) -> None:
        self._tokens = tokens
        self._certificates = certificates

    def authenticate(self, caller: Caller) -> Principal:
        """Return the principal of the token, or of the certificate when there is no token."""
        chosen = self._certificates if authorization(caller) is None else self._tokens
        return chosen.authenticate(caller)


def authorization(caller: Caller) -> str | None:
    """Return the text of the `authorization` metadata, or None."""
    for key, value in caller.invocation_metadata() or ():
        if key == "authorization":
            return value if isinstance(value, str) else value.decode("latin-1")
    return None


def unauthenticated(message: str, **metadata: str) -> UnauthenticatedError:
    """One refusal; `message` must not repeat the credential."""
    return UnauthenticatedError(ErrorReason.UNAUTHENTICATED, message, metadata=metadata)
