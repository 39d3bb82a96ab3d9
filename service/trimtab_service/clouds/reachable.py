"""To which addresses a check may connect: a name that is made to point elsewhere must not lead it there."""

import ipaddress
import socket
import ssl
from dataclasses import dataclass
from typing import Final

from trimtab_service.clouds.document_values import words

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


_METADATA: Final = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "168.63.129.16")))
"""Of AWS and Google Cloud by IPv6, and of Azure's hosts: they are of no link."""


class ForbiddenAddressError(OSError):
    """The name points at no address that may be connected to."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """The networks of the allow-list; without one every address but those where clouds keep credentials."""

    networks: tuple[Network, ...] = ()

    def address(self, host: str, port: int) -> tuple[str, int]:
        """The first address of a host that may be connected to. Raises OSError: there is none."""
        for _, _, _, _, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            if self.allows(str(found[0])):
                return str(found[0]), port
        raise ForbiddenAddressError(f"{host} points at no address that is allowed")

    def allows(self, address: str) -> bool:
        """Whether this one may be connected to."""
        parsed = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed in _METADATA:
            return False
        return not self.networks or any(parsed in network for network in self.networks)

    def is_loopback(self, host: str, port: int) -> bool:
        """Whether the address that would be connected to is of this machine. Raises OSError as `address`."""
        return ipaddress.ip_address(self.address(host, port)[0]).is_loopback

    def connect(
        self, host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None = None
    ) -> socket.socket | ssl.SSLSocket:
        """A connection; over TLS it is the host's name that the certificate has to be for. Raises OSError."""
        made = socket.create_connection(self.address(host, port), timeout=timeout_s)
        if tls is None:
            return made
        try:
            return tls.wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise


ANYWHERE: Final = Reachable()


def networks(raw: object) -> Reachable:
    """A list of networks in CIDR notation, or of single addresses."""
    try:
        return Reachable(tuple(ipaddress.ip_network(one) for one in words(raw)))
    except ValueError as error:
        raise ValueError("expected a list of networks, as 203.0.113.0/24") from error
