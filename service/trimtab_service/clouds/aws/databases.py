"""Databases of RDS and Aurora that a failover makes primary."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.patience import refused

_AVAILABLE: Final = "available"


@dataclass(frozen=True, slots=True)
class RdsReplica:
    """Implements `failover.ports.DataStoreTarget` for a read replica of RDS.

    A promotion is for good: the replica stops replicating and becomes an instance of its own, so again is as once.
    """

    instance: str
    region: str
    calls: AwsCalls

    def is_primary(self, deadline: datetime) -> bool:
        """Whether it replicates nobody any more, and is available."""
        found = self._found(deadline)
        return not _replicates(found) and found.get("DBInstanceStatus") == _AVAILABLE

    def promote(self, token: int, key: str, deadline: datetime) -> None:  # noqa: ARG002 - a promotion is once and for good
        """As the port says; RDS takes minutes, and `is_primary` tells when it is done."""
        found = self._found(deadline)
        # While it is being promoted it is not available, and would refuse to be promoted again.
        if _replicates(found) and found.get("DBInstanceStatus") == _AVAILABLE:
            self._asked("PromoteReadReplica", {"DBInstanceIdentifier": self.instance}, deadline)

    def _found(self, deadline: datetime) -> Mapping[str, Any]:
        answer = self._asked("DescribeDBInstances", {"DBInstanceIdentifier": self.instance}, deadline)
        found: Mapping[str, Any] | None = next(iter(answer["DBInstances"]), None)
        if found is None:
            raise refused(f"{self.instance} does not exist")
        return found

    def _asked(self, operation: str, parameters: Mapping[str, object], deadline: datetime) -> dict[str, Any]:
        return _asked(self.calls, self.region, operation, parameters, deadline)


class Promotion(StrEnum):
    """How a member of a global cluster becomes its writer."""

    SWITCHOVER = "switchover"
    """Nothing is lost; the old writer must answer."""

    FAILOVER = "failover"
    """The old writer is gone; what it had not replicated is lost."""


@dataclass(frozen=True, slots=True)
class AuroraGlobal:
    """Implements `failover.ports.DataStoreTarget` for one cluster (its ARN) of an Aurora global database."""

    global_cluster: str
    cluster: str
    region: str
    promotion: Promotion
    calls: AwsCalls

    def is_primary(self, deadline: datetime) -> bool:
        """Whether it is the writer, and nothing is being moved."""
        found = self._found(deadline)
        return self._writes(found) and not _is_moving(found)

    def promote(self, token: int, key: str, deadline: datetime) -> None:  # noqa: ARG002 - the wanted writer is named
        """As the port says; `is_primary` tells when it is done."""
        found = self._found(deadline)
        if self._writes(found) or _is_moving(found):
            return
        named: dict[str, object] = {
            "GlobalClusterIdentifier": self.global_cluster,
            "TargetDbClusterIdentifier": self.cluster,
        }
        if self.promotion is Promotion.SWITCHOVER:
            self._asked("SwitchoverGlobalCluster", named, deadline)
        else:
            self._asked("FailoverGlobalCluster", {**named, "AllowDataLoss": True}, deadline)

    def _writes(self, found: Mapping[str, Any]) -> bool:
        members = {one["DBClusterArn"]: one for one in found.get("GlobalClusterMembers", [])}
        if self.cluster not in members:
            raise refused(f"{self.cluster} is no member of {self.global_cluster}")
        return bool(members[self.cluster].get("IsWriter"))

    def _found(self, deadline: datetime) -> Mapping[str, Any]:
        asked = {"GlobalClusterIdentifier": self.global_cluster}
        found: Mapping[str, Any] | None = next(
            iter(self._asked("DescribeGlobalClusters", asked, deadline)["GlobalClusters"]), None
        )
        if found is None:
            raise refused(f"{self.global_cluster} does not exist")
        return found

    def _asked(self, operation: str, parameters: Mapping[str, object], deadline: datetime) -> dict[str, Any]:
        return _asked(self.calls, self.region, operation, parameters, deadline)


def _replicates(instance: Mapping[str, Any]) -> bool:
    return bool(
        instance.get("ReadReplicaSourceDBInstanceIdentifier") or instance.get("ReadReplicaSourceDBClusterIdentifier")
    )


def _is_moving(cluster: Mapping[str, Any]) -> bool:
    return bool(cluster.get("FailoverState", {}).get("Status"))


def _asked(
    calls: AwsCalls, region: str, operation: str, parameters: Mapping[str, object], deadline: datetime
) -> dict[str, Any]:
    try:
        return calls.call("rds", region, operation, parameters, deadline)
    except RefusedError as error:
        raise refused(str(error)) from error
