"""The database goes away under a running replica, and comes back: decisions go on, and what is lost is said."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from tests.support.catalog_sources import good_source
from tests.support.databases import PostgresServer
from tests.support.replicas import (
    ON_DEMAND,
    OWNED,
    Replica,
    launch,
    logged,
    new_project,
    no_capacity,
    owned,
    question,
    replica,
    request_id,
    seconds_until,
)
from trimtab.v1 import catalog_service_pb2, policy_service_pb2
from trimtab.v1 import placement_service_pb2 as pb

DEADLINE_S = 60.0
"""Of every change that is tried without a database: an answer comes before it."""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class Deployment:
    """A replica and the database that it alone uses."""

    postgres: PostgresServer
    dsn: str
    replica: Replica

    def lose_database(self) -> None:
        """Stop it, and wait until the replica has noticed."""
        self.postgres.stop()
        seconds_until(lambda: "store" in self.replica.problems())
        seconds_until(lambda: self.replica.metric("trimtab_store_up") == 0)

    def regain_database(self) -> None:
        """Start it again, and wait until the replica has found it and has written what waited."""
        self.postgres.start()
        seconds_until(lambda: self.replica.problems() == {})
        seconds_until(lambda: self.replica.metric("trimtab_store_up") == 1)
        seconds_until(lambda: self.replica.metric("trimtab_decision_log_queue_depth") == 0)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """One for all tests: each starts and ends with a database."""
    home = tmp_path_factory.mktemp("gone")
    source = good_source().write(home / "source")
    postgres = PostgresServer()
    dsn = postgres.create_database()
    try:
        with replica(home / "data", database_url=dsn, catalog_dir=str(source)) as running:
            yield Deployment(postgres, dsn, running)
    finally:
        postgres.start()
        postgres.close()


def health_of(address: str, service: str) -> int:
    """What the health service says."""
    with grpc.insecure_channel(address) as channel:
        asked = health_pb2.HealthCheckRequest(service=service)
        status: int = health_pb2_grpc.HealthStub(channel).Check(asked).status
        return status


def refusal(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    """The code and the reason that a call is refused with."""
    with pytest.raises(grpc.RpcError) as failed:
        call()
    status = rpc_status.from_call(failed.value)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return failed.value.code(), info.reason


def changes(running: Replica, parent: str, spare: pb.Decision, held: pb.Decision) -> dict[str, Callable[[], Any]]:
    """Every call that has to be durable before it is answered, or has to read what is."""
    rules = policy_service_pb2.Rules(required_tags=["team"])
    policy = policy_service_pb2.CreatePolicyRequest(
        parent=parent, policy_id="p", policy=policy_service_pb2.Policy(rules=rules), request_id=request_id()
    )
    batch = pb.BatchPlaceRequest(parent=parent, requests=[question(parent, reserve=True)])
    placement = running.placement
    return {
        "reserve": lambda: placement.Place(question(parent, reserve=True), timeout=DEADLINE_S),
        "report": lambda: placement.ReportOutcome(no_capacity(parent, spare), timeout=DEADLINE_S),
        "release": lambda: placement.ReleaseDecision(pb.ReleaseDecisionRequest(name=held.name), timeout=DEADLINE_S),
        "commitment": lambda: running.commitment.CreateCommitment(owned(parent, "more", 1), timeout=DEADLINE_S),
        "read": lambda: placement.GetDecision(pb.GetDecisionRequest(name=held.name), timeout=DEADLINE_S),
        "list": lambda: placement.ListDecisions(pb.ListDecisionsRequest(parent=parent), timeout=DEADLINE_S),
        "item": lambda: only_item(placement.BatchPlace(batch, timeout=DEADLINE_S)),
        "policy": lambda: running.policy.CreatePolicy(policy, timeout=DEADLINE_S),
    }


def only_item(answer: pb.BatchPlaceResponse) -> pb.Decision:
    """The decision of a batch of one, or its error as the unary call would have raised it."""
    item = answer.results[0]
    if item.HasField("error"):
        raise ItemError(item.error)
    return item.decision


class ItemError(grpc.RpcError):
    """An item's error in the clothes of a call's."""

    def __init__(self, status: Any) -> None:  # noqa: ANN401 - google.rpc.Status
        super().__init__(status.message)
        self._status = status

    def code(self) -> grpc.StatusCode:
        """As of a call."""
        return next(code for code in grpc.StatusCode if code.value[0] == self._status.code)

    def details(self) -> str:
        """As of a call."""
        return str(self._status.message)

    def trailing_metadata(self) -> Any:  # noqa: ANN401 - grpc keeps the type of its metadata to itself
        """As of a call."""
        return (("grpc-status-details-bin", self._status.SerializeToString()),)


def test_decisions_go_on_without_a_database_and_the_log_catches_up(deployment: Deployment) -> None:
    """Only what changes state is refused, at once and with the reason; health and metrics say what is wrong."""
    running, parent = deployment.replica, new_project()
    running.commitment.CreateCommitment(owned(parent, "ri", 1))
    held = running.placement.Place(question(parent, reserve=True))
    spare = running.placement.Place(question(parent))
    assert held.reserved
    dropped = running.metric("trimtab_decision_log_dropped_total")

    deployment.lose_database()
    assert running.admin("/readyz")[0] == 200
    assert health_of(running.address, "") == SERVING
    assert health_of(running.address, "trimtab.v1.PlacementService") == SERVING
    seconds_until(lambda: health_of(running.address, "trimtab.v1.PolicyService") == NOT_SERVING)
    assert health_of(running.address, "trimtab.v1.CommitmentService") == NOT_SERVING

    decisions = [running.placement.Place(question(parent), timeout=DEADLINE_S) for _ in range(50)]
    asked = pb.BatchPlaceRequest(parent=parent, requests=[question(parent) for _ in range(64)], joint=True)
    decisions += [result.decision for result in running.placement.BatchPlace(asked).results]
    assert {decision.chosen.offer.purchase_option for decision in decisions} == {ON_DEMAND}, "the room is held"
    refused = {name: refusal(call) for name, call in changes(running, parent, spare, held).items()}
    assert set(refused.values()) == {(grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")}, refused
    refreshed = running.catalog.RefreshCatalog(catalog_service_pb2.RefreshCatalogRequest(request_id=request_id()))
    assert refreshed.current, "an unchanged source needs no database"
    seconds_until(lambda: running.metric("trimtab_decision_log_queue_depth") >= len(decisions))
    seconds_until(lambda: "journal" in running.problems())
    assert running.metric("trimtab_journal_lag_seconds") > 0

    deployment.regain_database()
    assert {decision.name for decision in decisions} <= logged(running, parent)
    assert running.metric("trimtab_decision_log_dropped_total") == dropped
    assert health_of(running.address, "trimtab.v1.PolicyService") == SERVING
    answered = {name: call() for name, call in changes(running, parent, decisions[0], held).items()}
    assert answered["release"].name == held.name


def test_what_the_log_cannot_hold_is_counted(deployment: Deployment) -> None:
    """Without a database the queue is bounded: the newest are dropped, each is counted, and the rest is written."""
    running, parent = deployment.replica, new_project()
    fat = question(parent)
    for number in range(64):
        fat.workload.tags[f"tag{number}"] = "x" * 250
    before = running.metric("trimtab_decision_log_dropped_total")

    deployment.lose_database()
    names: list[str] = []
    for _ in range(25):
        answer = running.placement.BatchPlace(pb.BatchPlaceRequest(parent=parent, requests=[fat] * 200))
        names += [result.decision.name for result in answer.results]
    assert len(set(names)) == 5_000
    seconds_until(lambda: running.metric("trimtab_decision_log_dropped_total") > before)

    deployment.regain_database()
    dropped = int(running.metric("trimtab_decision_log_dropped_total") - before)
    kept = logged(running, parent)
    assert kept == set(names[: len(kept)]), "the oldest are kept"
    assert len(kept) + dropped == len(names)


def test_a_change_in_force_elsewhere_arrives_after_the_outage(deployment: Deployment, tmp_path: Path) -> None:
    """What another replica entered while this one could not read is taken over when it can."""
    running, parent = deployment.replica, new_project()
    deployment.lose_database()
    assert running.placement.Place(question(parent)).chosen.offer.purchase_option == ON_DEMAND
    deployment.regain_database()
    source = good_source().write(tmp_path / "source")
    with replica(tmp_path / "data", database_url=deployment.dsn, catalog_dir=str(source)) as other:
        other.commitment.CreateCommitment(owned(parent, "ri", 1))
        seconds_until(lambda: running.placement.Place(question(parent)).chosen.offer.purchase_option == OWNED)


def test_a_start_without_a_database_says_why(tmp_path: Path) -> None:
    """No traceback: one line with the reason, and an exit code of its own."""
    started = time.monotonic()
    process = launch(tmp_path, database_url="postgresql://u:secret-word@127.0.0.1:1/none")
    try:
        assert process.event("cannot start")["reason"] == "STORE_UNAVAILABLE"
        assert process.finish() == 4, time.monotonic() - started
        assert b"secret-word" not in b"".join(process.lines)
        assert process.process.stderr is not None
        assert process.process.stderr.read() == b""
    finally:
        process.close()
