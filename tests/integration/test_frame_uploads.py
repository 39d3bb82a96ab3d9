# ruff: noqa: ANN401 - messages of the Echo service are made at run time, so no type names them
"""Calls that send a stream: admitted by their first message, each message bounded, no place held by silence."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import grpc
import pytest

from tests.support import echo
from tests.support.contract import refusal_of
from tests.support.server import running

PARENT = "projects/a"


def sent(count: int) -> Iterator[Any]:
    """So many messages; the first names the project."""
    yield echo.EchoRequest(parent=PARENT)
    for _ in range(count - 1):
        yield echo.EchoRequest(payload=b"x")


def failure(call: Any, messages: Iterator[Any], **options: Any) -> grpc.RpcError:
    """How an upload is refused."""
    with pytest.raises(grpc.RpcError) as caught:
        call(messages, **options)
    return caught.value


def test_upload_is_answered_once_after_its_last_message() -> None:
    """The servicer sees the first message and then the rest, in the project that the first one names."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        reply = echo.EchoClient(channel).upload(sent(1_000), timeout=60)
    assert (reply.seconds_left, reply.project) == (1_000, "a")


def test_upload_without_a_message_is_refused() -> None:
    """Nothing was asked, so nothing can be answered."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        error = failure(echo.EchoClient(channel).upload, iter(()), timeout=60)
    assert refusal_of(error).fields == {"request": "FIELD_REQUIRED"}


def test_first_message_must_name_the_project() -> None:
    """Later messages cannot make up for it: admission comes before anything is done."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        messages = iter([echo.EchoRequest(), echo.EchoRequest(parent=PARENT)])
        error = failure(echo.EchoClient(channel).upload, messages, timeout=60)
    assert refusal_of(error).fields == {"parent": "FIELD_REQUIRED"}


def test_later_message_cannot_name_another_project() -> None:
    """What was admitted for one project is not continued for another."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        messages = iter([echo.EchoRequest(parent=PARENT), echo.EchoRequest(parent="projects/b")])
        error = failure(echo.EchoClient(channel).upload, messages, timeout=60)
    assert refusal_of(error).fields == {"parent": "BAD_FORMAT"}


def test_each_message_is_held_to_the_size_cap() -> None:
    """A stream is as long as it likes, its messages are not."""
    with running(max_message_bytes=2_000) as (_, address), grpc.insecure_channel(address) as channel:
        messages = iter([echo.EchoRequest(parent=PARENT), echo.EchoRequest(payload=b"x" * 3_000)])
        error = failure(echo.EchoClient(channel).upload, messages, timeout=60)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert refusal_of(error).reason == "TOO_LARGE"


def test_bytes_that_are_no_message_are_the_callers_fault() -> None:
    """In the middle of a stream too."""
    with running() as (_, address), grpc.insecure_channel(address) as channel:
        messages = iter([echo.EchoRequest(parent=PARENT), b"\xff\xff"])
        error = failure(echo.EchoClient(channel).upload, messages, timeout=60)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_silent_upload_without_a_deadline_is_ended() -> None:
    """A caller who sends nothing more gives its place back after the default deadline."""
    silence = threading.Event()

    def never_ending() -> Iterator[Any]:
        yield echo.EchoRequest(parent=PARENT)
        silence.wait(120)

    short = timedelta(milliseconds=200)
    with (
        running(upload_deadline=short, stream_budget=1) as (server, address),
        grpc.insecure_channel(address) as channel,
    ):
        client = echo.EchoClient(channel)
        error = failure(client.upload, never_ending())
        assert error.code() in {grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED}
        while len(server._streams):  # the caller hears of its end before the thread that served it wakes
            silence.wait(0.01)
        assert client.upload(sent(2), timeout=60).seconds_left == 2
        silence.set()


def test_uploads_share_the_places_of_streams() -> None:
    """An open upload holds a thread, so there are as many as there are places."""
    go_on = threading.Event()
    begun = threading.Event()

    def slow() -> Iterator[Any]:
        yield echo.EchoRequest(parent=PARENT)
        begun.set()
        go_on.wait(90)

    with running(stream_budget=1) as (server, address), grpc.insecure_channel(address) as channel:
        client = echo.EchoClient(channel)
        held = client.upload.future(slow(), timeout=100)
        assert begun.wait(60)
        while not len(server._streams):
            go_on.wait(0.01)
        error = failure(client.upload, sent(2), timeout=60)
        assert refusal_of(error).reason == "STREAM_BUDGET_SPENT"
        go_on.set()
        assert held.result().seconds_left == 1
