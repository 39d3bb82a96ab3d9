"""What Google's clients raise, as what the adapters do about it."""

from collections.abc import Callable
from typing import Final, TypeVar

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import PassingFault, not_permitted, source_failed
from trimtab_service.domain.errors import FailedPreconditionError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason

T = TypeVar("T")

EXTRA: Final = "gcp"

_UNKNOWN: Final = 500
"""A gRPC failure without an HTTP equivalent."""


class NotThereError(Exception):
    """HTTP 404, NOT_FOUND: of a metric type it means that nothing ever wrote it, of a resource that it is gone."""


class AlreadyThereError(Exception):
    """HTTP 409, ALREADY_EXISTS or ABORTED: somebody, perhaps an earlier try of ours, was first."""


def translated(call: Callable[[], T], doing: str) -> T:
    """The answer of a client's call made without its own retries. `doing` names it for people: `listing instances`.

    Raises PassingFault for what may pass, NotThereError for 404, UnavailableError (SOURCE_FAILED) else. Google's own
    text is left out: it may quote the request.
    """
    exceptions = sdk("google.api_core.exceptions", EXTRA)
    auth = sdk("google.auth.exceptions", EXTRA)
    try:
        return call()
    except exceptions.NotFound as error:
        raise NotThereError(doing) from error
    except auth.TransportError as error:
        raise PassingFault(f"{doing}: the token server of Google Cloud did not answer") from error
    except auth.GoogleAuthError as error:
        raise source_failed(f"{doing}: no valid Google Cloud credential ({type(error).__name__})") from error
    except exceptions.Conflict as error:
        raise AlreadyThereError(doing) from error
    except exceptions.GoogleAPICallError as error:
        raise of_status(int(error.code or _UNKNOWN), doing, _wait_s(error)) from error
    except exceptions.RetryError as error:
        raise PassingFault(f"{doing}: Google Cloud did not answer in time") from error
    except OSError as error:
        # The REST transport passes on what `requests` raises, which is an OSError.
        raise PassingFault(f"{doing}: no connection to Google Cloud ({type(error).__name__})") from error


def of_status(status: int, doing: str, wait_s: float | None) -> Exception:
    """What an HTTP status that is no success means: PassingFault, or UnavailableError (SOURCE_FAILED)."""
    match status:
        case 401:
            return not_permitted(f"{doing}: the credential is expired or not valid (401)")
        case 403:
            return not_permitted(f"{doing}: the credential may not do this (403); see deploy/iam")
        case 429:
            return PassingFault(f"{doing}: throttled by Google Cloud (429)", wait_s)
        case 408 | 499 | 500 | 502 | 503 | 504:
            return PassingFault(f"{doing}: Google Cloud answered {status}", wait_s)
        case _:
            return source_failed(f"{doing}: Google Cloud refused the request ({status})")


def _wait_s(error: object) -> float | None:
    """Retry-After of a REST answer, or the RetryInfo of a gRPC one."""
    response = getattr(error, "response", None)
    said = getattr(response, "headers", {}).get("Retry-After", "") if response is not None else ""
    if str(said).isdigit():
        return float(said)
    for detail in getattr(error, "details", None) or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return None


def refused(message: str) -> TrimtabError:
    """A change that the cloud does not allow as things stand."""
    return FailedPreconditionError(ErrorReason.STATE_CONFLICT, message)
