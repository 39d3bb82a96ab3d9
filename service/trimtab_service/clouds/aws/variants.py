"""Production variants of a SageMaker endpoint, as failover reads and changes them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import await_that
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.patience import refused

_IN_SERVICE: Final = "InService"
_LOST: Final = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})


@dataclass(frozen=True, slots=True)
class Variants:
    """One endpoint. Raises FailedPreconditionError for whatever SageMaker refuses."""

    endpoint: str
    region: str
    calls: AwsCalls

    def described(self, deadline: datetime) -> Mapping[str, Any]:
        """DescribeEndpoint."""
        return self.asked("sagemaker", "DescribeEndpoint", {"EndpointName": self.endpoint}, deadline)

    def settled(self, deadline: datetime) -> Mapping[str, Any]:
        """The same once the endpoint is in service: while it is updated SageMaker refuses changes."""

        def look() -> Mapping[str, Any] | None:
            found = self.described(deadline)
            if found["EndpointStatus"] in _LOST:
                raise refused(f"{self.endpoint} is {found['EndpointStatus']}")
            return found if found["EndpointStatus"] == _IN_SERVICE else None

        return await_that(self.calls.patience, look, deadline, f"{self.endpoint} {_IN_SERVICE}")

    def update(self, wanted: Sequence[Mapping[str, object]], deadline: datetime) -> None:
        """Weights and counts, absolute."""
        asked = {"EndpointName": self.endpoint, "DesiredWeightsAndCapacities": list(wanted)}
        self.asked("sagemaker", "UpdateEndpointWeightsAndCapacities", asked, deadline)

    def asked(
        self, service: str, operation: str, parameters: Mapping[str, object], deadline: datetime
    ) -> dict[str, Any]:
        """The answer of a call."""
        try:
            return self.calls.call(service, self.region, operation, parameters, deadline)
        except RefusedError as error:
            raise refused(str(error)) from error
