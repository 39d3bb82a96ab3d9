"""Probes as the file names them: what each takes for an answer, where it may connect, and what a file must not say."""

import socket
import ssl
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path

import grpc
import pytest
import trustme
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.support.dns_fake import DnsFake
from tests.support.http_fake import HANG, Answer, HttpFake
from tests.support.switching import soon
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.dependency_configuration import load_dependencies
from trimtab_service.clouds.dns.observers import NameServer
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.probes import DnsProbe
from trimtab_service.clouds.reachable import Reachable, networks
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import open_targets
from trimtab_service.clouds.watch_configuration import load_watches
from trimtab_service.config import ConfigError
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.watching import Watch


def _target(name: str, kind: str, *lines: str) -> str:
    return "\n".join([f'[[targets]]\nname = "{name}"\nkind = "{kind}"\nprojects = ["p"]', *lines, ""])


def _checked(path: Path, *targets: str) -> dict[str, bool]:
    path.write_text("".join(targets))
    configured = load_targets(path, load_accounts(path))
    opened = open_targets(configured, Patience(sleep=lambda _: None))
    found = {}
    for one in configured:
        probe = opened.probe("p", one.name)
        assert probe is not None
        # What hangs is given up soon; what answers may take its time.
        found[one.name] = probe.check(soon(0.5 if one.name == "hang" else 60.0))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The deployment's file."""
    return tmp_path / "accounts.toml"


def test_http_takes_2xx_and_follows_nobody(file: Path) -> None:
    """A redirection is not followed, a server that hangs is given up, one that is not allowed is not asked."""
    answers = {"/ok": Answer("ok"), "/moved": Answer("", 302, {"Location": "/ok"}), "/sick": Answer("", 503)}
    with HttpFake(lambda seen: answers.get(seen.path, Answer("", HANG))) as server:
        found = _checked(
            file,
            *(_target(path, "http_probe", f'url = "{server.url}/{path}"') for path in ("ok", "moved", "sick", "hang")),
            _target("elsewhere", "http_probe", f'url = "{server.url}/ok"', 'addresses = ["192.0.2.0/24"]'),
            _target("here", "http_probe", f'url = "{server.url}/ok"', 'addresses = ["127.0.0.0/8"]'),
        )
        asked = [seen.path for seen in server.seen]
    assert found == {"ok": True, "moved": False, "sick": False, "hang": False, "elsewhere": False, "here": True}
    assert asked.count("/ok") == 2


def test_https_asks_who_it_is(file: Path) -> None:
    """A certificate that nobody vouches for is a plain no."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with HttpFake(lambda _: Answer("ok"), context) as server:
        assert _checked(file, _target("x", "http_probe", f'url = "{server.url}/"')) == {"x": False}
        assert server.seen == []


@pytest.fixture
def health_port() -> Iterator[tuple[int, health.HealthServicer]]:
    """A gRPC server with health, where `ranker` serves and `sick` does not."""
    servicer = health.HealthServicer()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    servicer.set("ranker", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("sick", health_pb2.HealthCheckResponse.NOT_SERVING)
    server.start()
    yield port, servicer
    server.stop(0).wait()


def test_grpc_asks_for_health(file: Path, health_port: tuple[int, health.HealthServicer]) -> None:
    """Of one service or of the server; one that it does not know is not well, and TLS does not meet a plain port."""
    port = health_port[0]
    at = ('host = "localhost"', f"port = {port}")
    found = _checked(
        file,
        _target("server", "grpc_probe", *at, "tls = false"),
        _target("ranker", "grpc_probe", *at, "tls = false", 'service = "ranker"'),
        _target("sick", "grpc_probe", *at, "tls = false", 'service = "sick"'),
        _target("unknown", "grpc_probe", *at, "tls = false", 'service = "unknown"'),
        _target("tls", "grpc_probe", *at),
        _target("elsewhere", "grpc_probe", *at, "tls = false", 'addresses = ["192.0.2.0/24"]'),
    )
    assert found == dict.fromkeys(("sick", "unknown", "tls", "elsewhere"), False) | {"server": True, "ranker": True}


def test_tcp_takes_a_connection(file: Path) -> None:
    """And nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        at = ('host = "127.0.0.1"', f"port = {listener.getsockname()[1]}")
        found = _checked(
            file, _target("open", "tcp_probe", *at), _target("not", "tcp_probe", *at, 'addresses = ["192.0.2.1"]')
        )
    assert found == {"open": True, "not": False}


def test_dns_takes_the_answers_that_are_wanted() -> None:
    """Any, where none is named; a name without an answer, and a server that is silent, are a no."""
    with DnsFake(lambda name, _: (["192.0.2.1"], 60) if name == "www.example.test" else None) as dns:
        server = NameServer(dns.host, dns.port)

        def check(record: str, *values: str, at: NameServer = server) -> bool:
            return DnsProbe(at, record, "A", frozenset(values), Patience()).check(soon(60.0 if at is server else 0.5))

        assert check("www.example.test")
        assert check("www.example.test", "192.0.2.1", "192.0.2.2")
        assert not check("www.example.test", "192.0.2.9")
        assert not check("nobody.example.test")
        assert not check("www.example.test", at=NameServer("127.0.0.1", 9))


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("203.0.113.7", True),
        ("10.0.0.1", True),
        ("169.254.169.254", False),
        ("::ffff:169.254.169.254", False),
        ("fe80::1", False),
        ("fd00:ec2::254", False),
        ("168.63.129.16", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
    ],
)
def test_no_check_reaches_where_clouds_keep_credentials(address: str, allowed: bool) -> None:
    """Not by its own address, nor by another spelling; an allow-list narrows further and never widens."""
    assert Reachable().allows(address) is allowed
    assert networks(["169.254.0.0/16", "fe80::/10"]).allows(address) is False


_PROBE = """
[[probes]]
name = "{name}"
project = "p"
service = "serving"
side = "{side}"
observer = "{observer}"
cloud = "{cloud}"
region = "us-central1"
target = "{target}"
{more}
"""


def _probe(name: str, more: str = "", **said: str) -> str:
    given = {"side": "iowa", "observer": "o", "cloud": "gcp", "target": "alive"}
    return _PROBE.format(name=name, more=more, **{**given, **said})


_ALIVE = _target("alive", "tcp_probe", 'host = "192.0.2.1"', "port = 80")


def test_probes_are_read_from_the_file(file: Path) -> None:
    """With what is usual where nothing is said."""
    file.write_text(
        _ALIVE + _probe("one") + _probe("two", 'interval = "2s"\ntimeout = "500ms"\nfails = 2\nof = 3', side="ohio")
    )
    one, two = load_watches(file, load_targets(file, load_accounts(file)))
    assert one == Watch("one", "p", "serving", "iowa", "o", Cloud.GCP, "alive", "us-central1")
    assert (two.interval.total_seconds(), two.timeout.total_seconds(), two.fails, two.of) == (2.0, 0.5, 2, 3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (_probe("x", target="nobody"), "target: none of that name is a probe"),
        (_probe("x", "fails = 3\nof = 2"), "fails: at most `of`"),
        (_probe("x", 'interval = "1s"\ntimeout = "1s"'), "timeout: below the interval"),
        (_probe("x", "url = 1"), "url: not a key of a probe"),
        (_probe("x", cloud="mars"), "cloud: "),
        (_probe("x", 'interval = "1ms"'), "interval: "),
        (_probe("x") + _probe("x", side="ohio"), "the name of the probe is taken"),
        (_probe("x") + _probe("y"), "speaks for the same observer of the same side"),
        (_probe("x") + _probe("y", side="ohio", cloud="aws"), "stands in another cloud"),
        (_probe("x").replace('project = "p"', 'project = "q"'), "target: not open to the project"),
    ],
)
def test_what_is_wrong_with_probes_is_said_at_the_start(file: Path, text: str, told: str) -> None:
    """Each with its place."""
    file.write_text(_ALIVE + text)
    with pytest.raises(ConfigError) as caught:
        load_watches(file, load_targets(file, load_accounts(file)))
    assert told in str(caught.value)


def test_what_the_deployment_hangs_on_is_read_from_the_file(file: Path) -> None:
    """One table; a key or a cloud that is not known is a fault."""
    file.write_text('[dependencies]\nstate_store = "aws"\ndns = "gcp"\n')
    assert load_accounts(file) == ()
    assert load_dependencies(file) == Dependencies(state_store="aws", dns="gcp")
    assert load_dependencies(None) == Dependencies()
    file.write_text('[dependencies]\nstore = "aws"\nsecrets = "mars"\n')
    with pytest.raises(ConfigError) as caught:
        load_dependencies(file)
    assert len(caught.value.violations) == 2
