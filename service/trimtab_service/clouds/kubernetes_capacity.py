"""Replicas of a workload of Kubernetes as capacity that a failover asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from trimtab_service.clouds.kubernetes_calls import FIELD_MANAGER, KUBERNETES, Document, NotThereError, api_client, ask
from trimtab_service.clouds.patience import Patience, refused
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import CapacityState

KINDS: Final = {"Deployment": "deployment", "StatefulSet": "stateful_set"}
"""Workloads that have replicas, by their kind, as the client's methods name them."""

_MERGE: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class ReplicaCapacity:
    """Implements `failover.ports.CapacityTarget` for a Deployment or StatefulSet.

    Replicas are set through the subresource `scale`. No quota is known, and the peak is what is there or `known_peak`.
    A HorizontalPodAutoscaler of the workload keeps to its own least number: it belongs to the workload's owner.
    """

    kind: str
    namespace: str
    name: str
    api: Callable[[], Any]
    patience: Patience
    known_peak: int = 0
    is_reserved: bool = False

    def observe(self, deadline: datetime) -> CapacityState:
        """As it stands. Raises FailedPreconditionError where there is no such workload."""
        method = f"read_namespaced_{KINDS[self.kind]}"
        found = self._asked(
            lambda apps, timeout: getattr(apps, method)(
                self.name, self.namespace, _request_timeout=timeout, _preload_content=False
            ),
            deadline,
        )
        desired = int(found.get("spec", {}).get("replicas", 1))
        ready = int(found.get("status", {}).get("readyReplicas", 0))
        return CapacityState(desired, ready, max(desired, ready, self.known_peak), None, self.is_reserved)

    def scale(self, count: int, token: int, key: str, deadline: datetime) -> CapacityState:  # noqa: ARG002 - absolute numbers need no key
        """As the port says."""
        state = self.observe(deadline)
        if state.desired == count:
            return state
        method = f"patch_namespaced_{KINDS[self.kind]}_scale"
        self._asked(
            lambda apps, timeout: getattr(apps, method)(
                self.name,
                self.namespace,
                {"spec": {"replicas": count}},
                field_manager=FIELD_MANAGER,
                _content_type=_MERGE,
                _request_timeout=timeout,
                _preload_content=False,
            ),
            deadline,
        )
        return self.observe(deadline)

    def _asked(self, call: Callable[[Any, float], Any], deadline: datetime) -> Document:
        try:
            return ask(self.api, self.patience, call, deadline)
        except NotThereError as error:
            raise refused(f"{self.namespace}/{self.name} does not exist") from error


def open_target(target: ConfiguredTarget, patience: Patience) -> ReplicaCapacity:
    """A target of kind `kubernetes`, at the API server of its account (`endpoints.kubernetes`)."""
    account, settings = target.account, target.settings
    assert account is not None  # noqa: S101 - its kind needs one
    endpoint = dict(account.endpoints).get(KUBERNETES, "")
    kind = {one.lower(): one for one in KINDS}[settings["workload_kind"]]
    return ReplicaCapacity(
        kind,
        settings["namespace"],
        settings["workload"],
        lru_cache(maxsize=1)(lambda: api_client(endpoint)),
        patience.with_calls_of(account.call_timeout),
        settings.get("peak", 0),
        settings.get("reserved", False),
    )
