"""A name server on loopback whose answers are a function: what the fakes of DNS APIs are seen through."""

import socketserver
import struct
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Lookup = Callable[[str, str], tuple[Sequence[str], int] | None]
"""Values and TTL in seconds by name (without final dot) and type; None: the name does not exist."""

_LENGTH: Final = struct.Struct("!H")


class DnsFake:
    """A context manager over UDP and TCP. `rcode` other than NOERROR is what it answers to everything."""

    def __init__(self, lookup: Lookup) -> None:
        self.rcode = dns.rcode.NOERROR
        self.asked: list[tuple[str, str]] = []
        self._lookup = lookup
        fake = self

        class Udp(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                data, sock = self.request
                sock.sendto(fake._answer(data), self.client_address)

        class Tcp(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                while head := self.rfile.read(_LENGTH.size):
                    reply = fake._answer(self.rfile.read(_LENGTH.unpack(head)[0]))
                    self.wfile.write(_LENGTH.pack(len(reply)) + reply)

        self._tcp = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tcp)
        self._tcp.daemon_threads = True
        self._udp = socketserver.ThreadingUDPServer(("127.0.0.1", self.port), Udp)
        self._threads = [
            threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            for one in (self._tcp, self._udp)
        ]

    @property
    def host(self) -> str:
        """Loopback."""
        return "127.0.0.1"

    @property
    def port(self) -> int:
        """Of both."""
        return int(self._tcp.server_address[1])

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for one in (self._tcp, self._udp):
            one.shutdown()
            one.server_close()
        for thread in self._threads:
            thread.join()

    def _answer(self, data: bytes) -> bytes:
        question = dns.message.from_wire(data)
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.AA
        reply.set_rcode(self.rcode)
        asked = question.question[0]
        name, kind = asked.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name, kind))
        if self.rcode == dns.rcode.NOERROR:
            found = self._lookup(name, kind)
            if found is None:
                reply.set_rcode(dns.rcode.NXDOMAIN)
            elif found[0]:
                reply.answer.append(dns.rrset.from_text(asked.name, found[1], "IN", kind, *found[0]))
        return reply.to_wire()
