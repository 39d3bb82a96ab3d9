"""Route 53 over its XML, as strict as the real one where a fence depends on it: batches are atomic, deletions exact."""

import copy
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Any, Final, Self
from xml.sax.saxutils import escape

from tests.support.dns_fake import DnsFake
from tests.support.http_fake import Answer, HttpFake, Seen

ZONE_ID: Final = "Z0123456789ABCDEFGHIJ"
_NS: Final = "https://route53.amazonaws.com/doc/2013-04-01/"
_PATH: Final = re.compile(r"/2013-04-01/hostedzone/([^/]+)/rrset/?")
_TEXTS: Final = ("SetIdentifier", "Weight", "TTL", "HealthCheckId")

Key = tuple[str, str, str]
"""Name, type, SetIdentifier."""


class _RefusalError(Exception):
    """The batch is refused; the text is Route 53's message."""


class Route53Fake:
    """A context manager. `url` is the API, `dns` a name server that answers from the zone.

    `unseen` changes are not answered by the name server for that many questions after a batch: Route 53 says PENDING
    then. `sets` holds elements of the request by key, `batches` the actions of every batch that was made.
    """

    def __init__(self) -> None:
        self.sets: dict[Key, dict[str, Any]] = {}
        self.batches: list[list[str]] = []
        self.unseen = 0
        self._shown: dict[Key, dict[str, Any]] = {}
        self._left = 0
        self._turn = count()
        self.server = HttpFake(self._respond)
        self.dns = DnsFake(self._lookup)

    @property
    def url(self) -> str:
        """Endpoint of the API."""
        return self.server.url

    def put(self, name: str, kind: str, values: Sequence[str], **more: object) -> None:
        """Keep a record set, as somebody made it before."""
        texts = {key: str(value) for key, value in {"TTL": 60, **more}.items()}
        self.sets[f"{name}.", kind, texts.get("SetIdentifier", "")] = {**texts, "values": list(values)}
        self._shown = copy.deepcopy(self.sets)

    def __enter__(self) -> Self:
        self.server.__enter__()
        self.dns.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.dns.__exit__(kind, value, at)
        self.server.__exit__(kind, value, at)

    def _respond(self, seen: Seen) -> Answer:
        match = _PATH.fullmatch(seen.path)
        if match is None or match[1] != ZONE_ID:
            return _error("NoSuchHostedZone", f"No hosted zone found with ID: {seen.path}", 404)
        if seen.method == "GET":
            return self._listed(seen)
        try:
            self._change(ET.fromstring(seen.body))
        except _RefusalError as refusal:
            return _error("InvalidChangeBatch", f"[{refusal}]", 400)
        info = "<Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-11-23T12:00:00.000Z</SubmittedAt>"
        return _xml("ChangeResourceRecordSetsResponse", f"<ChangeInfo>{info}</ChangeInfo>")

    def _change(self, request: ET.Element) -> None:
        after = copy.deepcopy(self.sets)
        actions = []
        for change in request.iter(f"{{{_NS}}}Change"):
            action = _text(change, "Action")
            key, wanted = _parsed(change)
            _apply(after, action, key, wanted)
            actions.append(f"{action} {key[1]} {key[0]}")
        for name, kind, identifier in after:
            others = {other for (its, of, other) in after if (its, of) == (name, kind)}
            if not identifier and len(others) > 1:
                raise _RefusalError(f"RRSet {name} {kind} cannot be created: a simple one exists with the same name")
        self._left, self._shown = (self.unseen, self.sets) if self.unseen else (0, after)
        self.sets = after
        self.batches.append(actions)

    def _listed(self, seen: Seen) -> Answer:
        start = _order((seen.query.get("name", ""), seen.query.get("type", ""), seen.query.get("identifier", "")))
        following = sorted((key for key in self.sets if _order(key) >= start), key=_order)
        most = int(seen.query.get("maxitems", "300"))
        items = "".join(_shown(key, self.sets[key]) for key in following[:most])
        more = following[most : most + 1]
        rest = f"<IsTruncated>{'true' if more else 'false'}</IsTruncated><MaxItems>{most}</MaxItems>"
        for name, kind, identifier in more:
            rest += f"<NextRecordName>{name}</NextRecordName><NextRecordType>{kind}</NextRecordType>"
            rest += f"<NextRecordIdentifier>{identifier}</NextRecordIdentifier>" if identifier else ""
        return _xml("ListResourceRecordSetsResponse", f"<ResourceRecordSets>{items}</ResourceRecordSets>{rest}")

    def _lookup(self, name: str, kind: str) -> tuple[list[str], int] | None:
        if self._left:
            self._left -= 1
            if not self._left:
                shown, self._shown = self._shown, self.sets
            else:
                shown = self._shown
        else:
            shown = self._shown = self.sets
        found = [one for (its, of, _), one in sorted(shown.items()) if (its, of) == (f"{name}.", kind)]
        weighted = [one for one in found for _ in range(int(one.get("Weight", "1")))]
        if not weighted:
            return None
        # A stride that is prime to a hundred, so that questions that follow one another get each side's share.
        chosen = weighted[next(self._turn) * 37 % len(weighted)]
        return chosen["values"], int(chosen["TTL"])


def _apply(after: dict[Key, dict[str, Any]], action: str, key: Key, wanted: dict[str, Any]) -> None:
    told = f"resource record set [name='{key[0]}', type='{key[1]}']"
    if key[1] == "TXT" and not all(value.startswith('"') and value.endswith('"') for value in wanted["values"]):
        raise _RefusalError(f"Invalid Resource Record: TXT values of {told} must be enclosed in quotation marks")
    match action:
        case "CREATE":
            if key in after:
                raise _RefusalError(f"Tried to create {told} but it already exists")
            after[key] = wanted
        case "DELETE":
            if key not in after:
                raise _RefusalError(f"Tried to delete {told} but it was not found")
            if after[key] != wanted:
                raise _RefusalError(f"Tried to delete {told} but the values provided do not match the current values")
            del after[key]
        case _:
            after[key] = wanted


def _parsed(change: ET.Element) -> tuple[Key, dict[str, Any]]:
    found: dict[str, Any] = {key: text for key in _TEXTS if (text := _text(change, key))}
    found["values"] = [one.text or "" for one in change.iter(f"{{{_NS}}}Value")]
    return (_text(change, "Name"), _text(change, "Type"), found.get("SetIdentifier", "")), found


def _text(element: ET.Element, name: str) -> str:
    found = next(element.iter(f"{{{_NS}}}{name}"), None)
    return "" if found is None else found.text or ""


def _order(key: Key) -> tuple[list[str], str, str]:
    """Route 53 sorts by labels from the right."""
    return list(reversed(key[0].rstrip(".").split("."))), key[1], key[2]


def _shown(key: Key, one: dict[str, Any]) -> str:
    texts = "".join(f"<{name}>{escape(one[name])}</{name}>" for name in _TEXTS if name in one)
    values = "".join(f"<ResourceRecord><Value>{escape(value)}</Value></ResourceRecord>" for value in one["values"])
    inner = f"<Name>{key[0]}</Name><Type>{key[1]}</Type>{texts}<ResourceRecords>{values}</ResourceRecords>"
    return f"<ResourceRecordSet>{inner}</ResourceRecordSet>"


def _xml(root: str, inner: str, status: int = 200) -> Answer:
    text = f'<?xml version="1.0"?>\n<{root} xmlns="{_NS}">{inner}</{root}>'
    return Answer(text, status, {"Content-Type": "text/xml"})


def _error(code: str, message: str, status: int) -> Answer:
    inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    return _xml("ErrorResponse", f"{inner}<RequestId>r</RequestId>", status)
