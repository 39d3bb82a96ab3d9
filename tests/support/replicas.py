"""Replicas of the real service, each a process (or several workers) of its own, and what tests ask of them."""

import contextlib
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
import orjson
import psutil
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.server import PATIENT, ServerProcess
from trimtab.channel import open_channel
from trimtab.v1 import commitment_service_pb2, types_pb2
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1.catalog_service_pb2_grpc import CatalogServiceStub
from trimtab.v1.commitment_service_pb2_grpc import CommitmentServiceStub
from trimtab.v1.placement_service_pb2_grpc import PlacementServiceStub
from trimtab.v1.policy_service_pb2_grpc import PolicyServiceStub

INSTANCE_TYPE = "m5.large"
REGION = "eu-west-1"
ON_DEMAND = types_pb2.PURCHASE_OPTION_ON_DEMAND
OWNED = types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT

_ALONE = (("grpc.use_local_subchannel_pool", 1),)
"""Options of a channel that shares its connection with no other: where workers share a port, it decides which one."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A running replica and plain stubs to it."""

    process: ServerProcess
    address: str
    admin_port: int
    placement: PlacementServiceStub
    catalog: CatalogServiceStub
    policy: PolicyServiceStub
    commitment: CommitmentServiceStub

    def workers(self) -> list[psutil.Process]:
        """The worker processes; beside them the supervisor has helpers of multiprocessing."""
        children = psutil.Process(self.process.process.pid).children()
        return [child for child in children if "spawn_main" in " ".join(child.cmdline())]

    def admin(self, path: str) -> tuple[int, bytes]:
        """Status and body of the admin port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}{path}", timeout=60) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def problems(self) -> dict[str, str]:
        """What `/readyz` says is wrong."""
        found: dict[str, str] = orjson.loads(self.admin("/readyz")[1])["problems"]
        return found

    def metric(self, name: str) -> float:
        """One metric without labels."""
        for sample in self._samples():
            if sample.name == name and not sample.labels:
                return float(sample.value)
        raise AssertionError(f"no metric {name}")

    def handled(self, method: str) -> float:
        """Calls of a method of the placement service that were answered with OK."""
        wanted = {"method": f"/trimtab.v1.PlacementService/{method}", "code": "OK"}
        found = (each for each in self._samples() if each.name == "trimtab_rpc_handled_total")
        return sum(float(sample.value) for sample in found if sample.labels == wanted)

    def _samples(self) -> Iterator[Sample]:
        for family in text_string_to_metric_families(self.admin("/metrics")[1].decode()):
            yield from family.samples


def launch(data_dir: Path, **settings: str) -> ServerProcess:
    """`python -m trimtab_service` on free ports with a short drain; settings as in the environment, lower case."""
    return ServerProcess(_variables(data_dir, settings), "trimtab_service")


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """The whole environment of `launch`, for a process that ends by itself."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TRIMTAB_")}
    return {**inherited, **_variables(data_dir, settings)}


def _variables(data_dir: Path, settings: Mapping[str, str]) -> dict[str, str]:
    chosen = {
        "listen": "127.0.0.1:0",
        "admin_listen": "127.0.0.1:0",
        "drain_interval": "0",
        "default_deadline": PATIENT,
        "data_dir": str(data_dir),
        **settings,
    }
    return {f"TRIMTAB_{key.upper()}": value for key, value in chosen.items()}


@contextlib.contextmanager
def connected(process: ServerProcess) -> Iterator[Replica]:
    """Wait until it listens; leaves no process behind."""
    channel = None
    try:
        started = process.event("listening", 60)
        channel = grpc.insecure_channel(started["address"], _ALONE)
        yield Replica(process, started["address"], started["admin_port"], *_stubs(channel))
    finally:
        if channel is not None:
            channel.close()
        process.close()


def _stubs(
    channel: grpc.Channel,
) -> tuple[PlacementServiceStub, CatalogServiceStub, PolicyServiceStub, CommitmentServiceStub]:
    return (
        PlacementServiceStub(channel),
        CatalogServiceStub(channel),
        PolicyServiceStub(channel),
        CommitmentServiceStub(channel),
    )


def _over(channel: grpc.Channel, shared: Replica) -> Replica:
    return Replica(shared.process, shared.address, shared.admin_port, *_stubs(channel))


@contextlib.contextmanager
def replica(data_dir: Path, **settings: str) -> Iterator[Replica]:
    """One replica."""
    with connected(launch(data_dir, **settings)) as running:
        yield running


@contextlib.contextmanager
def stubs(address: str) -> Iterator[PlacementServiceStub]:
    """As the client connects: to every address of the target, with retries and an eye on health."""
    with open_channel(address, None) as channel:
        yield PlacementServiceStub(channel)


@contextlib.contextmanager
def workers(shared: Replica) -> Iterator[list[Replica]]:
    """The replica once a worker, each over a connection of its own to that worker."""
    found: dict[int, Replica] = {}
    with contextlib.ExitStack() as stack:
        children = shared.workers()
        while len(found) < len(children):
            before = _connections(children)
            channel = stack.enter_context(grpc.insecure_channel(shared.address, _ALONE))
            seen = _over(channel, shared)
            seen.placement.ListDecisions(pb.ListDecisionsRequest(parent="projects/nobody"))
            after = _connections(children)
            found.setdefault(next(pid for pid in after if after[pid] > before[pid]), seen)
        yield list(found.values())


def _connections(processes: list[psutil.Process]) -> dict[int, int]:
    """Connections that callers have to each process, by its pid."""
    return {
        process.pid: sum(connection.status == psutil.CONN_ESTABLISHED for connection in process.net_connections("tcp"))
        for process in processes
    }


def new_project() -> str:
    """A parent that no other test uses."""
    return f"projects/p{uuid.uuid4().hex[:12]}"


def request_id() -> str:
    """A fresh one."""
    return str(uuid.uuid4())


def question(parent: str, *, reserve: bool = False, hours: int = 8) -> pb.PlaceRequest:
    """A small instance in one region, from owned room if there is any, else on demand."""
    asked = pb.PlaceRequest(
        parent=parent,
        workload=pb.Workload(
            size=pb.Size(instance_type=INSTANCE_TYPE),
            purchase_options=[ON_DEMAND, OWNED],
            residency=pb.Residency(regions=[types_pb2.RegionRef(cloud=types_pb2.CLOUD_AWS, region=REGION)]),
        ),
        max_fallbacks=0,
    )
    asked.workload.duration.FromSeconds(hours * 3600)
    if reserve:
        asked.reserve, asked.request_id = True, request_id()
    return asked


def owned(parent: str, own: str, instances: float) -> commitment_service_pb2.CreateCommitmentRequest:
    """Reserved instances of the type that `question` asks for."""
    commitment = commitment_service_pb2.Commitment(
        kind=commitment_service_pb2.Commitment.KIND_AWS_RESERVED_INSTANCE_STANDARD,
        cloud=types_pb2.CLOUD_AWS,
        region=REGION,
        instance_type=INSTANCE_TYPE,
        instances=instances,
    )
    commitment.start_time.FromJsonString("2020-01-01T00:00:00Z")
    commitment.end_time.FromJsonString("2090-01-01T00:00:00Z")
    return commitment_service_pb2.CreateCommitmentRequest(
        parent=parent, commitment_id=own, commitment=commitment, request_id=request_id()
    )


def no_capacity(parent: str, decision: pb.Decision) -> pb.ReportOutcomeRequest:
    """The chosen offer was not to be had."""
    offer = decision.chosen.offer
    pattern = pb.OfferPattern(
        cloud=offer.cloud,
        region=offer.region,
        instance_type=offer.instance_type,
        purchase_option=offer.purchase_option,
    )
    return pb.ReportOutcomeRequest(
        parent=parent,
        decision=decision.name,
        outcomes=[pb.Outcome(offer=pattern, capacity_failure=True)],
        request_id=request_id(),
    )


def logged(running: Replica, parent: str) -> set[str]:
    """Names of all decisions of the project in the log."""
    names: set[str] = set()
    asked = pb.ListDecisionsRequest(parent=parent, page_size=1_000)
    while True:
        page = running.placement.ListDecisions(asked)
        names |= {decision.name for decision in page.decisions}
        if not page.next_page_token:
            return names
        asked.page_token = page.next_page_token


def reserved_fraction(running: Replica, parent: str) -> float:
    """How much of the commitment `ri` is held by reservations, as this process knows it."""
    asked = commitment_service_pb2.GetCommitmentRequest(name=f"{parent}/commitments/ri")
    found: float = running.commitment.GetCommitment(asked).reserved_fraction
    return found


def seconds_until(holds: Callable[[], bool], within: float = 60.0) -> float:
    """Ask until it holds; returns how long that took. AssertionError when it takes longer than `within`."""
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > within:
            raise AssertionError(f"does not hold after {within} s")
        time.sleep(0.01)
    return time.monotonic() - started
