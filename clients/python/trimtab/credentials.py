"""Who the client is to the server, and how it knows the server: TLS, mutual TLS, bearer tokens."""

import ipaddress
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import grpc

TokenSource = Callable[[], str]
"""Answers a bearer token. Asked before every call, from any thread, so it should keep what it fetched."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """PEM bytes of a TLS connection.

    Without `ca` the roots that grpc ships (or `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`) decide whom to trust. `certificate`
    and `key` make it mutual; both or neither. `server_name` is the name that the server's certificate must carry when
    it is not the host of the target (a tunnel, a port forward).
    """

    ca: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = field(default=None, repr=False)
    server_name: str = ""

    def __post_init__(self) -> None:
        """Refuse half a client certificate with ValueError."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("mutual TLS needs a certificate and its key, both or neither")

    @classmethod
    def from_files(
        cls,
        *,
        ca: Path | str | None = None,
        certificate: Path | str | None = None,
        key: Path | str | None = None,
        server_name: str = "",
    ) -> Self:
        """Read the PEM files. Raises OSError for one that cannot be read."""
        read = [None if path is None else Path(path).expanduser().read_bytes() for path in (ca, certificate, key)]
        return cls(ca=read[0], certificate=read[1], key=read[2], server_name=server_name)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """The same for grpc."""
        return grpc.ssl_channel_credentials(self.ca, self.key, self.certificate)


class TokenFile:
    """A token source over a file that something else renews, such as a projected token of Kubernetes.

    The file is read again when its modification time or size changed.
    """

    __slots__ = ("_lock", "_path", "_seen", "_token")

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).expanduser()
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._token = ""

    def __call__(self) -> str:
        """The token now in the file. Raises OSError when it cannot be read, ValueError when it is empty."""
        with self._lock:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                token = self._path.read_text(encoding="utf-8").strip()
                if not token:
                    raise ValueError(f"{self._path}: the token file is empty")
                self._token, self._seen = token, seen
            return self._token


def is_local(target: str) -> bool:
    """Whether a target names this machine only: loopback or a Unix socket. Other names are never taken for local."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    address = target.removeprefix("dns:///").removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:")
    host = address.rpartition(":")[0].removeprefix("[").removesuffix("]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
