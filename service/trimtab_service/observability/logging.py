"""Structured logs: one JSON object a line on standard output, for our own events and for every library's.

Secrets are removed by key and by shape, because a library may log what we never would.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, BinaryIO

import orjson
import structlog

_SECRET_KEYS = frozenset(
    {"authorization", "token", "password", "secret", "client_secret", "api_key", "cookie", "private_key", "dsn"}
)
_SECRET_SHAPES = re.compile(
    r"""
    (?P<bearer>(?i:bearer)\s+)[A-Za-z0-9\-._~+/]+=*                    # an authorization header
    | eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*             # a JSON Web Token
    | (?P<scheme>://[^/\s:@]*:)[^@\s/]+(?=@)                           # the password of a URL
    """,
    re.VERBOSE,
)
_REMOVED = "[removed]"


def configure_logging(level: str, stream: BinaryIO | None = None) -> None:
    """Send structlog and the standard library's logging to `stream` (standard output) as JSON lines."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    target = stream or sys.stdout.buffer
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(serializer=_dump)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(file=target),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_Text(target))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *shared,
                structlog.processors.JSONRenderer(serializer=_dump_text),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries tell at INFO what only their own developers want to know.
    root.setLevel(logging.INFO if threshold <= logging.DEBUG else max(threshold, logging.WARNING))


def logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Return a logger whose lines carry the name of the part that speaks."""
    bound: structlog.typing.FilteringBoundLogger = structlog.get_logger(part=name)
    return bound


def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove what looks like a credential, by key and by shape."""
    for key, value in event.items():
        if key.lower() in _SECRET_KEYS:
            event[key] = _REMOVED
        elif isinstance(value, str):
            event[key] = _SECRET_SHAPES.sub(_replacement, value)
    return event


def _replacement(match: re.Match[str]) -> str:
    return (match["bearer"] or match["scheme"] or "") + _REMOVED


def _dump(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS)


def _dump_text(event: object, **_: object) -> str:
    return _dump(event).decode()


class _Text:
    """The part of a text stream that a logging handler needs, over a binary one."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def write(self, text: str) -> None:
        """Write one piece of text."""
        self._target.write(text.encode("utf-8", "replace"))

    def flush(self) -> None:
        """Push it out."""
        self._target.flush()
