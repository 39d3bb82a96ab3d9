"""What one project's reported outcomes teach placement: interruption rates and blocked offers.

A fold: the same outcomes in the same order give the same state, in every process and at every replay. Another
project's outcomes never enter it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, cast

from trimtab_service.domain.outcomes import Outcome
from trimtab_service.placement.blocks import ActiveBlocks, BlockBook, BlockRow
from trimtab_service.placement.rates import RateBook, RateRow


@dataclass(frozen=True, slots=True, eq=False)
class LearnedState:
    """Immutable. `rates` answers posterior rates, `blocks` which offers to leave out at an instant."""

    rates: RateBook = field(default_factory=RateBook)
    blocks: BlockBook = field(default_factory=BlockBook)

    @property
    def has_rates(self) -> bool:
        """Whether any rate may differ from its prior."""
        return not self.rates.is_empty

    @property
    def has_blocks(self) -> bool:
        """Whether any offer may be blocked, now or at a later instant."""
        return not self.blocks.is_empty

    def active_blocks(self, instant: datetime) -> ActiveBlocks:
        """The blocks that hold at `instant`; the same object while they are the same."""
        return self.blocks.active(instant)

    def report(self, outcomes: Iterable[Outcome]) -> "LearnedState":
        """The state with these outcomes learned, in their order. Only what is touched is copied."""
        rates, blocks = self.rates, self.blocks
        for outcome in outcomes:
            rates = rates.report(outcome)
            blocks = blocks.report(outcome)
        return LearnedState(rates, blocks)

    def document(self) -> dict[str, object]:
        """The whole state as JSON values, for snapshots of the journal; equal states have equal documents."""
        return {
            "rates": [list(row) for row in self.rates.rows()],
            "blocks": [list(row) for row in self.blocks.rows()],
            "latest": self.blocks.latest.isoformat(),
        }

    @classmethod
    def from_document(cls, document: dict[str, object]) -> "LearnedState":
        """The state that `document` was called on."""
        rates = cast("list[RateRow]", document["rates"])
        blocks = cast("list[BlockRow]", document["blocks"])
        return cls(
            RateBook.from_rows(rates), BlockBook.from_rows(blocks, datetime.fromisoformat(str(document["latest"])))
        )


NOTHING_LEARNED: Final = LearnedState()
"""Of a project that has reported nothing."""
