"""Reported outcomes: they live in the journal, from which every process learns the same."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from trimtab_service.store import journal
from trimtab_service.store.journal import JournalKind


def record(
    conn: Connection, project: str, outcomes: Sequence[Mapping[str, Any]], now: datetime, decision_id: str = ""
) -> int:
    """Enter outcomes (JSON objects of the domain, at least one) as one entry; returns its revision.

    The payload is `{"decision_id": ..., "outcomes": [...]}`. A decision that the log does not have (any
    more) is no reason to lose what was learned; `decisions.mark_outcome` shows it beside those it has.
    """
    if not outcomes:
        raise ValueError("nothing was reported")
    payload = {"decision_id": decision_id, "outcomes": list(outcomes)}
    return journal.append(conn, project, JournalKind.OUTCOME, payload, now)
