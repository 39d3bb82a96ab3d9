"""`trimtab fleet`: which source is read, and what an analysis tells of what it could not size."""

import pytest

from tests.support.advices import without_advice
from tests.support.canned_server import CannedServer
from tests.support.command_line import Ran, run
from trimtab.v1 import rightsizing_service_pb2 as pb


def ask(server: CannedServer, *line: str) -> Ran:
    """Run the command against the server."""
    return run("fleet", *line, "--target", server.target)


def told(server: CannedServer, *names: str) -> None:
    """Configure sources."""
    listed = [pb.TelemetrySource(telemetry_source=name) for name in names]
    server.answer("ListTelemetrySources", pb.ListTelemetrySourcesResponse(telemetry_sources=listed))


def test_the_only_source_need_not_be_named(server: CannedServer) -> None:
    """There is nothing to choose."""
    told(server, "demo")
    server.answer("StartFleetAnalysis", pb.FleetAnalysis(name="projects/p/fleetAnalyses/a"))
    ran = ask(server, "start", "--no-watch")
    assert ran.code == 0, ran.err
    (call,) = server.seen("StartFleetAnalysis")
    assert list(call.request.telemetry_sources) == ["demo"]


@pytest.mark.parametrize("names", [(), ("east", "west")])
def test_of_several_none_is_guessed(server: CannedServer, names: tuple[str, ...]) -> None:
    """Reading costs money: which is said by who pays. The answer names them."""
    told(server, *names)
    ran = ask(server, "start")
    assert ran.code == 2
    assert all(name in ran.err for name in names)
    assert server.seen("StartFleetAnalysis") == []


def test_what_could_not_be_sized_is_told_with_its_cause(server: CannedServer) -> None:
    """Never as if there were nothing to save."""
    failed = without_advice("SOURCE_FAILED", "CloudWatch: throttled")
    server.answer("WatchFleetAnalysis", pb.FleetAnalysisEvent(advice=failed))
    ran = ask(server, "watch", "a")
    assert "what could not be sized" in ran.out
    assert "source-failed" in ran.out
    assert "CloudWatch: throttled" in ran.out
    assert ran.code == 1, "the stream ended, and the analysis had not"
