"""What a run finds unchanged is noted beside its row, on both engines, and read as if it stood in it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import pytest
from sqlalchemy import Connection, Delete, delete, select, text, update
from sqlalchemy.dialects import postgresql

from tests.support.databases import PostgresServer
from tests.support.findings import NOW, content
from trimtab_service.domain.recommendations import Recommendation, State, TransitionReason
from trimtab_service.recommendations.lifecycle import Actor, Move, Verb, move
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.store import recommendation_sweeps as sweeps
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.recommendation_tables import RECOMMENDATION_CONFIRMATIONS, RECOMMENDATIONS
from trimtab_service.store.recommendation_writes import among
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.schema import migrate
from trimtab_service.store.writer import GroupCommitWriter

LIFE: Final = timedelta(days=14)
DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
NEVER: Final = RequestKey("p", "M", "", b"")
_R: Final = RECOMMENDATIONS.c


@pytest.fixture
def store(database: Database) -> Iterator[RecommendationStore]:
    """The store under test."""
    writer = GroupCommitWriter(database)
    yield RecommendationStore(database, writer, LIFE)
    writer.close()


def take(store: RecommendationStore, now: datetime, numbers: int = 1) -> list[Recommendation]:
    """One run that finds the same first resources."""
    contents = [content(number) for number in range(1, numbers + 1)]
    return [store.get("p", own) for own in store.take_in("p", contents, now, new_ulid)]


def do(store: RecommendationStore, own: str, verb: Verb, now: datetime) -> None:
    """A verb on a recommendation."""
    step = Move(verb, Actor("ada"), TransitionReason.OTHER)
    store.change("p", own, "", lambda stands: move(stands, step, now, LIFE), now, NEVER, lambda made: b"")


def row_of(database: Database, own: str) -> tuple[datetime, datetime | None]:
    """What its own row says, by which a version goes that knows no confirmations."""
    with database.read() as conn:
        found = conn.execute(select(_R.refresh_time, _R.expire_time).where(_R.recommendation_id == own)).one()
    return found[0], found[1]


def write_row(database: Database, own: str, refresh_time: datetime, expire_time: datetime | None) -> None:
    """As a version does that knows no confirmations."""
    with database.change() as conn:
        own_row = update(RECOMMENDATIONS).where(_R.recommendation_id == own)
        conn.execute(own_row.values(refresh_time=refresh_time, expire_time=expire_time))


def test_a_confirmation_is_read_wherever_its_recommendation_is(store: RecommendationStore, database: Database) -> None:
    """Alone, in lists and by watchers; neither its etag nor its place among the changes moves."""
    made = take(store, NOW, 3)
    take(store, NOW + DAY, 2)
    assert [row_of(database, one.recommendation_id) for one in made] == [(NOW, NOW + LIFE)] * 3
    times = {one.recommendation_id: NOW + DAY for one in made[:2]} | {made[2].recommendation_id: NOW}
    read = [store.get("p", one.recommendation_id) for one in made]
    assert [one.etag for one in read] == [one.etag for one in made]
    listed = store.list("p", ListRequest("L", "projects/p", "", 10)).items
    watched, _ = store.changes_after("p", 0, "", 10)
    assert [one.recommendation_id for _, one in watched] == [one.recommendation_id for one in made]
    for seen in (read, listed, [one for _, one in watched]):
        assert {one.recommendation_id: one.refresh_time for one in seen} == times
        assert all(one.expire_time == times[one.recommendation_id] + LIFE for one in seen)


def test_what_is_confirmed_lasts_from_then_and_no_longer(store: RecommendationStore) -> None:
    """The sweep goes by the confirmation, not by the row alone."""
    confirmed, _ = take(store, NOW, 2)
    take(store, NOW + 6 * DAY)
    assert store.expire(NOW + LIFE + HOUR) == 1
    assert store.get("p", confirmed.recommendation_id).state is State.ACTIVE
    assert store.expire(NOW + 6 * DAY + LIFE) == 0
    assert store.expire(NOW + 6 * DAY + LIFE + HOUR) == 1
    gone = store.get("p", confirmed.recommendation_id)
    assert (gone.state, gone.expire_time) == (State.EXPIRED, None)
    take(store, NOW + 6 * DAY + LIFE + 2 * HOUR)
    back = store.get("p", confirmed.recommendation_id)
    assert (back.state, back.expire_time) == (State.ACTIVE, NOW + 6 * DAY + 2 * LIFE + 2 * HOUR)


def test_a_version_that_knows_no_confirmations_expires_nothing_that_is_confirmed(
    store: RecommendationStore, database: Database
) -> None:
    """While both serve: the row itself lasts for half the lifetime at least from each night's confirmation."""
    (made,) = take(store, NOW)
    written = set()
    for night in range(1, 40):
        now = NOW + night * DAY
        take(store, now)
        refresh_time, expire_time = row_of(database, made.recommendation_id)
        assert expire_time is not None
        assert now + LIFE / 2 <= expire_time <= now + LIFE
        written.add(refresh_time)
        read = store.get("p", made.recommendation_id)
        assert (read.refresh_time, read.expire_time) == (now, now + LIFE)
    assert len(written) == 5


def test_what_another_version_wrote_later_holds(store: RecommendationStore, database: Database) -> None:
    """Its confirmation is the later one; what it closed has no time to expire."""
    (made,) = take(store, NOW)
    own = made.recommendation_id
    take(store, NOW + DAY)
    write_row(database, own, NOW + 2 * DAY, NOW + 2 * DAY + LIFE)
    read = store.get("p", own)
    assert (read.refresh_time, read.expire_time) == (NOW + 2 * DAY, NOW + 2 * DAY + LIFE)
    write_row(database, own, NOW + 2 * DAY, None)
    assert store.get("p", own).expire_time is None


def test_a_shorter_lifetime_counts_from_the_next_confirmation(store: RecommendationStore, database: Database) -> None:
    """What was promised before it does not outlast it."""
    (made,) = take(store, NOW)
    take(store, NOW + DAY)
    store.lifetime = 3 * DAY
    take(store, NOW + 2 * DAY)
    assert store.get("p", made.recommendation_id).expire_time == NOW + 5 * DAY
    assert row_of(database, made.recommendation_id)[1] == NOW + 5 * DAY
    assert store.expire(NOW + 5 * DAY + HOUR) == 1


def test_what_is_dismissed_is_confirmed_without_a_time_to_expire(store: RecommendationStore) -> None:
    """And has one again once it is reopened."""
    (made,) = take(store, NOW)
    own = made.recommendation_id
    do(store, own, Verb.DISMISS, NOW)
    (again,) = take(store, NOW + DAY)
    assert (again.refresh_time, again.expire_time) == (NOW + DAY, None)
    dismissed = store.get("p", own)
    assert (dismissed.state, dismissed.refresh_time, dismissed.expire_time) == (State.DISMISSED, NOW + DAY, None)
    do(store, own, Verb.REOPEN, NOW + 2 * DAY)
    opened = store.get("p", own)
    assert (opened.state, opened.expire_time) == (State.ACTIVE, NOW + 2 * DAY + LIFE)


def test_a_confirmation_is_pruned_with_its_recommendation(store: RecommendationStore, database: Database) -> None:
    """Nothing stays behind."""
    made = take(store, NOW, 2)
    take(store, NOW + DAY, 2)
    do(store, made[0].recommendation_id, Verb.DISMISS, NOW + DAY)
    with database.change() as conn:
        assert sweeps.prune(conn, NOW + 2 * DAY, 10) == 1
    with database.read() as conn:
        left = conn.execute(select(RECOMMENDATION_CONFIRMATIONS.c.recommendation_id)).scalars().all()
    assert left == [made[1].recommendation_id]


def test_rows_of_a_part_are_reached_by_their_keys_before_there_are_statistics(postgres_server: PostgresServer) -> None:
    """PostgreSQL would read all rows for a list of ids then: the parts of a first run would take ever longer."""
    dsn = postgres_server.create_database()
    database = open_database(dsn)
    migrate(database)
    with database.write() as conn:
        conn.execute(text("ALTER TABLE recommendations SET (autovacuum_enabled = false)"))
    writer = GroupCommitWriter(database)
    store = RecommendationStore(database, writer, LIFE)
    ids = [one.recommendation_id for one in take(store, NOW, 3_000)]
    with database.write() as conn:
        plan = _plan(conn, delete(RECOMMENDATIONS).where(among(conn, "p", ids[:1_000])))
        assert "Tid Scan on recommendations" in plan
        assert "Index Scan using recommendations_pkey" in plan
        assert "Seq Scan" not in plan
        assert "Bitmap" not in plan
        conn.execute(delete(RECOMMENDATIONS).where(among(conn, "p", [*ids[:1_000], "no-such-id"])))
    assert len(ids) - 1_000 == len(_ids(database))
    writer.close()
    database.close()
    postgres_server.drop_database(dsn)


def _plan(conn: Connection, statement: Delete) -> str:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # SQLAlchemy does not say
    plain = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    return "\n".join(conn.exec_driver_sql(f"EXPLAIN {plain}").scalars())


def _ids(database: Database) -> list[str]:
    with database.read() as conn:
        return list(conn.execute(select(_R.recommendation_id)).scalars())
