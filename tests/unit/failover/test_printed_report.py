"""Evidence as a PDF: made from the file alone, the same each time, whatever people typed."""

import json
from pathlib import Path

import pytest

from tests.support.failover_plans import NOW, failover_plan
from trimtab.cli.failover_report import write_pdf
from trimtab_service.domain.reasons import RunEventKind
from trimtab_service.failover.admission import PinnedPlan, StartRequest, started
from trimtab_service.failover.chain import links
from trimtab_service.failover.documents import plan_bytes, plan_hash
from trimtab_service.failover.evidence import evidence_of
from trimtab_service.failover.run import NewEvent


def _evidence(words: str) -> bytes:
    plan = failover_plan()
    pinned = PinnedPlan(plan, 1, 1, plan_hash(plan_bytes(plan)))
    findings = (("warning", "WEAK_FENCE", "switch"),)
    asked = StartRequest("shop", "serving", "virginia", "iowa", "ada", findings=findings, override_reason=words)
    change = started(asked, pinned, "run-1", NOW)
    events = [*change.events, NewEvent(RunEventKind.STEP_FAILED, "switch", detail=words)]
    return evidence_of(change.run, plan, plan_bytes(plan), links(change.run, events, NOW)).document


def test_what_an_auditor_asks_is_among_the_findings() -> None:
    """What was not measured, what it was started in spite of, what was known then, and what failed."""
    told = [one["text"] for one in json.loads(_evidence("no time"))["evidence"]["findings"]]
    assert told == [
        "the recovery time was not measured",
        "the age of data was not measured",
        "it was started in spite of errors: no time",
        "warning at the start: WEAK_FENCE",
        "failed: no time",
        "the run is not over: pending",
    ]


@pytest.mark.parametrize("words", ["plain", "größer als 日本 “quoted” \u0007", "long " * 300])
def test_the_same_evidence_is_the_same_pdf(tmp_path: Path, words: str) -> None:
    """In any script, and however long."""
    one, two = tmp_path / "one.pdf", tmp_path / "two.pdf"
    write_pdf(_evidence(words), one)
    write_pdf(_evidence(words), two)
    assert one.read_bytes().startswith(b"%PDF-")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("data", [b"", b"[]", b'{"evidence": {}}', b"\xff"])
def test_what_is_no_evidence_becomes_no_report(tmp_path: Path, data: bytes) -> None:
    """And no file is left."""
    with pytest.raises(ValueError, match="evidence"):
        write_pdf(data, tmp_path / "x.pdf")
    assert not (tmp_path / "x.pdf").exists()
