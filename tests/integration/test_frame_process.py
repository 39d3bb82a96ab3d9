"""The server as a process: ports, signals, workers, logs and the admin port."""

import contextlib
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path

import grpc
import orjson
import psutil
import pytest
from grpc_health.v1 import health_pb2
from prometheus_client.parser import text_string_to_metric_families

from tests.support import certificates, echo, oidc
from tests.support.server import process

PARENT = "projects/a"


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of the admin port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def handled(port: int, method: str, code: str) -> float:
    """The counter of one method and code on the admin port."""
    text = get(port, "/metrics")[1].decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "trimtab_rpc_handled_total"
        and sample.labels == {"method": f"/{echo.NAME}/{method}", "code": code}
    )


def test_process_serves_counts_and_exits_cleanly() -> None:
    """From `listening` to exit code 0: calls, metrics and health are there, and the application is closed."""
    with process() as server:
        started = server.event("listening")
        with grpc.insecure_channel(started["address"]) as channel:
            client = echo.EchoClient(channel)
            client.echo(echo.EchoRequest(parent=PARENT))
            with pytest.raises(grpc.RpcError):
                client.fail(echo.EchoRequest(parent=PARENT, kind="not_found"))
        assert handled(started["admin_port"], "Echo", "OK") == 1
        assert handled(started["admin_port"], "Fail", "NOT_FOUND") == 1
        assert get(started["admin_port"], "/healthz")[0] == 200
        assert get(started["admin_port"], "/readyz") == (200, b'{"ready":true,"problems":{}}')
        assert get(started["admin_port"], "/etc/passwd")[0] == 404
        assert server.stop() == 0
        assert server.event("closed")


def test_drain_says_so_first_and_answers_meanwhile() -> None:
    """After SIGTERM readiness fails at once and calls are answered all the interval; a second one ends it."""
    with process(drain_interval="60s", drain_grace="20s") as server:
        started = server.event("listening")
        with grpc.insecure_channel(started["address"]) as channel:
            client = echo.EchoClient(channel)
            client.echo(echo.EchoRequest(parent=PARENT))
            long = client.work.future(echo.EchoRequest(parent=PARENT, milliseconds=1500), timeout=100)
            server.process.send_signal(signal.SIGTERM)
            server.event("draining")
            while get(started["admin_port"], "/readyz")[0] != 503:
                time.sleep(0.01)
            assert client.echo(echo.EchoRequest(parent=PARENT)).subject == "anonymous"
            assert long.result().seconds_left > 0
            server.process.send_signal(signal.SIGTERM)
        assert server.finish() == 0
        assert server.event("stopped")["all_calls_finished"] is True


def test_drain_finishes_calls_in_flight_and_no_idle_watcher_holds_it_up() -> None:
    """The long call completes, and all streams end with it, not with the grace of ten minutes; ours in order."""
    with process(drain_grace="600") as server:
        started = server.event("listening")
        with grpc.insecure_channel(started["address"]) as channel:
            watch = channel.unary_stream(
                "/grpc.health.v1.Health/Watch",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )(health_pb2.HealthCheckRequest())
            assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
            client = echo.EchoClient(channel)
            stream = client.watch(echo.EchoRequest(parent=PARENT, milliseconds=60_000))
            next(stream)
            call = client.work.future(echo.EchoRequest(parent=PARENT, milliseconds=3000), timeout=100)
            while not in_flight(started["admin_port"], "Work"):
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            assert list(stream) == []
            assert server.finish() == 0
            assert call.result().seconds_left > 0
        assert server.event("stopped")["all_calls_finished"] is True


def test_handler_that_outstays_the_grace_does_not_keep_the_process() -> None:
    """A sync handler cannot be cancelled; the process says so and goes."""
    with process(drain_grace="0") as server:
        started = server.event("listening")
        with grpc.insecure_channel(started["address"]) as channel:
            call = echo.EchoClient(channel).hang.future(echo.EchoRequest(parent=PARENT), timeout=60)
            while not in_flight(started["admin_port"], "Hang"):
                time.sleep(0.01)
            server.process.send_signal(signal.SIGTERM)
            assert server.finish() == 0
            assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert server.event("stopped")["all_calls_finished"] is False


def in_flight(port: int, method: str) -> float:
    """The gauge of calls in flight of one method."""
    text = get(port, "/metrics")[1].decode()
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "trimtab_rpc_in_flight" and sample.labels == {"method": f"/{echo.NAME}/{method}"}
    )


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("which", ["listen", "admin_listen"])
def test_taken_port_fails_loudly(workers: str, which: str) -> None:
    """The process ends with code 3 and names the address, also when the other server shares ports."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with process(workers=workers, **{which: address}) as server:
            assert server.event("cannot listen")["address"] == address
            assert server.finish() == 3


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"listen": "0.0.0.0:0"}, "listen"),
        ({"listen": "[::]:0"}, "listen"),
        ({"listen": "trimtab.example:8740"}, "listen"),
        ({"lisen": "127.0.0.1:0"}, "TRIMTAB_LISEN"),
        ({"workers": "many", "threads": "0"}, "workers"),
    ],
)
def test_bad_settings_end_with_code_2_and_name_the_key(settings: dict[str, str], key: str) -> None:
    """Anonymous service beyond loopback, unknown keys and bad values never start."""
    with process(**settings) as server:
        assert server.finish() == 2
        assert server.process.stderr is not None
        assert key in server.process.stderr.read().decode()


def test_public_address_serves_with_tls_and_certificates(tmp_path: Path) -> None:
    """With TLS and an authenticator any address may be bound."""
    authority = certificates.authority(tmp_path)
    grants = [{"uri": "spiffe://corp/s", "project": "a", "roles": ["scheduler"]}]
    with process(
        listen="0.0.0.0:0",
        tls_cert=str(tmp_path / "server.pem"),
        tls_key=str(tmp_path / "server.key"),
        tls_client_ca=str(authority.ca_file),
        grants=orjson.dumps(grants).decode(),
    ) as server:
        port = server.event("listening")["port"]
        credentials = authority.client_credentials("spiffe://corp/s")
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            reply = echo.EchoClient(channel).echo(echo.EchoRequest(parent=PARENT))
        assert reply.subject == "certificate:spiffe://corp/s"


def test_log_lines_are_json_with_request_ids_and_never_a_token(tmp_path: Path) -> None:
    """Failed calls can be found by the caller's own request id; credentials and exception text of callers cannot."""
    issuer = oidc.Issuer()
    grants = [{"claim": "groups", "value": "ml", "project": "a", "roles": ["scheduler"]}]
    far = 4_000_000_000.0
    with process(
        oidc_issuer=oidc.ISSUER,
        oidc_audience=oidc.AUDIENCE,
        oidc_jwks=str(issuer.write(tmp_path)),
        grants=orjson.dumps(grants).decode(),
        slow_call="0",
        log_level="debug",
    ) as server:
        address = server.event("listening")["address"]
        good, late = issuer.token(exp=far, nbf=0.0), issuer.token(exp=1.0, nbf=0.0)
        with grpc.insecure_channel(address) as channel:
            client = echo.EchoClient(channel)
            for token, kind, number in ((good, "not_found", 1), (good, "bug", 2), (late, "bug", 3)):
                metadata = (("authorization", f"Bearer {token}"), ("x-request-id", f"my-request-{number}"))
                with pytest.raises(grpc.RpcError):
                    client.fail(echo.EchoRequest(parent=PARENT, kind=kind), metadata=metadata)
            client.echo(echo.EchoRequest(parent=PARENT), metadata=(("authorization", f"Bearer {good}"),))
        assert server.stop() == 0
        lines = [orjson.loads(line) for line in server.lines]
        calls = {line["request_id"]: line for line in lines if "request_id" in line}
        assert calls["my-request-1"]["reason"] == "NOT_FOUND"
        assert calls["my-request-2"]["code"] == "INTERNAL"
        assert "ZeroDivisionError" in calls["my-request-2"]["exception"]
        assert calls["my-request-3"]["reason"] == "UNAUTHENTICATED"
        assert any(line["event"] == "slow call" and line["subject"] == "oidc:ana" for line in lines)
        everything = b"".join(server.lines)
        for token in (good, late):
            assert token.encode() not in everything
            assert token.split(".")[2].encode() not in everything


def test_two_workers_share_a_port_and_add_up_their_metrics() -> None:
    """Both processes answer on one port, one admin port counts all calls, and SIGTERM ends everything."""
    with process(workers="2") as server:
        started = server.event("listening")
        seen: list[str] = []
        # The kernel spreads connections: open new ones until both workers have answered.
        while len(set(seen)) < 2:
            options = (("grpc.use_local_subchannel_pool", 1),)
            with grpc.insecure_channel(started["address"], options) as channel:
                seen.append(echo.EchoClient(channel).pid(echo.EchoRequest(parent=PARENT)).subject)
        assert handled(started["admin_port"], "Pid", "OK") == len(seen)
        assert get(started["admin_port"], "/readyz")[0] == 200
        children = psutil.Process(started["pid"]).children(recursive=True)
        assert server.stop() == 0
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive


def test_dead_worker_is_replaced_and_its_counts_stay() -> None:
    """Killing a worker costs its connections only: another is started and the sum does not fall."""
    with process(workers="2") as server:
        started = server.event("listening")
        options = (("grpc.use_local_subchannel_pool", 1),)
        with grpc.insecure_channel(started["address"], options) as channel:
            victim = int(echo.EchoClient(channel).pid(echo.EchoRequest(parent=PARENT)).subject)
        assert handled(started["admin_port"], "Pid", "OK") == 1
        os.kill(victim, signal.SIGKILL)
        assert server.event("worker died")["exit_code"] == -signal.SIGKILL
        assert server.event("worker listening")["pid"] != victim
        with grpc.insecure_channel(started["address"], options) as channel:
            echo.EchoClient(channel).echo(echo.EchoRequest(parent=PARENT), wait_for_ready=True)
        assert handled(started["admin_port"], "Pid", "OK") == 1
        assert server.stop() == 0


def test_workers_leave_when_their_supervisor_is_killed() -> None:
    """An orphan does not keep the port."""
    with process(workers="2") as server:
        started = server.event("listening")
        children = psutil.Process(started["pid"]).children(recursive=True)
        os.kill(started["pid"], signal.SIGKILL)
        with contextlib.suppress(Exception):
            server.finish()
        _, alive = psutil.wait_procs(children, timeout=60)
        assert not alive
