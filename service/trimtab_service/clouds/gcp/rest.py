"""APIs of Google Cloud that are asked as plain JSON over HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.gcp.faults import EXTRA, of_status, translated
from trimtab_service.clouds.patience import PassingFault, Patience

_TOLD: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED})
"""Statuses that mean something of their own to each caller."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON of an answer."""

    status: int
    document: Mapping[str, Any]

    @property
    def is_ok(self) -> bool:
        """Whether it was done."""
        return self.status not in _TOLD


@dataclass(frozen=True, slots=True)
class Rest:
    """One API. `session` is google-auth's AuthorizedSession, which is not shared between threads that change it."""

    session: Any
    base_url: str
    patience: Patience

    def get(self, path: str, query: Mapping[str, str], doing: str, deadline: datetime) -> Reply:
        """The answer, asked for with patience. Raises UnavailableError (SOURCE_FAILED)."""
        asked = {"method": "GET", "url": f"{self.base_url}/{path}", "params": query}
        return self.patience.ask(lambda timeout: self._sent(asked, doing, timeout), deadline)

    def post(self, path: str, body: Mapping[str, object], doing: str, deadline: datetime) -> Reply:
        """The answer to a change, which is sent once. Raises PassingFault, UnavailableError (SOURCE_FAILED)."""
        asked = {"method": "POST", "url": f"{self.base_url}/{path}", "json": body}
        return self._sent(asked, doing, self.patience.call_timeout_s(deadline))

    def _sent(self, asked: Mapping[str, object], doing: str, timeout_s: float) -> Reply:
        # One attempt of google-auth itself may take the whole time; it refreshes a token that was refused once.
        limits = {"timeout": timeout_s, "max_allowed_time": timeout_s}
        reply = translated(lambda: self.session.request(**asked, **limits), doing)
        status = int(reply.status_code)
        if status not in _TOLD and status >= HTTPStatus.BAD_REQUEST:
            said = str(reply.headers.get("Retry-After", ""))
            raise of_status(status, doing, float(said) if said.isdigit() else None)
        try:
            document = reply.json() if reply.content and status not in _TOLD else {}
        except ValueError as error:
            raise PassingFault(f"{doing}: the answer of Google Cloud was cut off, or is no JSON") from error
        return Reply(status, document)


def authorized(credentials: Any) -> Any:  # noqa: ANN401 - google-auth is imported late
    """A session that signs what it sends."""
    session = sdk("google.auth.transport.requests", EXTRA).AuthorizedSession(credentials)
    session.trust_env = False
    return session
