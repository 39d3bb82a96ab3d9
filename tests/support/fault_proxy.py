"""A TCP proxy on loopback that goes wrong when told to: late, deaf, mute, half-open, or cut."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
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
    - `cuts_after`: so many bytes of answers pass, then the client gets a reset.
    `times` limits the faults to so many connections; None: to all.

    `frozen` is different: halves whose bytes vanish at once, on connections that are open already too. Those are cut
    when it is healed, for what was sent is lost.
    """

    def __init__(self, host: str, port: int | None = None) -> None:
        """Without a port `host` is the path of a Unix socket."""
        self.delay_s = 0.0
        self.dropped: frozenset[Way] = frozenset()
        self.refuses = False
        self.resets_answers = False
        self.cuts_after: int | None = None
        self.frozen: frozenset[Way] = frozenset()
        self.times: int | None = None
        self.connections = 0
        self._target: tuple[str, int] | str = host if port is None else (host, port)
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
        self.cuts_after = None
        self.frozen = frozenset()

    def cut(self) -> None:
        """Reset every connection that is open now."""
        with self._lock:
            for one in self._open:
                _abort(one)
            self._open.clear()

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
                server = _connected(self._target)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._open += [client, server]
            for source, sink, way in ((client, server, Way.TO_SERVER), (server, client, Way.TO_CLIENT)):
                most = (0 if self.resets_answers else self.cuts_after) if way is Way.TO_CLIENT else None
                pump = (source, sink, way in self.dropped, most, self.delay_s)
                threading.Thread(target=self._pump, args=(way, *pump), daemon=True).start()

    def _pump(
        self, way: Way, source: socket.socket, sink: socket.socket, drops: bool, most: int | None, delay_s: float
    ) -> None:
        try:
            _forward(lambda: way in self.frozen, source, sink, (drops, most, delay_s))
        except OSError:
            _close(source)
            _close(sink)


def _forward(
    is_frozen: Callable[[], bool], source: socket.socket, sink: socket.socket, faults: tuple[bool, int | None, float]
) -> None:
    drops, most, delay_s = faults
    while data := source.recv(_CHUNK):
        if most is not None and len(data) > most:
            sink.sendall(data[:most])
            _reset(sink)
            return
        most = None if most is None else most - len(data)
        if drops:
            continue
        if is_frozen():
            while is_frozen():
                time.sleep(0.005)
            raise ConnectionResetError
        if delay_s:
            time.sleep(delay_s)
        sink.sendall(data)
    if not drops:
        sink.shutdown(socket.SHUT_WR)


def _connected(target: tuple[str, int] | str) -> socket.socket:
    if not isinstance(target, str):
        return socket.create_connection(target, timeout=60)
    made = socket.socket(socket.AF_UNIX)
    made.connect(target)
    return made


def _abort(one: socket.socket) -> None:
    """Wake up who reads it, and let the peer see a reset."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _close(one)


def _reset(one: socket.socket) -> None:
    """Close with a RST instead of a FIN."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    one.close()


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
