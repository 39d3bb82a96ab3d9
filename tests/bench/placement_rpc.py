"""`Place` over the wire, against a bare echo of the same message sizes on the same server in the same run.

    python -m tests.bench.placement_rpc [--quick] [--catalog DIR]

The server runs as a process of its own, pinned to one core where there are two, and h2load (or, without it, Python
clients) to the other. Echo and Place take turns, round by round with another request each, so that a drift of the
machine meets both. CPU is the server process's own, read from /proc. The last line is one JSON object.

A load generator repeats one request within a round, and the service remembers decisions. That would measure the best
case only, so `place_...` and `batch_...` are of a server with remembering switched off: every decision is made anew.
What remembering gives, when every question was asked before, is measured after it and named `remembered_...`.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import grpc

from tests.bench import h2load
from tests.support import echo
from tests.support.messages import plain_request
from tests.support.server import ServerProcess
from tests.support.shared_data import catalog_directory
from trimtab.v1 import commitment_service_pb2, placement_service_pb2, types_pb2
from trimtab.v1.commitment_service_pb2_grpc import CommitmentServiceStub
from trimtab.v1.placement_service_pb2_grpc import PlacementServiceStub

PROJECT = "projects/bench"
PLACE = "/trimtab.v1.PlacementService/Place"
BATCH = "/trimtab.v1.PlacementService/BatchPlace"
ECHO = f"/{echo.NAME}/Echo"
BATCH_SIZE = 64
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Round:
    """One run against the server, with the CPU seconds that the server spent."""

    load: h2load.Load
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """Server CPU per call, microseconds."""
        return self.cpu_s / self.load.calls * 1e6


Send = Callable[[int, str, bytes, int, int], h2load.Load]


def main() -> int:
    """Measure, print, and end with the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 50 s")
    parser.add_argument("--catalog", type=Path, default=None, help="catalogue directory; default the shared one")
    options = parser.parse_args()
    rounds, calls = (5, 3_000) if options.quick else (15, 12_000)
    catalog = options.catalog or catalog_directory()
    with _server(catalog, decision_memo="0") as (port, pid):
        print("every decision made anew")
        figures = _measure(port, pid, rounds, calls)
        figures |= _reserve(port, pid, 200 if options.quick else 1_000)
    with _server(catalog) as (port, pid):
        print("every question asked before: decisions are remembered")
        kept = _measure(port, pid, rounds, calls)
    figures |= {f"remembered_{name}": value for name, value in kept.items() if not name.startswith("echo")}
    figures |= {"cores": os.cpu_count(), "quick": options.quick}
    print(json.dumps(figures))
    return 0


def _measure(port: int, pid: int, rounds: int, calls: int) -> dict[str, object]:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub = PlacementServiceStub(channel)
    random = Random(20261123)
    requests = [plain_request(random, PROJECT) for _ in range(rounds)]
    send = _h2load if h2load.available() else _python_clients
    print(f"load from {'h2load' if send is _h2load else 'Python clients'}; {rounds} rounds of {calls} calls")

    echoes: list[Round] = []
    places: list[Round] = []
    for number, request in enumerate(requests):
        decision = stub.Place(request, timeout=10)
        place_bytes = request.SerializeToString()
        reply_bytes = decision.ByteSize()
        turns = [
            (places, PLACE, place_bytes, reply_bytes),
            (echoes, ECHO, *_echo_of(len(place_bytes), reply_bytes)),
        ]
        for kept, method, body, size in turns if number % 2 else reversed(turns):
            send(port, method, body, size, calls // 10)
            before = _cpu_s(pid)
            load = send(port, method, body, size, calls)
            kept.append(Round(load, _cpu_s(pid) - before))
        print(
            f"round {number}: request {len(place_bytes)} B, reply {reply_bytes} B, "
            f"echo {echoes[-1].load.rps:,.0f}/s {echoes[-1].cpu_us:.0f} us, "
            f"place {places[-1].load.rps:,.0f}/s {places[-1].cpu_us:.0f} us"
        )

    batches = _batches(port, pid, stub, random, rounds, calls, send)
    ratio = statistics.median(p.load.rps / e.load.rps for p, e in zip(places, echoes, strict=True))
    p99_ratio = statistics.median(p.load.p99_ms / e.load.p99_ms for p, e in zip(places, echoes, strict=True))
    unary = statistics.median(1e6 / p.cpu_us for p in places)
    batch = statistics.median(batches)
    return {
        "echo_rps": round(statistics.median(e.load.rps for e in echoes)),
        "place_rps": round(statistics.median(p.load.rps for p in places)),
        "place_to_echo_ratio": round(ratio, 3),
        "place_p99_to_echo_p99": round(p99_ratio, 3),
        "echo_p50_ms": round(statistics.median(e.load.p50_ms for e in echoes), 3),
        "echo_p99_ms": round(statistics.median(e.load.p99_ms for e in echoes), 3),
        "place_p50_ms": round(statistics.median(p.load.p50_ms for p in places), 3),
        "place_p99_ms": round(statistics.median(p.load.p99_ms for p in places), 3),
        "echo_cpu_us": round(statistics.median(e.cpu_us for e in echoes), 1),
        "place_cpu_us": round(statistics.median(p.cpu_us for p in places), 1),
        "unary_decisions_per_cpu_s": round(unary),
        "batch_decisions_per_cpu_s": round(batch),
        "batch_to_unary_ratio": round(batch / unary, 2),
        "load_generator": "h2load" if send is _h2load else "python",
    }


def _batches(
    port: int, pid: int, stub: PlacementServiceStub, random: Random, rounds: int, calls: int, send: Send
) -> list[float]:
    """Decisions per CPU second of `BatchPlace`, a batch of other requests each round."""
    figures = []
    for _ in range(max(3, rounds // 2)):
        batch = placement_service_pb2.BatchPlaceRequest(
            parent=PROJECT, requests=[plain_request(random, PROJECT) for _ in range(BATCH_SIZE)]
        )
        reply = stub.BatchPlace(batch, timeout=30)
        if any(result.WhichOneof("result") != "decision" for result in reply.results):
            raise AssertionError("an item of the batch failed")
        body, number = batch.SerializeToString(), max(20, calls // BATCH_SIZE)
        send(port, BATCH, body, reply.ByteSize(), number // 10 + 1)
        before = _cpu_s(pid)
        send(port, BATCH, body, reply.ByteSize(), number)
        figures.append(number * BATCH_SIZE / (_cpu_s(pid) - before))
    return figures


def _reserve(port: int, pid: int, calls: int) -> dict[str, object]:
    """`Place` with `reserve`: durable, so bounded by the disk; several callers share a commit."""
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    stub, commitments = PlacementServiceStub(channel), CommitmentServiceStub(channel)
    now = int(time.time())
    commitment = commitment_service_pb2.Commitment(
        kind=commitment_service_pb2.Commitment.KIND_AWS_RESERVED_INSTANCE_STANDARD,
        cloud=types_pb2.CLOUD_AWS,
        region="us-east-1",
        instance_type="m5.xlarge",
        family="m5",
        instances=1e6,
    )
    commitment.start_time.seconds, commitment.end_time.seconds = now - 3_600, now + 86_400 * 300
    commitments.CreateCommitment(
        commitment_service_pb2.CreateCommitmentRequest(parent=PROJECT, commitment=commitment), timeout=10
    )
    request = placement_service_pb2.PlaceRequest(parent=PROJECT, reserve=True)
    request.workload.size.vcpus, request.workload.size.memory_gib = 4, 16
    request.workload.duration.seconds = 3_600
    latencies: list[float] = []

    def call() -> None:
        for _ in range(calls // 16):
            own = placement_service_pb2.PlaceRequest.FromString(request.SerializeToString())
            own.request_id = str(uuid.uuid4())
            started = time.perf_counter()
            decision = stub.Place(own, timeout=30)
            latencies.append(time.perf_counter() - started)
            if not decision.reserved:
                raise AssertionError(f"nothing was reserved: {decision}")

    threads = [threading.Thread(target=call) for _ in range(16)]
    before, started = _cpu_s(pid), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if len(latencies) != calls // 16 * 16:
        raise AssertionError("a reservation failed")
    quantiles = statistics.quantiles(latencies, n=100)
    return {
        "reserve_rps": round(len(latencies) / seconds),
        "reserve_p50_ms": round(quantiles[49] * 1e3, 2),
        "reserve_p99_ms": round(quantiles[98] * 1e3, 2),
        "reserve_cpu_us": round((_cpu_s(pid) - before) / len(latencies) * 1e6),
    }


def _echo_of(request_bytes: int, reply_bytes: int) -> tuple[bytes, int]:
    """An Echo request of the same size, asking for an answer of the same size."""
    message = echo.EchoRequest(parent=PROJECT, reply_bytes=reply_bytes - _overhead(reply_bytes))
    message.payload = b"x" * max(0, request_bytes - message.ByteSize() - _overhead(request_bytes))
    return message.SerializeToString(), reply_bytes


def _overhead(size: int) -> int:
    """Bytes of a tag and the length of a field of about `size` bytes."""
    return 2 if size < 130 else 3


def _h2load(port: int, method: str, body: bytes, reply_bytes: int, calls: int) -> h2load.Load:
    return h2load.load(port, method, body, reply_bytes, calls=calls, decisions=BATCH_SIZE if method == BATCH else 1)


def _python_clients(port: int, method: str, body: bytes, reply_bytes: int, calls: int) -> h2load.Load:
    """What to do without h2load: 8 threads, which saturate before the server does, so ratios come out too good."""
    del reply_bytes
    latencies: list[float] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        send: Callable[..., bytes] = channel.unary_unary(method, request_serializer=None, response_deserializer=None)

        def run() -> None:
            for _ in range(calls // 8):
                began = time.perf_counter()
                send(body, timeout=30)
                latencies.append(time.perf_counter() - began)

        threads = [threading.Thread(target=run) for _ in range(8)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.perf_counter() - started
    quantiles = statistics.quantiles(latencies, n=100)
    return h2load.Load(len(latencies), seconds, quantiles[49] * 1e3, quantiles[98] * 1e3)


def _cpu_s(pid: int) -> float:
    """User and system CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextmanager
def _server(catalog: Path, **settings: str) -> Iterator[tuple[int, int]]:
    """The real server with Echo, on a core of its own where there are two; yields port and pid."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            "TRIMTAB_LISTEN": "127.0.0.1:0",
            "TRIMTAB_ADMIN_LISTEN": "127.0.0.1:0",
            "TRIMTAB_DATA_DIR": directory,
            "TRIMTAB_CATALOG_DIR": str(catalog),
            "TRIMTAB_RATE": "1000000",
            "TRIMTAB_BURST": "1000000",
            "TRIMTAB_SLOW_CALL": "60",
            "TRIMTAB_LOG_LEVEL": "info",
            **{f"TRIMTAB_{name.upper()}": value for name, value in settings.items()},
        }
        server = ServerProcess(environment, module="tests.bench.rpc_server")
        try:
            started = server.event("listening", 120)
            cores = sorted(os.sched_getaffinity(0))
            if len(cores) > 1:
                for task in Path(f"/proc/{started['pid']}/task").iterdir():
                    os.sched_setaffinity(int(task.name), {cores[0]})
                os.sched_setaffinity(0, set(cores[1:]))
            yield int(started["port"]), int(started["pid"])
            server.stop()
        finally:
            server.close()


if __name__ == "__main__":
    sys.exit(main())
