"""Carrying out while processes die, on both databases: nothing is left half done, nothing is done twice."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.findings import content
from tests.support.lifecycles import take_in
from tests.support.machines import Machines
from tests.support.replicas import seconds_until
from tests.support.server import ServerProcess
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from trimtab_service.store.engines import open_database
from trimtab_service.store.schema import migrate

OWN = "i-00000001"
AFTER = {"State": "running", "InstanceType": "m5.xlarge"}
STEPS = ["stop_instance", "modify_instance_type", "start_instance"]


@pytest.fixture
def machines(tmp_path: Path) -> Machines:
    """One running m5.2xlarge."""
    made = Machines(tmp_path / "machines.json")
    made.add(OWN)
    return made


@contextmanager
def replica(
    tmp_path: Path, dsn: str, machines: Machines, lease: str = "1"
) -> Iterator[tuple[ServerProcess, RecommendationServiceStub]]:
    """A process of the service that takes over after a second of silence, or so many."""
    server = ServerProcess(
        {
            "TRIMTAB_LISTEN": "127.0.0.1:0",
            "TRIMTAB_ADMIN_LISTEN": "127.0.0.1:0",
            "TRIMTAB_DRAIN_INTERVAL": "0",
            "TRIMTAB_DATA_DIR": str(tmp_path / uuid.uuid4().hex),
            "TRIMTAB_DATABASE_URL": dsn,
            "TRIMTAB_APPLY_LEASE": lease,
            "TRIMTAB_POLL_INTERVAL": "0.1",
            "TEST_MACHINES": str(machines.path),
        },
        module="tests.support.lifecycle_server",
    )
    try:
        port = server.event("listening", 120)["port"]
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield server, RecommendationServiceStub(channel)
    finally:
        server.close()


def prepared(dsn: str) -> str:
    """A resize in the store; its name."""
    database = open_database(dsn)
    migrate(database)
    database.close()
    return take_in(dsn, "p", [content(1)])[0].name


def applying(rpc: RecommendationServiceStub, name: str, request_id: str) -> threading.Thread:
    """Somebody who applies it, and may lose the server meanwhile."""

    def call() -> None:
        try:
            rpc.ApplyRecommendation(
                pb.ApplyRecommendationRequest(name=name, execute=True, request_id=request_id), timeout=120
            )
        except grpc.RpcError:
            return

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", STEPS)
def test_who_takes_over_a_killed_process_finishes_its_run_once(
    tmp_path: Path, dsn: str, machines: Machines, kind: str
) -> None:
    """Killed in the middle of each step: the machine ends as advised, each step done once, all of it journalled."""
    name, request_id = prepared(dsn), str(uuid.uuid4())
    machines.fail(slow_s={kind: 2.0})
    with replica(tmp_path, dsn, machines) as (first, rpc):
        rpc.ClaimRecommendation(pb.ClaimRecommendationRequest(name=name), timeout=30)
        caller = applying(rpc, name, request_id)
        reached = STEPS.index(kind)
        seconds_until(lambda: len(_journal(rpc, name)) > reached)
        first.process.kill()
        caller.join(60)
    machines.fail(slow_s={})
    with replica(tmp_path, dsn, machines) as (_, rpc):
        request = pb.ApplyRecommendationRequest(name=name, execute=True, request_id=request_id)
        done = rpc.ApplyRecommendation(request, timeout=60)
        again = rpc.ApplyRecommendation(request, timeout=60)
    assert done.recommendation.state == pb.Recommendation.STATE_SUCCEEDED
    assert again == done
    assert machines.fields(OWN) == AFTER
    assert machines.changes() == STEPS
    assert all(entry.HasField("end_time") for entry in done.recommendation.applied_operations)
    assert len(done.operations) == 3


def test_a_run_that_nobody_asks_for_again_is_finished_too(tmp_path: Path, dsn: str, machines: Machines) -> None:
    """By the sweep of the process that comes next: a machine that was stopped does not stay so."""
    name = prepared(dsn)
    machines.fail(slow_s={"modify_instance_type": 2.0})
    with replica(tmp_path, dsn, machines) as (first, rpc):
        rpc.ClaimRecommendation(pb.ClaimRecommendationRequest(name=name), timeout=30)
        caller = applying(rpc, name, str(uuid.uuid4()))
        seconds_until(lambda: len(_journal(rpc, name)) > 1)
        first.process.kill()
        caller.join(60)
    machines.fail(slow_s={})
    with replica(tmp_path, dsn, machines) as (_, rpc):
        seconds_until(lambda: _read(rpc, name).state == pb.Recommendation.STATE_SUCCEEDED, 60)
    assert machines.fields(OWN) == AFTER
    assert machines.changes() == STEPS


def test_two_processes_change_a_resource_once_and_both_answer(tmp_path: Path, dsn: str, machines: Machines) -> None:
    """The same request to both waits for one run; a watch on either sees it."""
    name, request_id = prepared(dsn), str(uuid.uuid4())
    machines.fail(slow_s={"stop_instance": 1.0})
    answers: list[pb.ApplyRecommendationResponse] = []
    # Neither is taken for dead, even if the machine stands still for a while.
    with replica(tmp_path, dsn, machines, "120") as (_, one), replica(tmp_path, dsn, machines, "120") as (_, two):
        one.ClaimRecommendation(pb.ClaimRecommendationRequest(name=name), timeout=30)
        watch = two.WatchRecommendations(pb.WatchRecommendationsRequest(parent="projects/p"), timeout=60)
        threads = [threading.Thread(target=_apply, args=(rpc, name, request_id, answers)) for rpc in (one, two)]
        time.sleep(0.3)
        for thread in threads:
            thread.start()
        seen = next(event for event in watch if event.recommendation.state == pb.Recommendation.STATE_SUCCEEDED)
        for thread in threads:
            thread.join(60)
    assert seen.recommendation.name == name
    assert len(answers) == 2
    assert answers[0] == answers[1]
    assert answers[0].executed
    assert machines.changes() == STEPS


def _apply(rpc: RecommendationServiceStub, name: str, request_id: str, answers: list[Any]) -> None:
    """Ask until there is an answer: who comes second may find the recommendation changed before it finds the run."""
    request = pb.ApplyRecommendationRequest(name=name, execute=True, request_id=request_id)
    for _ in range(20):
        try:
            answer = rpc.ApplyRecommendation(request, timeout=60)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.ABORTED:
                continue
            raise
        if answer.executed:
            answers.append(answer)
            return


def _read(rpc: RecommendationServiceStub, name: str) -> pb.Recommendation:
    found: pb.Recommendation = rpc.GetRecommendation(pb.GetRecommendationRequest(name=name), timeout=30)
    return found


def _journal(rpc: RecommendationServiceStub, name: str) -> list[pb.AppliedOperation]:
    return list(_read(rpc, name).applied_operations)
