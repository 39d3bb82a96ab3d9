"""Probes that the service itself makes from where it runs.

What is asked stands in the deployment's file alone, redirections are not followed, and nothing is sent along. No
connection, or a certificate that nobody vouches for, is a plain no.
"""

import http.client
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import grpc

from trimtab_service.clouds.dns.observers import EXTRA, NameServer, text_of
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.reachable import ANYWHERE, Reachable
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import Probe

_LONGEST_S: Final = 5.0
_HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
_SERVING: Final = b"\x08\x01"
"""HealthCheckResponse with status = SERVING."""


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Implements `failover.ports.Probe`: GET answers 2xx."""

    url: str
    patience: Patience
    reachable: Reachable = ANYWHERE

    def check(self, deadline: datetime) -> bool:
        """Whether it does."""
        parts = urlsplit(self.url)
        host, is_tls = parts.hostname or "", parts.scheme == "https"
        timeout = _timeout(self.patience, deadline)
        connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
        try:
            port = parts.port or (http.client.HTTPS_PORT if is_tls else http.client.HTTP_PORT)
            connection.sock = self.reachable.connect(
                host, port, timeout, ssl.create_default_context() if is_tls else None
            )
            connection.request("GET", parts.path or "/", headers={"User-Agent": "trimtab", "Connection": "close"})
            return HTTPStatus.OK <= connection.getresponse().status < HTTPStatus.MULTIPLE_CHOICES
        except (OSError, http.client.HTTPException, ValueError):
            return False
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Implements `failover.ports.Probe`: the port takes connections."""

    host: str
    port: int
    patience: Patience
    reachable: Reachable = ANYWHERE

    def check(self, deadline: datetime) -> bool:
        """Whether it does."""
        try:
            self.reachable.connect(self.host, self.port, _timeout(self.patience, deadline)).close()
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class GrpcProbe:
    """Implements `failover.ports.Probe`: `grpc.health.v1.Health/Check` answers SERVING.

    `service` is what is asked of; empty: the server as a whole.
    """

    host: str
    port: int
    service: str
    is_tls: bool
    patience: Patience
    reachable: Reachable = ANYWHERE

    def check(self, deadline: datetime) -> bool:
        """Whether it does."""
        timeout = _timeout(self.patience, deadline)
        try:
            address, port = self.reachable.address(self.host, self.port)
        except OSError:
            return False
        target = f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"
        options: list[tuple[str, Any]] = [
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", f"{self.host}:{self.port}"),
        ]
        if self.is_tls:
            options.append(("grpc.ssl_target_name_override", self.host))
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(), options)
        else:
            channel = grpc.insecure_channel(target, options)
        with channel:
            try:
                answer: bytes = _health_check(channel)(_asked(self.service), timeout=timeout)
            except grpc.RpcError:
                return False
        return answer == _SERVING


@dataclass(frozen=True, slots=True)
class DnsProbe:
    """Implements `failover.ports.Probe`: a name server answers for a name, with `values` only (none: with anything)."""

    server: NameServer
    record: str
    record_type: str
    values: frozenset[str]
    patience: Patience

    def check(self, deadline: datetime) -> bool:
        """Whether it does."""
        message, query = sdk("dns.message", EXTRA), sdk("dns.query", EXTRA)
        exception, rcode = sdk("dns.exception", EXTRA), sdk("dns.rcode", EXTRA)
        question = message.make_query(f"{self.record}.", self.record_type)
        timeout = _timeout(self.patience, deadline)
        try:
            reply, _ = query.udp_with_fallback(question, self.server.host, timeout=timeout, port=self.server.port)
        except (exception.DNSException, OSError):
            return False
        if reply.rcode() != rcode.NOERROR:
            return False
        wanted = sdk("dns.rdatatype", EXTRA).from_text(self.record_type)
        found = {text_of(one) for records in reply.answer if records.rdtype == wanted for one in records}
        return bool(found) and (not self.values or found <= self.values)


def open_target(target: ConfiguredTarget, patience: Patience) -> Probe:
    """A target of kind `http_probe`, `tcp_probe`, `grpc_probe` or `dns_probe`."""
    settings = target.settings
    reachable = settings.get("addresses", ANYWHERE)
    if target.kind == "http_probe":
        return HttpProbe(settings["url"], patience, reachable)
    if target.kind == "dns_probe":
        values = frozenset(settings.get("values", ()))
        return DnsProbe(settings["server"], settings["record"], settings.get("type", "A"), values, patience)
    host, port = settings["host"], settings["port"]
    if target.kind == "grpc_probe":
        return GrpcProbe(host, port, settings.get("service", ""), settings.get("tls", True), patience, reachable)
    return TcpProbe(host, port, patience, reachable)


def _timeout(patience: Patience, deadline: datetime) -> float:
    return min(patience.call_timeout_s(deadline), _LONGEST_S)


def _health_check(channel: grpc.Channel) -> Callable[..., bytes]:
    """The method, with messages as bytes: the two that are needed are not worth a dependency."""
    method: Callable[..., bytes] = channel.unary_unary(_HEALTH_CHECK, lambda sent: sent, lambda came: came)
    return method


def _asked(service: str) -> bytes:
    """HealthCheckRequest of a service: its one field, where it is not empty."""
    name = service.encode()
    return b"\x0a" + bytes([len(name)]) + name if name else b""
