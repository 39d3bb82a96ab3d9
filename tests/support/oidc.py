# ruff: noqa: ANN401 - keywords of several types are passed through
"""An OIDC issuer for tests: keys, tokens of every kind of wrongness, and the key set as a file or over HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

ISSUER = "https://issuer.example"
AUDIENCE = "trimtab"
NOW = 2_000_000_000.0


class Issuer:
    """Signs tokens and publishes its public keys."""

    def __init__(self) -> None:
        self._keys: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {}
        self.add_key("first")

    def add_key(self, key_id: str, *, elliptic: bool = False) -> None:
        """Add a signing key."""
        self._keys[key_id] = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    def remove_key(self, key_id: str) -> None:
        """Withdraw a key."""
        del self._keys[key_id]

    def key_set(self) -> bytes:
        """The JWKS document."""
        keys = []
        for key_id, key in self._keys.items():
            algorithm: Any = (
                jwt.algorithms.RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else jwt.algorithms.ECAlgorithm
            )
            keys.append({**algorithm.to_jwk(key.public_key(), as_dict=True), "kid": key_id, "use": "sig"})
        return json.dumps({"keys": keys}).encode()

    def write(self, directory: Path) -> Path:
        """Write the key set to a file."""
        path = directory / "jwks.json"
        path.write_bytes(self.key_set())
        return path

    def public_pem(self, key_id: str = "first") -> bytes:
        """The public key, which a forger would use as an HMAC secret."""
        return (
            self._keys[key_id]
            .public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )

    def token(self, key_id: str = "first", *, published_as: str | None = None, **claims: Any) -> str:
        """A good token of an hour, with claims replaced; a claim of None is left out."""
        key = self._keys[key_id]
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        return jwt.encode(payload(**claims), key, algorithm, headers={"kid": published_as or key_id})


def payload(**claims: Any) -> dict[str, Any]:
    """The claims of a good token, with some replaced."""
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ana", "exp": NOW + 3600, "nbf": NOW - 10, "groups": ["ml"]}
    return {key: value for key, value in {**good, **claims}.items() if value is not None}


class KeyServer:
    """Serves an issuer's keys over HTTP on loopback and counts how often they are read."""

    def __init__(self, issuer: Issuer) -> None:
        outer = self
        self.reads = 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.reads += 1
                body = issuer.key_set()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where the keys are."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/jwks.json"

    def close(self) -> None:
        """Stop."""
        self._http.shutdown()
        self._http.server_close()
