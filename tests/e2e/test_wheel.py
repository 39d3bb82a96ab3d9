"""The built wheel, installed in an empty environment, is all that a client and a server need.

The environment is real: a venv of its own, pinned dependencies, an unprivileged user, and where this machine lets the
test do so (as root), a root file system that is read-only but for the data directory.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
START_S = 60.0
STOP_S = 60.0

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Installed:
    """The wheel and the environment it is installed in."""

    wheel: Path
    python: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the environment's interpreter, away from the checkout."""
        return subprocess.run([self.python, *arguments], cwd="/", env={}, capture_output=True, text=True, check=False)

    def add(self, *requirements: str) -> None:
        """Install more, at the pinned versions."""
        pip = [sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet"]
        subprocess.run([*pip, "--constraint", str(ROOT / "constraints.txt"), *requirements], check=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory that every user may enter; pytest's own is closed to others."""
    with tempfile.TemporaryDirectory(prefix="trimtab-wheel-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def client_only(place: Path) -> Installed:
    """The wheel without extras in an empty venv."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place / "dist"), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (place / "dist").glob("*.whl")
    subprocess.run([interpreter(place), "-m", "venv", "--without-pip", place / "venv"], check=True)
    installed = Installed(wheel, place / "venv" / "bin" / "python")
    installed.add(str(wheel))
    return installed


@pytest.fixture(scope="module")
def with_service(client_only: Installed) -> Installed:
    """The same environment with what a server needs."""
    client_only.add(f"trimtab[service,cli] @ {client_only.wheel.as_uri()}")
    return client_only


def interpreter(place: Path) -> Path:
    """The running interpreter, copied if an unprivileged user could not start it where it is (a home directory)."""
    base = Path(sys.base_prefix)
    if all(parent.stat().st_mode & 0o001 for parent in (base, *base.parents)):
        return Path(sys.base_exec_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    shutil.copytree(
        base, place / "python", symlinks=True, ignore=shutil.ignore_patterns("site-packages", "test", "__pycache__")
    )
    return place / "python" / "bin" / f"python3.{sys.version_info.minor}"


def test_the_wheel_holds_both_packages_and_nothing_else(client_only: Installed) -> None:
    """Stubs with their types, both markers and the starter catalogue are in; tests and tools are not."""
    names = set(zipfile.ZipFile(client_only.wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"trimtab", "trimtab_service", "trimtab-0.1.0.dist-info"}
    assert names >= {
        "trimtab/py.typed",
        "trimtab/v1/__init__.py",
        "trimtab/v1/placement_service_pb2.py",
        "trimtab/v1/placement_service_pb2.pyi",
        "trimtab/v1/placement_service_pb2_grpc.py",
        "trimtab_service/py.typed",
        "trimtab_service/catalog/starter/prices.parquet",
    }
    sources = {str(path.relative_to(ROOT / "service")) for path in (ROOT / "service").rglob("*.py")}
    assert sources <= names


def test_the_client_alone_imports_nothing_of_the_service(client_only: Installed) -> None:
    """`import trimtab` works with grpcio and protobuf only."""
    program = (
        "import sys, trimtab, trimtab.v1.placement_service_pb2_grpc\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'trimtab_service', 'numpy', 'sqlalchemy', 'typer'}))"
    )
    done = client_only.run("-c", program)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_the_wheel_serves_as_nobody_with_one_writable_directory(with_service: Installed, place: Path) -> None:
    """Health says SERVING, the process has no privileges, and SIGTERM ends it with status 0."""
    data = place / "data"
    data.mkdir()
    if os.geteuid() == 0:
        os.chown(data, NOBODY, NOBODY)
    with server(with_service, data) as (process, port):
        assert await_serving(process, port)
        assert uid_of(process.pid) == (NOBODY if os.geteuid() == 0 else os.geteuid())
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOP_S) == 0
    assert any(data.iterdir())


@contextmanager
def server(installed: Installed, data: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`trimtab serve` on two free ports; what it said is shown when it did not serve."""
    port, admin = free_ports(2)
    environment = {
        "TRIMTAB_LISTEN": f"127.0.0.1:{port}",
        "TRIMTAB_ADMIN_LISTEN": f"127.0.0.1:{admin}",
        "TRIMTAB_DATA_DIR": str(data),
        "TRIMTAB_DRAIN_INTERVAL": "0",
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        # A copied interpreter may be linked to a library by the path that nobody may not enter.
        "LD_LIBRARY_PATH": str(installed.python.resolve().parents[1] / "lib"),
    }
    command = [*confinement(data), str(installed.python.parent / "trimtab"), "serve"]
    with subprocess.Popen(command, cwd="/", env=environment) as process:
        try:
            yield process, port
        finally:
            process.kill()


def confinement(data: Path) -> list[str]:
    """What goes before a command, so that it runs as nobody and can write to `data` only; nothing unless root."""
    if os.geteuid() != 0:
        return []
    dropped = [
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--bounding-set=-all",
        "--no-new-privs",
    ]
    own_mounts = ["unshare", "--mount", "--propagation", "private"]
    if subprocess.run([*own_mounts, "true"], capture_output=True, check=False).returncode != 0:
        return dropped  # in a container that may not mount; nobody still owns no directory but `data`
    script = 'mount --bind "$0" "$0" && mount -o remount,bind,ro / && exec "$@"'
    return [*own_mounts, "sh", "-c", script, str(data), *dropped]


def await_serving(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server says SERVING before it ends or the time is up."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        end = time.monotonic() + START_S
        while process.poll() is None and time.monotonic() < end:
            try:
                reply = check(health_pb2.HealthCheckRequest(), timeout=2, wait_for_ready=True)
            except grpc.RpcError:
                continue
            if reply.status == health_pb2.HealthCheckResponse.SERVING:
                return True
            time.sleep(0.1)
    return False


def uid_of(pid: int) -> int:
    """The effective user of a process."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[2]) for line in lines if line.startswith("Uid:"))


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
