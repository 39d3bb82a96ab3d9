"""The fleet a simulated world starts with: the cases that a look at a real fleet turns up, on real types."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from trimtab_service.clouds.simulated.keeping import KeptWorld, Memory
from trimtab_service.clouds.simulated.loads import Rhythm, Shape
from trimtab_service.clouds.simulated.world import Loads, SimulatedInstance, SimulatedWorld
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import Autoscaling, CloudResource, ResourceKind

DEFAULT_SIZE: Final = 48


@dataclass(frozen=True, slots=True)
class _Model:
    """One kind of resource of the fleet. `cpu` and `memory` are (at rest, busiest) of one instance: vCPUs and GiB."""

    slug: str
    cloud: Cloud
    region: str
    instance_type: str
    cpu: tuple[float, float]
    memory: tuple[float, float]
    rhythm: Rhythm = Rhythm.DAILY
    gpus: int = 0
    gpu: tuple[float, float] = (0.0, 0.0)
    gpu_memory: tuple[float, float] = (0.0, 0.0)
    count: int = 1
    autoscaling: Autoscaling | None = None
    has_agent: bool = True
    is_failing: bool = False
    age: timedelta = timedelta(days=200)
    traffic: float = 4e6
    """Bytes per second received for each vCPU in use."""


_SCALED: Final = Autoscaling(min_count=2, max_count=12, target_dimension=Dimension.CPU, target_utilization=0.6)

MODELS: Final = (
    _Model("api", Cloud.AWS, "us-east-1", "m5.2xlarge", (0.4, 1.6), (6.0, 8.5)),
    _Model(
        "train",
        Cloud.AWS,
        "us-east-1",
        "p3.8xlarge",
        (2.0, 6.0),
        (40.0, 60.0),
        Rhythm.FLAT,
        4,
        (25.0, 35.0),
        (5.0, 6.0),
    ),
    _Model("batch", Cloud.GCP, "us-central1", "n2-standard-16", (0.2, 13.0), (10.0, 40.0), Rhythm.NIGHTLY),
    _Model("office", Cloud.AZURE, "eastus", "Standard_D8s_v5", (0.3, 3.0), (8.0, 11.0), Rhythm.OFFICE),
    _Model("forgotten", Cloud.AWS, "us-west-2", "m5.xlarge", (0.01, 0.02), (0.6, 0.7), Rhythm.FLAT, traffic=500.0),
    _Model("web", Cloud.AWS, "us-east-1", "c5.4xlarge", (1.5, 4.0), (4.0, 6.0), count=6, autoscaling=_SCALED),
    _Model(
        "serve",
        Cloud.GCP,
        "us-central1",
        "g2-standard-24",
        (2.0, 5.0),
        (20.0, 30.0),
        Rhythm.DAILY,
        2,
        (5.0, 30.0),
        (7.0, 9.0),
    ),
    _Model("noagent", Cloud.AWS, "us-east-1", "m6i.xlarge", (0.3, 1.1), (3.0, 4.0), has_agent=False),
    _Model(
        "llm",
        Cloud.AZURE,
        "eastus",
        "Standard_NC24ads_A100_v4",
        (3.0, 9.0),
        (60.0, 90.0),
        Rhythm.DAILY,
        1,
        (40.0, 85.0),
        (60.0, 72.0),
    ),
    _Model("hot", Cloud.GCP, "us-central1", "n2-standard-8", (6.0, 8.0), (24.0, 30.0)),
    _Model("cache", Cloud.AWS, "us-east-1", "r5.2xlarge", (0.3, 0.9), (44.0, 52.0), Rhythm.FLAT),
    _Model("burst", Cloud.AZURE, "eastus", "Standard_D4s_v5", (0.2, 3.6), (5.0, 9.0), Rhythm.BURSTY),
    _Model("new", Cloud.GCP, "us-central1", "e2-standard-4", (0.5, 2.0), (4.0, 6.0), age=timedelta(hours=10)),
    _Model("right", Cloud.AWS, "us-east-1", "m5.large", (0.8, 1.5), (4.5, 6.2)),
    _Model("private", Cloud.AWS, "us-east-1", "x0.private", (1.0, 2.0), (4.0, 6.0)),
    _Model("silent", Cloud.GCP, "us-central1", "n2-highmem-8", (1.0, 3.0), (20.0, 30.0), is_failing=True),
)
"""Each is there at least once in a fleet of sixteen or more; larger fleets repeat them with other loads."""

_TEAMS: Final = ("search", "vision", "platform")


def simulated_world(
    seed: int,
    clock: Callable[[], datetime],
    size: int = DEFAULT_SIZE,
    account: str = "simulated",
    kept: KeptWorld | None = None,
) -> SimulatedWorld:
    """A world of `size` resources of one account; the same for the same seed and the instant at which it began."""
    kept = kept or KeptWorld(Memory(), "")
    begun = kept.begun(clock())
    return SimulatedWorld(seed, clock, (_instance(seed, number, begun, account) for number in range(size)), kept)


def _instance(seed: int, number: int, now: datetime, account: str) -> SimulatedInstance:
    model = MODELS[number % len(MODELS)]
    name = f"{model.slug}-{number:04d}"
    team = _TEAMS[number % len(_TEAMS)]
    # The first of each kind is as its row says, so that its answer can be foretold; the others are like it.
    first = number < len(MODELS)
    stretch = 1.0 if first else float(np.random.default_rng((seed, number)).uniform(0.7, 1.0))
    resource = CloudResource(
        resource_id=name,
        cloud=model.cloud,
        region=model.region,
        kind=ResourceKind.INSTANCE if model.autoscaling is None else ResourceKind.INSTANCE_GROUP,
        account=account,
        instance_type=model.instance_type,
        count=model.count,
        tags=(("model", model.slug), ("team", team)),
        autoscaling=model.autoscaling,
        workload_id=model.slug,
        team=team,
        start_time=now - model.age,
    )
    return SimulatedInstance(resource, _loads(model, stretch), has_agent=model.has_agent, is_failing=model.is_failing)


def _loads(model: _Model, stretch: float) -> Loads:
    total = stretch * model.count
    cpu = Shape(model.cpu[0] * total, model.cpu[1] * total, model.rhythm)

    def along(per_vcpu: float) -> Shape:
        """What moves with the work: so much per vCPU in use."""
        return replace(cpu, base=cpu.base * per_vcpu, peak=cpu.peak * per_vcpu)

    return Loads(
        cpu_vcpus=cpu,
        memory_gib=Shape(model.memory[0] * total, model.memory[1] * total, model.rhythm, noise=0.01),
        network_in_bps=along(model.traffic),
        network_out_bps=along(1.5 * model.traffic),
        disk_ops=along(60.0),
        disk_bps=along(3e6),
        gpu_percent=Shape(*model.gpu, model.rhythm) if model.gpus else None,
        gpu_memory_gib=Shape(*model.gpu_memory, model.rhythm, noise=0.01) if model.gpus else None,
        gpus=model.gpus,
    )
