"""The real service on a real port: the production composition, in this process, for tests from outside."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from tests.support.packaged_catalog import lay_out
from tests.support.server import ANY_PORT
from trimtab.v1.catalog_service_pb2_grpc import CatalogServiceStub
from trimtab.v1.commitment_service_pb2_grpc import CommitmentServiceStub
from trimtab.v1.failover_service_pb2_grpc import FailoverServiceStub
from trimtab.v1.placement_service_pb2_grpc import PlacementServiceStub
from trimtab.v1.policy_service_pb2_grpc import PolicyServiceStub
from trimtab.v1.purchasing_service_pb2_grpc import PurchasingServiceStub
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from trimtab.v1.replication_service_pb2_grpc import ReplicationServiceStub
from trimtab.v1.rightsizing_service_pb2_grpc import RightsizingServiceStub
from trimtab_service.bootstrap import Overrides, compose, utc_now
from trimtab_service.config import Settings
from trimtab_service.identity.assembly import authenticator_of
from trimtab_service.observability.logging import logger
from trimtab_service.rpc.server import Parts, RpcServer
from trimtab_service.serving import Runtime


@dataclass(frozen=True, slots=True)
class RunningService:
    """A service and plain stubs to it."""

    target: str
    server: RpcServer
    settings: Settings
    channel: grpc.Channel
    registry: CollectorRegistry
    placement: PlacementServiceStub
    catalog: CatalogServiceStub
    policy: PolicyServiceStub
    commitment: CommitmentServiceStub
    rightsizing: RightsizingServiceStub
    recommendation: RecommendationServiceStub
    purchasing: PurchasingServiceStub
    failover: FailoverServiceStub
    replications: ReplicationServiceStub


@contextlib.contextmanager
def running_service(
    data_dir: Path,
    *,
    overrides: Overrides | None = None,
    channel_credentials: grpc.ChannelCredentials | None = None,
    **settings: Any,  # noqa: ANN401 - the fields of Settings, each of its own type
) -> Iterator[RunningService]:
    """Serve on a free port with the packaged catalogue, or what `settings` say; stops and closes at the end."""
    # The machine that tests run on may stand still for a while, and most callers give no deadline.
    given = {"default_deadline": timedelta(minutes=1), **settings}
    chosen = Settings(listen=ANY_PORT, admin_listen=ANY_PORT, data_dir=data_dir, **given)
    if chosen.catalog_dir is None and (overrides is None or overrides.clock is utc_now):
        lay_out(data_dir / "catalogs")
    registry = CollectorRegistry()
    application = compose(chosen, Runtime(registry=registry, log=logger("test")), overrides)
    parts = Parts(
        authenticator=authenticator_of(chosen, time.time, time.monotonic),
        registry=registry,
        clock=time.time,
        monotonic=time.monotonic,
    )
    server = RpcServer(chosen, application.services, application.probes, parts)
    address = str(server.start(ANY_PORT))
    target = f"localhost:{address.rpartition(':')[2]}" if channel_credentials else address
    channel = grpc.secure_channel(target, channel_credentials) if channel_credentials else grpc.insecure_channel(target)
    try:
        yield RunningService(
            target=target,
            server=server,
            settings=chosen,
            channel=channel,
            registry=registry,
            placement=PlacementServiceStub(channel),
            catalog=CatalogServiceStub(channel),
            policy=PolicyServiceStub(channel),
            commitment=CommitmentServiceStub(channel),
            rightsizing=RightsizingServiceStub(channel),
            recommendation=RecommendationServiceStub(channel),
            purchasing=PurchasingServiceStub(channel),
            failover=FailoverServiceStub(channel),
            replications=ReplicationServiceStub(channel),
        )
    finally:
        channel.close()
        hurry = threading.Event()
        hurry.set()
        server.drain(hurry)
        for close in application.close:
            close()
