"""The gRPC port: channel options, credentials, and binding that fails loudly.

Keepalive is a pair. The thin client pings an idle connection every 30 s; a server that is not told so would
answer the third ping with GOAWAY `too_many_pings` (grpcio accepts one ping in 5 min by default). So the server permits
pings without calls, as often as every 10 s, which leaves room for clients that are set up more nervously.
"""

import socket
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import grpc

from trimtab_service.config import Settings
from trimtab_service.settings_values import Address

CLIENT_KEEPALIVE_S = 30
"""How often the thin client pings an idle connection."""

_MIN_PING_INTERVAL_S = 10
_SERVER_KEEPALIVE_S = 60
_SERVER_KEEPALIVE_TIMEOUT_S = 20
_SIZE_SLACK_BYTES = 65_536


class PortTakenError(Exception):
    """An address cannot be bound."""

    def __init__(self, address: Address, cause: str) -> None:
        super().__init__(f"cannot listen on {address}: {cause}")
        self.address = address


def channel_options(settings: Settings, *, share_port: bool) -> Sequence[tuple[str, int]]:
    """Options of the core server. A little above the size cap is let in, so that our own error explains the refusal."""
    return (
        ("grpc.so_reuseport", int(share_port)),
        ("grpc.max_receive_message_length", settings.max_message_bytes + _SIZE_SLACK_BYTES),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", _SERVER_KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", _SERVER_KEEPALIVE_TIMEOUT_S * 1000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _MIN_PING_INTERVAL_S * 1000),
        ("grpc.max_connection_age_ms", int(settings.max_connection_age.total_seconds() * 1000)),
        ("grpc.max_connection_age_grace_ms", int(settings.max_connection_grace.total_seconds() * 1000)),
    )


def bind(server: grpc.Server, settings: Settings, address: Address) -> Address:
    """Bind the port, with TLS where it is configured, and return the address with the port that was chosen.

    Raises:
        PortTakenError: the address cannot be bound.

    """
    try:
        if settings.tls_cert is not None and settings.tls_key is not None:
            files = CertificateFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca)
            credentials = grpc.dynamic_ssl_server_credentials(
                files.read(), files.reread, require_client_authentication=settings.mutual_tls
            )
            port = server.add_secure_port(str(address), credentials)
        else:
            port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise PortTakenError(address, "the port is in use or the address is not this machine's") from error
    return Address(address.host, port)


def reserve(address: Address, *, hold: bool) -> tuple[Address, socket.socket | None]:
    """Check that nobody listens on an address, before any costly start; with `hold`, keep the port for our workers.

    The check binds without SO_REUSEPORT: with it, the kernel would let two servers of one user share a port in silence.
    Returns the address with its port, and the socket that holds it (not listening) or None.

    Raises:
        PortTakenError: the address cannot be bound.

    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as check:
            check.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            check.bind((address.host, address.port))
            check.listen(1)
            chosen = Address(address.host, int(check.getsockname()[1]))
        if not hold:
            return address, None
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((chosen.host, chosen.port))
    except OSError as error:
        raise PortTakenError(address, error.strerror or type(error).__name__) from error
    return chosen, held


class CertificateFiles:
    """The server's certificate, key and client authority, read again when a file changes: rotation needs no restart."""

    __slots__ = ("_authority", "_certificate", "_key", "_lock", "_stamp")

    def __init__(self, certificate: Path, key: Path, authority: Path | None) -> None:
        self._certificate = certificate
        self._key = key
        self._authority = authority
        self._stamp: tuple[tuple[int, int], ...] = ()
        self._lock = Lock()

    def read(self) -> Any:  # noqa: ANN401 - grpcio's own configuration object is untyped
        """Read all files into what grpcio wants."""
        with self._lock:
            self._stamp = self._stamps()
        authority = self._authority.read_bytes() if self._authority is not None else None
        return grpc.ssl_server_certificate_configuration(
            [(self._key.read_bytes(), self._certificate.read_bytes())], root_certificates=authority
        )

    def reread(self) -> Any:  # noqa: ANN401 - grpcio's own configuration object is untyped
        """Return new credentials when a file changed, else None; grpcio asks before every handshake."""
        try:
            return None if self._stamps() == self._stamp else self.read()
        except OSError:
            return None  # a file in the middle of being replaced: the old certificate serves one handshake longer

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        files = [path for path in (self._certificate, self._key, self._authority) if path is not None]
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in files))
