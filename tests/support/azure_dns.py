"""Azure DNS over REST, as strict as the real one where a fence depends on it: writes name the ETag."""

import re
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from tests.support.dns_fake import DnsFake
from tests.support.http_fake import Answer, HttpFake, Seen

_PATH: Final = re.compile(
    r"/subscriptions/s/resourceGroups/g/providers/Microsoft\.Network/dnsZones/(example\.test)/(A|AAAA|CNAME)/([^/]+)"
)
_FIELDS: Final = {"A": ("ARecords", "ipv4Address"), "AAAA": ("AAAARecords", "ipv6Address")}


class AzureDnsFake:
    """A context manager: the API at `server.url`, of subscription `s` and group `g`, and a name server `dns`.

    `sets` are the record sets by name and type; `writes` counts those that were made.
    """

    def __init__(self) -> None:
        self.sets: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0
        self._etags = count(1)
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
        if match is None or seen.query.get("api-version") != "2018-05-01":
            return _error(404)
        key = (match[1] if match[3] == "@" else f"{match[3]}.{match[1]}", match[2])
        found = self.sets.get(key)
        if seen.method == "GET":
            return _error(404) if found is None else Answer(found)
        wanted = seen.headers.get("if-match")
        if wanted is not None and (found is None or found["etag"] != wanted):
            return _error(412)
        if seen.headers.get("if-none-match") == "*" and found is not None:
            return _error(412)
        self.sets[key] = {"etag": f"e-{next(self._etags)}", "name": match[3], **seen.json}
        self.writes += 1
        return Answer(self.sets[key], 200 if found else 201)

    def _lookup(self, name: str, kind: str) -> tuple[list[str], int] | None:
        found = self.sets.get((name, kind))
        if found is None:
            return None
        properties = found["properties"]
        if kind == "CNAME":
            return [f"{properties['CNAMERecord']['cname']}."], properties["TTL"]
        key, field = _FIELDS[kind]
        return [one[field] for one in properties[key]], properties["TTL"]


def _error(status: int) -> Answer:
    return Answer({"error": {"code": "PreconditionFailed", "message": "secret-zone"}}, status)
