"""Asking a Kubernetes API server with patience."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import PassingFault, Patience, not_permitted, refused, source_failed

EXTRA: Final = "kubernetes"
FIELD_MANAGER: Final = "trimtab"
KUBERNETES: Final = "kubernetes"
"""Name of the API server in `endpoints` of an account."""

Document = dict[str, Any]


class NotThereError(Exception):
    """HTTP 404."""


def api_client(endpoint: str) -> Any:  # noqa: ANN401 - the SDK is imported late
    """A client of the API server at `endpoint`, or of the pod's own cluster with its service account.

    Raises UnavailableError (SOURCE_FAILED) outside of a cluster.
    """
    client = sdk("kubernetes.client", EXTRA)
    configuration = client.Configuration()
    if endpoint:
        configuration.host = endpoint
    else:
        config = sdk("kubernetes.config", EXTRA)
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise source_failed("not in a cluster: name the API server in endpoints.kubernetes") from error
    configuration.retries = False
    return client.ApiClient(configuration)


def ask(api: Callable[[], Any], patience: Patience, call: Callable[[Any, float], Any], deadline: datetime) -> Document:
    """The object that `call(apps, timeout_s)` answers with; `api` gives the client (`api_client`).

    Raises NotThereError, FailedPreconditionError, UnavailableError (SOURCE_FAILED).
    """
    client = sdk("kubernetes.client", EXTRA)
    exceptions = sdk("kubernetes.client.exceptions", EXTRA)
    urllib3 = sdk("urllib3.exceptions", EXTRA)

    def once(timeout: float) -> Document:
        try:
            reply = call(client.AppsV1Api(api()), timeout)
            if reply.status >= 400:  # noqa: PLR2004 - HTTP: raw replies are not checked by the client
                raise _fault(int(reply.status), str(reply.headers.get("Retry-After", "")))
            document = json.loads(reply.data)
        except exceptions.ApiException as error:
            raise _fault(int(error.status or 0), str((error.headers or {}).get("Retry-After", ""))) from error
        except (urllib3.HTTPError, ValueError) as error:
            raise PassingFault(f"no answer of Kubernetes ({type(error).__name__})") from error
        if not isinstance(document, dict):
            raise PassingFault("the answer of Kubernetes is no object")
        return document

    return patience.ask(once, deadline)


def _fault(status: int, retry_after: str) -> Exception:
    match status:
        case 401:
            return not_permitted("the credential for Kubernetes is expired or not valid (401)")
        case 403:
            return refused("Kubernetes forbids it (403): by role, quota or admission; see deploy/iam")
        case 404:
            return NotThereError()
        case 429 | 500 | 502 | 503 | 504:
            return PassingFault(f"Kubernetes answered {status}", float(retry_after) if retry_after.isdigit() else None)
        case _:
            return refused(f"Kubernetes refused what it was asked ({status})")
