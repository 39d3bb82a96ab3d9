"""A fleet analysis is worked on by one at a time, keeps what was found once, and goes on after whoever held it died."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from trimtab_service.domain.errors import AbortedError, AlreadyExistsError, FailedPreconditionError, NotFoundError
from trimtab_service.store import fleet, profiles
from trimtab_service.store.engines import Database
from trimtab_service.store.fleet import CANCELLED, SUCCEEDED, FleetResult, FleetStore, NewAnalysis
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.profiles import ProfileStore
from trimtab_service.store.writer import GroupCommitWriter

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
NO_LEASE = timedelta(seconds=-1)
"""Over as soon as it is taken: what is left of a worker that died."""


@pytest.fixture
def writer(database: Database) -> Iterator[GroupCommitWriter]:
    """The group-commit writer of a process."""
    made = GroupCommitWriter(database)
    yield made
    made.close()


@pytest.fixture
def store(database: Database, writer: GroupCommitWriter) -> FleetStore:
    """The store under test."""
    return FleetStore(database, writer, lambda: datetime.now(UTC))


def _new(analysis_id: str, scope: str = "all", project: str = "p") -> NewAnalysis:
    return NewAnalysis(project, analysis_id, b"request", scope, "someone")


def _key(number: int, body: bytes = b"body", project: str = "p") -> RequestKey:
    return RequestKey(project, "StartFleetAnalysis", f"00000000-0000-0000-0000-{number:012d}", body)


def _results(*keys: str) -> Callable[[Connection], list[FleetResult]]:
    return lambda _: [FleetResult(key, "optimized", key.encode()) for key in keys]


def test_the_same_request_starts_one_analysis(store: FleetStore) -> None:
    """A replay gets the first one, whatever id the server would have given the second."""
    first = store.create(_new("a"), NOW, _key(1))
    assert store.create(_new("b"), NOW, _key(1)) == first
    assert len(store.list("p", ListRequest("ListFleetAnalyses", "projects/p")).items) == 1


def test_two_analyses_of_one_fleet_do_not_run_at_once(store: FleetStore) -> None:
    """The second is told which one is under way; after its end the fleet may be analysed again."""
    store.create(_new("a"), NOW, _key(1))
    with pytest.raises(AlreadyExistsError) as refused:
        store.create(_new("b"), NOW, _key(2))
    assert refused.value.metadata == {"fleet_analysis": "projects/p/fleetAnalyses/a"}
    store.create(_new("c", scope="other"), NOW, _key(3))
    store.create(_new("d", project="q"), NOW, _key(4, project="q"))
    held = store.claim("w", NOW, LEASE)
    assert held is not None
    store.finish(held, SUCCEEDED, b"{}", NOW)
    store.create(_new("e"), NOW, _key(5))


def test_an_analysis_is_held_by_one(store: FleetStore) -> None:
    """While a lease lasts nobody else gets it; when it is over the next one does, and the first may write no more."""
    store.create(_new("a"), NOW, _key(1))
    first = store.claim("w1", NOW, NO_LEASE)
    assert first is not None
    second = store.claim("w2", NOW, LEASE)
    assert second is not None
    assert second.lease_token > first.lease_token
    assert store.claim("w3", NOW, LEASE) is None
    with pytest.raises(AbortedError):
        store.record(first, _results("x"), b"{}", 1, NOW)
    with pytest.raises(AbortedError):
        store.renew(first, LEASE)
    with pytest.raises(AbortedError):
        store.finish(first, SUCCEEDED, b"{}", NOW)
    store.release(first)
    assert store.claim("w3", NOW, LEASE) is None
    store.release(second)
    assert store.claim("w3", NOW, LEASE) is not None
    assert store.results("p", "a", 0, 10) == ()


def test_nothing_found_is_lost_or_kept_twice(store: FleetStore) -> None:
    """After a change of hands, resources that were done are known, and results repeated are not added."""
    store.create(_new("a"), NOW, _key(1))
    first = store.claim("w1", NOW, NO_LEASE)
    assert first is not None
    store.record(first, _results("x", "y"), b"{}", 4, NOW)
    second = store.claim("w2", NOW, LEASE)
    assert second is not None
    assert store.done(second) == {"x", "y"}
    after = store.record(second, _results("y", "z"), b"{}", 4, NOW)
    assert after.resources_done == 3
    assert [(r.sequence, r.resource_key) for r in store.results("p", "a", 0, 10)] == [(1, "x"), (2, "y"), (3, "z")]
    assert [r.resource_key for r in store.results("p", "a", 2, 10)] == ["z"]


def test_cancelling_waits_for_the_worker_unless_there_is_none(store: FleetStore) -> None:
    """A worker hears of it when it renews; an analysis that nobody holds is over at once."""
    store.create(_new("a"), NOW, _key(1))
    assert store.cancel("p", "a", NOW, _key(2)).state == CANCELLED
    with pytest.raises(FailedPreconditionError):
        store.cancel("p", "a", NOW, _key(3))
    store.create(_new("b"), NOW, _key(4))
    held = store.claim("w", NOW, LEASE)
    assert held is not None
    assert not store.cancel("p", "b", NOW, _key(5)).is_over
    assert store.renew(held, LEASE).is_cancelling
    assert store.finish(held, CANCELLED, b"{}", NOW).end_time == NOW
    with pytest.raises(NotFoundError):
        store.cancel("q", "b", NOW, _key(6, project="q"))


def test_what_ended_long_ago_goes_in_batches(store: FleetStore, database: Database) -> None:
    """Results go before their analysis; what is under way stays."""
    for number, name in enumerate(("a", "b")):
        store.create(_new(name), NOW, _key(number))
        held = store.claim("w", NOW, LEASE)
        assert held is not None
        store.record(held, _results("x", "y"), b"{}", 2, NOW)
        if name == "a":
            store.finish(held, SUCCEEDED, b"{}", NOW)
    counts = []
    for _ in range(4):
        with database.write() as conn:
            counts.append(fleet.prune(conn, NOW + timedelta(days=1), 2))
    assert counts == [2, 1, 0, 0]
    assert len(store.results("p", "b", 0, 10)) == 2


def test_profiles_are_replaced_by_source_and_project(database: Database) -> None:
    """A profile belongs to one source of one project; an old one goes."""
    store = ProfileStore(database)
    store.save("p", "s", {"x": b"1", "y": b"2"}, NOW)
    store.save("p", "s", {"y": b"3"}, NOW + timedelta(days=2))
    store.save("q", "s", {"x": b"9"}, NOW + timedelta(days=2))
    assert store.load("p", "s", ["x", "y", "z"]) == {"x": b"1", "y": b"3"}
    assert store.load("p", "t", ["x"]) == {}
    with database.write() as conn:
        assert profiles.prune(conn, NOW + timedelta(days=1), 10) == 1
    assert store.load("p", "s", ["x", "y"]) == {"y": b"3"}
    assert store.load("q", "s", ["x"]) == {"x": b"9"}


def test_many_profiles_are_read_in_few_statements(database: Database) -> None:
    """More keys than one statement may have parameters for."""
    store = ProfileStore(database)
    many = {f"r{number}": b"%d" % number for number in range(1_201)}
    store.save("p", "s", many, NOW)
    assert store.load("p", "s", sorted(many)) == many
