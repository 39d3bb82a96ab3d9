"""Idempotency keys of the failover service, and the tokens that resume a watch."""

import hashlib
import re
from typing import Final

from google.protobuf.message import Message

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import names
from trimtab_service.rpc.call import Call
from trimtab_service.store.idempotency import RequestKey

_TOKEN: Final = re.compile(r"after-(\d{1,18})\Z")


def key_of(request: Message, call: Call, *, required: bool = False) -> RequestKey:
    """Whose request this is."""
    request_id = names.request_id(str(getattr(request, "request_id", "")), required=required)
    body = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    return RequestKey(call.project, call.method.rpartition("/")[2], request_id, body)


def token_of(sequence: int) -> str:
    """The resume token of an event."""
    return f"after-{sequence}"


def sequence_of(token: str) -> int:
    """The event of a token; of none, 0. Raises InvalidArgumentError (PAGE_TOKEN_INVALID)."""
    if not token:
        return 0
    found = _TOKEN.match(token)
    if found is None:
        why = "was not given by WatchFailoverRun"
        raise InvalidArgumentError([Violation("resume_token", ErrorReason.PAGE_TOKEN_INVALID, why)])
    return int(found[1])
