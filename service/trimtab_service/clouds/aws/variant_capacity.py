"""Instances of a SageMaker variant as capacity that a failover asks for, with or without Application Auto Scaling."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.variants import Variants
from trimtab_service.clouds.patience import refused
from trimtab_service.failover.ports import CapacityState

_SCALING: Final = "application-autoscaling"
_NAMESPACE: Final = "sagemaker"
_DIMENSION: Final = "sagemaker:variant:DesiredInstanceCount"


@dataclass(frozen=True, slots=True)
class VariantCapacity:
    """Implements `failover.ports.CapacityTarget`.

    Where the variant is a scalable target, its MaxCapacity is the quota, and MinCapacity follows what is asked for, or
    a policy would take back what has no load yet. SageMaker counts no instances over time, so the peak is what is there
    or `known_peak`.
    """

    variants: Variants
    variant: str
    known_peak: int = 0
    is_reserved: bool = False

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands."""
        scalable = self._scalable(deadline)
        return self._state(self.variants.described(deadline), scalable)

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:  # noqa: ARG002 - absolute numbers need no key
        """As the port says; waits first until the endpoint takes changes."""
        if count < 1:
            raise refused(f"{self.variant}: a variant has at least one instance")
        scalable = self._scalable(deadline)
        if scalable is not None and count > scalable["MaxCapacity"]:
            raise refused(f"{self.variant}: {count} is more than its MaxCapacity of {scalable['MaxCapacity']}")
        found = self.variants.settled(deadline)
        if scalable is not None and scalable["MinCapacity"] != count:
            asked = {**self._named, "MinCapacity": count}
            self.variants.asked(_SCALING, "RegisterScalableTarget", asked, deadline)
        if int(self._one(found)["DesiredInstanceCount"]) != count:
            self.variants.update([{"VariantName": self.variant, "DesiredInstanceCount": count}], deadline)
        return self.observe(deadline)

    @property
    def _named(self) -> dict[str, object]:
        resource = f"endpoint/{self.variants.endpoint}/variant/{self.variant}"
        return {"ServiceNamespace": _NAMESPACE, "ResourceId": resource, "ScalableDimension": _DIMENSION}

    def _scalable(self, deadline: datetime) -> Mapping[str, Any] | None:
        named = self._named
        asked = {**named, "ResourceIds": [named["ResourceId"]]}
        del asked["ResourceId"]
        found = self.variants.asked(_SCALING, "DescribeScalableTargets", asked, deadline)["ScalableTargets"]
        return next(iter(found), None)

    def _one(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        for one in found.get("ProductionVariants", []):
            if one["VariantName"] == self.variant:
                variant: Mapping[str, Any] = one
                return variant
        raise refused(f"{self.variants.endpoint} has no variant {self.variant}")

    def _state(self, found: Mapping[str, Any], scalable: Mapping[str, Any] | None) -> CapacityState:
        one = self._one(found)
        desired, ready = int(one["DesiredInstanceCount"]), int(one["CurrentInstanceCount"])
        quota = None if scalable is None else int(scalable["MaxCapacity"])
        return CapacityState(desired, ready, max(desired, ready, self.known_peak), quota, self.is_reserved)
