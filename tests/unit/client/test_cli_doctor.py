"""`trimtab doctor` finds what is wrong and says what to do."""

import base64
import json
import socket
import time
from pathlib import Path

import trustme
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2, status_pb2
from grpc_health.v1 import health_pb2

from tests.support.canned_server import CannedServer
from tests.support.command_line import Ran, run
from trimtab.v1.catalog_service_pb2 import Catalog
from trimtab.v1.placement_service_pb2 import Decision, ListDecisionsResponse


def _well(server: CannedServer) -> None:
    catalog = Catalog(name="catalogs/abc", current=True, price_rows=9)
    catalog.load_time.FromSeconds(int(time.time()) - 60)
    catalog.newest_price_age.FromSeconds(86_400)
    server.answer("GetCatalog", catalog)
    server.answer("ListDecisions", ListDecisionsResponse())


def _states(ran: Ran) -> dict[str, str]:
    return {found["check"]: found["state"] for found in map(json.loads, ran.out.splitlines())}


def test_a_well_server_has_nothing_wrong(server: CannedServer) -> None:
    """Every check is ok and the exit code is 0."""
    _well(server)
    ran = run("doctor", "--json", "--target", server.target)
    assert ran.code == 0
    assert set(_states(ran).values()) == {"ok"}
    assert set(_states(ran)) == {"client", "reachable", "TLS", "health", "project", "catalogue", "clock"}


def test_nobody_listening_is_said_with_the_way_out() -> None:
    """Exit code 5, and nothing that depends on the connection is tried."""
    ran = run("doctor", "--target", "127.0.0.1:1")
    assert ran.code == 5
    assert "nothing listens" in ran.out
    assert "trimtab serve" in ran.out
    assert "health" not in ran.out


def test_a_name_without_an_address_is_told_apart() -> None:
    """A misspelt host is not a stopped server."""
    ran = run("doctor", "--target", "no-such-host.invalid:8740")
    assert ran.code == 5
    assert "no address for no-such-host.invalid" in ran.out


def test_a_port_of_something_else_is_no_trimtab() -> None:
    """A listener that speaks no gRPC is reachable and not well."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ran = run("doctor", "--json", "--target", f"127.0.0.1:{listener.getsockname()[1]}")
    assert ran.code == 5
    assert _states(ran)["reachable"] == "ok"
    assert _states(ran)["health"] == "failed"


def test_a_missing_tls_flag_is_recognised(tls_server: CannedServer) -> None:
    """A plain client of a TLS server learns which flag is missing."""
    ran = run("doctor", "--target", tls_server.target)
    assert ran.code == 5
    assert "the server speaks TLS, this client does not" in ran.out
    assert "--ca" in ran.out


def test_an_unknown_authority_is_recognised(tls_server: CannedServer, tmp_path: Path) -> None:
    """The certificate is checked as a call would check it, and the finding says what is missing."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    ran = run("doctor", "--target", tls_server.target, "--ca", str(other))
    assert ran.code == 5
    assert "the certificate does not hold" in ran.out


def test_mutual_tls_and_a_certificate_that_ends(
    mutual_tls_server: CannedServer, authority: trustme.CA, tmp_path: Path
) -> None:
    """With the right files the whole examination runs over mutual TLS."""
    _well(mutual_tls_server)
    leaf = authority.issue_cert("scheduler@example.org")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    files = ["--ca", f"{tmp_path}/ca.pem", "--cert", f"{tmp_path}/cert.pem", "--key", f"{tmp_path}/key.pem"]
    ran = run("doctor", "--json", "--target", mutual_tls_server.target, *files)
    assert ran.code == 0, ran.out
    assert _states(ran)["TLS"] == "ok"
    assert _states(ran)["health"] == "ok"


def test_a_server_that_is_not_ready_is_unwell(server: CannedServer) -> None:
    """NOT_SERVING is exit code 5; the checks that still can say something do."""
    _well(server)
    server.health.set("trimtab.v1.PlacementService", health_pb2.HealthCheckResponse.NOT_SERVING)
    ran = run("doctor", "--json", "--target", server.target)
    assert ran.code == 5
    assert _states(ran)["health"] == "failed"
    assert _states(ran)["catalogue"] == "ok"


def test_missing_rights_are_exit_code_4(server: CannedServer) -> None:
    """The project is named with the role that is missing."""
    _well(server)
    server.answer("ListDecisions", status_pb2.Status(code=code_pb2.PERMISSION_DENIED, message="no role"))
    ran = run("doctor", "--project", "vision", "--target", server.target)
    assert ran.code == 4
    assert "vision" in ran.out
    assert "viewer" in ran.out


def test_an_expired_token_is_seen_before_it_is_sent(server: CannedServer) -> None:
    """What a JWT says of itself is read; the server's answer follows all the same."""
    _well(server)
    claims = base64.urlsafe_b64encode(json.dumps({"sub": "bot", "exp": 1_700_000_000}).encode()).decode().rstrip("=")
    ran = run("doctor", "--target", server.target, "--token", f"e30.{claims}.sig")
    assert ran.code == 4
    assert "expired" in ran.out


def test_old_prices_and_failed_refreshes_are_warnings(server: CannedServer) -> None:
    """The server works, so the exit code is 0, but a person should look."""
    _well(server)
    catalog = Catalog(name="catalogs/abc", last_refresh_failure="cut off")
    catalog.load_time.GetCurrentTime()
    catalog.newest_price_age.FromSeconds(100 * 86_400)
    catalog.quarantined.add(reason="NEGATIVE_PRICE", rows=4)
    server.answer("GetCatalog", catalog)
    ran = run("doctor", "--json", "--target", server.target)
    assert ran.code == 0
    states = _states(ran)
    assert (states["catalogue"], states["price rows"], states["refresh"]) == ("warning", "warning", "warning")


def test_a_clock_that_is_behind_is_seen(server: CannedServer) -> None:
    """Something that the server did an hour from now tells that this clock is behind."""
    _well(server)
    later = Timestamp(seconds=int(time.time()) + 3600)
    server.answer("ListDecisions", ListDecisionsResponse(decisions=[Decision(name="d", create_time=later)]))
    server.answer("GetCatalog", Catalog(name="catalogs/abc", load_time=later))
    ran = run("doctor", "--json", "--target", server.target)
    states = _states(ran)
    assert (states["project"], states["clock"]) == ("warning", "warning")
