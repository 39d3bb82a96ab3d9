"""The targets of a deployment that has configured none: every plan is told so by name."""

from trimtab_service.failover.ports import (
    CapacityTarget,
    DataStoreTarget,
    Notifier,
    Probe,
    ReplicationTarget,
    TrafficTarget,
)


class NoTargets:
    """`failover.ports.Targets` without any."""

    def traffic(self, project: str, name: str) -> TrafficTarget | None:
        """None."""
        del project, name
        return None

    def capacity(self, project: str, name: str) -> CapacityTarget | None:
        """None."""
        del project, name
        return None

    def data_store(self, project: str, name: str) -> DataStoreTarget | None:
        """None."""
        del project, name
        return None

    def replication(self, project: str, name: str) -> ReplicationTarget | None:
        """None."""
        del project, name
        return None

    def probe(self, project: str, name: str) -> Probe | None:
        """None."""
        del project, name
        return None

    def notifier(self, project: str, name: str) -> Notifier | None:
        """None."""
        del project, name
        return None

    def cloud_of(self, project: str, name: str) -> str:
        """None has one."""
        del project, name
        return ""
