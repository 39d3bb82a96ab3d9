"""Compute Engine over REST, as far as instances and managed groups are listed, read and changed."""

import re
from collections.abc import Mapping
from typing import Any, Final

from tests.support.http_fake import Answer, HttpFake, Seen

_COLLECTIONS: Final = ("instances", "instanceGroupManagers", "autoscalers", "instanceTemplates")
_MERGED: Final = frozenset({"autoscalingPolicy", "updatePolicy"})
_BASE: Final = "/compute/v1/projects/"


def json_resource(collection: str, place: str, name: str, **fields: object) -> dict[str, Any]:
    """A resource as Compute Engine shows it. `place` is `zones/z`, `regions/r` or `global`."""
    link = f"https://www.googleapis.com/compute/v1/projects/p/{place}/{collection}/{name}"
    kind = place.partition("/")[0]
    located = {} if kind == "global" else {kind[:-1]: f"https://www.googleapis.com/compute/v1/projects/p/{place}"}
    return {"name": name, "selfLink": link, **located, **fields}


class ComputeEngineFake:
    """`with fake.server:` it listens on `fake.server.url`. Resources are kept by (collection, place, name).

    Changes are done at once, but their operation is told as RUNNING first; `refuse` ends the next one in an error with
    that code. A change with a requestId that was used before answers the first operation and does nothing.
    A managed group of another template replaces its instances once it is read, if it is PROACTIVE and not `stuck`.
    `page_size` is how many places a page of an aggregated list holds. Instances answer to their id as to their name.
    Machines that a managed group is resized to never come up, unless `boots`: then they are there at once.
    """

    def __init__(self, page_size: int = 1_000) -> None:
        self.resources: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.permissions: set[str] = set()
        self.refuse = ""
        self.stuck: set[str] = set()
        self.boots = False
        self.unreachable: list[str] = []
        self._page_size = page_size
        self._operations: dict[str, dict[str, Any]] = {}
        self.server = HttpFake(self._respond)

    def put(self, collection: str, place: str, name: str, **fields: object) -> dict[str, Any]:
        """Keep a resource."""
        resource = json_resource(collection, place, name, **fields)
        if collection == "instanceGroupManagers":
            resource.setdefault("status", {}).setdefault("versionTarget", {"isReached": True})
        self.resources[collection, place, name] = resource
        return resource

    def changes(self) -> list[str]:
        """Method and end of the path of every change that arrived."""
        return [f"{one.method} {one.path.rpartition('/')[2]}" for one in self.server.seen if one.method != "GET"]

    def _respond(self, seen: Seen) -> Answer:
        path = seen.path.removeprefix(_BASE).partition("/")[2]
        if path.startswith("aggregated/"):
            return self._aggregated(path.partition("/")[2], seen.query)
        match = re.fullmatch(r"(global|zones/[^/]+|regions/[^/]+)/(\w+)(?:/([^/]+))?(?:/(\w+))?", path)
        if match is None:
            return Answer({"error": {"code": 404, "message": path}}, 404)
        place, collection, name, verb = match[1], match[2], match[3] or "", match[4] or ""
        if collection == "operations":
            self._permit(f"{place.partition('/')[0].removesuffix('s')}Operations.get")
            operation = self._operations[name]
            operation["status"] = "DONE"
            return Answer(operation)
        return self._one(collection, place, (name, verb), seen)

    def _one(self, collection: str, place: str, target: tuple[str, str], seen: Seen) -> Answer:
        name, verb = target
        found = self._find(collection, place, name)
        if seen.method == "POST" and not name:
            return self._insert(collection, place, seen)
        if found is None:
            return Answer({"error": {"code": 404, "message": "not found"}}, 404)
        if seen.method == "GET":
            self._permit(f"{collection}.get")
            shown = Answer(found)
            if found.get("updatePolicy", {}).get("type") == "PROACTIVE" and name not in self.stuck:
                found["status"] = {**found["status"], "versionTarget": {"isReached": True}}
            return shown
        return self._change(collection, place, found, verb or "update", seen)

    def _aggregated(self, collection: str, query: Mapping[str, str]) -> Answer:
        assert collection in _COLLECTIONS
        self._permit(f"{collection}.list")
        places = sorted({place for kind, place, _ in self.resources if kind == collection})
        start = int(query.get("pageToken") or 0)
        shown = places[start : start + self._page_size]
        items = {
            place: {
                collection: [
                    r for (kind, where, _), r in self.resources.items() if (kind, where) == (collection, place)
                ]
            }
            for place in shown
        }
        more = {"nextPageToken": str(start + self._page_size)} if start + self._page_size < len(places) else {}
        silent = {} if collection == "instanceTemplates" else {"unreachables": self.unreachable}
        return Answer({"items": items, **silent, **more})

    def _find(self, collection: str, place: str, name: str) -> dict[str, Any] | None:
        for (kind, where, known), resource in self.resources.items():
            if (kind, where) == (collection, place) and name in {known, str(resource.get("id", ""))}:
                return resource
        return None

    def _insert(self, collection: str, place: str, seen: Seen) -> Answer:
        self._permit(f"{collection}.create")
        body = dict(seen.json)
        if self._find(collection, place, body["name"]) is not None:
            return Answer({"error": {"code": 409, "message": "exists"}}, 409)
        self.put(collection, place, body.pop("name"), **body)
        return self._operation(place, seen)

    def _change(self, collection: str, place: str, found: dict[str, Any], verb: str, seen: Seen) -> Answer:
        self._permit(f"{collection}.{'update' if verb == 'resize' else verb}")
        if seen.query.get("requestId") in {one.get("clientOperationId") for one in self._operations.values()}:
            return self._operation(place, seen)
        refused, self.refuse = self.refuse, ""
        if not refused:
            self._apply(found, verb, seen)
        return self._operation(place, seen, refused)

    def _apply(self, found: dict[str, Any], verb: str, seen: Seen) -> None:
        match verb:
            case "stop":
                found["status"] = "TERMINATED"
            case "start":
                found["status"] = "RUNNING"
            case "setMachineType":
                assert found["status"] == "TERMINATED"
                found["machineType"] = seen.json["machineType"]
            case "setMachineResources":
                found["guestAccelerators"] = seen.json.get("guestAccelerators", [])
            case "resize":
                found["targetSize"] = int(seen.query["size"])
                if self.boots:
                    found["currentActions"] = {"none": found["targetSize"]}
            case _:
                for key in seen.json.keys() & _MERGED:
                    found.setdefault(key, {}).update(seen.json[key])
                found.update({key: value for key, value in seen.json.items() if key not in _MERGED})
                if "versions" in seen.json:
                    found["instanceTemplate"] = seen.json["versions"][0]["instanceTemplate"]
                    found["status"] = {**found["status"], "versionTarget": {"isReached": False}}

    def _operation(self, place: str, seen: Seen, refused: str = "") -> Answer:
        known = seen.query.get("requestId", "")
        for operation in self._operations.values():
            if known and operation["clientOperationId"] == known:
                return Answer(operation)
        error = {"error": {"errors": [{"code": refused, "message": "quota of secret-project"}]}} if refused else {}
        operation = json_resource(
            "operations", place, f"op-{len(self._operations)}", status="RUNNING", clientOperationId=known, **error
        )
        self._operations[operation["name"]] = operation
        return Answer(operation)

    def _permit(self, permission: str) -> None:
        self.permissions.add(f"compute.{permission}")
