"""Takes in what an analysis recommends, within the transaction that records its results."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from trimtab_service.domain.recommendations import RecommendationContent, TransitionReason, recommendation_name
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.identity import exclusive_group_of
from trimtab_service.rpc.ids import NewId
from trimtab_service.store import recommendation_renewal, recommendation_sweeps
from trimtab_service.store.recommendation_intake import Intake
from trimtab_service.store.recommendation_rows import Prepared
from trimtab_service.store.serial import take_turn


@dataclass(frozen=True, slots=True)
class FleetIntake:
    """`lifetime` is how long a recommendation lasts that is not confirmed."""

    lifetime: timedelta
    new_id: NewId

    def take_in(
        self, conn: Connection, project: str, contents: Sequence[RecommendationContent], now: datetime
    ) -> Sequence[str]:
        """Names of the recommendations, one a content. Of one identity twice, the last counts."""
        take_turn(conn)
        distinct = {content.identity: content for content in contents}
        prepared = [Prepared.of(content) for content in distinct.values()]
        made = Intake(project, now, self.lifetime, self.new_id).take(conn, prepared)
        ids = dict(zip(distinct, made, strict=True))
        return [recommendation_name(project, ids[content.identity]) for content in contents]

    def take_in_anew(self, conn: Connection, project: str, content: RecommendationContent, now: datetime) -> str:
        """As `take_in`, of one, and what is claimed of it is refreshed too: the claim and its approval are void."""
        recommendation_renewal.give_back_stale(conn, project, content, now, self.lifetime)
        return self.take_in(conn, project, [content], now)[0]

    def withdraw(self, conn: Connection, project: str, identity: str, now: datetime) -> None:
        """There is nothing to do about this finding any more, whoever has it in hand."""
        recommendation_renewal.withdraw(conn, project, identity, now, self.lifetime)

    def retire(self, conn: Connection, project: str, resources: Sequence[CloudResource], now: datetime) -> None:
        """Take back what was recommended for resources that are in order now."""
        groups = sorted({exclusive_group_of(resource) for resource in resources})
        recommendation_sweeps.retire(conn, project, groups, now, TransitionReason.NOT_CONFIRMED)
