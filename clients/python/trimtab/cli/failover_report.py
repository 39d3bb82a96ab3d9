"""Evidence of a failover as a PDF: targets against actuals, findings, approvers, steps, timeline.

Everything is read from the evidence file itself, so that a report can be made years later, without a server.
"""

from __future__ import annotations  # fpdf2 is of an extra, imported when a report is asked for

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from fpdf import FPDF

_SECOND_US: Final = 1_000_000
_FONT: Final = "report"
_MOST_EVENTS: Final = 1_000
_LONGEST: Final = 400
"""Characters of a cell: what somebody typed must not fill pages."""


def write_pdf(evidence: bytes, path: Path) -> None:
    """Write the report of an evidence file. Raises ImportError without the extra `plot`, ValueError for other files."""
    import matplotlib as mpl  # noqa: PLC0415 - of the extra
    from fpdf import FPDF  # noqa: PLC0415 - of the extra

    content = _content(evidence)
    events = [json.loads(one["body"]) for one in content["events"]]
    pdf = FPDF(format="A4")
    # The core fonts of PDF know Latin-1 only; matplotlib brings DejaVu, which knows what people type.
    fonts = Path(mpl.get_data_path()) / "fonts" / "ttf"
    pdf.add_font(_FONT, "", fonts / "DejaVuSans.ttf")
    pdf.add_font(_FONT, "B", fonts / "DejaVuSans-Bold.ttf")
    if events:
        # The same evidence gives the same file.
        pdf.set_creation_date(datetime.fromtimestamp(events[-1]["time_us"] // _SECOND_US, UTC))
    pdf.set_title(f"Failover: {content['run']}")
    pdf.set_auto_page_break(auto=True, margin=15)
    pdf.add_page()
    _write(pdf, content, events)
    pdf.output(str(path))


def _content(evidence: bytes) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = json.loads(evidence)["evidence"]
        _ = content["run"], content["events"], content["targets"], content["actuals"], content["steps"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"not the evidence of a failover: {type(error).__name__}") from None
    return content


def _write(pdf: FPDF, content: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    started: Mapping[str, Any] = next((one["data"] for one in events if one["kind"] == "RUN_STARTED"), {})
    pdf.set_font(_FONT, "B", 15)
    pdf.multi_cell(0, 8, f"Failover: {started.get('from_side', '?')} to {started.get('to_side', '?')}")
    pdf.ln(10)
    facts = [
        ("Run", content["run"]),
        ("Plan", f"{content.get('plan', '')}, version {content.get('plan_version', '')}"),
        ("Plan hash", content.get("plan_hash", "")),
        ("Kind, mode", f"{started.get('kind', '')}, {started.get('mode', '')}"),
        ("State", content.get("state", "")),
        ("Started by", content.get("started_by", "")),
        ("Last link of the chain", content.get("chain_hash", "")),
    ]
    if content.get("override_reason"):
        facts.append(("Started in spite of errors", content["override_reason"]))
    _table(pdf, (), facts, (40, 150))
    targets, actuals = content["targets"], content["actuals"]
    figures = [
        (name, _length(targets.get(key)), _length(actuals.get(key)), _met(targets.get(key), actuals.get(key)))
        for name, key in (("Recovery time", "rto_us"), ("Age of data", "rpo_us"))
    ]
    _section(pdf, "Targets against actuals", ("", "target", "actual", "met"), figures, (55, 45, 45, 45))
    findings = [(one["step_id"] or "run", one["text"]) for one in content.get("findings", [])]
    _section(pdf, "Findings", ("of", "what"), findings, (45, 145))
    decided = [
        (
            _moment(one["time_us"]),
            one["actor"],
            "approved" if one["approved"] else "rejected",
            one["step_id"],
            one["comment"],
        )
        for one in content.get("decisions", [])
    ]
    _section(pdf, "Approvers", ("time", "who", "what", "step", "words"), decided, (44, 36, 22, 38, 50))
    steps = [(one["step_id"], _moment(one["begin_us"]), _took(one), str(one["attempts"])) for one in content["steps"]]
    _section(pdf, "Steps", ("step", "begun", "took", "attempts"), steps, (70, 50, 40, 30))
    timeline = [
        (_moment(one["time_us"]), one["kind"], one["step_id"], one["actor"], str(one["token"]), one["detail"])
        for one in events[:_MOST_EVENTS]
    ]
    if len(events) > _MOST_EVENTS:
        timeline.append(
            ("", f"and {len(events) - _MOST_EVENTS:,} more", "", "", "", "the evidence file holds them all")
        )
    widths = (42, 34, 30, 30, 12, 42)
    _section(pdf, "Timeline", ("time", "event", "step", "who", "token", "detail"), timeline, widths)


def _section(
    pdf: FPDF, title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]], widths: tuple[int, ...]
) -> None:
    pdf.ln(5)
    pdf.set_font(_FONT, "B", 11)
    pdf.cell(0, 7, title)
    pdf.ln(8)
    if rows:
        _table(pdf, headings, rows, widths)
    else:
        pdf.set_font(_FONT, "", 8)
        pdf.cell(0, 5, "None.")
        pdf.ln(5)


def _table(pdf: FPDF, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]], widths: tuple[int, ...]) -> None:
    pdf.set_font(_FONT, "", 7)
    with pdf.table(col_widths=widths, first_row_as_headings=bool(headings), text_align="LEFT", line_height=4) as table:
        if headings:
            table.row(headings)
        for row in rows:
            table.row([str(cell)[:_LONGEST] for cell in row])


def _length(micros: int | None) -> str:
    return "not known" if micros is None else f"{micros / _SECOND_US:,.3f} s"


def _met(target: int | None, actual: int | None) -> str:
    if target is None or actual is None:
        return ""
    return "yes" if actual <= target else "no"


def _took(step: Mapping[str, Any]) -> str:
    return "not done" if step["done_us"] is None else _length(step["done_us"] - step["begin_us"])


def _moment(micros: int) -> str:
    stamp = datetime.fromtimestamp(micros // _SECOND_US, UTC)
    return f"{stamp:%Y-%m-%d %H:%M:%S}.{micros % _SECOND_US // 1000:03d}Z"
