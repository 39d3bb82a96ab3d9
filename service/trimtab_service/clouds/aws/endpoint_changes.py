"""SageMaker endpoints: another type or number of instances, through a new endpoint configuration."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.changes import await_that, fields_of, gone, stands, wanted
from trimtab_service.clouds.aws.endpoints import endpoint_and_variant
from trimtab_service.clouds.aws.faults import RefusedError, refused
from trimtab_service.clouds.aws.tagging import protected, tags_of
from trimtab_service.domain.recommendations import Operation
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.ports import Effect, Observed

_TYPE: Final = "InstanceType"
_COUNT: Final = "InitialInstanceCount"
_IN_SERVICE: Final = "InService"
_FAILED: Final = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})
_LONGEST_NAME: Final = 63
_NOT_COPIED: Final = frozenset({"CreationTime", "EndpointConfigArn", "EndpointConfigName", "ResponseMetadata"})
_MISSING: Final = frozenset({"ValidationError", "ValidationException", "ResourceNotFound"})


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An endpoint, its configuration and the variant that is meant, as configured and as it is."""

    described: Mapping[str, Any]
    config: Mapping[str, Any]
    variant: Mapping[str, Any]
    current: Mapping[str, Any]

    @property
    def values(self) -> dict[str, str]:
        count = self.current.get("DesiredInstanceCount", self.variant.get(_COUNT, ""))
        return {_TYPE: self.variant.get(_TYPE, ""), _COUNT: str(count)}


@dataclass(frozen=True, slots=True)
class EndpointChanges:
    """Implements `Change` for endpoints. SageMaker moves the traffic over once the new instances are in service."""

    calls: AwsCalls

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        """As the port says."""
        found = self._found(resource, deadline)
        if found is None:
            return Observed(exists=False)
        return Observed(
            exists=True,
            fields=fields_of(operation, found.values),
            is_protected=self._is_protected(resource, found, deadline),
            state=found.described["EndpointStatus"],
        )

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        """As the port says. Weights and counts of all variants stay as they are now, not as once configured."""
        after = wanted(operation, frozenset({_TYPE, _COUNT}))
        found = self._settled(resource, operation, deadline)
        if self._is_protected(resource, found, deadline):
            raise refused(f"{resource.resource_id} is protected against changes")
        now = found.values
        if stands(operation, now):
            return Effect(
                is_changed=False, detail="; ".join(f"{key} is {value} already" for key, value in after.items())
            )
        name = _config_name(found.described["EndpointName"], token, after)
        self._make_config(resource, found, name, after, deadline)
        asked = {"EndpointName": found.described["EndpointName"], "EndpointConfigName": name}
        self.calls.call("sagemaker", resource.region, "UpdateEndpoint", asked, deadline)
        held = self._settled(resource, operation, deadline)
        if held.described["EndpointConfigName"] != name:
            raise refused(f"{resource.resource_id}: SageMaker went back to {held.described['EndpointConfigName']}")
        return Effect(is_changed=True, detail="; ".join(f"{key} {now[key]} -> {value}" for key, value in after.items()))

    def _settled(self, resource: CloudResource, operation: Operation, deadline: datetime) -> _Endpoint:
        def look() -> _Endpoint | None:
            found = self._found(resource, deadline)
            if found is None:
                raise gone(operation)
            status = found.described["EndpointStatus"]
            if status in _FAILED:
                raise refused(f"{resource.resource_id} is {status}")
            return found if status == _IN_SERVICE else None

        return await_that(self.calls.patience, look, deadline, f"{resource.resource_id} {_IN_SERVICE}")

    def _make_config(
        self, resource: CloudResource, found: _Endpoint, name: str, after: Mapping[str, str], deadline: datetime
    ) -> None:
        """A copy of the configuration, named by its content: one that exists was made by an earlier try."""
        if self._config(resource, name, deadline) is not None:
            return
        current = {one["VariantName"]: one for one in found.described.get("ProductionVariants", [])}
        variants = [_as_now(one, current.get(one["VariantName"], {})) for one in found.config["ProductionVariants"]]
        for one in variants:
            if one["VariantName"] == found.variant["VariantName"]:
                one |= {key: int(value) if key == _COUNT else value for key, value in after.items()}
        copied = {key: value for key, value in found.config.items() if key not in _NOT_COPIED and value}
        tags = self._tags(resource, found.config["EndpointConfigArn"], deadline)
        if tags:
            copied["Tags"] = [{"Key": key, "Value": value} for key, value in tags]
        asked = {**copied, "EndpointConfigName": name, "ProductionVariants": variants}
        self.calls.call("sagemaker", resource.region, "CreateEndpointConfig", asked, deadline)

    def _found(self, resource: CloudResource, deadline: datetime) -> _Endpoint | None:
        name, variant_name = endpoint_and_variant(resource.resource_id)
        try:
            described = self.calls.call(
                "sagemaker", resource.region, "DescribeEndpoint", {"EndpointName": name}, deadline
            )
        except RefusedError as error:
            if error.code in _MISSING:
                return None
            raise
        config = self._config(resource, described["EndpointConfigName"], deadline)
        if config is None:
            raise refused(f"{resource.resource_id}: its configuration does not exist any more")
        variants = {one["VariantName"]: one for one in config["ProductionVariants"]}
        if not variant_name and len(variants) == 1:
            variant_name = next(iter(variants))
        if variant_name not in variants:
            return None
        current = {one["VariantName"]: one for one in described.get("ProductionVariants", [])}
        return _Endpoint(described, config, variants[variant_name], current.get(variant_name, {}))

    def _config(self, resource: CloudResource, name: str, deadline: datetime) -> Mapping[str, Any] | None:
        try:
            return self.calls.call(
                "sagemaker", resource.region, "DescribeEndpointConfig", {"EndpointConfigName": name}, deadline
            )
        except RefusedError as error:
            if error.code in _MISSING:
                return None
            raise

    def _tags(self, resource: CloudResource, arn: str, deadline: datetime) -> tuple[tuple[str, str], ...]:
        pages = self.calls.pages("sagemaker", resource.region, "ListTags", {"ResourceArn": arn}, deadline)
        listed = tags_of([tag for page in pages for tag in page["Tags"]])
        # AWS keeps the prefix for itself and refuses it in a request.
        return tuple((key, value) for key, value in listed if not key.startswith("aws:"))

    def _is_protected(self, resource: CloudResource, found: _Endpoint, deadline: datetime) -> bool:
        return protected(self._tags(resource, found.described["EndpointArn"], deadline))


def _as_now(variant: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """The variant as configured, with the weight and count that it has now."""
    found = dict(variant)
    for configured, now in (("InitialVariantWeight", "DesiredWeight"), (_COUNT, "DesiredInstanceCount")):
        if configured in found and now in current:
            found[configured] = current[now]
    return found


def _config_name(endpoint: str, token: str, after: Mapping[str, str]) -> str:
    """The same for the same endpoint, token and values; at most 63 characters."""
    digest = hashlib.sha256("\0".join((endpoint, token, *sorted(map("=".join, after.items())))).encode()).hexdigest()
    suffix = f"-trimtab-{digest[:12]}"
    return endpoint[: _LONGEST_NAME - len(suffix)] + suffix
