"""The failover service over simulated clouds, on a real port."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tests.support.failover_plans import LAYOUT, OBSERVERS, failover_plan
from tests.support.service import RunningService, running_service
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.clouds.simulated.failover import Layout, ProbeOf, SimulatedClouds
from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.failover.execution import Conduct
from trimtab_service.failover.watching import Watch
from trimtab_service.rpc.failover_plan_encoder import plan_message

PARENT: Final = "projects/shop"
PLAN: Final = f"{PARENT}/failoverPlans/serving"
FAST: Final = Conduct(
    lease=timedelta(seconds=60),
    heartbeat=timedelta(milliseconds=300),
    poll=timedelta(milliseconds=50),
    pace=timedelta(milliseconds=20),
)
AT_ONCE: Final = replace(
    LAYOUT,
    groups={**LAYOUT.groups, "gcp/mig/serving": replace(LAYOUT.groups["gcp/mig/serving"], boot=timedelta())},
)
"""The standby's machines boot at once."""

_PATIENCE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class FailoverHouse:
    """A service and the world that it moves."""

    service: RunningService
    world: SimulatedClouds

    @property
    def stub(self) -> Any:  # noqa: ANN401 - a generated stub
        """Its failover service."""
        return self.service.failover

    def keep(self, plan: FailoverPlan | None = None) -> pb.FailoverPlan:
        """Store a plan."""
        message = plan_message(plan or failover_plan())
        answer: pb.FailoverPlan = self.stub.CreateFailoverPlan(
            pb.CreateFailoverPlanRequest(parent=PARENT, failover_plan_id="serving", failover_plan=message)
        )
        return answer

    def start(self, **fields: Any) -> pb.FailoverRun:  # noqa: ANN401 - fields of the request
        """Start a run from virginia to iowa."""
        given = {"name": PLAN, "from_side": "virginia", "to_side": "iowa", "request_id": str(uuid.uuid4())}
        run: pb.FailoverRun = self.stub.StartFailover(pb.StartFailoverRequest(**{**given, **fields}))
        return run

    def until(self, run: pb.FailoverRun, holds: Callable[[pb.FailoverRun], bool]) -> pb.FailoverRun:
        """The run once something holds of it."""
        give_up = time.monotonic() + _PATIENCE_S
        while True:
            stands: pb.FailoverRun = self.stub.GetFailoverRun(pb.GetFailoverRunRequest(name=run.name))
            if holds(stands):
                return stands
            assert time.monotonic() < give_up, f"it stays at {stands}"
            time.sleep(0.02)

    def over(self, run: pb.FailoverRun) -> pb.FailoverRun:
        """The run once it is over."""
        return self.until(run, lambda stands: stands.HasField("end_time"))


PROBED: Final = replace(
    AT_ONCE,
    probes={**AT_ONCE.probes, "watch/virginia": ProbeOf("aws/asg/serving"), "watch/iowa": ProbeOf("gcp/mig/serving")},
)
"""The same with probes that see whether a side answers at all."""


def watches(interval: timedelta = timedelta(milliseconds=100)) -> tuple[Watch, ...]:
    """Every observer of the plan looks at both sides, from within the service."""
    return tuple(
        Watch(
            name=f"{one.observer_id}-{side}",
            project="shop",
            service_id="serving",
            side_id=side,
            observer_id=one.observer_id,
            cloud=one.cloud,
            target=f"watch/{side}",
            interval=interval,
            timeout=interval / 2,
        )
        for one in OBSERVERS
        for side in ("virginia", "iowa")
    )


@contextlib.contextmanager
def failover_house(
    data_dir: Path,
    layout: Layout = AT_ONCE,
    *,
    overrides: Overrides | None = None,
    world: SimulatedClouds | None = None,
    **settings: Any,  # noqa: ANN401 - the fields of Settings
) -> Iterator[FailoverHouse]:
    """Serve over simulated clouds by the wall clock, or over a `world` that others see too."""
    world = world or SimulatedClouds(layout, clock=utc_now)
    given = replace(overrides or Overrides(), targets=world, conduct=FAST)
    with running_service(data_dir, overrides=given, **settings) as service:
        yield FailoverHouse(service, world)
