"""The process that works on a fleet is killed: the next one finishes, and nothing is lost or told twice."""

import signal
from collections import Counter
from pathlib import Path

import grpc

from tests.support.replicas import connected, launch, new_project, request_id, seconds_until
from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab.v1.rightsizing_service_pb2_grpc import RightsizingServiceStub

FLEET = 48
"""Resources of the simulated account that a deployment without accounts shows."""


def test_an_analysis_is_finished_after_its_process_was_killed(dsn: str, tmp_path: Path) -> None:
    """On both engines: killed while it works, finished by the next process; each resource has one answer."""
    settings = {"database_url": dsn, "analysis_lease": "2s"}
    parent = new_project()
    with connected(launch(tmp_path / "one", **settings)) as first:
        asked = pb.StartFleetAnalysisRequest(parent=parent, telemetry_sources=["simulated"], request_id=request_id())
        with grpc.insecure_channel(first.address) as channel:
            stub = RightsizingServiceStub(channel)
            name = stub.StartFleetAnalysis(asked, timeout=60).name
            # Not only while it is running: on a machine that stands still it may be over before it is looked at.
            seconds_until(lambda: stub.GetFleetAnalysis(_get(name), timeout=60).state != pb.FleetAnalysis.STATE_PENDING)
        first.process.process.send_signal(signal.SIGKILL)
        first.process.process.wait()
    with connected(launch(tmp_path / "two", **settings)) as second, grpc.insecure_channel(second.address) as channel:
        stub = RightsizingServiceStub(channel)
        events = list(stub.WatchFleetAnalysis(pb.WatchFleetAnalysisRequest(name=name), timeout=60))
        assert stub.StartFleetAnalysis(asked, timeout=60).name == name
        resumed = events[FLEET // 2].resume_token
        rest = list(stub.WatchFleetAnalysis(pb.WatchFleetAnalysisRequest(name=name, resume_token=resumed), timeout=60))
    advice = [event.advice for event in events if event.HasField("advice")]
    assert Counter(one.resource.resource_id for one in advice).most_common(1)[0][1] == 1
    assert len(advice) == FLEET
    assert events[-1].fleet_analysis.state == pb.FleetAnalysis.STATE_SUCCEEDED
    assert events[-1].fleet_analysis.resources_done == FLEET
    after = [event.advice for event in rest if event.HasField("advice")]
    assert after == [event.advice for event in events[FLEET // 2 + 1 :] if event.HasField("advice")]


def _get(name: str) -> pb.GetFleetAnalysisRequest:
    return pb.GetFleetAnalysisRequest(name=name)
