"""The composition root: the one place that sees every room and wires them together."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from trimtab.v1 import (
    catalog_service_pb2,
    commitment_service_pb2,
    failover_service_pb2,
    placement_service_pb2,
    policy_service_pb2,
    purchasing_service_pb2,
    recommendation_service_pb2,
    replication_service_pb2,
    rightsizing_service_pb2,
)
from trimtab_service.bootstrap.failover import FailoverRooms
from trimtab_service.bootstrap.failover import assemble as assemble_failover
from trimtab_service.bootstrap.lifecycle import Rooms
from trimtab_service.bootstrap.lifecycle import assemble as assemble_lifecycle
from trimtab_service.bootstrap.replication import ReplicatedTargets, ReplicationRooms
from trimtab_service.bootstrap.replication import assemble as assemble_replication
from trimtab_service.bootstrap.sizing import House
from trimtab_service.bootstrap.sizing import assemble as assemble_sizing
from trimtab_service.bootstrap.targets import failover_file
from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.starter_source import STARTER_DIRECTORY
from trimtab_service.catalog.watch import CatalogWatch
from trimtab_service.config import Settings
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.failover.execution import Conduct
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.watching import Watch
from trimtab_service.observability.state_metrics import StateMetrics, StateSample
from trimtab_service.placement.index import index_of
from trimtab_service.recommendations.ports import Actuators
from trimtab_service.replication.runner import Pacing
from trimtab_service.rightsizing.ports import TelemetrySources
from trimtab_service.rpc.catalog import CatalogServicer
from trimtab_service.rpc.commitments import CommitmentServicer
from trimtab_service.rpc.desk import PlacementDesk
from trimtab_service.rpc.failover_rounds import EVERY as ROUNDS_EVERY
from trimtab_service.rpc.health import Probe
from trimtab_service.rpc.ids import NewId, new_ulid
from trimtab_service.rpc.inventory_demand import InventoryDemand, ListedFleet
from trimtab_service.rpc.memo import DecisionMemo
from trimtab_service.rpc.placement import PlacementServicer
from trimtab_service.rpc.policies import PolicyServicer
from trimtab_service.rpc.purchase_booking import BookedActuators, PurchaseBook
from trimtab_service.rpc.purchase_desk import PurchaseDesk
from trimtab_service.rpc.purchasing import PurchasingServicer
from trimtab_service.rpc.replay import Replayer
from trimtab_service.rpc.service import Service
from trimtab_service.rpc.world import World, vocabulary_of
from trimtab_service.rpc.world_snapshots import SnapshotKeeper, begin
from trimtab_service.serving import Application, Runtime
from trimtab_service.store import journal as journal_store
from trimtab_service.store.commitments import COMMITMENT
from trimtab_service.store.decisions import DecisionLog
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.follower import JournalFollower
from trimtab_service.store.journal import Journal, JournalKind
from trimtab_service.store.maintenance import Maintenance, Retention
from trimtab_service.store.policies import POLICY
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.resources import ResourceStore
from trimtab_service.store.schema import SCHEMA_VERSION, migrate, schema_is_current
from trimtab_service.store.writer import GroupCommitWriter

_LONGEST_LAG_S: Final = 5.0
"""Past this, what other replicas change can no longer be said to be in force here."""

_JOURNAL_KEPT: Final = timedelta(days=90)
"""A replica that was cut off from the database for longer has to be started anew."""


def utc_now() -> datetime:
    """The wall clock of the process, aware."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What a test or a bench puts in the place of the real thing."""

    clock: Callable[[], datetime] = utc_now
    new_id: NewId = new_ulid
    sources: TelemetrySources | None = None
    """Instead of those that the file of cloud accounts names."""
    actuators: Actuators | None = None
    """The same of what changes clouds."""
    targets: Targets | None = None
    """What failovers move."""
    conduct: Conduct = field(default_factory=Conduct)
    """How failovers are carried out."""
    replication_pacing: Pacing = field(default_factory=Pacing)
    """How often replications are looked after."""
    dependencies: Dependencies | None = None
    """What the deployment hangs on, instead of what the file says."""
    watches: tuple[Watch, ...] | None = None
    """Probes that it makes itself; the same."""
    rounds_every: timedelta = ROUNDS_EVERY
    """How often it is asked which plans are to be evaluated, and which exercises are due."""


def compose(settings: Settings, runtime: Runtime, overrides: Overrides | None = None) -> Application:
    """Build the application of one serving process: the store is migrated, the catalogue loaded, the journal read.

    Raises:
        UnavailableError: the database does not answer, or no catalogue could be built.
        FailedPreconditionError: the catalogue is not acceptable, and there is no older one.

    """
    given = overrides or Overrides()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = open_database(settings.store_url)
    if migrate(database):
        runtime.log.info("schema brought up to date", version=SCHEMA_VERSION)
    library = CatalogLibrary(
        settings.data_dir / "catalogs", settings.catalog_dir or STARTER_DIRECTORY, clock=given.clock
    )
    library.prepare_with(_warm)
    loaded = library.start()
    runtime.log.info(
        "catalogue loaded",
        version=loaded.load.version,
        price_rows=loaded.load.price_rows,
        quarantined=loaded.load.quarantined_rows,
    )

    writer = GroupCommitWriter(database)
    journal = Journal(database)
    policies = ResourceStore(POLICY, database, writer)
    commitments = ResourceStore(COMMITMENT, database, writer)
    replayer = Replayer(journal, policies, library)
    poll_s = settings.poll_interval.total_seconds()
    watch = CatalogWatch(library, poll_s, partial(_not_refreshed, runtime))
    world = World(library, watch.announce)
    follower = JournalFollower(journal, world.take, begin(world, journal, replayer.policies_at), poll_s)
    world.follow(follower)
    follower.catch_up()
    follower.start()
    watch.start()
    maintenance = Maintenance(database, retention(settings))
    keeper = SnapshotKeeper(world, journal, writer, clock=given.clock)
    if runtime.worker == 0:
        maintenance.start(given.clock)
        keeper.start()
    metrics = StateMetrics(runtime.registry, lambda: _sample(library, writer, database, follower, given.clock))

    log = DecisionLog(database, writer)
    desk = PlacementDesk(
        world,
        log,
        writer,
        clock=given.clock,
        new_id=given.new_id,
        hold=settings.reservation_ttl,
        memo=DecisionMemo(settings.decision_memo),
    )

    recommendations = RecommendationStore(database, writer, settings.recommendation_lifetime)
    sizing = assemble_sizing(
        House(
            settings=settings,
            catalogs=settings.data_dir / "catalogs",
            world=world,
            database=database,
            writer=writer,
            recommendations=recommendations,
            clock=given.clock,
            new_id=given.new_id,
            sources=given.sources,
        )
    )

    lifecycle = assemble_lifecycle(
        Rooms(
            settings=settings,
            world=world,
            database=database,
            writer=writer,
            recommendations=recommendations,
            desk=sizing.desk,
            sources=given.sources or sizing.clouds.sources,
            actuators=BookedActuators(
                given.actuators or sizing.clouds.actuators, PurchaseBook(commitments, given.clock)
            ),
            sweeps=runtime.worker == 0,
            clock=given.clock,
            new_id=given.new_id,
        )
    )

    replication = assemble_replication(
        ReplicationRooms(
            settings=settings,
            database=database,
            writer=writer,
            registry=runtime.registry,
            clock=given.clock,
            pacing=given.replication_pacing,
        )
    )
    stated = failover_file(settings, given.clock)
    failover = assemble_failover(
        FailoverRooms(
            world=world,
            database=database,
            writer=writer,
            targets=ReplicatedTargets(given.targets or stated.targets, replication),
            dependencies=given.dependencies or stated.dependencies,
            conduct=given.conduct,
            watches=stated.watches if given.watches is None else given.watches,
            rounds_every=given.rounds_every,
            registry=runtime.registry,
            clock=given.clock,
            new_id=given.new_id,
        )
    )

    def announce(version: str, now: datetime, timeout_s: float) -> None:
        payload = {"version": version}
        writer.run(lambda conn: journal_store.append(conn, "", JournalKind.CATALOG, payload, now), timeout_s)

    purchases = PurchaseDesk(world, sizing.pool, clock=given.clock, point_cap=settings.sizing_points)
    services = (
        (
            placement_service_pb2,
            "PlacementService",
            PlacementServicer(desk, world, log, writer, replayer, clock=given.clock, batch_cap=settings.batch_cap),
        ),
        (catalog_service_pb2, "CatalogService", CatalogServicer(library, given.clock, announce)),
        (
            policy_service_pb2,
            "PolicyService",
            PolicyServicer(policies, world, log, replayer, clock=given.clock),
        ),
        (
            commitment_service_pb2,
            "CommitmentService",
            CommitmentServicer(commitments, world, writer, clock=given.clock, new_id=given.new_id),
        ),
        (rightsizing_service_pb2, "RightsizingService", sizing.servicer),
        (
            purchasing_service_pb2,
            "PurchasingService",
            PurchasingServicer(
                purchases,
                writer,
                sizing.intake,
                sizing.clouds.advisors,
                InventoryDemand(ListedFleet(given.sources or sizing.clouds.sources), purchases.snapshot, given.clock),
            ),
        ),
        (recommendation_service_pb2, "RecommendationService", lifecycle.servicer),
        (failover_service_pb2, "FailoverService", failover.servicer),
        (replication_service_pb2, "ReplicationService", replication.servicer),
    )
    return Application(
        services=[Service(module.DESCRIPTOR.services_by_name[name], servicer) for module, name, servicer in services],
        probes=_probes(library, database, follower),
        close=(
            *failover.close,
            *replication.close,
            *lifecycle.close,
            *sizing.close,
            metrics.close,
            maintenance.close,
            keeper.close,
            watch.close,
            follower.close,
            lambda: _closed(writer, runtime),
            database.close,
        ),
    )


def retention(settings: Settings) -> Retention:
    """How long things are kept: every decision of the log can be replayed, so the journal stays at least as long."""
    kept = settings.decision_log_retention
    return Retention(
        decisions=kept,
        journal=max(kept, _JOURNAL_KEPT),
        analyses=settings.analysis_retention,
        profiles=settings.profile_retention,
        recommendations=settings.recommendation_retention,
        failover_runs=settings.failover_run_retention,
        failover_reports=settings.failover_report_retention,
    )


def _not_refreshed(runtime: Runtime, error: TrimtabError) -> None:
    runtime.log.warning("catalogue not refreshed", cause=error.message, reason=error.reason.name)


def _closed(writer: GroupCommitWriter, runtime: Runtime) -> None:
    """Flush the log; what could not be written is said."""
    dropped = writer.close()
    if dropped:
        runtime.log.error("decisions not logged", dropped=dropped)


def _warm(snapshot: CatalogSnapshot) -> None:
    """Make what is made once a catalogue before the first caller needs it."""
    index_of(snapshot)
    vocabulary_of(snapshot)


def _probes(library: CatalogLibrary, database: Database, follower: JournalFollower) -> tuple[Probe, ...]:
    def catalog() -> str | None:
        failure = library.last_failure
        return None if failure is None else f"the last refresh failed: {failure.reason.name}"

    def store() -> str | None:
        try:
            return None if schema_is_current(database) else "the schema is not current"
        except TrimtabError as error:
            return error.message

    def journal() -> str | None:
        lag = follower.lag_s()
        return None if lag < _LONGEST_LAG_S else f"not read for {lag:.0f} s"

    # Decisions go on without a database, so only what changes state is taken out of service with it.
    return (
        Probe(
            "store",
            store,
            services=tuple(
                f"trimtab.v1.{name}Service"
                for name in ("Policy", "Commitment", "Recommendation", "Failover", "Replication")
            ),
        ),
        Probe("journal", journal),
        Probe("catalog", catalog),
    )


def _sample(
    library: CatalogLibrary,
    writer: GroupCommitWriter,
    database: Database,
    follower: JournalFollower,
    clock: Callable[[], datetime],
) -> StateSample:
    stats = writer.stats()
    loaded = library.current
    age = loaded.load.newest_price_age(clock())
    try:
        database.ping()
        up = True
    except TrimtabError:
        up = False
    return StateSample(
        catalog_age_s=None if age is None else age.total_seconds(),
        catalog_rows={summary.basis.value: summary.rows for summary in loaded.load.bases},
        log_queue_depth=stats.queue_depth,
        log_dropped_total=stats.dropped_total,
        store_up=up,
        journal_lag_s=follower.lag_s(),
    )
