"""The mapping from errors to statuses, without a server."""

import inspect
from datetime import timedelta

import pytest
from google.rpc import code_pb2, error_details_pb2
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain import errors
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import status

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.TrimtabError) and kind is not errors.TrimtabError
]


def test_every_error_of_the_tree_has_a_code_of_its_own() -> None:
    """Nothing in the tree is INTERNAL by accident."""
    codes = {kind: status._CODES.get(kind, code_pb2.INTERNAL) for kind in KINDS}
    assert code_pb2.INTERNAL not in codes.values()
    assert len(set(codes.values())) == len(KINDS)


def test_retry_after_becomes_retry_info() -> None:
    """The wait is told in the standard detail."""
    rich = status.status_of(
        errors.UnavailableError(ErrorReason.STORE_UNAVAILABLE, "down", retry_after=timedelta(seconds=1.5))
    )
    retry = error_details_pb2.RetryInfo()
    assert rich.details[-1].Unpack(retry)
    assert retry.retry_delay.ToTimedelta() == timedelta(seconds=1.5)


@given(
    message=st.text(max_size=3000),
    metadata=st.dictionaries(st.text(max_size=400), st.text(max_size=2000), max_size=40),
    fields=st.lists(st.text(max_size=2000), min_size=1, max_size=60),
)
def test_status_always_fits_the_trailers_and_can_be_sent(
    message: str, metadata: dict[str, str], fields: list[str]
) -> None:
    """Any text, in any amount, becomes a status under 4 KiB with one ErrorInfo."""
    plain = status.status_of(errors.NotFoundError(ErrorReason.NOT_FOUND, message, metadata=metadata))
    many = status.status_of(
        errors.InvalidArgumentError([errors.Violation(f, ErrorReason.OUT_OF_RANGE, message) for f in fields])
    )
    for rich in (plain, many):
        assert len(rich.SerializeToString()) < 4096
        assert sum(detail.type_url.endswith("/google.rpc.ErrorInfo") for detail in rich.details) == 1


@pytest.mark.parametrize("text", ["\ud800", "a" * 10_000, "☃" * 10_000])
def test_text_that_cannot_be_sent_is_made_sendable(text: str) -> None:
    """An unpaired surrogate or an endless text does not break the answer."""
    assert status.status_of(errors.AbortedError(ErrorReason.ETAG_MISMATCH, text)).SerializeToString()
