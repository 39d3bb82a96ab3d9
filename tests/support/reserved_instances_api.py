"""EC2 Reserved Instances of one AWS account: knows the calls below by EC2's query protocol, and refuses all else.

As EC2, it takes no client token and tags nothing at the purchase: two calls are two purchases.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.support.http_fake import Answer

_KNOWN: Final = {
    "DescribeReservedInstances": {"Filter"},
    "DescribeReservedInstancesOfferings": {
        "InstanceType", "ProductDescription", "OfferingClass", "OfferingType", "InstanceTenancy", "MinDuration",
        "MaxDuration", "IncludeMarketplace", "Filter",
    },
    "PurchaseReservedInstancesOffering": {"ReservedInstancesOfferingId", "InstanceCount", "DryRun", "LimitPrice"},
    "CreateTags": {"ResourceId", "Tag"},
}  # fmt: skip
_COMMON: Final = {"Action", "Version"}


@dataclass(slots=True)
class Reservable:
    """An offering of Linux instances in a region; `hourly` and `fixed` are USD of one instance."""

    offering_id: str
    instance_type: str
    hourly: str
    fixed: str = "0"
    payment: str = "No Upfront"
    offering_class: str = "standard"
    duration: int = 31_536_000


@dataclass(slots=True)
class Reserved:
    """What was bought."""

    own_id: str
    of: Reservable
    count: int
    start: datetime
    tags: dict[str, str] = field(default_factory=dict)
    state: str = "active"


@dataclass(slots=True)
class ReservedInstancesApi:
    """What the account has and is offered. `failing` actions answer 500 after they were done.

    `is_full`: the account may have no more reservations.
    """

    offerings: list[Reservable] = field(default_factory=list)
    reserved: list[Reserved] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    may_buy: bool = True
    is_full: bool = False

    def respond(self, body: bytes) -> Answer:
        """The answer of EC2."""
        said = {key: values[-1] for key, values in parse_qs(body.decode(), keep_blank_values=True).items()}
        action = said.get("Action", "")
        if action not in _KNOWN or {key.partition(".")[0] for key in said} - _COMMON - _KNOWN[action]:
            return _refused("InvalidParameter", f"unknown call or field: {sorted(said)}")
        self.asked.append(action)
        if action == "DescribeReservedInstances":
            return self._listed(_filters(said))
        if action == "DescribeReservedInstancesOfferings":
            return self._offered(said)
        answer = self._purchased(said) if action == "PurchaseReservedInstancesOffering" else self._tagged(said)
        if action in self.failing and answer.status == 200:
            self.failing.discard(action)
            return _refused("InternalError", "try again", 500)
        return answer

    def _listed(self, filters: Mapping[str, list[str]]) -> Answer:
        wanted = [
            one
            for one in self.reserved
            if one.state in filters.get("state", [one.state])
            and one.of.instance_type in filters.get("instance-type", [one.of.instance_type])
        ]
        return _answer(
            "DescribeReservedInstances", f"<reservedInstancesSet>{''.join(map(_row, wanted))}</reservedInstancesSet>"
        )

    def _offered(self, said: Mapping[str, str]) -> Answer:
        wanted = [
            one
            for one in self.offerings
            if (one.instance_type, one.payment, one.offering_class)
            == (said["InstanceType"], said["OfferingType"], said["OfferingClass"])
            and int(said["MinDuration"]) <= one.duration <= int(said["MaxDuration"])
        ]
        rows = "".join(
            f"<item><reservedInstancesOfferingId>{one.offering_id}</reservedInstancesOfferingId>{_facts(one)}</item>"
            for one in wanted
        )
        name = "DescribeReservedInstancesOfferings"
        return _answer(name, f"<reservedInstancesOfferingsSet>{rows}</reservedInstancesOfferingsSet>")

    def _purchased(self, said: Mapping[str, str]) -> Answer:
        of = next((one for one in self.offerings if one.offering_id == said["ReservedInstancesOfferingId"]), None)
        count = int(said["InstanceCount"])
        if of is None or count < 1:
            return _refused("InvalidReservedInstancesOfferingId", "no such offering")
        if not self.may_buy:
            return _refused("UnauthorizedOperation", "not allowed", 403)
        if said.get("DryRun") == "true":
            return _refused("DryRunOperation", "it would have succeeded", 412)
        limit = said.get("LimitPrice.Amount")
        if limit is not None and float(of.fixed) * count > float(limit) + 1e-6:
            return _refused("InvalidParameterValue", "the price is above the limit")
        if self.is_full:
            return _refused("ReservedInstancesLimitExceeded", "your limit is reached")
        made = Reserved(f"ri-{len(self.reserved) + 1}", of, count, datetime.now(UTC))
        self.reserved.append(made)
        own = f"<reservedInstancesId>{made.own_id}</reservedInstancesId>"
        return _answer("PurchaseReservedInstancesOffering", own)

    def _tagged(self, said: Mapping[str, str]) -> Answer:
        of = next((one for one in self.reserved if one.own_id == said["ResourceId.1"]), None)
        if of is None:
            return _refused("InvalidReservedInstancesId.NotFound", "no such reservation")
        for number in range(1, 51):
            if f"Tag.{number}.Key" in said:
                of.tags[said[f"Tag.{number}.Key"]] = said[f"Tag.{number}.Value"]
        return _answer("CreateTags", "<return>true</return>")


def _filters(said: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, name in said.items():
        if key.startswith("Filter.") and key.endswith(".Name"):
            head = key.removesuffix("Name") + "Value."
            found[name] = [value for other, value in said.items() if other.startswith(head)]
    return found


def _facts(one: Reservable) -> str:
    return (
        f"<instanceType>{one.instance_type}</instanceType><duration>{one.duration}</duration>"
        f"<fixedPrice>{one.fixed}</fixedPrice><usagePrice>0.0</usagePrice><currencyCode>USD</currencyCode>"
        f"<productDescription>Linux/UNIX</productDescription><offeringClass>{one.offering_class}</offeringClass>"
        f"<offeringType>{one.payment}</offeringType><scope>Region</scope><instanceTenancy>default</instanceTenancy>"
        "<recurringCharges><item><frequency>Hourly</frequency>"
        f"<amount>{one.hourly}</amount></item></recurringCharges>"
    )


def _row(one: Reserved) -> str:
    tags = "".join(
        f"<item><key>{escape(key)}</key><value>{escape(value)}</value></item>" for key, value in one.tags.items()
    )
    return (
        f"<item><reservedInstancesId>{one.own_id}</reservedInstancesId><instanceCount>{one.count}</instanceCount>"
        f"<state>{one.state}</state><start>{one.start:%Y-%m-%dT%H:%M:%S.000Z}</start>{_facts(one.of)}"
        f"<tagSet>{tags}</tagSet></item>"
    )


def _answer(action: str, inner: str) -> Answer:
    text = (
        f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId>{inner}'
        f"</{action}Response>"
    )
    return Answer(text, 200, {"Content-Type": "text/xml"})


def _refused(code: str, message: str, status: int = 400) -> Answer:
    text = (
        f"<Response><Errors><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error></Errors>"
        "<RequestID>r</RequestID></Response>"
    )
    return Answer(text, status, {"Content-Type": "text/xml"})
