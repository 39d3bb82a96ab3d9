"""From an action of a plan to the class that does it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from trimtab_service.domain.failover import (
    AcquireCapacity,
    Action,
    CheckWatermark,
    ChildPlan,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    SwitchTraffic,
    Wait,
)
from trimtab_service.failover.reach import StepFailedError
from trimtab_service.failover.steps.acquire_capacity import AcquireCapacityStep
from trimtab_service.failover.steps.call import StepKind
from trimtab_service.failover.steps.check_watermark import CheckWatermarkStep
from trimtab_service.failover.steps.child_plan import ChildPlanStep
from trimtab_service.failover.steps.lower_ttl import LowerTtlStep
from trimtab_service.failover.steps.notify import NotifyStep
from trimtab_service.failover.steps.promote_data_store import PromoteDataStoreStep
from trimtab_service.failover.steps.run_health_check import RunHealthCheckStep
from trimtab_service.failover.steps.scale_capacity import ScaleCapacityStep
from trimtab_service.failover.steps.switch_traffic import SwitchTrafficStep
from trimtab_service.failover.steps.wait import WaitStep

_KINDS: Final[Mapping[type, Callable[[Any], StepKind]]] = MappingProxyType(
    {
        AcquireCapacity: AcquireCapacityStep,
        CheckWatermark: CheckWatermarkStep,
        ChildPlan: ChildPlanStep,
        LowerTtl: LowerTtlStep,
        Notify: NotifyStep,
        PromoteDataStore: PromoteDataStoreStep,
        RunHealthCheck: RunHealthCheckStep,
        ScaleCapacity: ScaleCapacityStep,
        SwitchTraffic: SwitchTrafficStep,
        Wait: WaitStep,
    }
)


def kind_of(action: Action) -> StepKind:
    """What does it. An approval is done by a person, in `failover.steering`: asked for here it is a StepFailedError."""
    kind = _KINDS.get(type(action))
    if kind is None:
        raise StepFailedError("it is done by a person")
    return kind(action)
