"""Names in a managed zone of Cloud DNS."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.dns.fenced_name import DEFAULT_TTL, ComparedError, Held
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.shares import Shares
from trimtab_service.clouds.gcp.rest import Rest
from trimtab_service.clouds.patience import refused, source_failed
from trimtab_service.failover.fence import Fence

DNS: Final = "dns"
"""Name of the API in `endpoints` of the account."""
BASE_URL: Final = "https://dns.googleapis.com"

_FENCE_TTL_S: Final = 60
_WEIGHT_DIGITS: Final = 6

Set = Mapping[str, Any]
"""A ResourceRecordSet."""


@dataclass(frozen=True, slots=True)
class _Raw:
    fence: Set | None
    records: Set | None


@dataclass(frozen=True, slots=True)
class CloudDnsRecords:
    """Implements `Records`. One side is a plain record set, several are items of a weighted round robin policy.

    One Change deletes the fence and the record set exactly as they were read and adds the new ones. Cloud DNS applies
    it as a whole, and refuses a deletion that does not match (Changes: create).
    """

    name: SwitchedName
    project: str
    zone_id: str
    rest: Rest

    def read(self, deadline: datetime) -> Held:
        """As the port says: first the fence, then what it guards."""
        fence_set = self._set(self.name.fence_name, "TXT", deadline)
        records = self._set(self.name.name, self.name.record_type, deadline)
        ttl = DEFAULT_TTL if records is None else timedelta(seconds=int(records.get("ttl", 0)))
        return Held(self._shares(records), ttl, self._fence(fence_set), _Raw(fence_set, records))

    def commit(self, held: Held, shares: Shares, ttl: timedelta, fence: Fence, deadline: datetime) -> None:
        """As the port says."""
        raw = held.raw
        assert isinstance(raw, _Raw)  # noqa: S101 - what `read` gave
        fence_set = {"rrdatas": [f'"{fence.text}"'], "name": f"{self.name.fence_name}.", "type": "TXT"}
        change = {
            "deletions": [one for one in (raw.fence, raw.records) if one is not None],
            "additions": [{**fence_set, "ttl": _FENCE_TTL_S}, self._wanted(raw.records, held.shares, shares, ttl)],
        }
        reply = self.rest.post(f"{self._zone}/changes", change, "changing a name", deadline)
        if not reply.is_ok:
            # 412: a deletion does not match; 404: it is gone; 409: what is added was added by somebody else.
            raise ComparedError(f"Cloud DNS refused the change ({reply.status})")

    @property
    def _zone(self) -> str:
        return f"dns/v1/projects/{self.project}/managedZones/{self.zone_id}"

    def _set(self, name: str, kind: str, deadline: datetime) -> Set | None:
        query = {"name": f"{name}.", "type": kind}
        reply = self.rest.get(f"{self._zone}/rrsets", query, "reading a name", deadline)
        if not reply.is_ok:
            raise refused(f"{self.name.name}: Cloud DNS has no such managed zone ({reply.status})")
        found: Set | None = next(iter(reply.document.get("rrsets", ())), None)
        return found

    def _wanted(self, records: Set | None, held: Shares, shares: Shares, ttl: timedelta) -> Set:
        made: dict[str, object] = {
            "name": f"{self.name.name}.",
            "type": self.name.record_type,
            "ttl": int(ttl.total_seconds()),
        }
        if records is not None and dict(held) == dict(shares):
            return {**records, "ttl": made["ttl"]}
        taken = [side for side, share in shares.items() if share > 0]
        if len(taken) == 1:
            return {**made, "rrdatas": self._values(taken[0])}
        items = [{"weight": share, "rrdatas": self._values(side)} for side, share in shares.items()]
        return {**made, "routingPolicy": {"wrr": {"items": items}}}

    def _values(self, side: str) -> list[str]:
        is_name = self.name.record_type == "CNAME"
        return [f"{value.rstrip('.')}." if is_name else value for value in self.name.values[side]]

    def _shares(self, records: Set | None) -> dict[str, float]:
        if records is None:
            return dict.fromkeys(self.name.values, 0.0)
        policy = records.get("routingPolicy")
        if policy is None:
            return self.name.shares_of(records.get("rrdatas", ()))
        shares = dict.fromkeys(self.name.values, 0.0)
        items = policy.get("wrr", {}).get("items", [])
        total = sum(float(item["weight"]) for item in items)
        for item in items:
            sides = self.name.sides_of(item.get("rrdatas", ()))
            if len(sides) != 1:
                raise refused(f"{self.name.name} has an item of its policy that is of no side of the target")
            shares[next(iter(sides))] += round(float(item["weight"]) / total, _WEIGHT_DIGITS) if total else 0.0
        if not items:
            raise refused(f"{self.name.name} has a routing policy that is not weighted round robin")
        return shares

    def _fence(self, found: Set | None) -> Fence:
        if found is None:
            return Fence()
        texts = [str(one).strip('"') for one in found.get("rrdatas", ())]
        fence = Fence.parse(texts[0]) if len(texts) == 1 else None
        if fence is None:
            raise source_failed(f"{self.name.fence_name}: another TXT record than a fence stands there")
        return fence
