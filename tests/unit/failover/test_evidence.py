"""Evidence can be checked by anybody, and a change of it is found."""

import contextlib
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.failover_plans import NOW, failover_plan
from trimtab.evidence import verify_evidence
from trimtab_service.domain.reasons import RunEventKind
from trimtab_service.failover.admission import PinnedPlan, StartRequest, started
from trimtab_service.failover.chain import Link, links
from trimtab_service.failover.documents import plan_bytes, plan_hash
from trimtab_service.failover.evidence import Evidence, evidence_of
from trimtab_service.failover.run import NewEvent, Run


def _chain(times: int) -> tuple[Run, list[Link]]:
    """A run that is started, and steps that are begun and done: the switch after 42 seconds, data 7 seconds old."""
    plan = failover_plan()
    pinned = PinnedPlan(plan, 1, 1, plan_hash(plan_bytes(plan)))
    change = started(StartRequest("shop", "serving", "virginia", "iowa", "ada"), pinned, "run-1", NOW)
    run = change.run
    chain: list[Link] = []
    switched = {"switched_to": "iowa", "watermark_age_us": 7_000_000}
    rounds = [
        (NOW, list(change.events)),
        *((NOW, [NewEvent(RunEventKind.STEP_BEGUN, f"step-{at}")]) for at in range(times)),
        (NOW + timedelta(seconds=1), [NewEvent(RunEventKind.STEP_BEGUN, "switch")]),
        (
            NOW + timedelta(seconds=42),
            [
                NewEvent(RunEventKind.STEP_APPROVED, "approve", "bob", "go <on> “now”"),
                NewEvent(RunEventKind.STEP_DONE, "switch", data=switched),
            ],
        ),
    ]
    for now, events in rounds:
        made = links(run, events, now)
        chain += made
        run = replace(run, event_sequence=made[-1].sequence, chain_hash=made[-1].hash)
    return run, chain


@cache
def _evidence(times: int = 3) -> Evidence:
    plan = failover_plan()
    run, chain = _chain(times)
    return evidence_of(run, plan, plan_bytes(plan), chain)


def test_what_was_written_is_sound() -> None:
    """And the times are those of the events: 42 and 7 seconds."""
    found = verify_evidence(_evidence().document)
    assert found.faults == ()
    assert (found.events, found.rto, found.rpo) == (7, timedelta(seconds=42), timedelta(seconds=7))
    assert found.chain_hash == _evidence().chain_hash


@given(st.data())
def test_one_byte_changed_is_found(data: st.DataObject) -> None:
    """Any byte, anywhere in the file, to any other value."""
    whole = bytearray(_evidence().document)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    # A file that is no evidence at all any more is found too.
    with contextlib.suppress(ValueError):
        assert not verify_evidence(bytes(whole)).is_sound


def test_one_byte_of_ten_thousand_events_is_found() -> None:
    """The event is named, though the file's own hash was made anew."""
    content = json.loads(_evidence(10_000).document)["evidence"]
    body = content["events"][6_000]["body"]
    content["events"][6_000]["body"] = body.replace('"step-5999"', '"step-5998"')
    found = verify_evidence(_written(content))
    assert found.broken_event == 6_001
    assert not found.is_sound
    assert verify_evidence(_evidence(10_000).document).is_sound


@pytest.mark.parametrize(
    "forge",
    [
        lambda content: content["events"].pop(2),
        lambda content: content["events"].pop(),
        lambda content: content["events"].insert(2, content["events"][1]),
        lambda content: content["actuals"].update(rto_us=1),
        lambda content: content.update(plan_document=content["plan_document"].replace("iowa", "ohio")),
        lambda content: content.update(chain_hash="0" * 64),
    ],
)
def test_a_forger_who_hashes_the_file_anew_is_found(forge: object) -> None:
    """Events left out or repeated, other figures, another plan, another end."""
    content = json.loads(_evidence().document)["evidence"]
    forge(content)  # type: ignore[operator] # a lambda of the list
    assert not verify_evidence(_written(content)).is_sound


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"evidence":{"form":"x","events":[]},"sha256":""}'])
def test_what_is_no_evidence_is_refused(data: bytes) -> None:
    """With words, not with a fault of the program."""
    with pytest.raises(ValueError, match="evidence"):
        verify_evidence(data)


def test_the_report_shows_times_and_approvers_as_text() -> None:
    """What people typed cannot become markup."""
    page = _evidence().report_html
    for words in ("42.000 s", "7.000 s", "bob", "go &lt;on&gt;", _evidence().chain_hash):
        assert words in page
    assert "<on>" not in page


def _written(content: dict[str, object]) -> bytes:

    packed = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return b'{"evidence":%b,"sha256":"%b"}\n' % (packed, hashlib.sha256(packed).hexdigest().encode())
