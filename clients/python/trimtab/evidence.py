"""Checks the evidence of a failover without a server, a database or the service's code: the standard library only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

FORM: Final = "trimtab-failover-evidence/1"
_HASH_LENGTH: Final = 64
_SWITCHED: Final = frozenset({"switched_to", "rehearsed_to"})
"""What the end of a switch is known by: of a run that was meant, and of an exercise."""


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check found. `faults` empty: every byte is as it was written, and every figure follows from the chain.

    `rto`, `rpo` are recomputed from the events alone; None: they tell none. `broken_event` is the place (from 1) of the
    first event that does not follow from the one before it.
    """

    run: str
    events: int
    chain_hash: str
    rto: timedelta | None
    rpo: timedelta | None
    faults: tuple[str, ...]
    broken_event: int | None = None

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify_evidence(data: bytes) -> Verification:
    """Check a file as `ExportFailoverEvidence` wrote it. Raises ValueError when it is no such file at all."""
    try:
        whole = json.loads(data)
        content, claimed = whole["evidence"], whole["sha256"]
        form, events = content["form"], content["events"]
        chain = [(str(one["body"]).encode(), str(one["hash"])) for one in events]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not the evidence of a failover: {type(error).__name__}: {error}") from None
    if form != FORM:
        raise ValueError(f"evidence of the form {str(form)[:64]!r}; this program reads {FORM!r}")
    faults: list[str] = []
    packed = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    if hashlib.sha256(packed).hexdigest() != claimed:
        faults.append("the content does not have the hash that the file names")
    if data != b'{"evidence":%b,"sha256":"%b"}\n' % (packed, str(claimed).encode()):
        faults.append("the file is not byte for byte as it was written")
    broken, parsed = _walk(chain)
    if broken is not None:
        faults.append(f"event {broken} does not follow from the one before it")
    head = chain[-1][1] if chain else ""
    if content.get("chain_hash") != head:
        faults.append("the chain does not end in the hash that the file names")
    faults += _plan_faults(content, parsed)
    rto, rpo = _times(parsed)
    if content.get("actuals") != {"rto_us": rto, "rpo_us": rpo}:
        faults.append("the recovery times are not those that follow from the events")
    return Verification(
        run=str(content.get("run", "")),
        events=len(chain),
        chain_hash=head,
        rto=None if rto is None else timedelta(microseconds=rto),
        rpo=None if rpo is None else timedelta(microseconds=rpo),
        faults=tuple(faults),
        broken_event=broken,
    )


def _walk(chain: Sequence[tuple[bytes, str]]) -> tuple[int | None, list[Mapping[str, Any]]]:
    """The first link that is broken, and the events before it."""
    head = ""
    parsed: list[Mapping[str, Any]] = []
    for place, (body, claimed) in enumerate(chain, start=1):
        if len(claimed) != _HASH_LENGTH or hashlib.sha256(head.encode() + b"\n" + body).hexdigest() != claimed:
            return place, parsed
        event = _event(body)
        if event is None or event["sequence"] != place:
            return place, parsed
        head = claimed
        parsed.append(event)
    return None, parsed


def _event(body: bytes) -> Mapping[str, Any] | None:
    """What a link holds; None: nothing that a service wrote, though somebody hashed it."""
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        return None
    return event if {"kind", "sequence", "time_us"} <= event.keys() else None


def _plan_faults(content: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> list[str]:
    """The plan must be the one that was started, which the first event names by its hash."""
    faults = []
    document, named = str(content.get("plan_document", "")), content.get("plan_hash")
    if hashlib.sha256(document.encode()).hexdigest() != named:
        faults.append("the plan does not have the hash that the file names")
    if events and events[0].get("data", {}).get("plan_hash") != named:
        faults.append("the plan is not the one that was started")
    return faults


def _times(events: Sequence[Mapping[str, Any]]) -> tuple[int | None, int | None]:
    """Microseconds from the start to the last confirmed switch, and of the oldest data that was accepted."""
    begun: int | None = None
    rto: int | None = None
    rpo: int | None = None
    for event in events:
        if event["kind"] == "RUN_STARTED":
            begun = event["time_us"]
        if event["kind"] != "STEP_DONE":
            continue
        if begun is not None and not _SWITCHED.isdisjoint(event["data"]):
            rto = event["time_us"] - begun
        if "watermark_age_us" in event["data"]:
            rpo = max(event["data"]["watermark_age_us"], rpo or 0)
    return rto, rpo
