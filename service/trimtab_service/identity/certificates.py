"""Identity from the client certificate of a mutual TLS connection.

The transport has verified the chain before any call arrives; this only reads the verified names and maps
them to grants. The subject is the first URI name (a SPIFFE id where there is one), else the common name, else
the first DNS name.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

from trimtab_service.domain.identity import Principal, principal
from trimtab_service.identity.authenticator import Caller, unauthenticated
from trimtab_service.identity.mapping import Recent, grants_from_certificate
from trimtab_service.settings_values import GrantRule

_PROPERTIES = {"peer_uri": "uri", "peer_dns": "dns", "x509_common_name": "common_name"}
_CERTIFICATE = "x509_pem_cert"


class CertificateAuthenticator:
    """Maps verified certificate names to a principal; one certificate is mapped once."""

    __slots__ = ("_known", "_rules")

    def __init__(self, rules: Sequence[GrantRule]) -> None:
        self._rules = tuple(rules)
        self._known: Recent[Principal] = Recent(capacity=4096)

    def authenticate(self, caller: Caller) -> Principal:
        """Return the certificate's principal; one that no rule names has no grants, so it is known but may nothing."""
        properties = caller.auth_context()
        certificate = properties.get(_CERTIFICATE)
        if not certificate:
            raise unauthenticated("a client certificate is required")
        key = blake2b(certificate[0], digest_size=16).digest()
        known = self._known.get(key)
        if known is None:
            known = self._principal(properties)
            self._known.put(key, known)
        return known

    def _principal(self, properties: Mapping[str, Sequence[bytes]]) -> Principal:
        names = {
            ours: tuple(value.decode("utf-8", "replace") for value in properties.get(theirs, ()))
            for theirs, ours in _PROPERTIES.items()
        }
        subject = next((names[kind][0] for kind in ("uri", "common_name", "dns") if names[kind]), "")
        if not subject:
            raise unauthenticated("the client certificate names nobody")
        return principal(f"certificate:{subject}", grants_from_certificate(self._rules, names))
