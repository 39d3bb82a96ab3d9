"""Make a throw-away authority with one server and one client certificate, for trying trimtab out with TLS.

`python make_certificates.py DIRECTORY HOST...` writes ca.pem, server.pem, server.key, client.pem and client.key for a
server of those names; the client's common name is `client`. Nothing is written over: what is there stays.
Keys are readable by the numeric user of the image. Not for production: the authority's own key is thrown away.
"""

import datetime as dt
import ipaddress
import os
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=365)
USER = 65532


def main(directory: Path, hosts: list[str]) -> None:
    """Write the five files, unless the last of them is there."""
    if (directory / "client.pem").exists():
        return
    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = _certificate("trimtab try-out authority", authority_key, None, [], authority_key)
    _write(directory / "ca.pem", _pem(authority))
    for name, names in (("server", hosts), ("client", [])):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(directory / f"{name}.key", _private(key), mode=0o400)
        _write(directory / f"{name}.pem", _pem(_certificate(name, key, authority.subject, names, authority_key)))


def _certificate(
    common_name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name | None,
    hosts: list[str],
    signer: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    """A certificate of `key` signed by `signer`; without an issuer it is the authority's own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer or subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if issuer is not None:
        # Both uses: the server's own health check presents the server's certificate as a client.
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(usage, critical=False)
    if hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int = 0o444) -> None:
    path.write_bytes(content)
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, USER, USER)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
