"""What name servers answer: the only word on where traffic goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import Patience, source_failed

EXTRA: Final = "dns"
_LONGEST_S: Final = 2.0
"""A server that is silent for so long counts as silent."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """Where DNS is asked."""

    host: str
    port: int = 53


@dataclass(frozen=True, slots=True)
class Answered:
    """What one server answers for a name: values of its records, and their TTL. No values: there are none."""

    values: frozenset[str]
    ttl: timedelta


@dataclass(frozen=True, slots=True)
class Observers:
    """Name servers that are asked: authoritative ones show a change at once, resolvers once their cache has run out."""

    servers: tuple[NameServer, ...]
    patience: Patience

    def answers(self, name: SwitchedName, deadline: datetime) -> tuple[Answered, ...]:
        """Of every server that answers. Raises UnavailableError (SOURCE_FAILED) where there are some and none does."""
        found = [one for one in self._asked(name, deadline) if one is not None]
        if self.servers and not found:
            raise source_failed(f"{name.name}: none of {len(self.servers)} name servers answers")
        return tuple(found)

    def _asked(self, name: SwitchedName, deadline: datetime) -> Sequence[Answered | None]:
        return [self._ask(server, name, self.patience.call_timeout_s(deadline)) for server in self.servers]

    def _ask(self, server: NameServer, name: SwitchedName, timeout_s: float) -> Answered | None:
        message, query = sdk("dns.message", EXTRA), sdk("dns.query", EXTRA)
        exception = sdk("dns.exception", EXTRA)
        question = message.make_query(f"{name.name}.", name.record_type)
        try:
            reply, _ = query.udp_with_fallback(
                question, server.host, timeout=min(timeout_s, _LONGEST_S), port=server.port
            )
        except (exception.DNSException, OSError):
            return None
        return answered(reply, f"{name.name}.", name.record_type)


def answered(reply: Any, name: str, kind: str) -> Answered | None:  # noqa: ANN401 - a dns.message.Message
    """What a reply says of a name; None where the server could not tell."""
    rcode, rdatatype = sdk("dns.rcode", EXTRA), sdk("dns.rdatatype", EXTRA)
    if reply.rcode() not in {rcode.NOERROR, rcode.NXDOMAIN}:
        return None
    wanted = rdatatype.from_text(kind)
    owner = sdk("dns.name", EXTRA).from_text(name)
    for found in reply.answer:
        if found.rdtype == wanted and (found.name == owner or kind != "CNAME"):
            return Answered(frozenset(map(text_of, found)), timedelta(seconds=found.ttl))
    return Answered(frozenset(), timedelta())


def text_of(record: Any) -> str:  # noqa: ANN401 - a dns.rdata.Rdata
    """The value of a record: an address, a name without final dot, a text without quotation marks."""
    strings = getattr(record, "strings", None)
    return b"".join(strings).decode("utf-8", "replace") if strings is not None else record.to_text().rstrip(".")
