"""Credentials do not reach the log, whoever logs them."""

import io
import logging
from contextlib import redirect_stdout

import orjson
import pytest
import structlog

from trimtab_service.observability.logging import configure_logging, logger, redact

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"authorization": "Basic abc"}, {"authorization": "[removed]"}),
        ({"note": f"got Bearer {JWT} from peer"}, {"note": "got Bearer [removed] from peer"}),
        ({"note": f"token={JWT}"}, {"note": "token=[removed]"}),
        ({"url": "postgresql://trimtab:s3cret@db/x"}, {"url": "postgresql://trimtab:[removed]@db/x"}),
        ({"note": "the bearer of bad news", "n": 3}, {"note": "the bearer [removed] bad news", "n": 3}),
        ({"note": "nothing secret: http://a.example:80/x@y"}, {"note": "nothing secret: http://a.example:80/x@y"}),
    ],
)
def test_what_looks_like_a_credential_is_removed(given: dict[str, object], kept: dict[str, object]) -> None:
    """By key and by shape; rather a word too many than a token."""
    assert redact(None, "info", dict(given)) == kept


def test_logs_of_tests_are_no_part_of_an_output_that_is_read() -> None:
    """A command line under test prints JSON; a service beside it in this process may warn at any time."""
    out = io.StringIO()
    with redirect_stdout(out):
        logger("test").warning("slow")
    assert out.getvalue() == ""


def test_every_library_speaks_the_same_json() -> None:
    """Lines of structlog and of the standard library parse alike, tracebacks included, secrets excluded."""
    stream = io.BytesIO()
    before, kept = logging.getLogger().handlers[:], structlog.get_config()
    try:
        configure_logging("info", stream)
        logger("test").info("ours", n=1)
        logging.getLogger("library").warning("theirs %s", JWT)
        try:
            raise ValueError(JWT)  # noqa: TRY301 - its traceback is what is logged
        except ValueError:
            logging.getLogger("library").exception("failed")
            logger("test").exception("failed too")
        logger("test").debug("too fine")
    finally:
        structlog.configure(**kept)
        logging.getLogger().handlers[:] = before
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["ours", "theirs [removed]", "failed", "failed too"]
    assert all("ValueError" in line["exception"] for line in lines[2:])
    assert JWT.encode() not in stream.getvalue()
