"""A real HTTP server on loopback whose answers are a function: what the fakes of cloud APIs are made of."""

import json
import ssl
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, urlsplit

HANG: Final = -1
"""Status of an answer that never comes."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it arrived. `query` holds the last value of each parameter; `lists` all of them."""

    method: str
    path: str
    query: Mapping[str, str]
    lists: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was sent
        """The body."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: JSON unless `body` is text already."""

    body: object = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class HttpFake:
    """Serves `respond` as a context manager, over TLS where a context is given.

    `faults` are answered first, one a request; `seen` is what arrived.
    """

    def __init__(self, respond: Callable[[Seen], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[Seen] = []
        self.faults: deque[Answer] = deque()
        self._released = threading.Event()
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)
                lists = parse_qs(parts.query, keep_blank_values=True)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = {key: given[-1] for key, given in lists.items()}
                headers = {key.lower(): value for key, value in self.headers.items()}
                seen = Seen(self.command, parts.path, query, lists, headers, body)
                fake.seen.append(seen)
                answer = fake.faults.popleft() if fake.faults else respond(seen)
                if answer.status == HANG:
                    fake._released.wait(60)
                    self.close_connection = True
                    return
                text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
                data = text.encode()
                self.send_response_only(answer.status)
                usual = {"Content-Type": "application/json", "Date": self.date_time_string()}
                for key, value in {**usual, **answer.headers}.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - names that http.server looks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
