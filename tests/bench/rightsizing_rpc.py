"""`Rightsize` with 4 series of 720 points against all types of a cloud, beside a bare echo of the same message sizes.

    python -m tests.bench.rightsizing_rpc [--quick] [--catalog DIR]

One call at a time. `p50_ms` and `p99_ms` are server side (bytes in, bytes out) with `validate_only`; `client_...` is
what a Python client sees; `stored_...` is the same with the durable commit. Every request is of another resource with
other series, and Echo takes its turn with each. The last line is one JSON object.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import numpy as np

from tests.bench.sizing_server import SizingServer, sizing_server
from tests.support import echo
from tests.support.shared_data import catalog_directory
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab.v1.rightsizing_service_pb2 import RightsizeRequest, RightsizingAdvice

PARENT = "projects/bench"
RIGHTSIZE = "/trimtab.v1.RightsizingService/Rightsize"
ECHO = f"/{echo.NAME}/Echo"
POINTS = 720
STEP = timedelta(minutes=20)
WARM = 30
TARGETS = {"p50_ms": 2.0, "p99_ms": 10.0}

Send = Callable[..., bytes]


def main() -> int:
    """Measure, print, and end with the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 50 s")
    parser.add_argument("--catalog", type=Path, default=None, help="catalogue directory; default the shared one")
    options = parser.parse_args()
    calls = 1_000 if options.quick else 5_000
    random = np.random.default_rng(20261123)
    with (
        sizing_server(options.catalog or catalog_directory()) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        figures = _advised(server, channel, random, calls) | _stored(server, channel, random, calls // 5)
    figures |= {"points": 4 * POINTS, "cores": os.cpu_count() or 1, "quick": options.quick}
    for name, most in TARGETS.items():
        print(f"{name}: {figures[name]} (target {most:g}: {'met' if float(figures[name]) <= most else 'MISSED'})")
    print(json.dumps(figures))
    return 0


def _advised(server: SizingServer, channel: grpc.Channel, random: np.random.Generator, calls: int) -> dict[str, float]:
    """With `validate_only`: no commit. Echo carries as many bytes both ways."""
    rightsize, bare = _method(channel, RIGHTSIZE), _method(channel, ECHO)
    sample = _request(random, 0).SerializeToString()
    reply = rightsize(sample, timeout=60)
    advice = RightsizingAdvice.FromString(reply)
    considered = len(advice.options) + sum(rejection.count for rejection in advice.rejections)
    print(
        f"request {len(sample):,} B, reply {len(reply):,} B, {len(advice.options)} options of {considered:,} considered"
    )
    echoed = _echo_of(len(sample), len(reply))
    seen: list[float] = []
    echo_seen: list[float] = []
    findings: set[str] = set()
    for number in range(-WARM, calls):
        if number == 0:
            server.take()
            seen.clear()
            echo_seen.clear()
        body = _request(random, number).SerializeToString()
        echo_seen.append(_timed(bare, echoed)[0])
        took, answer = _timed(rightsize, body)
        seen.append(took)
        if number % 50 == 0:
            finding = RightsizingAdvice.FromString(answer).finding
            findings.add(RightsizingAdvice.Finding.Name(finding).removeprefix("FINDING_").lower())
    print(f"findings seen: {', '.join(sorted(findings))}")
    inside = server.take()
    return {
        **_quantiles("", inside[RIGHTSIZE]),
        **_quantiles("client_", seen),
        **_quantiles("echo_", inside[ECHO]),
        **_quantiles("echo_client_", echo_seen),
        "options_considered": considered,
    }


def _stored(server: SizingServer, channel: grpc.Channel, random: np.random.Generator, calls: int) -> dict[str, float]:
    """With the durable commit; every request of another resource, under its own request id."""
    rightsize = _method(channel, RIGHTSIZE)
    server.take()
    seen: list[float] = []
    stored = 0
    for number in range(calls):
        request = _request(random, 1_000_000 + number)
        request.validate_only = False
        request.request_id = str(uuid.UUID(bytes=random.bytes(16)))
        took, answer = _timed(rightsize, request.SerializeToString())
        seen.append(took)
        stored += bool(RightsizingAdvice.FromString(answer).recommendation)
    print(f"{stored} of {calls} calls stored a recommendation")
    return {**_quantiles("stored_", server.take()[RIGHTSIZE]), **_quantiles("stored_client_", seen)}


def _request(random: np.random.Generator, number: int) -> RightsizeRequest:
    """A web server of eight vCPUs with a day, a weekend and bursts: no two alike."""
    request = RightsizeRequest(
        parent=PARENT,
        validate_only=True,
        resource=pb.CloudResource(
            resource_id=f"i-{number:08x}",
            cloud=types_pb2.CLOUD_AWS,
            region="us-east-1",
            instance_type="m5.2xlarge",
            count=1,
        ),
        preferences=pb.RightsizingPreferences(allow_architecture_change=True, allow_burstable=True),
    )
    start = datetime.now(UTC) - POINTS * STEP
    hours = np.arange(POINTS) * (STEP / timedelta(hours=1))
    level = float(random.uniform(5.0, 45.0))
    day = 1.0 + 0.5 * np.sin(2 * math.pi * hours / 24.0)
    week = np.where((hours // 24) % 7 >= 5, 0.6, 1.0)
    busy = level * day * week
    for metric, unit, values in (
        (pb.METRIC_CPU, pb.UNIT_PERCENT, busy + random.exponential(level / 6, POINTS)),
        (pb.METRIC_MEMORY, pb.UNIT_PERCENT, 30.0 + 0.3 * busy + random.normal(0.0, 1.0, POINTS)),
        (pb.METRIC_NETWORK_IN, pb.UNIT_BYTES_PER_SECOND, 1e6 * busy * random.uniform(0.8, 1.2, POINTS)),
        (pb.METRIC_DISK_WRITE_OPS, pb.UNIT_COUNT_PER_SECOND, 4.0 * busy * random.uniform(0.8, 1.2, POINTS)),
    ):
        series = request.telemetry.series.add(metric=metric, unit=unit)
        series.start_time.FromDatetime(start.replace(tzinfo=None))
        series.step.FromTimedelta(STEP)
        series.values.extend(np.clip(values, 0.0, 100.0 if unit == pb.UNIT_PERCENT else None).tolist())
    return request


def _method(channel: grpc.Channel, path: str) -> Send:
    send: Send = channel.unary_unary(path, request_serializer=None, response_deserializer=None)
    return send


def _timed(send: Send, body: bytes) -> tuple[float, bytes]:
    started = time.perf_counter()
    answer = send(body, timeout=60)
    return time.perf_counter() - started, answer


def _echo_of(request_bytes: int, reply_bytes: int) -> bytes:
    """An Echo request of about the same size, asking for an answer of about the same size."""
    message = echo.EchoRequest(parent=PARENT, reply_bytes=reply_bytes - 3)
    message.payload = b"x" * (request_bytes - message.ByteSize() - 4)
    body: bytes = message.SerializeToString()
    return body


def _quantiles(prefix: str, seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds, over at least 100 calls."""
    cuts = statistics.quantiles(seconds, n=100)
    return {f"{prefix}p50_ms": round(cuts[49] * 1e3, 3), f"{prefix}p99_ms": round(cuts[98] * 1e3, 3)}


if __name__ == "__main__":
    sys.exit(main())
