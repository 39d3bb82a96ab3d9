"""Resource Manager's REST, where one record has to be read and written by its ETag."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

from trimtab_service.clouds.azure.faults import EXTRA, NotThereError, RefusedRequestError, of_status, translated
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import PassingFault, Patience, refused

BASE_URL: Final = "https://management.azure.com"


@dataclass(frozen=True, slots=True)
class _Failed:
    """What `of_status` reads of an error."""

    response: Any


@dataclass(frozen=True, slots=True)
class Rest:
    """`client` is azure-core's PipelineClient, which repeats nothing by itself."""

    client: Any
    base_url: str
    api_version: str
    patience: Patience

    def get(self, path: str, doing: str, deadline: datetime) -> dict[str, Any] | None:
        """The resource; None where there is none. Raises UnavailableError (SOURCE_FAILED), FailedPreconditionError."""

        def ask(timeout: float) -> dict[str, Any] | None:
            reply = self._sent(self._request("GET", path), doing, timeout)
            return None if reply.status_code == HTTPStatus.NOT_FOUND else _document(reply, doing)

        return self.patience.ask(ask, deadline)

    def put(
        self, path: str, body: Mapping[str, object], condition: Mapping[str, str], doing: str, deadline: datetime
    ) -> bool:
        """Whether it was written: False where the condition, a header, does not hold. Sent once.

        Raises PassingFault, UnavailableError (SOURCE_FAILED), FailedPreconditionError.
        """
        request = self._request("PUT", path, headers=condition, json=body)
        reply = self._sent(request, doing, self.patience.call_timeout_s(deadline))
        if reply.status_code == HTTPStatus.NOT_FOUND:
            raise refused(f"{doing}: the zone is not there")
        return int(reply.status_code) != HTTPStatus.PRECONDITION_FAILED

    def _request(self, method: str, path: str, **more: object) -> Any:  # noqa: ANN401 - the SDK is imported late
        query = {"api-version": self.api_version}
        return sdk("azure.core.rest", EXTRA).HttpRequest(method, f"{self.base_url}/{path}", params=query, **more)

    def _sent(self, request: Any, doing: str, timeout_s: float) -> Any:  # noqa: ANN401 - as above
        timeouts = {"connection_timeout": timeout_s, "read_timeout": timeout_s}
        try:
            reply = translated(lambda: self.client.send_request(request, **timeouts), doing)
            status = int(reply.status_code)
            told = {HTTPStatus.NOT_FOUND, HTTPStatus.PRECONDITION_FAILED}
            if status >= HTTPStatus.BAD_REQUEST and status not in told:
                raise of_status(status, doing, _Failed(reply))
        except RefusedRequestError as error:
            raise refused(f"{doing}: refused by Azure ({error.code})") from error
        except NotThereError as error:
            raise refused(f"{doing}: it is not there") from error
        return reply


def _document(reply: Any, doing: str) -> dict[str, Any]:  # noqa: ANN401 - an azure.core.rest.HttpResponse
    try:
        found: dict[str, Any] = reply.json()
    except ValueError as error:
        raise PassingFault(f"{doing}: the answer of Azure was cut off, or is no JSON") from error
    return found


def pipeline(endpoint: str, credential: Any, options: Mapping[str, object]) -> Any:  # noqa: ANN401 - as above
    """A client of Resource Manager at `endpoint`; `options` are of `connection.options_for`."""
    policies = sdk("azure.core.pipeline.policies", EXTRA)
    signs = options.get("authentication_policy") or policies.BearerTokenCredentialPolicy(
        credential, f"{BASE_URL}/.default"
    )
    return sdk("azure.core", EXTRA).PipelineClient(endpoint, policies=[policies.UserAgentPolicy("trimtab"), signs])
