"""Probes that the service itself makes from where it runs."""

import http.client
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import Probe

_LONGEST_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Implements `failover.ports.Probe`: GET answers 2xx. Redirections are not followed, and nothing is sent along."""

    url: str
    patience: Patience

    def check(self, deadline: datetime) -> bool:
        """Whether it does. No connection, or a certificate that nobody vouches for, is a plain no."""
        parts = urlsplit(self.url)
        timeout = min(self.patience.call_timeout_s(deadline), _LONGEST_S)
        connection = (
            http.client.HTTPSConnection(parts.netloc, timeout=timeout, context=ssl.create_default_context())
            if parts.scheme == "https"
            else http.client.HTTPConnection(parts.netloc, timeout=timeout)
        )
        try:
            connection.request("GET", parts.path or "/", headers={"User-Agent": "trimtab"})
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

    def check(self, deadline: datetime) -> bool:
        """Whether it does."""
        timeout = min(self.patience.call_timeout_s(deadline), _LONGEST_S)
        try:
            socket.create_connection((self.host, self.port), timeout=timeout).close()
        except OSError:
            return False
        return True


def open_target(target: ConfiguredTarget, patience: Patience) -> Probe:
    """A target of kind `http_probe` or `tcp_probe`."""
    settings = target.settings
    if target.kind == "http_probe":
        return HttpProbe(settings["url"], patience)
    return TcpProbe(settings["host"], settings["port"], patience)
