"""Cloud DNS over REST, as strict as the real one where a fence depends on it: changes are atomic, deletions exact."""

import copy
import re
from types import TracebackType
from typing import Any, Final, Self

from tests.support.dns_fake import DnsFake
from tests.support.http_fake import Answer, HttpFake, Seen

_PATH: Final = re.compile(r"/dns/v1/projects/p/managedZones/z/(rrsets|changes)")


class CloudDnsFake:
    """A context manager: the API at `server.url`, of project `p` and zone `z`, and a name server `dns` of the zone.

    `sets` are the record sets by name and type; `changes` counts those that were made.
    """

    def __init__(self) -> None:
        self.sets: dict[tuple[str, str], dict[str, Any]] = {}
        self.changes = 0
        self.server = HttpFake(self._respond)
        self.dns = DnsFake(self._lookup)

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.dns.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.dns.__exit__(kind, value, at)
        self.server.__exit__(kind, value, at)

    def _respond(self, seen: Seen) -> Answer:
        match = _PATH.fullmatch(seen.path)
        if match is None:
            return _error(404)
        if match[1] == "rrsets":
            found = self.sets.get((seen.query["name"], seen.query["type"]))
            return Answer({"kind": "dns#resourceRecordSetsListResponse", "rrsets": [found] if found else []})
        return self._changed(seen.json.get("deletions", []), seen.json.get("additions", []))

    def _changed(self, deletions: list[dict[str, Any]], additions: list[dict[str, Any]]) -> Answer:
        after = copy.deepcopy(self.sets)
        for one in deletions:
            key = (one["name"], one["type"])
            if key not in after:
                return _error(404)
            if after.pop(key) != one:
                return _error(412)
        for one in additions:
            key = (one["name"], one["type"])
            if key in after:
                return _error(409)
            assert ("rrdatas" in one) != ("routingPolicy" in one)
            after[key] = {"kind": "dns#resourceRecordSet", **one}
        self.sets = after
        self.changes += 1
        return Answer({"kind": "dns#change", "id": str(self.changes), "status": "pending"})

    def _lookup(self, name: str, kind: str) -> tuple[list[str], int] | None:
        found = self.sets.get((f"{name}.", kind))
        if found is None:
            return None
        items = found.get("routingPolicy", {}).get("wrr", {}).get("items")
        if items is None:
            return found["rrdatas"], found["ttl"]
        return max(items, key=lambda item: float(item["weight"]))["rrdatas"], found["ttl"]


def _error(status: int) -> Answer:
    return Answer({"error": {"code": status, "message": "secret-zone"}}, status)
