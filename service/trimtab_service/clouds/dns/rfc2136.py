"""Dynamic updates (RFC 2136) with TSIG (RFC 8945): BIND, PowerDNS and their kin."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.dns.fenced_name import DEFAULT_TTL, ComparedError, Held
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import EXTRA, Answered, NameServer, answered
from trimtab_service.clouds.dns.shares import Shares, sole_side
from trimtab_service.clouds.dns.tsig import TsigKey
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.patience import PassingFault, Patience, refused, source_failed
from trimtab_service.failover.fence import Fence

_FENCE_TTL_S: Final = 1
_COMPARED: Final = frozenset({"NXRRSET", "YXRRSET", "NXDOMAIN", "YXDOMAIN"})
"""Answers to a prerequisite that does not hold (RFC 2136, section 3.2)."""
_BUSY: Final = frozenset({"SERVFAIL"})


@dataclass(frozen=True, slots=True)
class DynamicRecords:
    """Implements `Records` at the primary server of a zone. Everything goes over TCP: an update is never sent twice.

    The fence is a prerequisite on the value of a TXT record, so the server itself refuses the whole update unless the
    record is what it was when it was read. Addresses have no weights in DNS: one side has all of the traffic.
    """

    name: SwitchedName
    server: NameServer
    key: TsigKey | None
    patience: Patience

    def read(self, deadline: datetime) -> Held:
        """As the port says: first the fence, then what it guards."""
        fence = _fence(self._asked(self.name.fence_name, "TXT", deadline), self.name.fence_name)
        found = self._asked(self.name.name, self.name.record_type, deadline)
        ttl = found.ttl if found.values else DEFAULT_TTL
        return Held(self.name.shares_of(found.values), ttl, fence)

    def commit(self, held: Held, shares: Shares, ttl: timedelta, fence: Fence, deadline: datetime) -> None:
        """As the port says. A TTL alone leaves the answers of several sides as they are."""
        kept = [side for side, share in shares.items() if share > 0]
        sides = kept if dict(shares) == dict(held.shares) else [sole_side(shares, "a plain DNS record")]
        values = [value for side in sides for value in self.name.values[side]]
        fence_name, name = f"{self.name.fence_name}.", f"{self.name.name}."
        update = self._update()
        if held.fence.token:
            update.present(fence_name, "TXT", f'"{held.fence.text}"')
        else:
            update.absent(fence_name, "TXT")
        update.replace(fence_name, _FENCE_TTL_S, "TXT", f'"{fence.text}"')
        update.replace(name, int(ttl.total_seconds()), self.name.record_type, *map(self._spelled, values))
        self._sent(update, deadline)

    def _update(self) -> Any:  # noqa: ANN401 - a dns.update.UpdateMessage
        zone = f"{self.name.zone}."
        kind = sdk("dns.update", EXTRA).UpdateMessage
        return kind(zone) if self.key is None else kind(zone, keyring=self.key.ring)

    def _sent(self, update: Any, deadline: datetime) -> None:  # noqa: ANN401 - as above
        timeout = self.patience.call_timeout_s(deadline)
        code = sdk("dns.rcode", EXTRA).to_text(self._exchanged(update, timeout).rcode())
        if code == "NOERROR":
            return
        if code in _COMPARED:
            raise ComparedError(f"the name server found the fence changed ({code})")
        if code in _BUSY:
            raise PassingFault(f"the name server could not make the update ({code})")
        raise refused(f"{self.name.name}: the name server refused the update ({code})")

    def _asked(self, name: str, kind: str, deadline: datetime) -> Answered:
        question = sdk("dns.message", EXTRA).make_query(f"{name}.", kind)

        def ask(timeout: float) -> Answered:
            found = answered(self._exchanged(question, timeout), f"{name}.", kind)
            if found is None:
                raise PassingFault(f"{name}: the name server does not answer for it")
            return found

        return self.patience.ask(ask, deadline)

    def _exchanged(self, message: Any, timeout_s: float) -> Any:  # noqa: ANN401 - dns.message.Message, both
        exception, tsig = sdk("dns.exception", EXTRA), sdk("dns.tsig", EXTRA)
        try:
            return sdk("dns.query", EXTRA).tcp(
                message, self.server.host, timeout=min(timeout_s, _LONGEST_S), port=self.server.port
            )
        except tsig.PeerError as error:
            raise refused(f"the name server refused the TSIG key ({type(error).__name__})") from error
        except (exception.DNSException, OSError, EOFError) as error:
            raise PassingFault(f"no answer of the name server ({type(error).__name__})") from error

    def _spelled(self, value: str) -> str:
        return f"{value.rstrip('.')}." if self.name.record_type == "CNAME" else value


_LONGEST_S: Final = 5.0
"""One exchange: a server that is silent for so long is asked anew, on another connection."""


def _fence(found: Answered, name: str) -> Fence:
    if not found.values:
        return Fence()
    fences = [fence for text in found.values if (fence := Fence.parse(text)) is not None]
    if len(fences) != 1 or len(found.values) != 1:
        raise source_failed(f"{name}: another TXT record than a fence stands there")
    return fences[0]
