"""A start from a kept snapshot is a start from the whole journal; what was pruned is missed, never guessed."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import orjson
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from sqlalchemy import select

from tests.support.catalog_sources import good_source
from tests.support.replicas import owned, question, request_id
from tests.support.service import RunningService, running_service
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import policy_service_pb2, types_pb2
from trimtab_service.bootstrap import Overrides, retention
from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.config import Settings
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.rpc.replay import Replayer
from trimtab_service.rpc.world import Folded, World
from trimtab_service.rpc.world_snapshots import SnapshotKeeper, begin, dump
from trimtab_service.store.decisions import DecisionLog
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.follower import JournalFollower
from trimtab_service.store.journal import Journal, Snapshot, save_snapshot
from trimtab_service.store.maintenance import Maintenance, Retention
from trimtab_service.store.policies import POLICY
from trimtab_service.store.resources import ResourceStore
from trimtab_service.store.tables import DECISIONS, SNAPSHOTS
from trimtab_service.store.writer import GroupCommitWriter

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BUSY, QUIET = "projects/busy", "projects/quiet"


@dataclass
class Deployment:
    """One data directory and one database, at an instant that the test sets."""

    data_dir: Path
    source: Path
    dsn: str
    now: datetime = NOW
    ids: Iterator[int] = field(default_factory=itertools.count)

    @contextmanager
    def serving(self) -> Iterator[RunningService]:
        """The service, from start to end."""
        overrides = Overrides(clock=lambda: self.now, new_id=lambda _: f"{next(self.ids):026d}")
        with running_service(
            self.data_dir, overrides=overrides, database_url=self.dsn, catalog_dir=self.source
        ) as service:
            yield service

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The database, without a service."""
        opened = open_database(self.dsn)
        yield opened
        opened.close()

    @contextmanager
    def folded(self) -> Iterator[tuple[World, Journal, GroupCommitWriter]]:
        """What a start of the service makes of snapshots and journal."""
        with self.database() as database:
            writer, journal = GroupCommitWriter(database), Journal(database)
            library = CatalogLibrary(self.data_dir / "catalogs", self.source, clock=lambda: self.now)
            library.start()
            world = World(library, lambda _: None)
            replayer = Replayer(journal, ResourceStore(POLICY, database, writer), library)
            JournalFollower(journal, world.take, begin(world, journal, replayer.policies_at)).catch_up()
            yield world, journal, writer
            writer.close()

    def keep(self) -> Folded:
        """Save a snapshot of all there is."""
        with self.folded() as (world, journal, writer):
            assert SnapshotKeeper(world, journal, writer, clock=lambda: self.now, worth_keeping=1).run_once()
            return world.folded()

    def prune(self) -> int:
        """Prune the journal as far as snapshots allow; every decision stays."""
        with self.database() as database:
            kept = Retention(decisions=10_000 * DAY, journal=timedelta())
            return Maintenance(database, kept, batch=2, pause_s=0).run_once(self.now + timedelta(seconds=1)).journal

    def questions(self, service: RunningService) -> list[bytes]:
        """Decisions of both projects, by the same ids whenever they are asked for, as bytes."""
        self.ids = itertools.count(10**9)
        asked = [ask(parent) for parent in (BUSY, QUIET) for ask in (question, on_spot)]
        return [service.placement.Place(one).SerializeToString(deterministic=True) for one in asked]


def on_spot(parent: str) -> pb.PlaceRequest:
    """What is learned of interruptions and capacity decides this one."""
    asked = question(parent, hours=500)
    asked.workload.size.CopyFrom(pb.Size(vcpus=2))
    asked.workload.purchase_options[:] = [types_pb2.PURCHASE_OPTION_SPOT]
    return asked


@pytest.fixture
def deployment(tmp_path: Path, dsn: str) -> Deployment:
    """An empty one on each engine in turn."""
    return Deployment(tmp_path / "data", good_source().write(tmp_path / "source"), dsn)


def policy(parent: str, own: str, cost: int) -> policy_service_pb2.CreatePolicyRequest:
    """A policy with a limit in dollars."""
    rules = policy_service_pb2.Rules()
    rules.approval_threshold.currency_code, rules.approval_threshold.units = "USD", cost
    content = policy_service_pb2.Policy(rules=rules)
    return policy_service_pb2.CreatePolicyRequest(parent=parent, policy_id=own, policy=content, request_id=request_id())


def live(service: RunningService, parent: str, hours: float) -> None:
    """Something of every kind of entry: outcomes, commitments, draws, a release, policies."""
    for number in range(3):
        service.commitment.CreateCommitment(owned(parent, f"ri-{hours:g}-{number}".replace(".", "-"), 1))
    drawn = [service.placement.Place(question(parent, reserve=True)) for _ in range(2)]
    service.placement.ReleaseDecision(pb.ReleaseDecisionRequest(name=drawn[0].name))
    pattern = pb.OfferPattern(
        cloud=types_pb2.CLOUD_AWS,
        region="eu-west-1",
        instance_type="m5.xlarge",
        purchase_option=types_pb2.PURCHASE_OPTION_SPOT,
    )
    happened = [pb.Outcome(offer=pattern, hours_run=hours / 7, interruptions=number) for number in range(5)]
    pattern.instance_type = "m5.large"
    happened.append(pb.Outcome(offer=pattern, capacity_failure=True))
    service.placement.ReportOutcome(pb.ReportOutcomeRequest(parent=parent, outcomes=happened, request_id=request_id()))
    service.policy.CreatePolicy(policy(parent, f"limit-{hours:g}".replace(".", "-"), 1))


def replayed(service: RunningService, name: str) -> bool | str:
    """Whether the decision comes out the same; the reason where it cannot be made again."""
    parent = name.partition("/decisions/")[0]
    info = error_details_pb2.ErrorInfo()
    try:
        answer = service.placement.ExplainPlacement(pb.ExplainPlacementRequest(parent=parent, decision=name))
    except grpc.RpcError as error:
        return info.reason if any(detail.Unpack(info) for detail in rpc_status.from_call(error).details) else ""
    return answer.replay_identical


def test_a_start_from_a_snapshot_decides_as_a_start_from_the_journal(deployment: Deployment) -> None:
    """The same bytes, although nothing that the snapshot holds can be read in the journal any more."""
    with deployment.serving() as service:
        live(service, BUSY, 99.1)
        live(service, QUIET, 3.3)
        service.policy.CreatePolicy(policy("", "all", 5))
        alive = deployment.questions(service)
    with deployment.serving() as service:
        assert deployment.questions(service) == alive, "a start folds to what the running process had"
    kept = deployment.keep()
    deployment.now += timedelta(seconds=1)
    assert deployment.prune() > 10
    deployment.now -= timedelta(seconds=1)
    with deployment.serving() as service:
        assert deployment.questions(service) == alive
        live(service, BUSY, 7.7)
        later = deployment.questions(service)
        assert later != alive
    with deployment.serving() as service:
        assert deployment.questions(service) == later, "the snapshot and what came after it"
    with deployment.folded() as (world, _, _):
        assert world.folded().revision > kept.revision


def test_a_snapshot_is_kept_once_enough_has_happened_and_one_a_day(deployment: Deployment) -> None:
    """Few entries are not worth the state of all projects, and an hour later the same day's is replaced."""
    with deployment.serving() as service:
        live(service, BUSY, 1)
    with deployment.folded() as (world, journal, writer):
        revision = world.folded().revision
        for worth, made in ((revision + 1, False), (revision, True), (1, False)):
            keeper = SnapshotKeeper(world, journal, writer, clock=lambda: deployment.now, worth_keeping=worth)
            assert keeper.run_once() is made
    for passed in (timedelta(hours=1), DAY):
        deployment.now += passed
        with deployment.serving() as service:
            service.policy.CreatePolicy(policy("", f"p{deployment.now.timestamp():.0f}", 1))
        deployment.keep()
    with deployment.database() as database, database.read() as conn:
        days = conn.execute(select(SNAPSHOTS.c.create_time).order_by(SNAPSHOTS.c.revision)).scalars().all()
    assert days == [NOW + timedelta(hours=1), deployment.now]


@pytest.mark.parametrize("body", [orjson.dumps({"form": 999, "states": {}}), b"cut off {"])
def test_a_snapshot_that_cannot_be_read_is_passed_over(deployment: Deployment, body: bytes) -> None:
    """During a rolling update one version may not know the other's form: it starts from older ones or from nothing."""
    with deployment.serving() as service:
        live(service, BUSY, 12.5)
        alive = deployment.questions(service)
    with deployment.folded() as (world, _, writer):
        unreadable = Snapshot(world.folded().revision, NOW, body)
        writer.run(lambda conn: save_snapshot(conn, unreadable))
    with deployment.serving() as service:
        assert deployment.questions(service) == alive
    assert deployment.prune() > 0
    with pytest.raises(FailedPreconditionError, match="pruned"), deployment.serving():
        pass


def test_replay_starts_from_what_is_kept_and_says_what_is_not(deployment: Deployment) -> None:
    """Never a decision from half a history: identical, or REPLAY_UNAVAILABLE."""

    def decide(service: RunningService, parent: str) -> str:
        decision = service.placement.Place(question(parent))
        name: str = service.placement.GetDecision(pb.GetDecisionRequest(name=decision.name)).name
        return name

    with deployment.serving() as service:
        fresh = decide(service, "projects/fresh")
        live(service, BUSY, 5.1)
        early = decide(service, BUSY)
        live(service, QUIET, 2.9)
        quiet = decide(service, QUIET)
        live(service, BUSY, 1.7)
        held = decide(service, BUSY)
    deployment.keep()
    with deployment.serving() as service:
        live(service, BUSY, 4.4)
        late = decide(service, BUSY)
        everything = (fresh, early, quiet, held, late)
        assert [replayed(service, name) for name in everything] == [True] * 5
    assert deployment.prune() > 10
    with deployment.serving() as service:
        answers = {name: replayed(service, name) for name in everything}
    assert answers == {fresh: True, early: "REPLAY_UNAVAILABLE", quiet: True, held: True, late: True}


def test_a_replica_that_missed_pruned_entries_does_not_go_on_as_if_nothing_was(deployment: Deployment) -> None:
    """Whoever reads the journal from before the mark is told, instead of skipping what it has not seen."""
    with deployment.serving() as service:
        live(service, BUSY, 5.1)
    with deployment.folded() as (world, journal, _):
        seen = world.folded()
        with deployment.serving() as service:
            live(service, BUSY, 1.1)
        deployment.keep()
        deployment.prune()
        with pytest.raises(FailedPreconditionError, match="pruned"):
            JournalFollower(journal, world.take, seen.revision).catch_up()
        assert dump(world.folded()) == dump(seen)


def test_retention_prunes_the_log_as_set(deployment: Deployment) -> None:
    """Decisions go when their time is up; the journal outlasts every decision that may be replayed."""
    settings: Callable[[timedelta], Settings] = lambda kept: Settings(  # noqa: E731 - one word for three lines
        data_dir=deployment.data_dir, database_url=deployment.dsn, decision_log_retention=kept
    )
    assert retention(settings(2 * DAY)).journal == 90 * DAY
    assert retention(settings(400 * DAY)).journal == 400 * DAY
    names: list[str] = []
    with deployment.serving() as service:
        for _ in range(3):
            names += [service.placement.Place(question(BUSY)).name for _ in range(20)]
            service.placement.GetDecision(pb.GetDecisionRequest(name=names[-1]))
            deployment.now += DAY
    with deployment.database() as database:
        maintenance = Maintenance(database, retention(settings(2 * DAY)), batch=7, pause_s=0)
        assert maintenance.run_once(deployment.now - timedelta(hours=1)).decisions == 20
        assert maintenance.run_once(deployment.now - timedelta(hours=1)).decisions == 0
        with database.read() as conn:
            left = conn.execute(select(DECISIONS.c.create_time)).scalars().all()
        assert {instant.date() for instant in left} == {(NOW + DAY).date(), (NOW + 2 * DAY).date()}
        writer = GroupCommitWriter(database)
        assert DecisionLog(database, writer).get("busy", names[-1].rpartition("/")[2]).create_time == NOW + 2 * DAY
        writer.close()
