"""Names of workloads, and of the pods they make."""

from dataclasses import dataclass
from typing import Final

from trimtab_service.domain.resources import CloudResource

KIND_TAG: Final = "kubernetes:kind"
"""Tag of a container that names the kind of its workload."""

DEPLOYMENT: Final = "Deployment"

POD_SUFFIXES: Final = {
    DEPLOYMENT: "[0-9a-z]+-[0-9a-z]{5}",
    "StatefulSet": "[0-9]+",
    "DaemonSet": "[0-9a-z]{5}",
    "Job": "[0-9a-z]{5}",
    "CronJob": "[0-9]+-[0-9a-z]{5}",
    "ReplicaSet": "[0-9a-z]{5}",
}
"""What controllers append to their name, as a regular expression. Neither part holds a dash, so no name is mistaken."""


@dataclass(frozen=True, slots=True)
class ContainerRef:
    """A container of a workload."""

    namespace: str
    kind: str
    workload: str
    container: str


def reference_of(resource: CloudResource) -> ContainerRef | None:
    """What a container's id (`namespace/workload/container`, the workload perhaps as `kind:name`) refers to."""
    parts = resource.resource_id.split("/")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - the three parts
        return None
    kind = dict(resource.tags).get(KIND_TAG, DEPLOYMENT)
    return None if kind not in POD_SUFFIXES else ContainerRef(parts[0], kind, parts[1].rpartition(":")[2], parts[2])
