"""Which database errors mean "it does not answer", and what may be said about them.

A driver's text can hold hosts, users and statement parameters, so none of it is passed on: a failure is
told apart by its SQLSTATE or by words of the driver that are known not to be secrets.
"""

from typing import Final

from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.reasons import ErrorReason

_READ_ONLY: Final = "25006"
_UNDEFINED_TABLE: Final = "42P01"
_UNDEFINED_COLUMN: Final = "42703"
_PASSING_STATES: Final = frozenset({_READ_ONLY, _UNDEFINED_TABLE, _UNDEFINED_COLUMN})

_CAUSE_OF_STATE: Final = {
    _READ_ONLY: "read only",
    _UNDEFINED_TABLE: "schema missing",
    _UNDEFINED_COLUMN: "schema missing",
    "28P01": "authentication failed",
    "28000": "authentication failed",
    "3D000": "no such database or role",
    "40001": "serialization failure",
    "40P01": "deadlock",
    "53100": "disk full",
    "53300": "too many connections",
    "57014": "statement timeout",
    "57P01": "shutting down",
    "57P02": "shutting down",
    "57P03": "starting or stopping",
}

_CAUSE_OF_WORDS: Final = (
    ("password authentication failed", "authentication failed"),
    ("does not exist", "no such database or role"),
    ("connection refused", "connection refused"),
    ("no such file or directory", "no socket"),
    ("translate host name", "unknown host"),
    ("resolve host", "unknown host"),
    ("too many clients", "too many connections"),
    ("starting up", "starting or stopping"),
    ("shutting down", "starting or stopping"),
    ("timeout expired", "connection timeout"),
    ("closed the connection", "connection lost"),
    ("connection is closed", "connection lost"),
    ("connection is lost", "connection lost"),
    ("no such table", "schema missing"),
    ("no such column", "schema missing"),
    ("database is locked", "locked"),
    ("unable to open", "cannot open file"),
    ("readonly database", "read only"),
    ("disk is full", "disk full"),
    ("disk i/o", "disk fault"),
    ("not a database", "not a database"),
    ("malformed", "damaged file"),
)


def is_passing(error: SQLAlchemyError) -> bool:
    """Tell whether the database (not the statement or its data) is at fault, so that a retry may help."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated or "not a database" in str(error.orig):
        return True
    return getattr(error.orig, "sqlstate", None) in _PASSING_STATES


def unavailable(error: SQLAlchemyError, dialect: str) -> UnavailableError:
    """The error that callers see: `cause` is one of this module's own words or a SQLSTATE."""
    cause = _cause(error)
    return UnavailableError(
        ErrorReason.STORE_UNAVAILABLE,
        f"the database ({dialect}) does not answer: {cause}",
        metadata={"engine": dialect, "cause": cause},
    )


def _cause(error: SQLAlchemyError) -> str:
    if isinstance(error, PoolTimeoutError):
        return "no free connection"
    if not isinstance(error, DBAPIError):
        return type(error).__name__
    state = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _CAUSE_OF_STATE.get(state, f"SQLSTATE {state}")
    text = str(error.orig).lower()
    for words, cause in _CAUSE_OF_WORDS:
        if words in text:
            return cause
    return type(error.orig).__name__
