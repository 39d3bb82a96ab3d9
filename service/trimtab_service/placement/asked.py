"""All that a decision depends on, as one value."""

from datetime import datetime
from typing import NamedTuple

from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.workloads import PlaceQuery
from trimtab_service.placement.index import SearchIndex
from trimtab_service.placement.question import Question
from trimtab_service.placement.state import ProjectState


class Asked(NamedTuple):
    """One request, the index of one catalogue, one policy, one project state and one instant."""

    query: PlaceQuery
    search_index: SearchIndex
    policy: EffectivePolicy
    state: ProjectState
    instant: datetime

    def question(self) -> Question:
        """Compiled, for a search."""
        return Question(*self)
