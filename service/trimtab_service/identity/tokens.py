"""Identity from OIDC bearer tokens.

A signature check costs about as much as the whole rest of a call, so a token that was verified is
remembered by its hash; its expiry is checked on every call all the same.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b

import jwt

from trimtab_service.domain.identity import Principal, principal
from trimtab_service.identity.authenticator import Caller, authorization, unauthenticated
from trimtab_service.identity.keys import KeySet
from trimtab_service.identity.mapping import Recent, grants_from_claims
from trimtab_service.settings_values import GrantRule

_SCHEME = "bearer "
_MAX_TOKEN_CHARS = 16_384
_KEY_AGE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must say to be believed."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway: timedelta
    subject_claim: str = "sub"
    roles_claim: str = ""
    grants: Sequence[GrantRule] = ()


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    expires: float
    recheck: float


class TokenAuthenticator:
    """Verifies bearer tokens against the issuer's keys and maps their claims to a principal."""

    __slots__ = ("_clock", "_keys", "_known", "_rules")

    def __init__(self, rules: TokenRules, keys: KeySet, clock: Callable[[], float], *, capacity: int = 8192) -> None:
        """Remember up to `capacity` verified tokens; `clock` gives seconds since 1970."""
        self._rules = rules
        self._keys = keys
        self._clock = clock
        self._known: Recent[_Verified] = Recent(capacity)

    def authenticate(self, caller: Caller) -> Principal:
        """Return the token's principal; expiry is judged on every call, the signature once in five minutes.

        Checking the signature again now and then is what makes the withdrawal of a key take effect.
        """
        header = authorization(caller)
        if header is None or header[: len(_SCHEME)].lower() != _SCHEME:
            raise unauthenticated("a bearer token is required")
        token = header[len(_SCHEME) :].strip()
        if len(token) > _MAX_TOKEN_CHARS:
            raise unauthenticated("the bearer token is malformed")
        key = blake2b(token.encode(), digest_size=16).digest()
        now = self._clock()
        known = self._known.get(key)
        if known is None or now >= known.recheck:
            known = self._verify(token, now)
            self._known.put(key, known)
        if now >= known.expires:
            self._known.forget(key)
            raise unauthenticated("the bearer token has expired")
        return known.principal

    def _verify(self, token: str, now: float) -> _Verified:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise unauthenticated("the bearer token is malformed") from None
        algorithm = header.get("alg")
        if algorithm not in self._rules.algorithms:
            raise unauthenticated("the bearer token is signed with an algorithm that is not accepted")
        key = self._keys.key(str(header.get("kid", "")))
        if key is None:
            raise unauthenticated("the bearer token is signed with a key that the issuer does not publish")
        try:
            # Times are judged below with our own clock; the library would use the machine's.
            claims: Mapping[str, object] = jwt.decode(
                token,
                key,
                algorithms=[str(algorithm)],
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError:
            raise unauthenticated("the bearer token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise unauthenticated("the bearer token is of another issuer") from None
        except (jwt.PyJWTError, TypeError, ValueError):
            raise unauthenticated("the bearer token is not trusted") from None
        return self._accept(claims, now)

    def _accept(self, claims: Mapping[str, object], now: float) -> _Verified:
        leeway = self._rules.leeway.total_seconds()
        expires = _instant(claims, "exp") + leeway
        if now >= expires:
            raise unauthenticated("the bearer token has expired")
        if "nbf" in claims and now < _instant(claims, "nbf") - leeway:
            raise unauthenticated("the bearer token is not valid yet")
        subject = claims.get(self._rules.subject_claim)
        if not isinstance(subject, str) or not subject:
            raise unauthenticated("the bearer token names nobody")
        grants = grants_from_claims(self._rules.grants, claims, self._rules.roles_claim)
        return _Verified(principal(f"oidc:{subject}", grants), expires, now + _KEY_AGE.total_seconds())


def _instant(claims: Mapping[str, object], claim: str) -> float:
    """Seconds since 1970; a token whose times are not numbers is not trusted."""
    value = claims.get(claim)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise unauthenticated("the bearer token is malformed")
    return float(value)
