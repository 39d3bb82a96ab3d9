"""Loads a gRPC server with h2load (Debian `nghttp2-client`), which costs a tenth of a Python client.

h2load counts HTTP statuses, and gRPC answers 200 to failed calls too; so the bytes of the answers are checked.
"""

import re
import shutil
import statistics
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

_BYTE_SLACK = 8
"""Timestamps are varints: a decision's size differs by a few bytes from call to call."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured. Latencies are in milliseconds."""

    calls: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rps(self) -> float:
        """Calls per second."""
        return self.calls / self.seconds


def available() -> bool:
    """Whether h2load is installed."""
    return shutil.which("h2load") is not None


def load(
    port: int,
    method: str,
    request: bytes,
    reply_bytes: int,
    *,
    calls: int,
    decisions: int = 1,
    connections: int = 4,
    streams: int = 16,
) -> Load:
    """Send one request `calls` times. Raises AssertionError when an answer is missing or of another size.

    An answer holds `decisions`, each of which may differ by a few bytes.
    """
    with tempfile.TemporaryDirectory() as directory:
        body, log = Path(directory) / "body", Path(directory) / "log"
        body.write_bytes(b"\0" + struct.pack(">I", len(request)) + request)
        command = [
            "h2load",
            f"-n{calls}",
            f"-c{connections}",
            f"-m{streams}",
            "-t1",
            f"-d{body}",
            "-Hcontent-type: application/grpc",
            "-Hte: trailers",
            f"--log-file={log}",
            f"http://127.0.0.1:{port}{method}",
        ]
        printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout
        micros = sorted(int(line.split("\t")[2]) for line in log.read_text().splitlines())
    seconds = _seconds(printed)
    succeeded = int(re.search(r"(\d+) succeeded", printed)[1])  # type: ignore[index] # h2load always prints it
    bytes_read = int(re.search(r"\((\d+)\) data", printed)[1])  # type: ignore[index] # h2load always prints it
    if succeeded != calls or abs(bytes_read / calls - reply_bytes - 5) > _BYTE_SLACK * decisions:
        found = f"{succeeded} of {calls} answered, {bytes_read / calls:.1f} bytes each"
        raise AssertionError(f"{method}: {found}\n{printed}")
    quantiles = statistics.quantiles(micros, n=100)
    return Load(calls, seconds, quantiles[49] / 1e3, quantiles[98] / 1e3)


def _seconds(printed: str) -> float:
    found = re.search(r"finished in ([\d.]+)(us|ms|s)", printed)
    if found is None:
        raise AssertionError(printed)
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]
