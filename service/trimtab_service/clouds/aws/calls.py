"""Calling AWS inside the caller's deadline, whatever the connection does."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.faults import ExpiredCredentialError, translated
from trimtab_service.clouds.aws.session import AwsSession
from trimtab_service.clouds.patience import PassingFault, Patience, source_failed

_PAGES: Final = 100_000
"""More pages than any account has: a listing that does not end is a fault of the source."""


@dataclass(frozen=True, slots=True)
class AwsCalls:
    """Every call of the adapters to AWS goes through here."""

    account: CloudAccount
    session: AwsSession
    patience: Patience

    def call(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], deadline: datetime
    ) -> dict[str, Any]:
        """The answer of `operation` (`DescribeInstances`), as botocore parses it.

        Throttling, faults of AWS and broken connections are asked again with growing waits, for as long as the
        deadline and the account's `call_timeout` allow; a credential that expired is fetched anew, once. Raises
        UnavailableError (SOURCE_FAILED), or RefusedError where AWS will not do it.
        """
        doing = f"{service} {operation}"
        until = min(deadline, self.patience.clock() + self.account.call_timeout)

        def attempt(timeout_s: float) -> dict[str, Any]:
            return _within(timeout_s, doing, lambda: self._sent(service, region, operation, parameters))

        try:
            return self.patience.ask(attempt, until)
        except ExpiredCredentialError:
            self.session.renew()
        try:
            return self.patience.ask(attempt, until)
        except ExpiredCredentialError as error:
            raise source_failed(str(error)) from error

    def once(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], deadline: datetime
    ) -> dict[str, Any]:
        """As `call`, sent once: for what would be done a second time. After UnavailableError it may have been done."""
        doing = f"{service} {operation}"
        timeout_s = self.patience.call_timeout_s(min(deadline, self.patience.clock() + self.account.call_timeout))
        try:
            return _within(timeout_s, doing, lambda: self._sent(service, region, operation, parameters))
        except (PassingFault, ExpiredCredentialError) as error:
            raise source_failed(str(error)) from error

    def pages(
        self, service: str, region: str, operation: str, parameters: Mapping[str, object], deadline: datetime
    ) -> Iterator[dict[str, Any]]:
        """The answers of a listing, page after page; raises as `call`."""
        asked = dict(parameters)
        for _ in range(_PAGES):
            answer = self.call(service, region, operation, asked, deadline)
            yield answer
            token = answer.get("NextToken")
            if not token:
                return
            if token == asked.get("NextToken"):
                break
            asked["NextToken"] = token
        raise source_failed(f"{service} {operation}: the pages do not end")

    def _sent(self, service: str, region: str, operation: str, parameters: Mapping[str, object]) -> dict[str, Any]:
        try:
            client = self.session.client(service, region)
            answer: dict[str, Any] = getattr(client, _method(client, operation))(**parameters)
        except Exception as error:  # noqa: BLE001 - whatever the SDK raises is told apart there, in safe words
            # Without `from`: botocore's exception holds the answer, and with it perhaps what must not be shown.
            raise translated(error, f"{service} {operation}", self.patience.clock()) from None
        return answer


def _method(client: Any, operation: str) -> str:  # noqa: ANN401 - as above
    """Botocore names methods in snake case and keeps the table."""
    by_operation = {name: method for method, name in client.meta.method_to_api_mapping.items()}
    return str(by_operation[operation])


def _within(timeout_s: float, doing: str, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of `send`, or PassingFault after `timeout_s`.

    botocore's timeouts are of single reads, so an answer that trickles in can take any time. A thread of its own can be
    left behind; it ends with its connection.
    """
    done: queue.SimpleQueue[dict[str, Any] | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            done.put(send())
        except Exception as error:  # noqa: BLE001 - it is raised in the caller's thread
            done.put(error)

    threading.Thread(target=work, name="aws-call", daemon=True).start()
    try:
        result = done.get(timeout=timeout_s)
    except queue.Empty:
        raise PassingFault(f"{doing}: AWS did not answer in {timedelta(seconds=round(timeout_s, 1))}") from None
    if isinstance(result, Exception):
        raise result
    return result
