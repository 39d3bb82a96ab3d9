"""Noticing an outage: a fold over the reports of observers, and a verdict at an instant.

An observer's word about a side changes only after so many reports in a row say so (more to come back than to go
down), is believed for a while, and is not believed at all when it contradicts everybody (cut off) or keeps changing
(flapping). What moves a service is a quorum of such words: one observer alone moves nothing.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from trimtab_service.domain.failover import Detection, FailoverPlan
from trimtab_service.domain.reasons import HealthReason

FLAPS: Final = 3
FLAP_WINDOW: Final = timedelta(hours=1)
"""A word that turned to down this often within the window is not believed."""

LEAST_CLOUDS: Final = 2
"""Those who see a side down must stand in so many clouds, where observers do."""


class Verdict(StrEnum):
    """What should be done."""

    WELL = "well"
    UNCERTAIN = "uncertain"
    FAIL_OVER = "fail_over"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class Report:
    """What one observer saw of every side, at an aware UTC instant."""

    observer_id: str
    observe_time: datetime
    sides: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Word:
    """What one observer says of one side. `is_down` None: nothing yet; `turned_down`: when it turned to down."""

    is_down: bool | None = None
    failures: int = 0
    successes: int = 0
    observe_time: datetime | None = None
    turned_down: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Observed:
    """All words, by (observer, side)."""

    words: Mapping[tuple[str, str], Word] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SideHealth:
    """How one side stands: votes of those who are believed."""

    side_id: str
    down_votes: int
    well_votes: int
    is_down: bool
    is_well: bool


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """How a service stands. `candidates` are sides that a quorum sees well, in the plan's order."""

    sides: tuple[SideHealth, ...]
    active_side: str
    verdict: Verdict
    reasons: tuple[HealthReason, ...]
    candidates: tuple[str, ...] = ()


def quorum_of(detection: Detection) -> int:
    """How many must agree: as the plan says, else a majority of its observers."""
    return detection.quorum or len(detection.observers) // 2 + 1


def fold(observed: Observed, report: Report, detection: Detection) -> Observed:
    """Take a report. One that is not newer than the observer's last, or of a stranger, changes nothing."""
    if all(one.observer_id != report.observer_id for one in detection.observers):
        return observed
    words = dict(observed.words)
    for side_id, is_healthy in report.sides:
        key = (report.observer_id, side_id)
        word = words.get(key, Word())
        if word.observe_time is None or report.observe_time > word.observe_time:
            words[key] = _heard(word, report.observe_time, detection, is_healthy=is_healthy)
    return Observed(words)


def fold_all(reports: Iterable[Report], detection: Detection) -> Observed:
    """The fold from nothing."""
    observed = Observed()
    for report in reports:
        observed = fold(observed, report, detection)
    return observed


def _heard(word: Word, now: datetime, detection: Detection, *, is_healthy: bool) -> Word:
    # A gap longer than the time that a report is believed for begins the count again.
    in_a_row = word.observe_time is not None and now - word.observe_time <= detection.report_ttl
    failures = 0 if is_healthy else (word.failures if in_a_row else 0) + 1
    successes = ((word.successes if in_a_row else 0) + 1) if is_healthy else 0
    is_down, turned = word.is_down, word.turned_down
    if failures >= detection.failures and is_down is not True:
        is_down, turned = True, (*turned, now)[-FLAPS:]
    elif is_healthy and (is_down is None or (is_down and successes >= detection.successes)):
        is_down = False
    return Word(is_down, failures, successes, now, turned)


def judge(plan: FailoverPlan, observed: Observed, active_side: str, now: datetime) -> ServiceHealth:
    """The verdict at `now`, for traffic that points at `active_side`."""
    detection = plan.detection
    quorum = quorum_of(detection)
    sides = tuple(side.side_id for side in plan.sides)
    heard = {
        one.observer_id: {side: _word(observed, one.observer_id, side, detection, now) for side in sides}
        for one in detection.observers
    }
    isolated = _isolated(heard)
    flapping = {name for name, words in heard.items() if any(_flaps(word, now) for word in words.values() if word)}
    believed = {name: words for name, words in heard.items() if name not in isolated | flapping}
    standing = tuple(_side(side, believed, quorum) for side in sides)
    health = ServiceHealth(standing, active_side, Verdict.UNCERTAIN, ())
    reporting = sum(1 for words in heard.values() if any(words.values()))
    verdict, reasons = _verdict(health, quorum, reporting)
    extra = [HealthReason.OBSERVER_ISOLATED] if isolated else []
    if isolated and verdict is Verdict.UNCERTAIN:
        verdict = Verdict.HOLD
    if flapping and verdict is not Verdict.WELL:
        extra.append(HealthReason.FLAPPING)
        # With the restless ones gone too few are left to say anything, or what they say is half the picture.
        verdict = Verdict.HOLD
    if verdict is Verdict.FAIL_OVER and not _from_several_clouds(detection, believed, active_side):
        verdict = Verdict.UNCERTAIN
        extra.append(HealthReason.ONE_CLOUD_ONLY)
    candidates = tuple(side.side_id for side in standing if side.is_well and side.side_id != active_side)
    return replace(health, verdict=verdict, reasons=(*reasons, *extra), candidates=candidates)


def may_start_alone(plan: FailoverPlan, health: ServiceHealth) -> bool:
    """Whether a run may start without a person: opted in, with observers enough, and the verdict is clear."""
    detection = plan.detection
    return (
        detection.automatic
        and len({one.observer_id for one in detection.observers}) > LEAST_CLOUDS
        and len({one.cloud for one in detection.observers}) >= LEAST_CLOUDS
        and health.verdict is Verdict.FAIL_OVER
        and bool(health.candidates)
    )


_Words = Mapping[str, Word | None]


def _word(observed: Observed, observer: str, side: str, detection: Detection, now: datetime) -> Word | None:
    """What is still believed; a report from the future is not."""
    word = observed.words.get((observer, side))
    if word is None or word.observe_time is None or not timedelta() <= now - word.observe_time <= detection.report_ttl:
        return None
    return word


def _isolated(heard: Mapping[str, _Words]) -> set[str]:
    """Those who see nothing but failures, while somebody else sees a side well."""
    well = {name for name, words in heard.items() if any(word and word.is_down is False for word in words.values())}
    failing = {
        name
        for name, words in heard.items()
        if any(words.values()) and all(word and word.failures for word in words.values())
    }
    return failing if well - failing else set()


def _flaps(word: Word, now: datetime) -> bool:
    return len(word.turned_down) >= FLAPS and now - word.turned_down[0] <= FLAP_WINDOW


def _side(side_id: str, believed: Mapping[str, _Words], quorum: int) -> SideHealth:
    said = [word for words in believed.values() if (word := words[side_id]) is not None]
    # Who has begun to see failures, or successes again, says neither.
    down = sum(1 for word in said if word.is_down and word.failures)
    well = sum(1 for word in said if word.is_down is False and not word.failures)
    return SideHealth(side_id, down, well, down >= quorum, well >= quorum)


def _verdict(health: ServiceHealth, quorum: int, reporting: int) -> tuple[Verdict, tuple[HealthReason, ...]]:
    active = next((side for side in health.sides if side.side_id == health.active_side), None)
    if reporting < quorum or active is None:
        lacking = HealthReason.TOO_FEW_OBSERVERS if reporting < quorum else HealthReason.ACTIVE_SIDE_UNKNOWN
        return Verdict.UNCERTAIN, (lacking,)
    if not active.is_down:
        if active.is_well:
            return Verdict.WELL, (HealthReason.ACTIVE_SIDE_WELL,)
        return Verdict.UNCERTAIN, (HealthReason.OBSERVERS_DISAGREE,)
    others = [side for side in health.sides if side is not active]
    if any(side.is_well for side in others):
        return Verdict.FAIL_OVER, (HealthReason.ACTIVE_SIDE_DOWN,)
    if all(side.is_down for side in others):
        return Verdict.HOLD, (HealthReason.ACTIVE_SIDE_DOWN, HealthReason.EVERY_SIDE_DOWN)
    return Verdict.HOLD, (HealthReason.ACTIVE_SIDE_DOWN, HealthReason.NO_SIDE_PROVEN_WELL)


def _from_several_clouds(detection: Detection, believed: Mapping[str, _Words], side_id: str) -> bool:
    """Where observers stand in one cloud only, there is nothing to compare."""
    cloud_of = {one.observer_id: one.cloud for one in detection.observers}
    if len(set(cloud_of.values())) < LEAST_CLOUDS:
        return True
    seen = Counter(
        cloud_of[name]
        for name, words in believed.items()
        if (word := words[side_id]) and word.is_down and word.failures
    )
    return len(seen) >= LEAST_CLOUDS
