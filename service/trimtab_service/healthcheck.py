"""Ask this machine's own server for its health, over the health RPC: `python -m trimtab_service.healthcheck`.

Reads the settings that the server reads, so a container needs no second configuration. Over TLS the server's own
certificate is the only one trusted, and with mutual TLS it is presented as well: it must then be issued
by the client authority and allow client use. Exit status 0 is SERVING, 1 is anything else.
"""

import os
import sys
from pathlib import Path

import grpc
from cryptography import x509
from grpc_health.v1 import health_pb2

from trimtab_service.config import ConfigError, Settings
from trimtab_service.settings_sources import load_settings
from trimtab_service.settings_values import Address

_TIMEOUT_S = 3.0
_LOOPBACK_OF = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a wildcard address is reached from inside


def serving(settings: Settings, timeout_s: float = _TIMEOUT_S) -> bool:
    """Whether the server of these settings answers SERVING for the whole within `timeout_s`."""
    address = Address(_LOOPBACK_OF.get(settings.listen.host, settings.listen.host), settings.listen.port)
    with _channel(settings, str(address)) as channel:
        # Not the generated stub: the published types of it do not know its method.
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            reply = check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
        except grpc.RpcError:
            return False
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def _channel(settings: Settings, address: str) -> grpc.Channel:
    if settings.tls_cert is None or settings.tls_key is None:
        return grpc.insecure_channel(address)
    chain = settings.tls_cert.read_bytes()
    credentials = grpc.ssl_channel_credentials(
        root_certificates=chain,
        private_key=settings.tls_key.read_bytes() if settings.mutual_tls else None,
        certificate_chain=chain if settings.mutual_tls else None,
    )
    # The certificate names the service, not the loopback address it is reached by here.
    return grpc.secure_channel(address, credentials, [("grpc.ssl_target_name_override", _name(settings.tls_cert))])


def _name(certificate: Path) -> str:
    """A name that the certificate is valid for: the first DNS name, else the first address."""
    extensions = x509.load_pem_x509_certificate(certificate.read_bytes()).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    for kind in (x509.DNSName, x509.IPAddress):
        found = names.get_values_for_type(kind)
        if found:
            return str(found[0])
    raise ValueError(f"{certificate} names no host")


def main() -> int:
    """Check once and return the exit status."""
    try:
        return 0 if serving(load_settings(os.environ)) else 1
    except (ConfigError, ValueError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
