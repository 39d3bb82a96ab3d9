"""The hash chain of a run's events: each link holds the hash of the one before it.

A link's body is canonical JSON (sorted keys, integer microseconds); its hash is SHA-256 over the predecessor's hash and
the body. The first link's predecessor is the empty string. Nothing but the bodies is needed to check it, and to
recompute the times of the run.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import orjson

from trimtab_service.domain.reasons import RunEventKind
from trimtab_service.failover.run import NewEvent, Run

SWITCHED: Final = frozenset({"switched_to", "rehearsed_to"})
"""What the end of a switch is known by: traffic was seen there, or an exercise saw that it could be moved."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Link:
    """An event as stored. `sequence` counts from 1 within its run: it is the resume token."""

    sequence: int
    time: datetime
    kind: str
    step_id: str
    actor: str
    detail: str
    body: bytes
    hash: str


@dataclass(frozen=True, slots=True)
class Times:
    """What the chain alone tells. None: it does not."""

    rto: timedelta | None
    rpo: timedelta | None


def links(run: Run, events: Sequence[NewEvent], now: datetime) -> tuple[Link, ...]:
    """The links that `events` add to the chain of `run`, which holds the sequence and hash of the last one."""
    made: list[Link] = []
    sequence, head = run.event_sequence, run.chain_hash
    for event in events:
        sequence += 1
        body = orjson.dumps(
            {
                "run": run.name,
                "sequence": sequence,
                "time_us": (now - _EPOCH) // _MICROSECOND,
                "kind": event.kind.name,
                "step_id": event.step_id,
                "actor": event.actor,
                "detail": event.detail,
                "token": run.token,
                "data": dict(event.data),
            },
            option=orjson.OPT_SORT_KEYS,
        )
        head = hash_of(head, body)
        made.append(Link(sequence, now, event.kind.name, event.step_id, event.actor, event.detail, body, head))
    return tuple(made)


def hash_of(previous: str, body: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(previous.encode() + b"\n" + body).hexdigest()


def first_broken(chain: Iterable[tuple[bytes, str]]) -> int | None:
    """Place, from 1, of the first (body, hash) that does not follow from the one before it; None: all do."""
    head = ""
    for place, (body, claimed) in enumerate(chain, start=1):
        head = hash_of(head, body)
        if head != claimed or orjson.loads(body)["sequence"] != place:
            return place
    return None


def times_of(bodies: Iterable[bytes]) -> Times:
    """Recovery time (taken in to traffic last confirmed at the side) and data age (oldest that was accepted)."""
    begun: int | None = None
    rto: timedelta | None = None
    rpo: timedelta | None = None
    for body in bodies:
        event = orjson.loads(body)
        if event["kind"] == RunEventKind.RUN_STARTED.name:
            begun = event["time_us"]
        if event["kind"] != RunEventKind.STEP_DONE.name:
            continue
        if begun is not None and not SWITCHED.isdisjoint(event["data"]):
            rto = (event["time_us"] - begun) * _MICROSECOND
        if "watermark_age_us" in event["data"]:
            age = event["data"]["watermark_age_us"] * _MICROSECOND
            rpo = age if rpo is None else max(rpo, age)
    return Times(rto, rpo)
