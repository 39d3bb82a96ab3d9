"""Changes of container resources through a Kubernetes API server: server-side apply, tried dry before."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any, Final

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.kubernetes_calls import EXTRA, FIELD_MANAGER, Document, NotThereError, ask
from trimtab_service.clouds.patience import Patience, source_failed
from trimtab_service.clouds.prometheus.workloads import ContainerRef, reference_of
from trimtab_service.domain.errors import FailedPreconditionError, TrimtabError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, ResourceKind
from trimtab_service.recommendations.ports import Effect, Observed

PROTECTED: Final = "trimtab.dev/protected"
"""Label or annotation that forbids changes unless its value is `false`."""

_POLL_S: Final = 5.0
_APPLY: Final = "application/apply-patch+yaml"
_PREFIX: Final = "resources."
_METHODS: Final = {"Deployment": "deployment", "StatefulSet": "stateful_set", "DaemonSet": "daemon_set"}
_COUNTS: Final = {
    "Deployment": ("updatedReplicas", "availableReplicas", "replicas"),
    "StatefulSet": ("updatedReplicas", "readyReplicas", "replicas"),
    "DaemonSet": ("updatedNumberScheduled", "numberAvailable", "desiredNumberScheduled"),
}
"""Fields of a workload's status: how many pods are of the newest template, how many serve, how many there are."""


@dataclass(frozen=True, slots=True)
class KubernetesActuator:
    """An Actuator of the workloads of one cluster.

    Fields are `resources.requests.cpu`, `resources.limits.memory` and so on, of the container that the resource's id
    names. A limit that no change names keeps its proportion to the request, as the Vertical Pod Autoscaler has it.
    Fields that others own are taken over: the change was decided by a person or a policy. `api` gives the client
    (`api_client`); it is asked for with the first call, so that reading works where changing does not.
    """

    api: Callable[[], Any]
    cluster: str
    patience: Patience

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        """Requests and limits of containers of Deployments, StatefulSets and DaemonSets."""
        if resource.kind is not ResourceKind.CONTAINER or resource.account != self.cluster:
            return False
        ref = reference_of(resource)
        is_known = ref is not None and ref.kind in _METHODS
        return is_known and operation.kind is OperationKind.PATCH_CONTAINER_RESOURCES

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says. A quantity that equals one of the operation's is spelled as there: `0.5` is `500m`."""
        ref = _reference(resource)
        try:
            found = self._get(ref, deadline)
        except NotThereError:
            return Observed(exists=False)
        container = _container(found, ref)
        if container is None:
            return Observed(exists=False)
        fields = tuple((one.field, _spelled(_value(container, one.field), one)) for one in operation.changes)
        metadata = found.get("metadata", {})
        marks = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
        is_done = _is_rolled_out(found, ref)
        return Observed(True, fields, marks.get(PROTECTED, "false") != "false", "Ready" if is_done else "RollingOut")  # noqa: FBT003 - exists

    def preview(self, resource: CloudResource, operation: Operation, deadline: datetime) -> tuple[FieldChange, ...]:
        """What the API server would make of it, admission included; nothing is changed.

        Raises FailedPreconditionError when it would refuse.
        """
        ref = _reference(resource)
        found, container = self._found(ref, deadline)
        after = _container(self._apply(ref, found, _wanted(container, operation), deadline, is_dry=True), ref) or {}
        names = sorted({*_flat(container), *_flat(after)})
        pairs = [(name, _value(container, name), _value(after, name)) for name in names]
        return tuple(FieldChange(name, old, new) for name, old, new in pairs if not _equal(old, new))

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:  # noqa: ARG002 - applying is idempotent by itself
        """As the port says; returns when the roll-out is complete."""
        ref = _reference(resource)
        found, container = self._found(ref, deadline)
        wanted = _wanted(container, operation)
        if all(_equal(_value(container, one.field), one.after) for one in operation.changes):
            self._until_rolled_out(ref, deadline)
            return Effect(is_changed=False, detail="it stands so already")
        self._apply(ref, found, wanted, deadline, is_dry=True)
        self._apply(ref, found, wanted, deadline, is_dry=False)
        self._until_rolled_out(ref, deadline)
        told = ", ".join(
            f"{one.field} {_value(container, one.field) or 'unset'} -> {one.after}" for one in operation.changes
        )
        return Effect(is_changed=True, detail=told)

    def _found(self, ref: ContainerRef, deadline: datetime) -> tuple[Document, Document]:
        with suppress(NotThereError):
            found = self._get(ref, deadline)
            container = _container(found, ref)
            if container is not None:
                return found, container
        raise _refused("the workload or its container does not exist any more")

    def _get(self, ref: ContainerRef, deadline: datetime) -> Document:
        return self._ask(
            lambda apps, timeout: getattr(apps, f"read_namespaced_{_METHODS[ref.kind]}")(
                ref.workload, ref.namespace, _request_timeout=timeout, _preload_content=False
            ),
            deadline,
        )

    def _apply(
        self, ref: ContainerRef, found: Document, resources: Document, deadline: datetime, *, is_dry: bool
    ) -> Document:
        """Apply all resources of the container: what an earlier apply named and this one left out, would be removed."""
        container = {"name": ref.container, "resources": resources}
        body = {
            "apiVersion": "apps/v1",
            "kind": ref.kind,
            # The uid: never a workload that was made anew under the name.
            "metadata": {"name": ref.workload, "namespace": ref.namespace, "uid": found["metadata"]["uid"]},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }
        dry = {"dry_run": "All"} if is_dry else {}
        return self._ask(
            lambda apps, timeout: getattr(apps, f"patch_namespaced_{_METHODS[ref.kind]}")(
                ref.workload,
                ref.namespace,
                body,
                field_manager=FIELD_MANAGER,
                force=True,
                _content_type=_APPLY,
                _request_timeout=timeout,
                _preload_content=False,
                **dry,
            ),
            deadline,
        )

    def _until_rolled_out(self, ref: ContainerRef, deadline: datetime) -> None:
        while not _is_rolled_out(self._found(ref, deadline)[0], ref):
            if self.patience.remaining_s(deadline) <= _POLL_S:
                raise source_failed("the resources are set, and the roll-out is not complete at the deadline")
            self.patience.sleep(_POLL_S)

    def _ask(self, call: Callable[[Any, float], Any], deadline: datetime) -> Document:
        return ask(self.api, self.patience, call, deadline)


def _reference(resource: CloudResource) -> ContainerRef:
    ref = reference_of(resource)
    if ref is None or ref.kind not in _METHODS:
        raise _refused("not a container of a Deployment, StatefulSet or DaemonSet")
    return ref


def _container(found: Document, ref: ContainerRef) -> Document | None:
    containers = found.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return next((one for one in containers if one.get("name") == ref.container), None)


def _wanted(container: Document, operation: Operation) -> Document:
    """All resources of the container as they shall be."""
    resources: Document = {kind: dict(container.get("resources", {}).get(kind, {})) for kind in ("requests", "limits")}
    before = {kind: dict(values) for kind, values in resources.items()}
    for one in operation.changes:
        kind, _, name = one.field.removeprefix(_PREFIX).partition(".")
        if not one.field.startswith(_PREFIX) or kind not in resources or not name:
            raise _refused(f"{one.field} is no resource of a container")
        resources[kind][name] = one.after
    named = {one.field for one in operation.changes}
    for name, limit in before["limits"].items():
        old, new = before["requests"].get(name), resources["requests"].get(name)
        if f"{_PREFIX}limits.{name}" not in named and old and new and not _equal(old, new):
            resources["limits"][name] = _in_proportion(name, limit, old, new)
    return {kind: values for kind, values in resources.items() if values}


def _in_proportion(name: str, limit: str, old: str, new: str) -> str:
    """The limit that is to the new request as it was to the old one, rounded up: thousandths of CPU, whole bytes."""
    if _equal(limit, old):
        return new
    value = _number(limit) * _number(new) / _number(old)
    return f"{ceil(value * 1_000)}m" if name == "cpu" else str(ceil(value))


def _flat(container: Mapping[str, Any]) -> dict[str, str]:
    resources = container.get("resources", {})
    return {
        f"{_PREFIX}{kind}.{name}": str(value)
        for kind in ("requests", "limits")
        for name, value in resources.get(kind, {}).items()
    }


def _value(container: Mapping[str, Any], field: str) -> str:
    return _flat(container).get(field, "")


def _spelled(value: str, change: FieldChange) -> str:
    return next((said for said in (change.before, change.after) if _equal(value, said)), value)


def _equal(one: str, other: str) -> bool:
    """Whether two quantities are the same amount; empty is none."""
    if not one or not other:
        return one == other
    return bool(_number(one) == _number(other))


def _number(quantity: str) -> Any:  # noqa: ANN401 - a Decimal; the SDK's function is imported late
    return sdk("kubernetes.utils.quantity", EXTRA).parse_quantity(quantity)


def _is_rolled_out(found: Document, ref: ContainerRef) -> bool:
    status, generation = found.get("status", {}), found.get("metadata", {}).get("generation", 0)
    updated, serving, all_of = (int(status.get(name, 0)) for name in _COUNTS[ref.kind])
    return int(status.get("observedGeneration", 0)) >= generation and updated == serving == all_of


def _refused(message: str) -> TrimtabError:
    return FailedPreconditionError(ErrorReason.STATE_CONFLICT, message)
