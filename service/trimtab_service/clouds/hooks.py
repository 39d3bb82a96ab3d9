"""A data store behind a hook of the deployment's own, and people who are told over HTTPS.

A hook answers GET with `{"is_primary": true}` or false, and POST `{"action": "promote", "token": 7, "key": "..."}` with
any 2xx once the promotion is under way. The key comes as `Idempotency-Key` too: the same key again is the same request.
A hook that has seen a newer token answers 409, and so is a fence.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from trimtab_service.clouds.https_calls import HttpsCalls
from trimtab_service.clouds.patience import Patience, refused
from trimtab_service.clouds.reachable import ANYWHERE
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import DataStoreTarget, Notifier, StaleTokenError

_KEY: Final = "Idempotency-Key"


@dataclass(frozen=True, slots=True)
class PromotionHook:
    """Implements `failover.ports.DataStoreTarget`."""

    calls: HttpsCalls

    def is_primary(self, deadline: datetime) -> bool:
        """As the hook says. Raises FailedPreconditionError where it does not say so."""
        answer = self.calls.send("GET", None, {}, deadline).document.get("is_primary")
        if not isinstance(answer, bool):
            raise refused(f"{self.calls.name}: the hook does not say whether it is primary")
        return answer

    def promote(self, token: int, key: str, deadline: datetime) -> None:
        """As the port says. Raises StaleTokenError where the hook has seen a newer token."""
        body = {"action": "promote", "token": token, "key": key}
        if self.calls.send("POST", body, {_KEY: key}, deadline).status == HTTPStatus.CONFLICT:
            raise StaleTokenError(f"{self.calls.name} has seen a token newer than {token}")


class Form(StrEnum):
    """What a message looks like."""

    JSON = "json"
    """`{"text": "...", "key": "..."}`"""

    SLACK = "slack"
    """`{"text": "..."}`, which incoming webhooks of Slack, Mattermost and Rocket.Chat take."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Implements `failover.ports.Notifier`."""

    calls: HttpsCalls
    form: Form

    def tell(self, text: str, key: str, deadline: datetime) -> None:
        """Tell. Who knows the key may leave out a repetition; a chat that does not shows it twice at worst."""
        body = {"text": text} if self.form is Form.SLACK else {"text": text, "key": key}
        self.calls.send("POST", body, {_KEY: key}, deadline)


def open_target(target: ConfiguredTarget, patience: Patience) -> DataStoreTarget | Notifier:
    """A target of kind `promotion_hook` or `webhook`."""
    settings = target.settings
    calls = HttpsCalls(
        name=target.name,
        patience=patience,
        url=settings.get("url", ""),
        url_file=settings.get("url_file"),
        token_file=settings.get("token_file"),
        ca_file=settings.get("ca_file"),
        reachable=settings.get("addresses", ANYWHERE),
    )
    if target.kind == "promotion_hook":
        return PromotionHook(calls)
    return Webhook(calls, Form(settings.get("form", Form.JSON)))
