"""The admin port: metrics and health over plain HTTP, for scrapers and probes. It carries no data of callers."""

import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

import orjson

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class State(Protocol):
    """What readiness is answered from."""

    @property
    def ready(self) -> bool:
        """Whether calls should be sent here."""

    @property
    def problems(self) -> dict[str, str]:
        """What is wrong, by part."""


class AdminServer:
    """Serves `/metrics`, `/healthz` (the process answers) and `/readyz` (it should get calls) from daemon threads."""

    def __init__(self, host: str, port: int, metrics: Callable[[], bytes], state: Callable[[], State]) -> None:
        """Bind the port.

        Raises:
            OSError: the address cannot be bound.

        """

        class Handler(BaseHTTPRequestHandler):
            timeout = 10.0

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, metrics(), METRICS_TYPE)
                elif self.path == "/healthz":
                    self._answer(200, b'{"alive":true}', "application/json")
                elif self.path == "/readyz":
                    now = state()
                    body = orjson.dumps({"ready": now.ready, "problems": now.problems})
                    self._answer(200 if now.ready else 503, body, "application/json")
                else:
                    self._answer(404, b'{"error":"not found"}', "application/json")

            def _answer(self, code: int, body: bytes, kind: str) -> None:
                self.send_response(code)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
                """Scrapes every few seconds are not worth a line."""

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
            daemon_threads = True

        self._http = Server((host, port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, name="admin", daemon=True)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._http.server_address[1])

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()
