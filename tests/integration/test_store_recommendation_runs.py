"""Runs of what is applied, on both engines."""

from collections.abc import Iterator

import pytest

from tests.support.findings import NOW, content
from tests.support.kept_recommendations import ADA, LIFE, do, take
from trimtab_service.domain.errors import AbortedError, FailedPreconditionError
from trimtab_service.domain.recommendations import (
    OperationGroup,
    Outcome,
    TransitionReason,
)
from trimtab_service.recommendations.lifecycle import Move, Verb, move
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.recommendation_applying import ApplyStore
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.writer import GroupCommitWriter


@pytest.fixture
def writer(database: Database) -> Iterator[GroupCommitWriter]:
    """A writer on the database."""
    made = GroupCommitWriter(database)
    yield made
    made.close()


def test_a_run_is_journalled_and_uses_up_its_approval(database: Database, writer: GroupCommitWriter) -> None:
    """Begun once, moved only by its end, and found by its request."""
    store = RecommendationStore(database, writer, LIFE)
    runs = ApplyStore(database, writer)
    (made,) = take(store, content())
    claimed = do(store, made.recommendation_id, Verb.CLAIM)
    key = RequestKey("p", "ApplyRecommendation", "0d9f1c9e-2f0b-4b7e-9a55-6f4f0d1a2b3c", b"body")
    groups: tuple[OperationGroup, ...] = claimed.content.operation_groups
    with pytest.raises(AbortedError):
        runs.begin(made, key, groups, "ada", NOW, is_rollback=False)
    held = runs.begin(claimed, key, groups, "ada", NOW, is_rollback=False)
    assert held is not None
    assert held.record.groups == groups
    assert runs.begin(store.get("p", made.recommendation_id), key, groups, "ada", NOW, is_rollback=False) is None
    journal = runs.journal(held, lambda: NOW)
    number = journal.begin(groups[0].operations[0], is_rollback=False)
    with pytest.raises(FailedPreconditionError, match="carried out"):
        do(store, made.recommendation_id, Verb.MARK_SUCCEEDED)
    (begun,) = store.get("p", made.recommendation_id).applied_operations
    assert (begun.outcome, begun.end_time) == (Outcome.UNDER_WAY, None)
    journal.end(number, Outcome.DONE, "well")
    assert runs.answered(key, NOW) is None
    assert runs.find(key) == held.record
    step = Move(Verb.MARK_SUCCEEDED, ADA, TransitionReason.APPLIED)
    answer = runs.finish(
        held, Outcome.DONE, "", lambda stands: move(stands, step, NOW, LIFE), NOW, lambda stands: stands.state.encode()
    )
    assert answer == b"succeeded" == runs.answered(key, NOW)
    assert runs.left_over() == []
