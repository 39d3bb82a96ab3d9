"""Capacity of which the deployment says what one more instance is, so that a dry run can tell what it costs."""

from dataclasses import dataclass, replace
from datetime import datetime

from trimtab_service.failover.ports import CapacityState, CapacityTarget


@dataclass(frozen=True, slots=True)
class PricedCapacity:
    """Implements `failover.ports.CapacityTarget` over another one."""

    target: CapacityTarget
    instance_type: str
    region: str

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands, with its type."""
        return self._typed(self.target.observe(deadline))

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:
        """As the port says."""
        return self._typed(self.target.scale(count, token, key, deadline))

    def _typed(self, state: CapacityState) -> CapacityState:
        return replace(state, instance_type=self.instance_type, region=self.region)
