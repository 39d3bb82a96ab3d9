"""What botocore raises, as what the adapters do about it."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore import exceptions
from botocore.parsers import ResponseParserError

from trimtab_service.clouds.patience import PassingFault, not_permitted, source_failed
from trimtab_service.domain.errors import FailedPreconditionError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason

_THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ResourceContention",
        "SlowDown",
        "Throttling",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_CREDENTIAL: Final = frozenset(
    {"AuthFailure", "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException"}
)
_UNSIGNED: Final = frozenset(
    {"InvalidSignatureException", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch"}
)
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "OptInRequired",
        "UnauthorizedAccess",
        "UnauthorizedOperation",
    }
)
_PASSING_STATUS: Final = frozenset({408, 429, 500, 502, 503, 504})
_SKEW_S: Final = 240.0
"""AWS takes signatures up to five minutes old or ahead; past four, the clock is the likely cause of a refusal."""

_SHOWN: Final = 300
"""Characters of AWS's own words in a refusal."""


class ExpiredCredentialError(Exception):
    """The credential's time is up; a fresh one may do."""


class RefusedError(Exception):
    """AWS understood the request and will not do it. `code` is its own; the text is safe to show."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def translated(error: Exception, doing: str, now: datetime) -> Exception:
    """What an exception of botocore means. `doing` names the call for people: `ec2 DescribeInstances`.

    PassingFault for what may pass, ExpiredCredentialError, RefusedError for what the request itself is refused for,
    UnavailableError (SOURCE_FAILED) for the rest. AWS's own words are kept for refusals only: those about signatures
    and rights quote the request.
    """
    if isinstance(error, exceptions.ClientError):
        return _of_answer(error, doing, now)
    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return source_failed(f"{doing}: the process has no AWS credential for this account")
    if isinstance(error, exceptions.CredentialRetrievalError | exceptions.TokenRetrievalError):
        return source_failed(f"{doing}: no AWS credential could be had")
    if isinstance(error, exceptions.ParamValidationError):
        return RefusedError("ParamValidationError", f"{doing}: not a valid request")
    if isinstance(error, exceptions.HTTPClientError | ResponseParserError):
        return PassingFault(f"{doing}: no answer from AWS ({type(error).__name__})")
    return source_failed(f"{doing}: failed unexpectedly ({type(error).__name__})")


def _of_answer(error: exceptions.ClientError, doing: str, now: datetime) -> Exception:
    answer: Any = error.response
    code = str(answer.get("Error", {}).get("Code", "Unknown"))
    metadata = answer.get("ResponseMetadata", {})
    status = int(metadata.get("HTTPStatusCode", 0))
    headers = metadata.get("HTTPHeaders", {})
    if error.operation_name == "AssumeRole":
        doing = f"{doing}: sts AssumeRole"
    skew_s = skew_of(headers, now) if code in _UNSIGNED | _EXPIRED else 0.0
    found: Exception
    if code in _THROTTLED:
        said = str(headers.get("retry-after", ""))
        found = PassingFault(f"{doing}: throttled by AWS ({code})", float(said) if said.isdigit() else None)
    elif abs(skew_s) > _SKEW_S:
        way = "behind" if skew_s > 0 else "ahead of"
        found = source_failed(f"{doing}: the clock here is {abs(skew_s):.0f} s {way} AWS's, so it refuses signatures")
    elif code in _EXPIRED:
        found = ExpiredCredentialError(f"{doing}: the AWS credential has expired")
    elif code in _UNKNOWN_CREDENTIAL | _UNSIGNED:
        found = not_permitted(f"{doing}: the AWS credential is not valid ({code})")
    elif code in _DENIED:
        found = not_permitted(f"{doing}: the AWS credential may not do this ({code}); see deploy/iam")
    elif status in _PASSING_STATUS:
        found = PassingFault(f"{doing}: AWS answered {status} ({code})")
    else:
        words = str(answer.get("Error", {}).get("Message", ""))[:_SHOWN]
        found = RefusedError(code, f"{doing}: refused by AWS ({code}): {words}")
    return found


def skew_of(headers: Any, now: datetime) -> float:  # noqa: ANN401 - headers as botocore gives them
    """Seconds that the Date of an answer is ahead of `now`; 0 where there is none."""
    try:
        return (parsedate_to_datetime(str(headers.get("date", ""))) - now).total_seconds()
    except (TypeError, ValueError):
        return 0.0


def refused(message: str) -> TrimtabError:
    """A change that the cloud does not allow as things stand."""
    return FailedPreconditionError(ErrorReason.STATE_CONFLICT, message)
