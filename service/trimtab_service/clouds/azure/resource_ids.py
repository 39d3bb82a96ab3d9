"""Ids of Azure Resource Manager: `/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/n`."""

from typing import Final

_METRICS: Final = "/providers/microsoft.insights/metrics/"


def group_and_name(resource_id: str) -> tuple[str, str]:
    """Resource group and name. Raises ValueError for what is no such id."""
    parts = resource_id.strip("/").split("/")
    if len(parts) != 8 or parts[0].lower() != "subscriptions":  # noqa: PLR2004 - four pairs
        raise ValueError("not the id of an Azure resource")
    return parts[3], parts[7]


def normal(resource_id: str) -> str:
    """As ids are compared: Azure changes the case of their parts from API to API."""
    return resource_id.lower()


def of_metric(metric_id: str) -> str:
    """The id, as compared, of the resource whose metric this is."""
    return normal(metric_id).partition(_METRICS)[0]
