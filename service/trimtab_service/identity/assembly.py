"""Chooses the authenticator that the settings ask for."""

from collections.abc import Callable

from trimtab_service.config import Settings
from trimtab_service.identity.authenticator import AnonymousAuthenticator, Authenticator, FirstOf
from trimtab_service.identity.certificates import CertificateAuthenticator
from trimtab_service.identity.keys import KeySet, fetch_from
from trimtab_service.identity.tokens import TokenAuthenticator, TokenRules


def authenticator_of(settings: Settings, clock: Callable[[], float], monotonic: Callable[[], float]) -> Authenticator:
    """Tokens, certificates, both (a token wins where it is given), or anonymous; `config` has refused the rest."""
    certificates = CertificateAuthenticator(settings.grants) if settings.mutual_tls else None
    if not settings.oidc:
        return certificates or AnonymousAuthenticator()
    rules = TokenRules(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        algorithms=settings.oidc_algorithms,
        leeway=settings.oidc_leeway,
        subject_claim=settings.oidc_subject_claim,
        roles_claim=settings.oidc_roles_claim,
        grants=settings.grants,
    )
    tokens = TokenAuthenticator(rules, KeySet(fetch_from(settings.oidc_jwks), monotonic), clock)
    return tokens if certificates is None else FirstOf(tokens, certificates)
