"""All that a project's history changes in its decisions, as one immutable value, and the fold that makes it.

The journal is the only source: replay folds it up to the revisions a decision was made with and decides again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, cast

from trimtab_service.domain.commitments import Commitment, Draw
from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.events import CommitmentChanged, Event, OutcomesReported, RoomDrawn, RoomReleased
from trimtab_service.placement.draw_ledger import DrawLedger, LedgerRow
from trimtab_service.placement.learned import NOTHING_LEARNED, LearnedState
from trimtab_service.placement.rooms import Rooms

_FORM: Final = 1
_JOINT: Final = "joint"
"""Who draws in a joint batch: no id of a decision."""

_LOOK_AHEAD: Final = timedelta(days=1)
"""How long such draws count: any time longer than a decision looks ahead."""


@dataclass(frozen=True, slots=True, eq=False)
class ProjectState:
    """What one project has learned and owns. Revisions are the journal's, of the last entry that changed each."""

    learned: LearnedState = NOTHING_LEARNED
    rooms: Rooms = field(default_factory=Rooms)
    learned_revision: int = 0
    commitment_revision: int = 0

    def less(self, draws: Iterable[Draw], instant: datetime) -> "ProjectState":
        """The state as a later item of a joint batch sees it: what earlier ones draw at `instant` is gone.

        Revisions stay: nothing is held for anybody, and whoever wants it held must reserve it.
        """
        drawn = [(draw.room_key, draw.amount_milli) for draw in draws]
        return replace(self, rooms=self.rooms.draw(_JOINT, drawn, instant + _LOOK_AHEAD, instant))

    def document(self) -> dict[str, Any]:
        """The whole state as JSON values, for snapshots of the journal; equal states have equal documents."""
        owned = sorted(self.rooms.commitments.items(), key=_commitment_id)
        return {
            "form": _FORM,
            "learned": self.learned.document(),
            "commitments": [to_document(commitment) for _, commitment in owned],
            "draws": [list(row) for row in self.rooms.ledger.rows()],
            "learned_revision": self.learned_revision,
            "commitment_revision": self.commitment_revision,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "ProjectState":
        """The state that `document` was called on. Raises ValueError for a form that is not known."""
        if document["form"] != _FORM:
            raise ValueError(f"unknown form of project state: {document['form']!r}")
        rooms = Rooms(ledger=DrawLedger.from_rows(cast("list[LedgerRow]", document["draws"])))
        for entry in document["commitments"]:
            commitment = from_document(Commitment, entry)
            rooms = rooms.change(commitment.commitment_id, commitment)
        return cls(
            LearnedState.from_document(document["learned"]),
            rooms,
            document["learned_revision"],
            document["commitment_revision"],
        )


NEW_PROJECT: Final = ProjectState()
"""A project of which the journal says nothing yet."""


def fold(state: ProjectState, event: Event, revision: int) -> ProjectState:
    """The state after one more entry of the project's journal. Events of other concerns change nothing."""
    match event:
        case OutcomesReported():
            return replace(state, learned=state.learned.report(event.outcomes), learned_revision=revision)
        case CommitmentChanged():
            rooms = state.rooms.change(event.commitment_id, event.commitment)
        case RoomDrawn():
            rooms = state.rooms.draw(event.decision_id, event.draws, event.expire_time, event.create_time)
        case RoomReleased():
            rooms = state.rooms.release(event.decision_id)
        case _:
            return state
    return replace(state, rooms=rooms, commitment_revision=revision)


def _commitment_id(entry: tuple[str, Commitment]) -> str:
    return entry[0]
