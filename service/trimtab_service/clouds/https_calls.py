"""JSON over HTTPS to one address of the deployment's file: what hooks and messages are sent with.

TLS is checked, redirections are not followed, and the host is reached only at addresses that are allowed. Plain HTTP is
for loopback alone. A URL that is a secret (as a chat's often is) and a bearer token are read from files at each call:
both can be changed while the service runs. Neither is ever shown.
"""

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from trimtab_service.clouds.patience import PassingFault, Patience, not_permitted, refused
from trimtab_service.clouds.reachable import ANYWHERE, ForbiddenAddressError, Reachable

_MOST_BYTES: Final = 65_536
_LONGEST_S: Final = 10.0
_ASK_AGAIN: Final = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)


@dataclass(frozen=True, slots=True)
class Replied:
    """Status, and the JSON object of the answer (empty where it is none)."""

    status: int
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class HttpsCalls:
    """One endpoint. `name` is how it is called in messages; `url_file` goes before `url`."""

    name: str
    patience: Patience
    url: str = ""
    url_file: Path | None = None
    token_file: Path | None = None
    ca_file: Path | None = None
    reachable: Reachable = field(default=ANYWHERE)

    def send(
        self, method: str, body: Mapping[str, object] | None, headers: Mapping[str, str], deadline: datetime
    ) -> Replied:
        """The answer, asked for with patience: what is sent must be safe to be sent again.

        Raises UnavailableError (SOURCE_FAILED) when nobody answers in time or the token is refused,
        FailedPreconditionError for every other refusal but 409, which is the caller's to read.
        """
        return self.patience.ask(lambda timeout: self._sent(method, body, headers, min(timeout, _LONGEST_S)), deadline)

    def _sent(
        self, method: str, body: Mapping[str, object] | None, headers: Mapping[str, str], timeout_s: float
    ) -> Replied:
        url = self.url if self.url_file is None else self._secret(self.url_file)
        parts = urlsplit(url)
        host, is_tls = parts.hostname or "", parts.scheme == "https"
        connection = http.client.HTTPConnection(parts.netloc.rpartition("@")[2], timeout=timeout_s)
        data = None if body is None else json.dumps(body).encode()
        try:
            port = parts.port or (http.client.HTTPS_PORT if is_tls else http.client.HTTP_PORT)
            if not is_tls and not self.reachable.is_loopback(host, port):
                raise refused(f"{self.name}: https, or http on loopback")
            connection.sock = self.reachable.connect(host, port, timeout_s, self._context() if is_tls else None)
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, data, {**self._headers(), **headers})
            answer = connection.getresponse()
            text = answer.read(_MOST_BYTES)
        except ssl.SSLCertVerificationError as error:
            raise refused(f"{self.name}: nobody vouches for its certificate ({error.verify_message})") from None
        except ForbiddenAddressError as error:
            raise refused(f"{self.name}: {error}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise PassingFault(f"{self.name}: no answer ({type(error).__name__})") from None
        finally:
            connection.close()
        return self._read(answer.status, text, answer.getheader("Retry-After", ""))

    def _read(self, status: int, text: bytes, wait: str) -> Replied:
        if status in _ASK_AGAIN:
            raise PassingFault(f"{self.name}: answered {status}", float(wait) if wait.isdigit() else None)
        if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise not_permitted(f"{self.name}: the token is not good for it ({status})")
        if status != HTTPStatus.CONFLICT and not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            raise refused(f"{self.name}: answered {status}")
        try:
            document = json.loads(text) if text else {}
        except ValueError:
            document = {}
        return Replied(status, document if isinstance(document, dict) else {})

    def _headers(self) -> dict[str, str]:
        own = {"Content-Type": "application/json", "User-Agent": "trimtab", "Connection": "close"}
        if self.token_file is not None:
            own["Authorization"] = f"Bearer {self._secret(self.token_file)}"
        return own

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))

    def _secret(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise refused(f"{self.name}: its file cannot be read ({type(error).__name__})") from None
