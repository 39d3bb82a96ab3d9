"""From the probe that decides to the changed answer of a real name server, through the real service.

Each sample is a service of its own: a warm standby of 20 % behind a Compute Engine of loopback, a name at BIND, three
observers that report over gRPC, and a plan that starts by itself: scale to 100 %, prove it well, switch, look.
"""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from tests.bench.failover_service import PARENT, Served
from tests.bench.figures import ms, p50, p99
from tests.support.compute_engine import ComputeEngineFake
from tests.support.failover_plans import OBSERVERS
from tests.support.failovers import WEST, plan, steps
from tests.support.http_fake import Answer, HttpFake
from tests.support.name_servers import ZONE, RunningNameServer, name_server
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.domain.failover import Detection, FailoverPlan, RunHealthCheck, ScaleCapacity, Side, SwitchTraffic
from trimtab_service.domain.offers import Cloud
from trimtab_service.rpc.failover_plan_encoder import plan_message

_NORTH: Final = Side("north", Cloud.GCP, "europe-north1", ("10.1.0.0/16",))
_PLACE: Final = "zones/europe-north1-a"
_ADDRESSES: Final = {"west": "192.0.2.1", "north": "198.51.100.1"}
_FAILURES: Final = 3
_LOOK_S: Final = 0.001
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Outside:
    """What the service moves. `accounts` is the deployment's file."""

    dns: RunningNameServer
    compute: ComputeEngineFake
    accounts: Path
    samples: int


@contextlib.contextmanager
def outside(directory: Path, samples: int) -> Iterator[Outside]:
    """BIND, a Compute Engine whose machines are there at once, and a standby that answers its probe."""
    compute = ComputeEngineFake()
    compute.boots = True
    with name_server("bind") as dns, compute.server, HttpFake(lambda _: Answer("ok")) as standby:
        text = (
            '[[accounts]]\nname = "gcp"\nkind = "cloud_monitoring"\naccount = "p"\nprojects = ["*"]\nchanges = true\n'
            f'endpoints = {{ compute = "{compute.server.url}" }}\n'
            f'[[targets]]\nname = "probe"\nkind = "http_probe"\nprojects = ["*"]\nurl = "{standby.url}/healthz"\n'
        )
        sides = ", ".join(f'{side} = ["{address}"]' for side, address in _ADDRESSES.items())
        for number in range(samples):
            actions = {"none": 2}
            compute.put("instanceGroupManagers", _PLACE, f"g{number}", targetSize=2, currentActions=actions, status={})
            text += (
                f'[[targets]]\nname = "group-{number}"\nkind = "managed_instance_group"\nprojects = ["*"]\n'
                f'account = "gcp"\nregion = "europe-north1"\ncompute_zone = "europe-north1-a"\ngroup = "g{number}"\n'
                "peak = 10\nreserved = true\n"
                f'[[targets]]\nname = "name-{number}"\nkind = "rfc2136"\nprojects = ["*"]\nzone = "{ZONE}"\n'
                f'record = "w{number}.{ZONE}"\nserver = "{dns.host}:{dns.port}"\nkey_file = "{dns.key_file}"\n'
                f"sides = {{ {sides} }}\n"
            )
        accounts = directory / "accounts.toml"
        accounts.write_text(text)
        yield Outside(dns, compute, accounts, samples)


def outages(service: Served, around: Outside) -> dict[str, float]:
    """One after another. Seconds, of every sample the worst: there are fewer than a hundred."""
    detected, begun, answered, whole = [], [], [], []
    _warm(service)
    for number in range(around.samples):
        service.keep(_plan(number))
        _at_first(around.dns, number)
        for _ in range(2):
            for observer in OBSERVERS:
                _report(service, number, observer.observer_id, is_well=True)
        for _ in range(_FAILURES):
            _report(service, number, OBSERVERS[0].observer_id, is_well=False)
        for _ in range(_FAILURES - 1):
            _report(service, number, OBSERVERS[1].observer_id, is_well=False)
        watch = _Watch(around.dns, f"w{number}.{ZONE}", _ADDRESSES["north"])
        probed, since = datetime.now(UTC), time.perf_counter()
        health = _report(service, number, OBSERVERS[1].observer_id, is_well=False)
        detected.append(time.perf_counter() - since)
        if not health.failover_run:
            raise RuntimeError(f"no run was started: {health}")
        answered.append(watch.seen_at() - since)
        run = service.over(health.failover_run)
        begun.append(_after(run.steps[0].begin_time, probed))
        whole.append(_after(run.end_time, probed))
    return {
        "decision_ms": ms(p99(detected)),
        "first_step_ms": ms(p99(begun)),
        "probe_to_dns_p50_s": round(p50(answered), 3),
        "probe_to_dns_p99_s": round(p99(answered), 3),
        "warm_standby_s": round(p99(whole), 3),
    }


def _warm(service: Served) -> None:
    """As a service that has been up for a while: its targets have been opened, and answer in time."""
    give_up = time.monotonic() + _PATIENCE_S
    request = pb.EvaluateFailoverPlanRequest(
        parent=PARENT, failover_plan=plan_message(_plan(0)), from_side="west", to_side="north", dry_run=True
    )
    while not (told := service.stub.EvaluateFailoverPlan(request)).is_ready:
        if time.monotonic() > give_up:
            raise RuntimeError(f"the plan is not ready: {told}")


class _Watch:
    """Asks the name server again and again, from now until it answers with an address."""

    def __init__(self, dns: RunningNameServer, name: str, address: str) -> None:
        self._dns, self._name, self._address = dns, name, address
        self._seen = 0.0
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def seen_at(self) -> float:
        """When it did, by `perf_counter`. Raises TimeoutError."""
        self._thread.join()
        if not self._seen:
            raise TimeoutError(self._name)
        return self._seen

    def _look(self) -> None:
        give_up = time.perf_counter() + _PATIENCE_S
        while time.perf_counter() < give_up:
            if self._dns.texts(self._name, "A") == [self._address]:
                self._seen = time.perf_counter()
                return
            time.sleep(_LOOK_S)


def _plan(number: int) -> FailoverPlan:
    activate = steps(
        {"scale": ScaleCapacity(f"group-{number}", count=10)},
        {"well": RunHealthCheck(("probe",), 1)},
        {"switch": SwitchTraffic(f"name-{number}")},
    )
    detection = Detection(observers=OBSERVERS, failures=_FAILURES, automatic=True)
    west = replace(WEST, cidr_blocks=("10.0.0.0/16",))
    return replace(
        plan(activate, f"outage-{number}", f"outage-{number}"),
        sides=(west, _NORTH),
        detection=detection,
        rto_target=timedelta(minutes=15),
    )


def _at_first(dns: RunningNameServer, number: int) -> None:
    """The name points at the west: what the zone's owner put there before trimtab."""
    dns.put(f"w{number}.{ZONE}", "A", 30, _ADDRESSES["west"])


def _report(service: Served, number: int, observer: str, *, is_well: bool) -> pb.ServiceHealth:
    sides = [pb.SideReport(side_id="west", is_healthy=is_well), pb.SideReport(side_id="north", is_healthy=True)]
    name = f"{PARENT}/failoverPlans/outage-{number}"
    request = pb.ReportHealthRequest(name=name, observer_id=observer, sides=sides)
    health: pb.ServiceHealth = service.stub.ReportHealth(request).health
    return health


def _after(stamp: object, since: datetime) -> float:
    instant: datetime = stamp.ToDatetime(tzinfo=UTC)  # type: ignore[attr-defined] # a Timestamp
    return (instant - since).total_seconds()
