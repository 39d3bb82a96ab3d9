"""The container's health check asks a real server over every transport that the server speaks."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from trimtab_service.config import Settings
from trimtab_service.healthcheck import serving
from trimtab_service.settings_sources import load_settings

ROOT = Path(__file__).resolve().parents[2]


def make_certificates(directory: Path) -> Path:
    """Fill a directory as the compose file does."""
    subprocess.run(
        [sys.executable, ROOT / "deploy" / "make_certificates.py", str(directory), "trimtab", "localhost"], check=True
    )
    return directory


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory as `deploy/make_certificates.py` leaves it."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@contextmanager
def health_server(status: str, credentials: grpc.ServerCredentials | None = None) -> Iterator[int]:
    """A server with nothing but the health service; yields its port on the loopback interface."""
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    servicer.set("", health_pb2.HealthCheckResponse.ServingStatus.Value(status))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.start()
    try:
        yield port
    finally:
        server.stop(None).wait()


def mutual(certificates: Path) -> grpc.ServerCredentials:
    """Server credentials that insist on a client certificate of the same authority."""
    pair = ((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())
    authority = (certificates / "ca.pem").read_bytes()
    return grpc.ssl_server_credentials([pair], root_certificates=authority, require_client_auth=True)


def settings_with_tls(certificates: Path, port: int) -> Settings:
    """The settings of a server that listens on every interface with mutual TLS."""
    return load_settings(
        {
            "TRIMTAB_LISTEN": f"0.0.0.0:{port}",
            "TRIMTAB_TLS_CERT": str(certificates / "server.pem"),
            "TRIMTAB_TLS_KEY": str(certificates / "server.key"),
            "TRIMTAB_TLS_CLIENT_CA": str(certificates / "ca.pem"),
            "TRIMTAB_GRANTS": '[{"common_name": "client", "project": "*", "roles": ["admin"]}]',
        }
    )


@pytest.mark.parametrize(("status", "expected"), [("SERVING", True), ("NOT_SERVING", False)])
def test_it_says_what_the_server_says(
    status: str,
    expected: bool,
) -> None:
    """SERVING is healthy, NOT_SERVING is not."""
    with health_server(status) as port:
        assert serving(load_settings({"TRIMTAB_LISTEN": f"127.0.0.1:{port}"})) is expected


def test_nobody_listening_is_not_healthy(unused_port: int) -> None:
    """A refused connection is an answer, not a traceback."""
    assert serving(load_settings({"TRIMTAB_LISTEN": f"127.0.0.1:{unused_port}"})) is False


def test_it_gets_through_mutual_tls(certificates: Path) -> None:
    """The server's own certificate identifies the check, and a wildcard address is reached on loopback."""
    with health_server("SERVING", mutual(certificates)) as port:
        assert serving(settings_with_tls(certificates, port)) is True


def test_it_trusts_only_the_servers_own_certificate(certificates: Path, tmp_path: Path) -> None:
    """Another server on the port, even one that speaks TLS under the same name, is not healthy."""
    with health_server("SERVING", mutual(make_certificates(tmp_path))) as port:
        assert serving(settings_with_tls(certificates, port)) is False


def test_as_a_program_it_answers_with_its_exit_status() -> None:
    """Docker reads nothing else."""
    with health_server("SERVING") as port:
        environment = {"TRIMTAB_LISTEN": f"127.0.0.1:{port}"}
        command = [sys.executable, "-m", "trimtab_service.healthcheck"]
        assert subprocess.run(command, env=environment, check=False).returncode == 0
        broken = subprocess.run(command, env={"TRIMTAB_LISTEN": "nonsense"}, capture_output=True, check=False)
        assert broken.returncode == 1
        assert b"listen" in broken.stderr


@pytest.fixture
def unused_port() -> int:
    """A port on which nobody listens."""
    with health_server("SERVING") as port:
        return port
