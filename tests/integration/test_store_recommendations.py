"""Recommendations as they are kept, on both engines."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from sqlalchemy import text

from tests.support.findings import NOW, content, numbered_ids, resource, stopping
from tests.support.kept_recommendations import LIFE, do, listed, take
from trimtab_service.domain.errors import AbortedError, FailedPreconditionError, InvalidArgumentError, NotFoundError
from trimtab_service.domain.recommendations import (
    Kind,
    Priority,
    RealizedImpact,
    State,
    TransitionReason,
)
from trimtab_service.recommendations.lifecycle import Verb
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.store import recommendation_sweeps as sweeps
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.recommendation_totals import GroupBy
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.writer import GroupCommitWriter

HOUR: Final = timedelta(hours=1)


@pytest.fixture
def writer(database: Database) -> Iterator[GroupCommitWriter]:
    """A writer on the database."""
    made = GroupCommitWriter(database)
    yield made
    made.close()


@pytest.fixture
def store(database: Database, writer: GroupCommitWriter) -> RecommendationStore:
    """The store under test."""
    return RecommendationStore(database, writer, LIFE)


def test_the_same_finding_is_the_same_recommendation_over_runs(store: RecommendationStore) -> None:
    """Refreshed with its name kept; nothing piles up; a run that finds the same is no change."""
    (first,) = take(store, content())
    (same,) = take(store, content(), now=NOW + HOUR)
    assert (same.name, same.etag, same.update_time) == (first.name, first.etag, NOW)
    assert (same.refresh_time, same.expire_time) == (NOW + HOUR, NOW + HOUR + LIFE)
    (other,) = take(store, replace(content(), confidence=0.5), now=NOW + 2 * HOUR)
    assert other.name == first.name
    assert other.etag != first.etag
    assert store.get("p", other.recommendation_id) == other
    assert other.content.confidence == 0.5
    assert listed(store) == [first.recommendation_id]


def test_what_is_taken_in_is_what_is_read(store: RecommendationStore) -> None:
    """New, refreshed and confirmed alike, in the order asked for."""
    contents = [content(number) for number in range(1, 40)]
    taken = take(store, *contents)
    assert [one.content for one in taken] == contents
    assert len({one.etag for one in taken}) == 39
    again = take(store, *reversed(contents), now=NOW + HOUR)
    assert [one.recommendation_id for one in again] == [one.recommendation_id for one in reversed(taken)]
    assert [store.get("p", one.recommendation_id) for one in again] == again


def test_of_one_identity_twice_in_a_run_the_last_counts(store: RecommendationStore) -> None:
    """Both get the same recommendation."""
    one, two = take(store, content(), replace(content(), confidence=0.1))
    assert one == two
    assert one.content.confidence == 0.1


def test_projects_do_not_share_findings(store: RecommendationStore) -> None:
    """The same instance in two projects is two recommendations."""
    (ours,) = take(store, content())
    (theirs,) = store.take_in("q", [content()], NOW, new_ulid)
    assert ours.recommendation_id != theirs
    with pytest.raises(NotFoundError):
        store.get("q", ours.recommendation_id)


@pytest.mark.parametrize(
    ("verbs", "state"),
    [
        ([Verb.CLAIM], State.CLAIMED),
        ([Verb.CLAIM, Verb.MARK_FAILED], State.FAILED),
    ],
)
def test_content_is_frozen_once_claimed(store: RecommendationStore, verbs: list[Verb], state: State) -> None:
    """A later run changes neither content nor etag."""
    (made,) = take(store, content())
    stands = made
    for verb in verbs:
        stands = do(store, made.recommendation_id, verb)
    (again,) = take(store, replace(content(), confidence=0.1), now=NOW + HOUR)
    assert again.state is state
    assert store.get("p", made.recommendation_id) == stands


def test_dismissed_stays_dismissed_while_its_content_is_refreshed(store: RecommendationStore) -> None:
    """Until somebody reopens it; nothing else comes in its place."""
    (made,) = take(store, content())
    do(store, made.recommendation_id, Verb.DISMISS)
    (again,) = take(store, replace(content(), confidence=0.1), now=NOW + HOUR)
    assert (again.state, again.content.confidence, again.expire_time) == (State.DISMISSED, 0.1, None)
    assert listed(store) == [made.recommendation_id]
    reopened = do(store, made.recommendation_id, Verb.REOPEN, NOW + 2 * HOUR)
    assert (reopened.state, reopened.expire_time) == (State.ACTIVE, NOW + 2 * HOUR + LIFE)


def test_the_same_finding_after_success_is_a_new_recommendation(store: RecommendationStore) -> None:
    """The old one's books are closed; reopening what failed after that is refused while the new one stands."""
    (made,) = take(store, content())
    do(store, made.recommendation_id, Verb.MARK_SUCCEEDED)
    (new,) = take(store, content(), now=NOW + HOUR)
    assert new.name != made.name
    do(store, made.recommendation_id, Verb.MARK_FAILED)
    with pytest.raises(FailedPreconditionError):
        do(store, made.recommendation_id, Verb.REOPEN)
    do(store, new.recommendation_id, Verb.MARK_SUCCEEDED)
    assert do(store, made.recommendation_id, Verb.REOPEN).state is State.ACTIVE
    (again,) = take(store, content(), now=NOW + HOUR)
    assert again.name == made.name


def test_another_sizing_advice_on_the_resource_takes_the_place_of_the_first(store: RecommendationStore) -> None:
    """Named on both sides, and back again when the first is advised again."""
    (resize,) = take(store, content())
    (stop,) = take(store, stopping(), now=NOW + HOUR)
    gone = store.get("p", resize.recommendation_id)
    assert (gone.state, gone.superseded_by, gone.expire_time) == (State.SUPERSEDED, stop.name, None)
    assert gone.history[-1].reason is TransitionReason.REPLACED
    (back,) = take(store, content(), now=NOW + 2 * HOUR)
    assert (back.name, back.state, back.superseded_by) == (resize.name, State.ACTIVE, "")
    read = store.get("p", resize.recommendation_id)
    assert [step.to_state for step in read.history] == [State.ACTIVE, State.SUPERSEDED, State.ACTIVE]
    assert store.get("p", stop.recommendation_id).state is State.SUPERSEDED


def test_what_is_claimed_or_of_another_engine_is_not_superseded(store: RecommendationStore) -> None:
    """A run replaces what runs made, and nothing that a person holds."""
    (resize,) = take(store, content())
    do(store, resize.recommendation_id, Verb.CLAIM)
    bought = replace(content(), kind=Kind.PURCHASE, identity="buy")
    (purchase,) = take(store, bought)
    take(store, stopping(), now=NOW + HOUR)
    assert store.get("p", resize.recommendation_id).state is State.CLAIMED
    assert store.get("p", purchase.recommendation_id).state is State.ACTIVE


def test_what_is_not_confirmed_expires_and_comes_back_when_it_is_advised_again(store: RecommendationStore) -> None:
    """With its name, and every step in its history."""
    (made,) = take(store, content())
    take(store, *(content(number) for number in range(2, 5)), now=NOW + HOUR)
    assert store.expire(NOW + LIFE) == 0
    assert store.expire(NOW + LIFE + HOUR / 2) == 1
    gone = store.get("p", made.recommendation_id)
    assert (gone.state, gone.history[-1].reason) == (State.EXPIRED, TransitionReason.NOT_CONFIRMED)
    (back,) = take(store, content(), now=NOW + LIFE + HOUR)
    assert (back.name, back.state) == (made.name, State.ACTIVE)


def test_what_a_run_found_in_order_is_taken_back(store: RecommendationStore) -> None:
    """Only on the resources that were looked at, and only what is active."""
    kept, gone, held = take(store, content(1), content(2), content(3))
    do(store, held.recommendation_id, Verb.CLAIM)
    keys = [resource(number).key for number in (2, 3)]
    assert store.retire("p", keys, NOW + HOUR) == 1
    states = [store.get("p", one.recommendation_id).state for one in (kept, gone, held)]
    assert states == [State.ACTIVE, State.EXPIRED, State.CLAIMED]


def test_a_stale_etag_and_a_replayed_request_change_nothing(store: RecommendationStore) -> None:
    """The second of two is told to read again; the same request is answered with its first answer."""
    (made,) = take(store, content())
    key = RequestKey("p", "Claim", "0d9f1c9e-2f0b-4b7e-9a55-6f4f0d1a2b3c", b"body")
    claimed = do(store, made.recommendation_id, Verb.CLAIM, etag=made.etag, request=key)
    with pytest.raises(AbortedError):
        do(store, made.recommendation_id, Verb.MARK_FAILED, etag=made.etag)
    do(store, made.recommendation_id, Verb.MARK_SUCCEEDED)
    assert do(store, made.recommendation_id, Verb.CLAIM, etag=made.etag, request=key).state is State.SUCCEEDED
    with pytest.raises(InvalidArgumentError):
        do(store, made.recommendation_id, Verb.CLAIM, request=replace(key, body_hash=b"other"))
    assert claimed.etag != made.etag


@pytest.mark.parametrize("order", ["create_time", "update_time", "monthly_saving", "priority"])
def test_pages_in_every_order_hold_everything_once_both_ways(store: RecommendationStore, order: str) -> None:
    """Whatever the size of a page, and while ties fall by id."""
    contents = []
    for number in range(1, 48):
        made = content(number)
        cost = replace(made.primary_impact, cost_micros=-(number * 37 % 11) * 1_000_000)
        priority = list(Priority)[number % 4]
        contents.append(replace(made, primary_impact=cost, priority=priority))
    for begin in range(0, len(contents), 10):
        take(store, *contents[begin : begin + 10], now=NOW + begin * HOUR)
    take(store, *(replace(one, confidence=0.1) for one in contents[5:9]), now=NOW + 100 * HOUR)
    up = listed(store, order=order, size=7)
    assert len(up) == len(set(up)) == 47
    assert listed(store, order=f"{order} desc", size=13) == up[::-1]
    values = [store.get("p", own) for own in up]
    keys: dict[str, list[object]] = {
        "create_time": [one.create_time for one in values],
        "update_time": [one.update_time for one in values],
        "monthly_saving": [-one.content.primary_impact.cost_micros for one in values],
        "priority": [one.content.priority for one in values],
    }
    assert keys[order] == sorted(keys[order])  # type: ignore[type-var] # of one kind


def test_a_token_belongs_to_its_order_filter_and_parent(store: RecommendationStore) -> None:
    """Anything else is refused, not answered wrongly."""
    take(store, *(content(number) for number in range(1, 5)))
    asked = ListRequest("L", "projects/p", 'kind = "rightsize"', 2)
    token = store.list("p", asked, "priority").next_page_token
    assert token
    for other, order in (
        (replace(asked, page_token=token), "priority desc"),
        (replace(asked, page_token=token), "monthly_saving"),
        (replace(asked, page_token=token, filter=""), "priority"),
        (replace(asked, page_token=token, parent="projects/q"), "priority"),
        (replace(asked, page_token=token + "A"), "priority"),
        (replace(asked, page_token="%%%"), "priority"),
    ):
        with pytest.raises(InvalidArgumentError):
            store.list("p", other, order)
    for order in ("name", "priority up", "priority desc desc", "priority, kind"):
        with pytest.raises(InvalidArgumentError):
            store.list("p", asked, order)


@pytest.mark.parametrize(
    ("filter_text", "numbers"),
    [
        ('state = "active"', [2, 3]),
        ('state = "claimed" AND kind = "rightsize"', [1]),
        ('state = "active" OR state = "claimed"', [1, 2, 3]),
        ('team = "vision" AND monthly_saving_micros < 140200000 AND risk <= 1.0', [1, 2, 3]),
        ('resource_id = "i-00000003"', [3]),
        ('kind = "stop"', [4]),
        ("risk > 1.5", []),
        ('NOT kind = "stop" AND cloud = "aws" AND region = "us-east-1" AND account:"123"', [1, 2, 3]),
        ('create_time < "2026-11-23T12:30:00Z"', [1, 2]),
    ],
)
def test_filters_narrow_lists(store: RecommendationStore, filter_text: str, numbers: list[int]) -> None:
    """In the words of the contract."""
    made = take(store, content(1), content(2))
    made += take(store, content(3), stopping(4), now=NOW + HOUR)
    do(store, made[0].recommendation_id, Verb.CLAIM)
    do(store, made[3].recommendation_id, Verb.DISMISS)
    found = {store.get("p", own).content.resource.resource_id for own in listed(store, filter_text)}
    assert found == {f"i-{number:08}" for number in numbers}


def test_a_watcher_sees_every_recommendation_as_it_stands_in_the_order_of_changes(store: RecommendationStore) -> None:
    """Once each, with its history, from any number on; nothing behind the last number."""
    made = take(store, content(1), content(2), content(3))
    changed, seen = store.changes_after("p", 0, "", 10)
    assert [one.name for _, one in changed] == [one.name for one in made]
    assert seen == store.last_change("p") == 3
    do(store, made[0].recommendation_id, Verb.CLAIM)
    do(store, made[1].recommendation_id, Verb.DISMISS)
    do(store, made[0].recommendation_id, Verb.MARK_SUCCEEDED)
    changed, last = store.changes_after("p", seen, "", 10)
    assert [(one.name, one.state) for _, one in changed] == [
        (made[1].name, State.DISMISSED),
        (made[0].name, State.SUCCEEDED),
    ]
    assert [step.to_state for step in changed[1][1].history] == [State.ACTIVE, State.CLAIMED, State.SUCCEEDED]
    assert store.changes_after("p", last, "", 10) == ([], last)
    first, at = store.changes_after("p", 0, 'state = "active"', 10)
    assert [one.name for _, one in first] == [made[2].name]
    assert at == last
    step, at = store.changes_after("p", seen, "", 1)
    assert [one.name for _, one in step] == [made[1].name]
    assert store.changes_after("p", at, "", 1)[0][0][1].name == made[0].name
    assert store.changes_after("q", 0, "", 10) == ([], 0)


def realised(micros: int) -> RealizedImpact:
    """A measure with a monthly saving."""
    return RealizedImpact(NOW, NOW, 24.0, 1, 1, micros, 0.0, 0.0)


def test_totals_are_exact_and_count_what_excludes_each_other_once(store: RecommendationStore) -> None:
    """Stop before rightsize before purchase; what succeeded has applied and realised."""
    bought = replace(content(1), kind=Kind.PURCHASE, identity="buy-1")
    taken = take(store, content(1), content(2), replace(content(3), resource=resource(3, team="speech")), bought)
    own = taken[1].recommendation_id
    do(store, own, Verb.MARK_SUCCEEDED)
    store.note("p", own, lambda stands: replace(stands, realized_impact=realised(100_000_001)), NOW, None)
    rows, total = store.totals("p", "", (GroupBy.KIND, GroupBy.STATE))
    saving = 140_160_000
    assert {row.by: row[1:] for row in rows} == {
        ("rightsize", "active"): (2, 0, 2 * saving, 0, 0),
        ("purchase", "active"): (1, 1, 0, 0, 0),
        ("rightsize", "succeeded"): (1, 0, 0, saving, 100_000_001),
    }
    assert total[1:] == (4, 1, 2 * saving, saving, 100_000_001)
    assert rows[0].by == ("rightsize", "active")
    by_team, same = store.totals("p", "", (GroupBy.TEAM,))
    assert {row.by[0]: row.number for row in by_team} == {"vision": 3, "speech": 1}
    assert same == total
    _, only = store.totals("p", 'kind = "purchase"', (GroupBy.CLOUD, GroupBy.ACCOUNT))
    assert only[1:] == (1, 0, saving, 0, 0)
    assert store.totals("q", "", (GroupBy.KIND,)) == ((), ((), 0, 0, 0, 0, 0))


def test_closed_ones_are_pruned_with_all_that_hangs_on_them_and_open_ones_stay(
    store: RecommendationStore, database: Database
) -> None:
    """In batches, oldest first, project by project."""
    taken = take(store, *(content(number) for number in range(1, 6)))
    for one in taken[:3]:
        do(store, one.recommendation_id, Verb.DISMISS)
    do(store, taken[3].recommendation_id, Verb.CLAIM)
    with database.change() as conn:
        assert sweeps.prune(conn, NOW, 10) == 0
        assert sweeps.prune(conn, NOW + HOUR, 2) == 2
        assert sweeps.prune(conn, NOW + HOUR, 10) == 1
    assert set(listed(store)) == {one.recommendation_id for one in (taken[4], taken[3])}
    with database.read() as conn:
        assert conn.execute(text("SELECT count(*) FROM recommendation_transitions")).scalar() == 1


def test_ids_sort_by_time() -> None:
    """What the order of create_time rests on."""
    assert numbered_ids(NOW) < numbered_ids(NOW) < numbered_ids(NOW + HOUR)
    assert new_ulid(NOW) < new_ulid(NOW + timedelta(milliseconds=1))


def test_what_is_due_to_be_measured_is_given_to_one_process(store: RecommendationStore) -> None:
    """A day after it was applied, and again an hour later unless it was measured; never what was not applied."""
    done, _ = take(store, content(1), content(2))
    do(store, done.recommendation_id, Verb.MARK_SUCCEEDED)
    assert list(store.to_verify(NOW + timedelta(hours=23), 10)) == []
    later = NOW + timedelta(hours=25)
    assert list(store.to_verify(later, 10)) == [("p", done.recommendation_id)]
    assert list(store.to_verify(later, 10)) == []
    assert list(store.to_verify(later + 2 * HOUR, 10)) == [("p", done.recommendation_id)]
    store.postpone("p", done.recommendation_id, None)
    assert list(store.to_verify(later + timedelta(days=9), 10)) == []
