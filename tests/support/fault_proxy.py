"""A TCP proxy on loopback that goes wrong when told to: late, deaf, mute, half-open, or cut."""

import contextlib
import socket
import struct
import threading
import time
from enum import StrEnum
from types import TracebackType
from typing import Final, Self

_CHUNK: Final = 65_536


class Way(StrEnum):
    """Which half of a connection."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"


class FaultProxy:
    """A context manager that forwards `port` to the target. What is set counts for connections from then on.

    - `delay_s`: each piece is forwarded so much later.
    - `dropped`: halves whose bytes vanish while the connection stays open. One of them is a one-way network, TO_CLIENT
      alone is a server whose answer is lost after it has done what it was asked, both are half-open connections.
    - `refuses`: connections are reset as soon as they are taken.
    - `resets_answers`: the request arrives, and instead of its answer the client gets a reset.
    `times` limits the faults to so many connections; None: to all.
    """

    def __init__(self, host: str, port: int) -> None:
        self.delay_s = 0.0
        self.dropped: frozenset[Way] = frozenset()
        self.refuses = False
        self.resets_answers = False
        self.times: int | None = None
        self.connections = 0
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def host(self) -> str:
        """Loopback."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def heal(self) -> None:
        """Forward everything again; connections that were spoilt stay so."""
        self.delay_s, self.dropped, self.refuses, self.resets_answers = 0.0, frozenset(), False, False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            for one in self._open:
                _close(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.times is not None:
                if self.times == 0:
                    self.heal()
                self.times = max(0, self.times - 1)
            if self.refuses:
                _reset(client)
                continue
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._open += [client, server]
            for source, sink, way in ((client, server, Way.TO_SERVER), (server, client, Way.TO_CLIENT)):
                resets = self.resets_answers and way is Way.TO_CLIENT
                pump = (source, sink, way in self.dropped, resets, self.delay_s)
                threading.Thread(target=_pump, args=pump, daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, drops: bool, resets: bool, delay_s: float) -> None:
    try:
        while data := source.recv(_CHUNK):
            if resets:
                _reset(sink)
                return
            if drops:
                continue
            if delay_s:
                time.sleep(delay_s)
            sink.sendall(data)
        if not drops:
            sink.shutdown(socket.SHUT_WR)
    except OSError:
        _close(sink)


def _reset(one: socket.socket) -> None:
    """Close with a RST instead of a FIN."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
