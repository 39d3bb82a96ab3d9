"""Traffic between the variants of a SageMaker endpoint. SageMaker compares nothing, so this fence is weak."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.aws.variants import Variants
from trimtab_service.clouds.dns.shares import shares_after
from trimtab_service.clouds.patience import refused, source_failed
from trimtab_service.domain.failover import Side
from trimtab_service.failover.fence import Fence, mark_of
from trimtab_service.failover.ports import Fencing, Traffic

FENCE_TAG: Final = "trimtab:fence"
_CLOSE: Final = 0.005


@dataclass(frozen=True, slots=True)
class VariantWeights:
    """Implements `failover.ports.TrafficTarget`; `variant_of` names the variant of each side.

    The token is a tag of the endpoint: read, compared, written, read again, then the absolute weights are set and read
    back. Between two of these calls a controller with an older token may slip through, hence WEAK; whoever comes later
    with the newer one puts it right.
    """

    variants: Variants
    variant_of: Mapping[str, str]

    @property
    def fencing(self) -> Fencing:
        """Read, compare, write, verify."""
        return Fencing.WEAK

    def observe(self, deadline: datetime) -> Traffic:
        """Weights that SageMaker routes by now; they take effect without a TTL."""
        found = self.variants.described(deadline)
        return self._traffic(found, self._fence(found, deadline))

    def switch(self, side: Side, weight: float, token: int, key: str, deadline: datetime) -> Traffic:
        """As the port says. Raises UnavailableError (SOURCE_FAILED) where the weights are not as set in the end."""
        found = self.variants.settled(deadline)
        held = self._fence(found, deadline)
        held.admit(token, self.variants.endpoint)
        fence = Fence(token, mark_of(key, "switch", side.side_id, weight))
        now = dict(self._traffic(found, held).weights)
        wanted = shares_after(now, side.side_id, weight)
        if held != fence:
            tag = {"Key": FENCE_TAG, "Value": fence.text}
            asked = {"ResourceArn": found["EndpointArn"], "Tags": [tag]}
            self.variants.asked("sagemaker", "AddTags", asked, deadline)
            self._fence(found, deadline).admit(token, self.variants.endpoint)
        if not _equal(now, wanted):
            weights = [{"VariantName": self.variant_of[one], "DesiredWeight": had} for one, had in wanted.items()]
            self.variants.update(weights, deadline)
        after = self.variants.settled(deadline)
        held = self._fence(after, deadline)
        held.admit(token, self.variants.endpoint)
        traffic = self._traffic(after, held)
        if not _equal(dict(traffic.weights), wanted):
            raise source_failed(f"{self.variants.endpoint}: the weights are not as they were set")
        return traffic

    def set_ttl(self, ttl: timedelta, token: int, key: str, deadline: datetime) -> None:
        """Raises FailedPreconditionError: there is none."""
        del ttl, token, key, deadline
        raise refused(f"{self.variants.endpoint}: weights of variants have no TTL")

    def _traffic(self, found: Mapping[str, Any], fence: Fence) -> Traffic:
        by_name = {
            one["VariantName"]: float(one.get("CurrentWeight", 0.0)) for one in found.get("ProductionVariants", [])
        }
        weights = {side: by_name.get(variant) for side, variant in self.variant_of.items()}
        known = {side: weight for side, weight in weights.items() if weight is not None}
        if len(known) != len(by_name) or known.keys() != self.variant_of.keys():
            raise refused(f"{self.variants.endpoint}: its variants are not those of the target's sides")
        total = sum(known.values())
        shares = tuple((side, weight / total if total else 0.0) for side, weight in sorted(known.items()))
        return Traffic(shares, fence.token, timedelta())

    def _fence(self, found: Mapping[str, Any], deadline: datetime) -> Fence:
        asked: dict[str, object] = {"ResourceArn": found["EndpointArn"]}
        while True:
            answer = self.variants.asked("sagemaker", "ListTags", asked, deadline)
            for tag in answer["Tags"]:
                if tag["Key"] == FENCE_TAG:
                    fence = Fence.parse(tag["Value"])
                    if fence is None:
                        raise source_failed(f"{self.variants.endpoint}: its tag {FENCE_TAG} is no fence")
                    return fence
            if not answer.get("NextToken"):
                return Fence()
            asked["NextToken"] = answer["NextToken"]


def _equal(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return all(abs(one[side] - other[side]) <= _CLOSE for side in one)
