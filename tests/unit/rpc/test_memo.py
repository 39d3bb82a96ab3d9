"""What the memo of decisions keeps is bounded in bytes and in number, and gone when the world is another."""

import gc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.catalog_sources import AS_OF, good_source
from tests.support.whole_requests import place_request
from trimtab.v1.placement_service_pb2 import PlaceRequest
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.placement.state import ProjectState
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc.desk import make
from trimtab_service.rpc.memo import DecisionMemo, key_of
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.rpc.world import View

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def view(tmp_path: Path) -> View:
    """A world without policies or history."""
    load = build(good_source().write(tmp_path / "in"), tmp_path / "out", as_of=AS_OF)
    snapshot = open_snapshot(tmp_path / "out" / load.version)
    return View(snapshot, Vocabulary(snapshot), PolicySet(), ProjectState())


def known(memo: DecisionMemo, request: PlaceRequest, view: View, project: str = "p") -> bool:
    """Whether the decision of a request is remembered."""
    key = key_of(request)
    return key is not None and memo.find(key, view, project, NOW) is not None


def remember(memo: DecisionMemo, request: PlaceRequest, view: View, project: str = "p") -> None:
    """Decide, and keep it."""
    made = make(request, view, project=project, instant=NOW, decision_id="d")
    key = key_of(request)
    assert key is not None
    memo.keep(key, view, project, NOW, made.record)


def test_small_requests_are_remembered_and_large_ones_are_not(view: View) -> None:
    """A caller cannot fill the memory with workloads of megabytes."""
    memo = DecisionMemo(10)
    small = place_request("p")
    large = place_request("p", tags={f"k{number}": "x" * 250 for number in range(64)})
    for request in (small, large):
        remember(memo, request, view)
    assert known(memo, small, view)
    assert not known(memo, large, view)


def test_request_id_is_not_passed_over(view: View) -> None:
    """It is no part of what a decision is known by, so it must be looked at."""
    memo = DecisionMemo(10)
    request = place_request("p")
    remember(memo, request, view)
    request.request_id = "not-a-uuid"
    assert not known(memo, request, view)


def test_all_projects_together_are_bounded(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many projects do not keep many times as much; the latest is always there."""
    monkeypatch.setattr("trimtab_service.rpc.memo._MOST_IN_ALL", 20)
    memo = DecisionMemo(10)
    requests = [place_request("p", size={"vcpus": number + 1}) for number in range(5)]
    for project in range(20):
        for request in requests:
            remember(memo, request, view, f"p{project}")
            assert known(memo, request, view, f"p{project}")
        kept = sum(known(memo, request, view, f"p{at}") for request in requests for at in range(20))
        assert kept <= 20


def test_catalogue_that_is_replaced_is_let_go(view: View, tmp_path: Path) -> None:
    """A project that asks no more does not keep it in memory."""
    memo = DecisionMemo(10)
    load = build(good_source().write(tmp_path / "other"), tmp_path / "made", as_of=AS_OF)
    old = open_snapshot(tmp_path / "made" / load.version)
    remember(memo, place_request("idle"), View(old, Vocabulary(old), PolicySet(), ProjectState()), "idle")
    remember(memo, place_request("busy"), view, "busy")
    assert not known(memo, place_request("idle"), view, "idle")
    held = [referrer for referrer in gc.get_referrers(old) if isinstance(referrer, View)]
    assert not held
