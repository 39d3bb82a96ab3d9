"""When changes may be made, and what must hold before one is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.findings import NOW, recommendation
from trimtab_service.domain.reasons import ObstacleReason
from trimtab_service.domain.recommendations import Approval, State
from trimtab_service.recommendations.preconditions import ApprovalRule, approval_source, obstacles_of
from trimtab_service.recommendations.windows import may_change, parse_windows


@pytest.mark.parametrize(
    ("text", "instant", "is_open"),
    [
        ("", "2026-11-23T12:00", True),
        ("mon-fri 09:00-17:00", "2026-11-23T09:00", True),
        ("mon-fri 09:00-17:00", "2026-11-23T17:00", False),
        ("mon-fri 09:00-17:00", "2026-11-22T12:00", False),
        ("fri-mon 09:00-17:00", "2026-11-22T12:00", True),
        ("sun 22:00-04:00", "2026-11-23T03:59", True),
        ("sun 22:00-04:00", "2026-11-22T03:59", False),
        ("mon 09:00-10:00 Europe/Berlin", "2026-11-23T08:30", True),
        ("mon 09:00-10:00 Europe/Berlin", "2026-11-23T09:30", False),
        ("tue 00:00-01:00; MON 12:00-13:00", "2026-11-23T12:30", True),
    ],
)
def test_a_window_is_open_in_its_hours_of_its_zone(text: str, instant: str, is_open: bool) -> None:
    """Also over midnight and over the week's end. 2026-11-23 is a Monday."""
    assert may_change(parse_windows(text), datetime.fromisoformat(instant).replace(tzinfo=UTC)) is is_open


@pytest.mark.parametrize(
    "text", ["daily", "mon-xyz 09:00-10:00", "mon 25:00-26:00", "mon 09:00-10:00 Mars/Base", "mon"]
)
def test_what_is_no_window_is_refused(text: str) -> None:
    """At the start of the server, not at the first change."""
    with pytest.raises(ValueError, match=text.split(maxsplit=1)[0]):
        parse_windows(text)


def reasons(claimed: object, rule: ApprovalRule, actor: str = "ada") -> list[ObstacleReason]:
    """Obstacles in plain values."""
    return [one.reason for one in obstacles_of(claimed, actor, rule, (), NOW)]  # type: ignore[arg-type] # one of ours


def test_only_the_claimer_applies() -> None:
    """And only what is claimed."""
    assert reasons(recommendation(State.CLAIMED), ApprovalRule()) == []
    assert reasons(recommendation(State.CLAIMED), ApprovalRule(), "bob") == [ObstacleReason.NOT_CLAIMED]
    assert reasons(recommendation(State.ACTIVE), ApprovalRule()) == [ObstacleReason.NOT_CLAIMED]


def test_an_approval_is_needed_above_the_threshold_and_counts_only_if_it_is_right() -> None:
    """Somebody else's, of this content, not run out. The saving is 140.16 USD a month."""
    claimed = recommendation(State.CLAIMED)
    rule = ApprovalRule(140_000_000, "policies/careful")
    good = Approval("grace", NOW, NOW + timedelta(hours=1), "h1")
    assert reasons(claimed, ApprovalRule(140_160_000, "policies/careful")) == []
    assert reasons(claimed, rule) == [ObstacleReason.APPROVAL_REQUIRED]
    assert reasons(replace(claimed, approval=good), rule) == []
    assert reasons(replace(claimed, approval=replace(good, approver="ada")), rule) == [ObstacleReason.APPROVAL_REQUIRED]
    assert reasons(replace(claimed, approval=replace(good, content_hash="h2")), rule) == [
        ObstacleReason.APPROVAL_REQUIRED
    ]
    assert reasons(replace(claimed, approval=replace(good, expire_time=NOW)), rule) == [ObstacleReason.APPROVAL_EXPIRED]


def test_a_policy_that_is_loosened_later_lets_nothing_through() -> None:
    """What was asked for when it was claimed stays asked for."""
    claimed = recommendation(State.CLAIMED, approval_source="policies/careful")
    assert approval_source(claimed, ApprovalRule()) == "policies/careful"
    assert reasons(claimed, ApprovalRule()) == [ObstacleReason.APPROVAL_REQUIRED]


def test_outside_of_the_window_nothing_is_applied() -> None:
    """Whatever else is right."""
    windows = parse_windows("sun 09:00-10:00")
    found = obstacles_of(recommendation(State.CLAIMED), "ada", ApprovalRule(), windows, NOW)
    assert [one.reason for one in found] == [ObstacleReason.OUTSIDE_WINDOW]
