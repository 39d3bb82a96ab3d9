"""What lies below gRPC, which says only UNAVAILABLE: whether name, port and certificate are good."""

import socket
import ssl
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from trimtab.credentials import Tls

_DEFAULT_PORT = 443
_GUESS_S = 2.0


class Fault(Exception):  # noqa: N818 - a finding that ends the look, not an error of the program
    """What is wrong, and what to do."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.found = found
        self.advice = advice


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a server shows of itself."""

    subject: str
    expires: datetime


def reach(target: str, timeout_s: float) -> str | None:
    """Connect and say to what; None for a target that is no host and port. Raises Fault."""
    address = _address(target)
    if address is None:
        return None
    with _connected(address, timeout_s) as connection:
        return f"{address[0]} is {connection.getpeername()[0]}, port {address[1]} answers"


def look_at_certificate(target: str, tls: Tls | None, timeout_s: float) -> Certificate | None:
    """The server's certificate, checked as the client will; None where both sides go without TLS. Raises Fault."""
    address = _address(target)
    if address is None:
        return None
    if tls is None:
        if _speaks_tls(address, timeout_s):
            raise Fault(
                "the server speaks TLS, this client does not", "give --ca FILE, or --tls for a public authority"
            )
        return None
    context = _context(tls)
    try:
        with (
            _connected(address, timeout_s) as connection,
            context.wrap_socket(connection, server_hostname=tls.server_name or address[0]) as secured,
        ):
            shown = secured.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        raise Fault(f"the certificate does not hold: {error.verify_message}", _certificate_advice(error)) from None
    except (ssl.SSLError, OSError) as error:
        raise Fault(f"no TLS handshake: {error}", "does the server serve TLS on this port?") from None
    expires = ssl.cert_time_to_seconds(str(shown["notAfter"])) if "notAfter" in shown else 0
    return Certificate(_subject(shown), datetime.fromtimestamp(expires, UTC))


def _address(target: str) -> tuple[str, int] | None:
    rest = target.removeprefix("dns:///").removeprefix("dns:").removeprefix("ipv4:").removeprefix("ipv6:")
    if "/" in rest or rest.startswith(("unix", "xds")):
        return None
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        return rest.strip("[]"), _DEFAULT_PORT
    return (host.strip("[]"), int(port)) if port.isdecimal() else None


def _connected(address: tuple[str, int], timeout_s: float) -> socket.socket:
    try:
        return socket.create_connection(address, timeout_s)
    except socket.gaierror as error:
        raise Fault(f"no address for {address[0]}: {error.strerror}", "is --target spelt right?") from None
    except ConnectionRefusedError:
        raise Fault(
            f"nothing listens on {address[0]} port {address[1]}", "start it with `trimtab serve`, or give --target"
        ) from None
    except TimeoutError:
        raise Fault(
            f"no answer from {address[0]} port {address[1]}", "is a firewall or network policy in between?"
        ) from None
    except OSError as error:
        raise Fault(f"{address[0]} port {address[1]}: {error.strerror or error}", "is --target right?") from None


def _speaks_tls(address: tuple[str, int], timeout_s: float) -> bool:
    """Whether a TLS greeting is answered in kind. Nothing is trusted and nothing sent after it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with _connected(address, min(timeout_s, _GUESS_S)) as connection, context.wrap_socket(connection):
            return True
    except (OSError, Fault):
        return False


def _context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=None if tls.ca is None else tls.ca.decode("ascii"))
        context.set_alpn_protocols(["h2"])
        if tls.certificate is not None and tls.key is not None:
            with tempfile.TemporaryDirectory() as folder:
                # The ssl module reads them from a file only; the folder is this user's and is gone at once.
                pair = Path(folder) / "pair.pem"
                pair.touch(mode=0o600)
                pair.write_bytes(tls.key + b"\n" + tls.certificate)
                context.load_cert_chain(pair)
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise Fault(f"the PEM files do not parse: {error}", "check --ca, --cert and --key") from None
    return context


def _certificate_advice(error: ssl.SSLCertVerificationError) -> str:
    text = error.verify_message.lower()
    if "expired" in text or "not yet valid" in text:
        return "renew the server's certificate, or set this machine's clock"
    if "mismatch" in text or "not valid for" in text:
        return "give the name in the certificate with --server-name"
    return "give the authority that issued it with --ca"


def _subject(shown: Mapping[str, object]) -> str:
    names = shown.get("subjectAltName", ())
    found = [str(pair[1]) for pair in names if isinstance(pair, tuple)] if isinstance(names, tuple) else []
    return "certificate for " + (", ".join(found[:3]) or "no name")
