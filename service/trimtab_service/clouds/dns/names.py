"""A name that is switched between sides, as the deployment has configured it."""

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from trimtab_service.failover.fence import LABEL


@dataclass(frozen=True, slots=True)
class SwitchedName:
    """`name` and `zone` are without the final dot; `values` are the answers of each side, all of one record type.

    Either every value is an IPv4 address, or an IPv6 address, or each side has one name (CNAME).
    """

    name: str
    zone: str
    values: Mapping[str, tuple[str, ...]]

    @property
    def record_type(self) -> str:
        """`A`, `AAAA` or `CNAME`."""
        return record_type(next(iter(self.values.values()))[0])

    @property
    def fence_name(self) -> str:
        """Where the fence is. A CNAME allows nothing beside it, so it is below the name."""
        return f"{LABEL}.{self.name}"

    @property
    def relative(self) -> str:
        """The name within its zone; `@` for the zone itself."""
        return "@" if self.name == self.zone else self.name.removesuffix(f".{self.zone}")

    def sides_of(self, answers: Collection[str]) -> frozenset[str]:
        """The sides that answers are of."""
        shown = {canonical(one) for one in answers}
        return frozenset(side for side, own in self.values.items() if shown & {canonical(one) for one in own})

    def shares_of(self, answers: Collection[str]) -> dict[str, float]:
        """Equal shares of the sides that are answered."""
        sides = self.sides_of(answers)
        return {side: (1 / len(sides) if side in sides else 0.0) for side in self.values}


def record_type(value: str) -> str:
    """`A`, `AAAA` or `CNAME`, by the look of a value."""
    try:
        return "A" if ipaddress.ip_address(value).version == 4 else "AAAA"  # noqa: PLR2004 - IPv4
    except ValueError:
        return "CNAME"


def canonical(value: str) -> str:
    """One spelling of an address or a name."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        return value.rstrip(".").lower()
