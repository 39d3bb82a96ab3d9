"""Several requests at once: each by itself, or in order against the same room."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import Decision
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import PlaceQuery
from trimtab_service.placement.engine import decide
from trimtab_service.placement.state import ProjectState

_HELD_FOR: Final = timedelta(days=1)


def decide_jointly(
    queries: Sequence[PlaceQuery],
    snapshot: CatalogSnapshot,
    policies: Sequence[EffectivePolicy],
    state: ProjectState,
    instant: datetime,
) -> list[Decision]:
    """Decisions in the order of the queries; what one draws of quota and commitment room the later ones do not get.

    `policies` are aligned with `queries`. `state` itself is not changed: whoever wants the room held must draw it.
    """
    decisions = []
    rooms = state.rooms
    for i, (query, policy) in enumerate(zip(queries, policies, strict=True)):
        now = ProjectState(state.learned, rooms, state.learned_revision, state.commitment_revision)
        decision = decide(query, snapshot, policy, now, instant)
        if decision.chosen is not None and decision.chosen.draws:
            draws = [(draw.room_key, draw.amount_milli) for draw in decision.chosen.draws]
            rooms = rooms.draw(f"joint/{i}", draws, instant + _HELD_FOR, instant)
        decisions.append(decision)
    return decisions
