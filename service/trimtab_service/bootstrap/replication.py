"""Wires replication: what is configured, what copies it, and the watermarks that failovers go by."""

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from prometheus_client import CollectorRegistry

from trimtab_service.clouds.buckets import BucketEnd, Use, open_bucket
from trimtab_service.clouds.castagnoli import castagnoli
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.replication_configuration import load_replications
from trimtab_service.config import Settings
from trimtab_service.domain.failover import CheckWatermark, FailoverPlan
from trimtab_service.failover.ports import (
    CapacityTarget,
    DataStoreTarget,
    Notifier,
    Probe,
    ReplicationTarget,
    Targets,
    TrafficTarget,
)
from trimtab_service.observability.replication_metrics import ReplicationMetrics, ReplicationSample
from trimtab_service.replication.journal import Standing
from trimtab_service.replication.opening import BACK, Opened, Replications
from trimtab_service.replication.ports import ObjectStore
from trimtab_service.replication.runner import Pacing, ReplicationRunner
from trimtab_service.replication.watermark import Watermark
from trimtab_service.rpc.replications import ReplicationServicer
from trimtab_service.store.engines import Database
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.replications import ReplicationStore
from trimtab_service.store.writer import GroupCommitWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationRooms:
    """What is there before replication is."""

    settings: Settings
    database: Database
    writer: GroupCommitWriter
    registry: CollectorRegistry
    clock: Callable[[], datetime]
    pacing: Pacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicating:
    """The servicer, what failovers read of it, and how it ends."""

    servicer: ReplicationServicer
    replications: Replications
    standing: Callable[[str], Standing]
    close: tuple[Callable[[], None], ...]


def assemble(rooms: ReplicationRooms) -> Replicating:
    """Replication, running. Raises ConfigError for a file that is not right."""
    settings, clock = rooms.settings, rooms.clock
    store = ReplicationStore(rooms.database, rooms.writer, clock=clock)
    replications = _configured(settings, clock)
    runner = ReplicationRunner(
        store,
        replications,
        owner=f"{os.getpid()}-{secrets.token_hex(4)}",
        clock=clock,
        crc32c=castagnoli(),
        pacing=rooms.pacing,
    )
    runner.start()
    metrics = ReplicationMetrics(rooms.registry, lambda: tuple(_samples(store, replications, clock)))
    plans = FailoverPlanStore(rooms.database, rooms.writer)
    servicer = ReplicationServicer(
        replications, store, partial(_live_run_of, store, plans), wake=runner.wake, clock=clock
    )
    return Replicating(
        servicer=servicer, replications=replications, standing=store.standing, close=(metrics.close, runner.close)
    )


@dataclass(frozen=True, slots=True)
class ReplicatedTargets:
    """Implements `failover.ports.Targets`: those of `others`, and the replications that this service carries out.

    A plan names one by its name where it relies on the configured way, and by `NAME.back` where on the other.
    """

    others: Targets
    replicating: Replicating

    def traffic(self, project: str, name: str) -> TrafficTarget | None:
        """As the others say."""
        return self.others.traffic(project, name)

    def capacity(self, project: str, name: str) -> CapacityTarget | None:
        """As the others say."""
        return self.others.capacity(project, name)

    def data_store(self, project: str, name: str) -> DataStoreTarget | None:
        """As the others say."""
        return self.others.data_store(project, name)

    def replication(self, project: str, name: str) -> ReplicationTarget | None:
        """One of the others, else the watermark of one of ours."""
        found = self.others.replication(project, name)
        if found is not None:
            return found
        own = self.replicating.replications.find(project, name.removesuffix(BACK))
        return None if own is None else Watermark(own, self.replicating.standing, name.endswith(BACK))

    def probe(self, project: str, name: str) -> Probe | None:
        """As the others say."""
        return self.others.probe(project, name)

    def notifier(self, project: str, name: str) -> Notifier | None:
        """As the others say."""
        return self.others.notifier(project, name)

    def cloud_of(self, project: str, name: str) -> str:
        """As the others say: a watermark is read of no cloud's control plane."""
        return self.others.cloud_of(project, name)


class _Bucket:
    """A bucket, opened by the first caller that needs it; the others wait for that."""

    def __init__(self, end: BucketEnd, use: Use, patience: Patience) -> None:
        self._open = partial(open_bucket, end, use, patience)
        self._lock = threading.Lock()
        self._opened: ObjectStore | None = None

    def __call__(self) -> ObjectStore:
        with self._lock:
            if self._opened is None:
                self._opened = self._open()
            return self._opened


def _configured(settings: Settings, clock: Callable[[], datetime]) -> Replications:
    path, patience = settings.cloud_accounts, Patience(clock=clock)
    found = []
    for one in load_replications(path, load_accounts(path)):
        use = Use(one.definition.part_size, one.definition.concurrency)
        ends = (_Bucket(end, use, patience) for end in (one.source, one.destination))
        found.append(Opened(one.definition, *ends))
    return Replications(found)


def _samples(
    store: ReplicationStore, replications: Replications, clock: Callable[[], datetime]
) -> Iterator[ReplicationSample]:
    for name, identity in replications.identities().items():
        standing, target = store.standing(name), replications.get(name).definition.rpo_target
        if standing.is_active and standing.definition == identity:
            watermark, last = standing.progress.watermark, standing.progress.last
            age = None if watermark is None else clock() - watermark
            yield ReplicationSample(name, age, target, 0 if last is None else last.counts.failed)


def _live_run_of(store: ReplicationStore, plans: FailoverPlanStore, name: str) -> str:
    for project, run_id, plan_id, revision in store.live_runs():
        if _goes_by(plans.version(project, plan_id, revision).plan, name):
            return f"projects/{project}/failoverRuns/{run_id}"
    return ""


def _goes_by(plan: FailoverPlan, name: str) -> bool:
    steps = (step for flow in (plan.activate, plan.deactivate, plan.post_recovery) for step in flow.steps)
    watermarks = (step.action for step in steps if isinstance(step.action, CheckWatermark))
    return any(one.target in {name, f"{name}{BACK}"} for one in watermarks)
