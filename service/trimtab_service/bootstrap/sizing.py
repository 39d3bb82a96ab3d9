"""Wires sizing: the configured clouds, the desk, the worker pool, analyses of fleets and what they recommend."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.kinds import BUYERS, Connection, connect, connect_buyer
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.simulated.connection import SIMULATED_ACCOUNT
from trimtab_service.clouds.simulated.connection import connect as connect_simulated
from trimtab_service.clouds.sources import Clouds, open_clouds
from trimtab_service.config import Settings
from trimtab_service.rightsizing.ports import SourceKind, TelemetrySources
from trimtab_service.rpc.advice_keeping import AdviceKeeper
from trimtab_service.rpc.fleet_analyses import FleetAnalyses
from trimtab_service.rpc.fleet_intake import FleetIntake
from trimtab_service.rpc.fleet_job import FleetJob, Hold, Surroundings
from trimtab_service.rpc.fleet_runner import FleetRunner
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.rightsizing import RightsizingServicer
from trimtab_service.rpc.sizing_desk import SizingDesk
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.rpc.world import World
from trimtab_service.store.engines import Database
from trimtab_service.store.fleet import FleetStore
from trimtab_service.store.profiles import ProfileStore
from trimtab_service.store.purchase_budget import StoredPurchaseBudget
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.simulated_worlds import SimulatedWorldStore
from trimtab_service.store.writer import GroupCommitWriter
from trimtab_service.workers import WorkerPool


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What is there before sizing is."""

    settings: Settings
    catalogs: Path
    world: World
    database: Database
    writer: GroupCommitWriter
    recommendations: RecommendationStore
    clock: Callable[[], datetime]
    new_id: NewId
    sources: TelemetrySources | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """The servicer, what other services need of it, and how it ends."""

    servicer: RightsizingServicer
    desk: SizingDesk
    clouds: Clouds
    pool: WorkerPool
    intake: FleetIntake
    close: tuple[Callable[[], None], ...]


def assemble(house: House) -> Sizing:
    """Sizing, running. Raises ConfigError for a file of cloud accounts that is not right."""
    settings = house.settings
    # One command and it runs: without accounts of its own a deployment shows a simulated one.
    accounts = load_accounts(settings.cloud_accounts) if settings.cloud_accounts else (SIMULATED_ACCOUNT,)
    worlds = SimulatedWorldStore(house.database, house.clock)
    budget = StoredPurchaseBudget(house.database, house.clock)
    clouds = open_clouds(accounts, Patience(clock=house.clock), partial(_connect, worlds, budget))
    sources = house.sources or clouds.sources
    pool = WorkerPool(settings.analysis_workers)
    desk = SizingDesk(
        house.world,
        sources,
        pool,
        catalogs=house.catalogs,
        clock=house.clock,
        point_cap=settings.sizing_points,
    )
    intake = FleetIntake(house.recommendations.lifetime, house.new_id)
    store = FleetStore(house.database, house.writer, house.clock)
    around = Surroundings(
        store=store,
        profiles=ProfileStore(house.database),
        sources=sources,
        desk=desk,
        vocabulary=partial(_vocabulary, house.world),
        pool=pool,
        intake=intake,
        clock=house.clock,
    )
    owner = f"{os.getpid()}-{secrets.token_hex(4)}"
    runner = FleetRunner(store, partial(_job, around), owner=owner, clock=house.clock, lease=settings.analysis_lease)
    runner.start()
    analyses = FleetAnalyses(
        store,
        sources,
        partial(_vocabulary, house.world),
        wake=runner.wake,
        clock=house.clock,
        new_id=house.new_id,
    )
    keeper = AdviceKeeper(house.writer, intake)
    servicer = RightsizingServicer(desk, keeper, sources, analyses, batch_cap=settings.batch_cap)
    return Sizing(
        servicer=servicer, desk=desk, clouds=clouds, pool=pool, intake=intake, close=(runner.close, pool.close)
    )


def _connect(
    worlds: SimulatedWorldStore, budget: StoredPurchaseBudget, account: CloudAccount, patience: Patience
) -> Connection:
    """As each kind is connected; a simulated cloud is one for all processes, as a real one and the budget are."""
    if account.kind is SourceKind.SIMULATED:
        return connect_simulated(account, patience, worlds)
    if account.kind in BUYERS:
        return connect_buyer(account, patience, budget)
    return connect(account, patience)


def _vocabulary(world: World) -> Vocabulary:
    return world.view("").vocabulary


def _job(around: Surroundings, hold: Hold) -> FleetJob:
    return FleetJob(hold, around)
