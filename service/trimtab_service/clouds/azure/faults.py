"""What Azure's clients raise, as what the adapters do about it."""

from collections.abc import Callable
from typing import Final, TypeVar

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import PassingFault, not_permitted, source_failed
from trimtab_service.domain.errors import FailedPreconditionError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason

T = TypeVar("T")

EXTRA: Final = "azure"


class NotThereError(Exception):
    """HTTP 404."""


class RefusedRequestError(Exception):
    """HTTP 400 and 409: the request, or one resource of it, is not acceptable as things stand. `code` is Azure's."""

    def __init__(self, doing: str, code: str) -> None:
        super().__init__(doing)
        self.code = code


def translated(call: Callable[[], T], doing: str) -> T:
    """The answer of a client's call made without its own retries. `doing` names it for people.

    Raises PassingFault for what may pass, NotThereError, RefusedRequestError, and UnavailableError (SOURCE_FAILED)
    else. Azure's own text is left out: it may quote the request.
    """
    exceptions = sdk("azure.core.exceptions", EXTRA)
    try:
        return call()
    except exceptions.ResourceNotFoundError as error:
        raise NotThereError(doing) from error
    except exceptions.DecodeError as error:
        raise PassingFault(f"{doing}: the answer of Azure was cut off, or is no JSON") from error
    except exceptions.HttpResponseError as error:
        if error.status_code is not None:
            raise of_status(int(error.status_code), doing, error) from error
        # The credential itself could not be had: no request was sent.
        raise source_failed(f"{doing}: no valid Azure credential ({type(error).__name__})") from error
    except (exceptions.ServiceRequestError, exceptions.ServiceResponseError) as error:
        raise PassingFault(f"{doing}: no answer of Azure ({type(error).__name__})") from error


def of_status(status: int, doing: str, error: object) -> Exception:
    """What an HTTP status means; `error` holds the `response`, whose Retry-After counts."""
    match status:
        case 401:
            return not_permitted(f"{doing}: the credential is expired or not valid (401)")
        case 403:
            return not_permitted(f"{doing}: the credential may not do this (403); see deploy/iam")
        case 429:
            return PassingFault(f"{doing}: throttled by Azure (429)", _wait_s(error))
        case 408 | 500 | 502 | 503 | 504:
            return PassingFault(f"{doing}: Azure answered {status}", _wait_s(error))
        case 400 | 409:
            return RefusedRequestError(doing, str(getattr(getattr(error, "error", None), "code", "") or status))
        case _:
            return source_failed(f"{doing}: Azure refused the request ({status})")


def _wait_s(error: object) -> float | None:
    said = getattr(getattr(error, "response", None), "headers", {}).get("Retry-After", "")
    return float(said) if str(said).isdigit() else None


def refused(message: str) -> TrimtabError:
    """A change that the cloud does not allow as things stand."""
    return FailedPreconditionError(ErrorReason.STATE_CONFLICT, message)
