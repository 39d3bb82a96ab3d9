"""Names in a hosted zone of Route 53."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.dns.fenced_name import DEFAULT_TTL, ComparedError, Held
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.shares import Shares, sole_side
from trimtab_service.clouds.patience import refused, source_failed
from trimtab_service.failover.fence import Fence

REGION: Final = "us-east-1"
"""Route 53 is one for all regions, and signs for this one. So it changes nothing while that region's APIs are down."""

_SERVICE: Final = "route53"
_FENCE_TTL_S: Final = 60
_WHOLE: Final = 100
"""Weights are per cent; Route 53 takes 0 to 255."""
_PAGE: Final = "100"
_COMPARED: Final = "InvalidChangeBatch"

Set = Mapping[str, Any]
"""A ResourceRecordSet."""


@dataclass(frozen=True, slots=True)
class _Raw:
    fence: Set | None
    sets: tuple[Set, ...]

    @property
    def is_simple(self) -> bool:
        return any("SetIdentifier" not in one for one in self.sets)


@dataclass(frozen=True, slots=True)
class Route53Records:
    """Implements `Records`. Sides are weighted record sets by SetIdentifier; one simple record set has one side only.

    One batch deletes the fence with exactly the values that were read, creates the new one and writes the record sets.
    Route 53 makes all of it or nothing, and refuses a deletion whose values are not the present ones
    (ChangeResourceRecordSets). What record sets hold beside weights and TTL, such as health checks, stays.
    """

    name: SwitchedName
    zone_id: str
    calls: AwsCalls

    def read(self, deadline: datetime) -> Held:
        """As the port says: first the fence, then what it guards."""
        fence_set = next(self._sets(self.name.fence_name, "TXT", deadline), None)
        sets = tuple(self._sets(self.name.name, self.name.record_type, deadline))
        raw = _Raw(fence_set, sets)
        ttl = next((timedelta(seconds=one["TTL"]) for one in sets if "TTL" in one), DEFAULT_TTL)
        return Held(self._shares(raw), ttl, self._fence(fence_set), raw)

    def commit(self, held: Held, shares: Shares, ttl: timedelta, fence: Fence, deadline: datetime) -> None:
        """As the port says."""
        raw = held.raw
        assert isinstance(raw, _Raw)  # noqa: S101 - what `read` gave
        sets = self._simple(raw, held, shares) if raw.is_simple else self._weighted(raw, shares)
        wanted = [one if "AliasTarget" in one else {**one, "TTL": int(ttl.total_seconds())} for one in sets]
        changes = [
            *([_change("DELETE", raw.fence)] if raw.fence is not None else []),
            _change("CREATE", self._fence_set(fence)),
            *(_change("UPSERT", one) for one in wanted),
        ]
        asked = {"HostedZoneId": self.zone_id, "ChangeBatch": {"Changes": changes}}
        try:
            self.calls.call(_SERVICE, REGION, "ChangeResourceRecordSets", asked, deadline)
        except RefusedError as error:
            if error.code == _COMPARED:
                raise ComparedError(str(error)) from error
            raise refused(str(error)) from error

    def _weighted(self, raw: _Raw, shares: Shares) -> list[Set]:
        by_side = {one["SetIdentifier"]: one for one in raw.sets}
        return [
            {**by_side.get(side, self._new(side)), "Weight": round(share * _WHOLE)} for side, share in shares.items()
        ]

    def _simple(self, raw: _Raw, held: Held, shares: Shares) -> list[Set]:
        if dict(shares) == dict(held.shares):
            return list(raw.sets)
        side = sole_side(shares, f"{self.name.name} has a simple record set, which")
        made = self._new(side)
        return [{key: value for key, value in made.items() if key != "SetIdentifier"}]

    def _new(self, side: str) -> Set:
        values = self.name.values[side]
        return {
            "Name": f"{self.name.name}.",
            "Type": self.name.record_type,
            "SetIdentifier": side,
            "ResourceRecords": [{"Value": value} for value in values],
        }

    def _shares(self, raw: _Raw) -> dict[str, float]:
        if raw.is_simple:
            return self.name.shares_of([one["Value"] for one in raw.sets[0].get("ResourceRecords", [])])
        weights: dict[str, int] = {one["SetIdentifier"]: one.get("Weight", -1) for one in raw.sets}
        if -1 in weights.values() or not weights.keys() <= self.name.values.keys():
            raise refused(f"{self.name.name} has record sets that are not weighted, or of no side of the target")
        total = sum(weights.values())
        return {side: weights.get(side, 0) / total if total else 0.0 for side in self.name.values}

    def _fence(self, found: Set | None) -> Fence:
        if found is None:
            return Fence()
        texts = [one["Value"].strip('"') for one in found.get("ResourceRecords", [])]
        fence = Fence.parse(texts[0]) if len(texts) == 1 else None
        if fence is None:
            raise source_failed(f"{self.name.fence_name}: another TXT record than a fence stands there")
        return fence

    def _fence_set(self, fence: Fence) -> Set:
        values = [{"Value": f'"{fence.text}"'}]
        return {"Name": f"{self.name.fence_name}.", "Type": "TXT", "TTL": _FENCE_TTL_S, "ResourceRecords": values}

    def _sets(self, name: str, kind: str, deadline: datetime) -> Iterator[Set]:
        """The record sets of one name and type. A listing begins there and goes on to all that follow it."""
        asked = {
            "HostedZoneId": self.zone_id,
            "StartRecordName": f"{name}.",
            "StartRecordType": kind,
            "MaxItems": _PAGE,
        }
        while True:
            try:
                page = self.calls.call(_SERVICE, REGION, "ListResourceRecordSets", asked, deadline)
            except RefusedError as error:
                raise refused(str(error)) from error
            for one in page["ResourceRecordSets"]:
                if (one["Name"].rstrip("."), one["Type"]) != (name, kind):
                    return
                yield one
            if not page["IsTruncated"]:
                return
            asked |= {"StartRecordName": page["NextRecordName"], "StartRecordType": page["NextRecordType"]}
            if "NextRecordIdentifier" in page:
                asked["StartRecordIdentifier"] = page["NextRecordIdentifier"]


def _change(action: str, record_set: Set) -> dict[str, object]:
    return {"Action": action, "ResourceRecordSet": record_set}
