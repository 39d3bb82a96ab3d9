"""The failover service over simulated clouds, on a real port."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from tests.support.failover_plans import LAYOUT, failover_plan
from tests.support.service import RunningService, running_service
from trimtab.v1 import failover_service_pb2 as pb
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.clouds.simulated.failover import Layout, SimulatedClouds
from trimtab_service.domain.failover import FailoverPlan
from trimtab_service.failover.execution import Conduct
from trimtab_service.rpc.failover_plan_encoder import plan_message

PARENT: Final = "projects/shop"
PLAN: Final = f"{PARENT}/failoverPlans/serving"
FAST: Final = Conduct(
    lease=timedelta(seconds=1),
    heartbeat=timedelta(milliseconds=300),
    poll=timedelta(milliseconds=50),
    pace=timedelta(milliseconds=20),
)
AT_ONCE: Final = replace(
    LAYOUT,
    groups={**LAYOUT.groups, "gcp/mig/serving": replace(LAYOUT.groups["gcp/mig/serving"], boot=timedelta())},
)
"""The standby's machines boot at once."""

_PATIENCE_S: Final = 30.0


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


@contextlib.contextmanager
def failover_house(data_dir: Path, layout: Layout = AT_ONCE, **settings: Any) -> Iterator[FailoverHouse]:  # noqa: ANN401
    """Serve over simulated clouds by the wall clock."""
    world = SimulatedClouds(layout, clock=utc_now)
    with running_service(data_dir, overrides=Overrides(targets=world, conduct=FAST), **settings) as service:
        yield FailoverHouse(service, world)
