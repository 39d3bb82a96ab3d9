"""Certificate authorities and certificates for tests, written where a server can read them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Authority:
    """One authority with a server certificate for localhost in `directory`."""

    directory: Path
    authority: trustme.CA

    @property
    def settings(self) -> dict[str, Path]:
        """TLS settings of a server, client certificates not yet required."""
        return {"tls_cert": self.directory / "server.pem", "tls_key": self.directory / "server.key"}

    @property
    def ca_file(self) -> Path:
        """The bundle that verifies everything this authority issued."""
        return self.directory / "ca.pem"

    def client_credentials(self, *names: str, common_name: str = "") -> grpc.ChannelCredentials:
        """Channel credentials with a client certificate for these names (URIs or DNS names)."""
        key, chain = self.client_certificate(*names, common_name=common_name)
        return grpc.ssl_channel_credentials(self.authority.cert_pem.bytes(), key, chain)

    def client_certificate(self, *names: str, common_name: str = "") -> tuple[bytes, bytes]:
        """Key and certificate as PEM; made by hand because trustme issues no URI names."""
        issuer = x509.load_pem_x509_certificate(self.authority.cert_pem.bytes())
        signer = serialization.load_pem_private_key(self.authority.private_key_pem.bytes(), None)
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)] if common_name else []
        alternatives = [x509.UniformResourceIdentifier(n) if "://" in n else x509.DNSName(n) for n in names]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(subject))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .sign(signer, hashes.SHA256())  # type: ignore[arg-type] # trustme signs with an elliptic key
        )
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return secret, certificate.public_bytes(serialization.Encoding.PEM)

    def server_only_credentials(self) -> grpc.ChannelCredentials:
        """Channel credentials that verify the server and bring no certificate."""
        return grpc.ssl_channel_credentials(self.authority.cert_pem.bytes())

    def issue_server(self) -> bytes:
        """Write a fresh server certificate over the old one, as a rotation does; returns it."""
        leaf = self.authority.issue_cert("localhost", "127.0.0.1")
        leaf.private_key_pem.write_to_path(self.directory / "server.key")
        chain = b"".join(p.bytes() for p in leaf.cert_chain_pems)
        (self.directory / "server.pem").write_bytes(chain)
        return leaf.cert_chain_pems[0].bytes()


def authority(directory: Path) -> Authority:
    """Make an authority and its server certificate."""
    directory.mkdir(parents=True, exist_ok=True)
    made = Authority(directory, trustme.CA())
    made.authority.cert_pem.write_to_path(made.ca_file)
    made.issue_server()
    return made
