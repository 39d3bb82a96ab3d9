"""Policies and commitments: etags, versions, request ids and the journal move together."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from trimtab_service.domain.errors import AbortedError, AlreadyExistsError, InvalidArgumentError, NotFoundError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.store.commitments import COMMITMENT
from trimtab_service.store.engines import Database
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.journal import Journal
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.policies import POLICY
from trimtab_service.store.resources import Draft, Resource, ResourceId, ResourceStore
from trimtab_service.store.writer import GroupCommitWriter

NOW = datetime(2026, 3, 4, 5, 6, 7, 8, tzinfo=UTC)
KEY = ResourceId("p", "projects/p", "one")
NEVER = RequestKey("p", "-", "", b"")
BODY = b'{"rules":1}'
DRAFT = Draft(BODY, {"disabled": False})


@pytest.fixture
def writer(database: Database) -> Iterator[GroupCommitWriter]:
    """A writer on the database."""
    made = GroupCommitWriter(database)
    yield made
    made.close()


@pytest.fixture
def policies(database: Database, writer: GroupCommitWriter) -> ResourceStore:
    """The store of policies."""
    return ResourceStore(POLICY, database, writer)


def turned_off(old: Resource) -> Draft:
    """A revision that changes body and column."""
    return Draft(old.body.replace(b"1", b"2"), {"disabled": True})


def test_what_is_created_is_found_with_its_entry(database: Database, policies: ResourceStore) -> None:
    """The answer, the row and the journal say the same."""
    made = policies.create(KEY, DRAFT, NOW, NEVER)
    assert policies.get("projects/p", "one") == made
    assert (made.version, made.create_time, made.update_time, made.body) == (1, NOW, NOW, BODY)
    (entry,) = Journal(database).read_after(0)
    assert (entry.revision, entry.project, entry.kind) == (made.revision, "p", "policy")
    assert entry.document() == {"action": "create", "parent": "projects/p", "id": "one", "body": {"rules": 1}}


def test_a_name_is_taken_once_and_per_parent(policies: ResourceStore) -> None:
    """Levels do not share names."""
    policies.create(KEY, DRAFT, NOW, NEVER)
    with pytest.raises(AlreadyExistsError):
        policies.create(KEY, DRAFT, NOW, NEVER)
    for parent in ("", "projects/q", "projects/p/workloads/w"):
        policies.create(replace(KEY, parent=parent), DRAFT, NOW, NEVER)
    assert [made.parent for made in policies.all()] == ["", "projects/p", "projects/p/workloads/w", "projects/q"]


def test_a_stale_etag_changes_nothing(policies: ResourceStore) -> None:
    """The second of two writers who read the same version is told to read again."""
    made = policies.create(KEY, DRAFT, NOW, NEVER)
    changed = policies.update(KEY, turned_off, made.etag, NOW + timedelta(1), NEVER)
    assert changed.etag != made.etag
    assert (changed.version, changed.create_time, changed.update_time) == (2, NOW, NOW + timedelta(1))
    with pytest.raises(AbortedError) as refused:
        policies.update(KEY, turned_off, made.etag, NOW, NEVER)
    assert refused.value.reason is ErrorReason.ETAG_MISMATCH
    with pytest.raises(AbortedError) as refused:
        policies.delete(KEY, made.etag, NOW, NEVER)
    assert refused.value.reason is ErrorReason.ETAG_MISMATCH
    assert policies.get("projects/p", "one") == changed


def test_concurrent_updates_without_an_etag_are_all_counted(policies: ResourceStore) -> None:
    """Read and write of an update are one step."""
    policies.create(KEY, Draft(b"0", {"disabled": False}), NOW, NEVER)

    def increment(old: Resource) -> Draft:
        return Draft(b"%d" % (int(old.body) + 1), {"disabled": False})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: policies.update(KEY, increment, "", NOW, NEVER), range(40)))
    assert policies.get("projects/p", "one").body == b"40"
    assert policies.get("projects/p", "one").version == 41


def test_a_replayed_request_returns_the_first_answer(policies: ResourceStore) -> None:
    """Even when the resource has changed since; with another body it is refused."""
    request = RequestKey("p", "CreatePolicy", "id", b"h")
    made = policies.create(KEY, DRAFT, NOW, request)
    policies.update(KEY, turned_off, "", NOW, NEVER)
    assert policies.create(KEY, DRAFT, NOW, request) == made
    with pytest.raises(InvalidArgumentError):
        policies.create(KEY, DRAFT, NOW, replace(request, body_hash=b"other"))


def test_what_is_deleted_is_gone_but_remembered(policies: ResourceStore) -> None:
    """A decision of the past finds the policy it was made under."""
    made = policies.create(KEY, DRAFT, NOW, NEVER)
    changed = policies.update(KEY, turned_off, "", NOW, NEVER)
    removed = policies.delete(KEY, changed.etag, NOW, NEVER)
    with pytest.raises(NotFoundError):
        policies.get("projects/p", "one")
    with pytest.raises(NotFoundError):
        policies.update(KEY, turned_off, "", NOW, NEVER)
    again = policies.create(KEY, DRAFT, NOW, NEVER)
    assert policies.as_of(made.revision - 1) == ()
    assert policies.as_of(made.revision) == (made,)
    assert policies.as_of(changed.revision) == (changed,)
    assert policies.as_of(removed.revision) == ()
    assert policies.as_of(again.revision) == (again,)


def test_a_revision_that_fails_is_undone_whole(database: Database, policies: ResourceStore) -> None:
    """No entry tells of a change that was not made."""
    policies.create(KEY, DRAFT, NOW, NEVER)

    def fail(old: Resource) -> Draft:
        raise InvalidArgumentError([])

    with pytest.raises(ValueError, match="at least one field"):
        policies.update(KEY, fail, "", NOW, NEVER)
    assert len(Journal(database).read_after(0)) == 1


def test_commitments_are_listed_by_what_they_cover(database: Database, writer: GroupCommitWriter) -> None:
    """The filters of the contract work on both engines, and a parent sees only its own."""
    store = ResourceStore(COMMITMENT, database, writer)
    for number in range(6):
        indexed = {
            "cloud": ("aws", "gcp")[number % 2],
            "kind": "k",
            "region": f"r{number}",
            "family": "",
            "instance_type": "",
            "end_time": NOW + timedelta(days=number),
        }
        project = "pq"[number == 5]
        key = ResourceId(project, f"projects/{project}", f"c{number}")
        store.create(key, Draft(b"{}", indexed), NOW, NEVER)
    request = ListRequest("ListCommitments", "projects/p", 'cloud = aws AND end_time > "2026-03-05T00:00:00Z"')
    assert [found.id for found in store.list(request).items] == ["c2", "c4"]
    assert [found.id for found in store.list(replace(request, filter="")).items] == ["c0", "c1", "c2", "c3", "c4"]
    with pytest.raises(TypeError):
        store.as_of(1)
