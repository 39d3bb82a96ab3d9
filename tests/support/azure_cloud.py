"""Azure Resource Manager and Azure Monitor's batch API over HTTP, as far as machines are listed, measured, changed."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from tests.support.http_fake import Answer, HttpFake, Seen

SUBSCRIPTION: Final = "00000000-0000-0000-0000-000000000001"
_BASE: Final = f"/subscriptions/{SUBSCRIPTION}"
_MOST_IN_BATCH: Final = 50
_AGGREGATIONS: Final = {"average", "minimum", "maximum", "total", "count"}
_KINDS: Final = {"virtualmachines": "virtualMachines", "virtualmachinescalesets": "virtualMachineScaleSets"}
_VERBS: Final = {"deallocate": "PowerState/deallocated", "start": "PowerState/running"}


def arm_id(kind: str, name: str, group: str = "rg") -> str:
    """The id of a Compute resource."""
    return f"{_BASE}/resourceGroups/{group}/providers/Microsoft.Compute/{kind}/{name}"


class AzureFake:
    """`with fake.server:` both APIs listen on `fake.server.url`. Resources are kept by lower-case id.

    `page_size` is how many resources a page of a list holds. A batch that names a resource which is not there is
    refused as a whole. `actions` are the RBAC actions that were needed.
    """

    def __init__(self, page_size: int = 1) -> None:
        self.resources: dict[str, dict[str, Any]] = {}
        self.autoscale: list[dict[str, Any]] = []
        self.sizes: dict[str, int] = {"Standard_D8s_v5": 32_768, "Standard_D4s_v5": 16_384, "Standard_D2s_v5": 8_192}
        self.actions: set[str] = set()
        self._page_size = page_size
        self._points: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        self.server = HttpFake(self._respond)

    def put(self, kind: str, name: str, *, group: str = "rg", location: str = "eastus", **fields: Any) -> str:  # noqa: ANN401 - JSON
        """Keep a resource; answers its id."""
        own = arm_id(kind, name, group)
        properties = {"provisioningState": "Succeeded", **fields.pop("properties", {})}
        self.resources[own.lower()] = {
            "id": own,
            "name": name,
            "location": location,
            "properties": properties,
            **fields,
        }
        return own

    def machine(self, name: str, size: str, power: str = "running", **fields: Any) -> str:  # noqa: ANN401 - JSON
        """Keep a virtual machine."""
        own = {
            "hardwareProfile": {"vmSize": size},
            "instanceView": {"statuses": [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{power}"}]},
        }
        return self.put("virtualMachines", name, properties=own | fields.pop("properties", {}), **fields)

    def store(
        self, resource_id: str, metric: str, points: Sequence[tuple[datetime, Mapping[str, float]]], machine: str = ""
    ) -> None:
        """Keep a series: (beginning of the interval, values by aggregation). `machine` is the dimension VMName."""
        self._points[resource_id.lower(), metric, machine] = [
            {"timeStamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), **values} for at, values in points
        ]

    def changes(self) -> list[str]:
        """Method and end of the path of every change that arrived."""
        paths = [(one.method, one.path.rpartition("/")[2]) for one in self.server.seen if one.method != "GET"]
        return [f"{method} {end}" for method, end in paths if end != "metrics:getBatch"]

    def _respond(self, seen: Seen) -> Answer:
        path = seen.path.removeprefix(_BASE)
        if "api-version" not in seen.query:
            return _refused(400, "MissingApiVersionParameter")
        if path == "/metrics:getBatch":
            self.actions.add("Microsoft.Insights/metrics/read")
            return self._batch(seen)
        lowered = path.lower()
        if lowered == "/providers/microsoft.insights/autoscalesettings":
            self.actions.add("Microsoft.Insights/autoscaleSettings/read")
            return Answer({"value": self.autoscale})
        if match := re.fullmatch(r"/providers/microsoft.compute/locations/(\w+)/vmsizes", lowered):
            self.actions.add("Microsoft.Compute/locations/vmSizes/read")
            return Answer({"value": [{"name": name, "memoryInMB": mib} for name, mib in self.sizes.items()]})
        if match := re.fullmatch(r"/providers/microsoft.compute/(\w+)", lowered):
            self.actions.add(f"Microsoft.Compute/{_KINDS[match[1]]}/read")
            return self._list(_KINDS[match[1]], seen)
        return self._one(seen)

    def _list(self, kind: str, seen: Seen) -> Answer:
        found = [one for key, one in sorted(self.resources.items()) if f"/{kind.lower()}/" in key]
        if seen.query.get("statusOnly") != "true":
            found = [one | {"properties": _without(one["properties"], "instanceView")} for one in found]
        start = int(seen.query.get("$skiptoken") or 0)
        end = start + self._page_size
        query = "&".join(f"{key}={value}" for key, value in seen.query.items() if key != "$skiptoken")
        more = {"nextLink": f"{self.server.url}{seen.path}?{query}&$skiptoken={end}"} if end < len(found) else {}
        return Answer({"value": found[start:end], **more})

    def _one(self, seen: Seen) -> Answer:
        own, verb = seen.path, ""
        if seen.method == "POST":
            own, _, verb = seen.path.rpartition("/")
        found = self.resources.get(own.lower())
        kind = own.split("/")[-2]
        if found is None:
            return _refused(404, "ResourceNotFound")
        if seen.method == "GET":
            self.actions.add(f"Microsoft.Compute/{kind}/read")
            return Answer(found)
        if seen.method == "PATCH":
            self.actions.add(f"Microsoft.Compute/{kind}/write")
            found["properties"].update(seen.json.get("properties", {}))
            found.update({key: value for key, value in seen.json.items() if key != "properties"})
            return Answer(found)
        self.actions.add(f"Microsoft.Compute/{kind}/{verb}/action")
        found["properties"]["instanceView"] = {"statuses": [{"code": _VERBS[verb]}]}
        return Answer({}, 202, {"Location": f"{self.server.url}{_BASE}/operations/1"})

    def _batch(self, seen: Seen) -> Answer:
        ids = seen.json["resourceids"]
        names = seen.query["metricnames"].split(",")
        asked = set(seen.query["aggregation"].split(","))
        kind = seen.query["metricnamespace"].rpartition("/")[2].lower()
        if (
            len(ids) > _MOST_IN_BATCH
            or not asked <= _AGGREGATIONS
            or not re.fullmatch(r"PT\d+[MH]", seen.query["interval"])
        ):
            return _refused(400, "BadRequest")
        known = [self.resources.get(one.lower()) for one in ids]
        if any(one is None or f"/{kind}/" not in one["id"].lower() for one in known):
            return _refused(404, "ResourceNotFound")
        if len({one["location"] for one in known if one}) != 1:
            return _refused(400, "MixedRegions")
        start, end = seen.query["starttime"][:19], seen.query["endtime"][:19]
        by_machine = "filter" in seen.query
        values = [
            {
                "resourceid": one,
                "resourceregion": "eastus",
                "interval": seen.query["interval"],
                "starttime": start,
                "endtime": end,
                "value": [self._metric(one, name, (start, end), asked, by_machine=by_machine) for name in names],
            }
            for one in ids
        ]
        return Answer({"values": values})

    def _metric(
        self, resource_id: str, name: str, window: tuple[str, str], asked: set[str], *, by_machine: bool
    ) -> dict[str, Any]:
        series = []
        for (own, metric, machine), points in sorted(self._points.items()):
            if (own, metric) == (resource_id.lower(), name) and bool(machine) == by_machine:
                data = [
                    {key: value for key, value in point.items() if key in asked | {"timeStamp"}}
                    for point in points
                    if window[0] <= point["timeStamp"][:19] < window[1]
                ]
                labels = [{"name": {"value": "vmname"}, "value": machine}] if machine else []
                series.append({"metadatavalues": labels, "data": data})
        return {
            "id": f"{resource_id}/providers/Microsoft.Insights/metrics/{name}",
            "type": "Microsoft.Insights/metrics",
            "name": {"value": name, "localizedValue": name},
            "unit": "Unspecified",
            "timeseries": series,
        }


def _without(properties: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in properties.items() if name != key}


def _refused(status: int, code: str) -> Answer:
    return Answer({"error": {"code": code, "message": "secret-subscription"}}, status)
