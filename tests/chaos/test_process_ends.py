"""The service is told to stop, or killed, under load: what it has answered is kept."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest

from tests.support.catalog_sources import good_source
from tests.support.databases import PostgresServer
from tests.support.replicas import (
    ON_DEMAND,
    OWNED,
    Replica,
    environment,
    logged,
    new_project,
    no_capacity,
    owned,
    question,
    replica,
    reserved_fraction,
    seconds_until,
    stubs,
)
from tests.support.server import ROOT
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1.placement_service_pb2_grpc import PlacementServiceStub

ROOM = 100_000
"""More reserved instances than a test can draw."""

ENOUGH = 200
"""Answers after which the end may come."""


Act = Callable[["Callers", PlacementServiceStub], None]


@dataclass
class Callers:
    """Threads with a connection each that call until the server is gone, and what they were answered."""

    address: str
    parent: str
    decisions: list[pb.Decision] = field(default_factory=list)
    revisions: list[int] = field(default_factory=list)
    failures: list[grpc.StatusCode] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, *acts: Act) -> None:
        """One caller an act, in the background."""
        self.threads = [threading.Thread(target=self._call, args=(act,), daemon=True) for act in acts]
        for thread in self.threads:
            thread.start()

    def finish(self) -> None:
        """Wait until every one of them has met the end of the server."""
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive()
        assert len(self.failures) == len(self.threads)

    def _call(self, act: Act) -> None:
        with stubs(self.address) as placement:
            try:
                while True:
                    act(self, placement)
            except grpc.RpcError as error:
                self.failures.append(error.code())


def place(callers: Callers, placement: PlacementServiceStub) -> None:
    """One decision."""
    callers.decisions.append(placement.Place(question(callers.parent), timeout=30))


def place_many(callers: Callers, placement: PlacementServiceStub) -> None:
    """A batch."""
    asked = pb.BatchPlaceRequest(parent=callers.parent, requests=[question(callers.parent)] * 32)
    answer = placement.BatchPlace(asked, timeout=30)
    callers.decisions += [result.decision for result in answer.results]


def draw(callers: Callers, placement: PlacementServiceStub) -> None:
    """A reservation."""
    decision = placement.Place(question(callers.parent, reserve=True), timeout=30)
    assert decision.reserved
    callers.decisions.append(decision)


def report(callers: Callers, placement: PlacementServiceStub) -> None:
    """An outcome of something else than what is drawn."""
    asked = no_capacity(callers.parent, placement.Place(question(callers.parent), timeout=30))
    asked.outcomes[0].offer.instance_type = "m5.xlarge"
    asked.outcomes[0].offer.purchase_option = ON_DEMAND
    callers.revisions.append(placement.ReportOutcome(asked, timeout=30).learned_revision)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_under_load_finishes_every_call_and_the_log(tmp_path: Path, workers: str) -> None:
    """Exit code 0, no call breaks off, and every decision that was answered is in the log afterwards."""
    source = good_source().write(tmp_path / "source")
    settings = {"catalog_dir": str(source), "workers": workers}
    parent = new_project()
    with replica(tmp_path / "data", **settings, drain_interval="500ms") as running:
        callers = Callers(running.address, parent)
        callers.start(place, place, place_many, place)
        seconds_until(lambda: len(callers.decisions) >= ENOUGH)
        running.process.process.send_signal(signal.SIGTERM)
        callers.finish()
        assert running.process.finish() == 0
        lines = b"".join(running.process.lines)
        assert lines.count(b'"all_calls_finished":true') == int(workers)
        assert b"decisions not logged" not in lines
    assert set(callers.failures) == {grpc.StatusCode.UNAVAILABLE}, "refused when it is gone, never broken off"
    with replica(tmp_path / "data", **settings) as again:
        assert logged(again, parent) >= {decision.name for decision in callers.decisions}


def test_replicas_that_stop_one_after_another_cost_their_callers_nothing(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    """A rolling update under load: two replicas are replaced, no call fails, and no decision is missing."""
    dsn = postgres_server.create_database()
    source = good_source().write(tmp_path / "source")
    settings = {"catalog_dir": str(source), "database_url": dsn, "drain_interval": "500ms"}
    parent = new_project()
    with replica(tmp_path / "a", **settings) as first, replica(tmp_path / "b", **settings) as second:
        first.commitment.CreateCommitment(owned(parent, "ri", ROOM))
        seconds_until(lambda: second.placement.Place(question(parent)).revisions.commitment_revision > 0)
        callers = Callers(f"ipv4:{first.address},{second.address}", parent)
        callers.start(place, draw, report)
        seconds_until(lambda: len(callers.decisions) >= ENOUGH)
        assert first.process.stop() == 0
        answered = len(callers.decisions)
        with replica(tmp_path / "a", **settings, listen=first.address) as third:
            seconds_until(lambda: third.handled("Place") > 0)
            assert callers.failures == []
            assert second.process.stop() == 0
            answered = len(callers.decisions)
            seconds_until(lambda: len(callers.decisions) >= answered + ENOUGH)
            assert callers.failures == []
            assert third.process.stop() == 0
            callers.finish()
    with replica(tmp_path / "a", **settings) as again:
        assert logged(again, parent) >= {decision.name for decision in callers.decisions}
    postgres_server.drop_database(dsn)


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path, dsn: str) -> None:
    """After SIGKILL the store opens, and room drawn and outcomes reported are there, in state and in log."""
    source = good_source().write(tmp_path / "source")
    settings = {"catalog_dir": str(source), "database_url": dsn}
    parent = new_project()
    with replica(tmp_path / "data", **settings) as running:
        running.commitment.CreateCommitment(owned(parent, "ri", ROOM))
        callers = Callers(running.address, parent)
        callers.start(draw, report, draw, place)
        seconds_until(lambda: len(callers.decisions) >= ENOUGH and len(callers.revisions) > 0)
        running.process.process.kill()
        callers.finish()
        running.process.finish()
    drawn = [decision for decision in callers.decisions if decision.reserved]
    assert drawn
    with replica(tmp_path / "data", **settings) as again:
        assert again.problems() == {}
        assert logged(again, parent) >= {decision.name for decision in drawn}
        held = round(reserved_fraction(again, parent) * ROOM)
        assert len(drawn) <= held <= len(drawn) + 2, "at most the two draws in flight were made and not answered"
        decision = again.placement.Place(question(parent))
        assert decision.chosen.offer.purchase_option == OWNED
        assert decision.revisions.learned_revision >= max(callers.revisions)
        assert decision.revisions.commitment_revision > 0
        repeat = question(parent, reserve=True)
        assert again.placement.Place(repeat) == again.placement.Place(repeat)
        assert round(reserved_fraction(again, parent) * ROOM) == held + 1


def run(*flags: str, data_dir: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """`python -m trimtab_service FLAGS`, expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "trimtab_service", *flags],
        cwd=ROOT,
        env=environment(data_dir, **settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_taken_port_ends_the_real_service_with_code_3(tmp_path: Path) -> None:
    """It names the address and writes nothing to the data directory."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run("--listen", address, data_dir=tmp_path / "data")
    assert ended.returncode == 3
    assert address in ended.stdout
    assert not (tmp_path / "data").exists()


def test_bad_settings_end_the_real_service_with_code_2_and_every_fault(tmp_path: Path) -> None:
    """All faults at once, one line each, whichever source they come from."""
    ended = run("--listen", "0.0.0.0:0", data_dir=tmp_path / "data", workers="many", threads="0", poll_intervall="1")
    assert ended.returncode == 2
    for key in ("TRIMTAB_POLL_INTERVALL", "workers", "threads"):
        assert key in ended.stderr
    ended = run("--listen", "0.0.0.0:0", data_dir=tmp_path / "data", catalog_dir=str(tmp_path / "none"))
    assert ended.returncode == 2
    for key in ("listen", "catalog_dir"):
        assert key in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_source_that_is_no_catalogue_says_so_at_the_start(tmp_path: Path) -> None:
    """One line with the reason and code 4; the second start, with a good source, serves."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "regions.csv").write_text("not,a,catalogue\n1,2,3\n", encoding="utf-8")
    ended = run(data_dir=tmp_path / "data", catalog_dir=str(source))
    assert ended.returncode == 4
    assert '"event":"cannot start"' in ended.stdout
    assert "Traceback" not in ended.stderr
    good_source().write(source)
    with replica(tmp_path / "data", catalog_dir=str(source)) as running:
        assert is_up(running)


def is_up(running: Replica) -> bool:
    """Whether it is ready and decides."""
    decision: pb.Decision = running.placement.Place(question(new_project()))
    return running.admin("/readyz")[0] == 200 and decision.HasField("chosen")
