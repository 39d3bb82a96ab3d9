"""Names in a zone of Azure DNS."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.azure.rest import Rest
from trimtab_service.clouds.dns.fenced_name import DEFAULT_TTL, ComparedError, Held
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.shares import Shares, sole_side
from trimtab_service.clouds.patience import refused, source_failed
from trimtab_service.failover.fence import Fence

API_VERSION: Final = "2018-05-01"
_TOKEN: Final = "trimtab_token"  # noqa: S105 - a key of metadata
_MARK: Final = "trimtab_mark"
_LISTS: Final = {"A": ("ARecords", "ipv4Address"), "AAAA": ("AAAARecords", "ipv6Address")}
_CNAME: Final = ("CNAMERecord", "cname")


@dataclass(frozen=True, slots=True)
class AzureDnsRecords:
    """Implements `Records`. The fence is metadata of the record set itself, which is written only at the ETag read.

    So the set is replaced as a whole or not at all (Record Sets: create or update, If-Match). Whoever deletes the
    record set deletes its fence. Azure DNS has no weights: one side has all of the traffic.
    """

    name: SwitchedName
    subscription: str
    resource_group: str
    rest: Rest

    def read(self, deadline: datetime) -> Held:
        """As the port says."""
        found = self.rest.get(self._path, "reading a name", deadline)
        if found is None:
            return Held(dict.fromkeys(self.name.values, 0.0), DEFAULT_TTL, Fence())
        properties = found.get("properties", {})
        if (properties.get("targetResource") or {}).get("id"):
            raise refused(f"{self.name.name} is an alias of another resource of Azure")
        ttl = timedelta(seconds=int(properties.get("TTL", 0)))
        return Held(self.name.shares_of(self._answers(properties)), ttl, self._fence(properties), found)

    def commit(self, held: Held, shares: Shares, ttl: timedelta, fence: Fence, deadline: datetime) -> None:
        """As the port says. Metadata of others stays."""
        found: Any = held.raw
        before = {} if found is None else found.get("properties", {})
        same = dict(shares) == dict(held.shares)
        records = (
            {key: value for key, value in before.items() if key.endswith(("Records", "Record"))}
            if same
            else self._records(sole_side(shares, "Azure DNS"))
        )
        metadata = {**(before.get("metadata") or {}), _TOKEN: str(fence.token), _MARK: fence.mark}
        body = {"properties": {"TTL": int(ttl.total_seconds()), "metadata": metadata, **records}}
        condition = {"If-None-Match": "*"} if found is None else {"If-Match": str(found["etag"])}
        if not self.rest.put(self._path, body, condition, "changing a name", deadline):
            raise ComparedError("Azure DNS found the record set changed")

    @property
    def _path(self) -> str:
        zone = f"resourceGroups/{self.resource_group}/providers/Microsoft.Network/dnsZones/{self.name.zone}"
        return f"subscriptions/{self.subscription}/{zone}/{self.name.record_type}/{self.name.relative}"

    def _records(self, side: str) -> dict[str, object]:
        values = self.name.values[side]
        if self.name.record_type == "CNAME":
            key, field = _CNAME
            return {key: {field: values[0]}}
        key, field = _LISTS[self.name.record_type]
        return {key: [{field: value} for value in values]}

    def _answers(self, properties: Mapping[str, Any]) -> list[str]:
        if self.name.record_type == "CNAME":
            key, field = _CNAME
            return [str(properties[key][field])] if key in properties else []
        key, field = _LISTS[self.name.record_type]
        return [str(one[field]) for one in properties.get(key, ())]

    def _fence(self, properties: Mapping[str, Any]) -> Fence:
        metadata = properties.get("metadata") or {}
        if _TOKEN not in metadata:
            return Fence()
        token = str(metadata[_TOKEN])
        if not token.isdigit():
            raise source_failed(f"{self.name.name}: the metadata {_TOKEN} is no token")
        return Fence(int(token), str(metadata.get(_MARK, "")))
