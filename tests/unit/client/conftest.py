"""Servers that the client's tests talk to."""

from collections.abc import Iterator

import grpc
import pytest
import trustme

from tests.support.canned_server import CannedServer


@pytest.fixture
def server() -> Iterator[CannedServer]:
    """A canned server without TLS."""
    with CannedServer() as running:
        yield running


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority of this test's own."""
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[CannedServer]:
    """A canned server that shows a certificate for 127.0.0.1 and asks for none."""
    with CannedServer(_credentials(authority, mutual=False)) as running:
        yield running


@pytest.fixture
def mutual_tls_server(authority: trustme.CA) -> Iterator[CannedServer]:
    """A canned server that serves only clients with a certificate of the authority."""
    with CannedServer(_credentials(authority, mutual=True)) as running:
        yield running


def _credentials(authority: trustme.CA, *, mutual: bool) -> grpc.ServerCredentials:
    leaf = authority.issue_cert("127.0.0.1", "localhost")
    chain = b"".join(part.bytes() for part in leaf.cert_chain_pems)
    root = authority.cert_pem.bytes()
    return grpc.ssl_server_credentials([(leaf.private_key_pem.bytes(), chain)], root if mutual else None, mutual)
