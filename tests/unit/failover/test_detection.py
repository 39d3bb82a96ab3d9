"""An outage is noticed by a quorum, and by nothing less."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from tests.support.failover_plans import NOW, OBSERVERS, failover_plan
from trimtab_service.domain.failover import Detection
from trimtab_service.domain.reasons import HealthReason
from trimtab_service.failover.detection import (
    Observed,
    Report,
    ServiceHealth,
    Verdict,
    fold,
    judge,
    may_start_alone,
)

EVERY: Final = timedelta(seconds=5)
PLAN: Final = failover_plan(detection=Detection(OBSERVERS, automatic=True))
NAMES: Final = tuple(one.observer_id for one in OBSERVERS)
WELL: Final = {"virginia": True, "iowa": True}
OUT: Final = {"virginia": False, "iowa": True}
GONE: Final = {"virginia": False, "iowa": False}


class _Watch:
    """Observers report every five seconds; the clock is theirs."""

    def __init__(self) -> None:
        self.now = NOW
        self.observed = Observed()

    def round(self, seen: Mapping[str, Mapping[str, bool]]) -> ServiceHealth:
        self.now += EVERY
        for name, sides in seen.items():
            self.observed = fold(self.observed, _report(name, self.now, sides), PLAN.detection)
        return self.health()

    def rounds(self, seen: Mapping[str, Mapping[str, bool]], times: int) -> ServiceHealth:
        return [self.round(seen) for _ in range(times)][-1]

    def health(self) -> ServiceHealth:
        return judge(PLAN, self.observed, "virginia", self.now)


def _report(name: str, at: datetime, sides: Mapping[str, bool]) -> Report:
    return Report(name, at, tuple(sides.items()))


def _all(sides: Mapping[str, bool], names: Iterable[str] = NAMES) -> dict[str, Mapping[str, bool]]:
    return dict.fromkeys(names, sides)


def test_three_failures_in_a_row_of_two_observers_move_the_service() -> None:
    """Not two; and the verdict names where to."""
    watch = _Watch()
    assert watch.rounds(_all(WELL), 3).verdict is Verdict.WELL
    seen = {NAMES[0]: OUT, NAMES[1]: OUT, NAMES[2]: WELL}
    assert watch.rounds(seen, 2).verdict is Verdict.UNCERTAIN
    health = watch.round(seen)
    assert health.verdict is Verdict.FAIL_OVER
    assert health.candidates == ("iowa",)
    assert may_start_alone(PLAN, health)


def test_by_default_nothing_starts_alone() -> None:
    """The same outage only recommends."""
    watch = _Watch()
    watch.rounds(_all(OUT), 3)
    plan = replace(PLAN, detection=Detection(OBSERVERS))
    health = judge(plan, watch.observed, "virginia", watch.now)
    assert health.verdict is Verdict.FAIL_OVER
    assert not may_start_alone(plan, health)


def test_coming_back_takes_ten_successes() -> None:
    """With the first one nobody is sure any more, and nothing is moved; the tenth makes it well."""
    watch = _Watch()
    assert watch.rounds(_all(OUT), 3).verdict is Verdict.FAIL_OVER
    assert watch.rounds(_all(WELL), 1).verdict is Verdict.UNCERTAIN
    assert watch.rounds(_all(WELL), 8).verdict is Verdict.UNCERTAIN
    assert watch.round(_all(WELL)).verdict is Verdict.WELL


def test_both_sides_down_is_no_reason_to_move() -> None:
    """HOLD, and it says why."""
    watch = _Watch()
    health = watch.rounds(_all(GONE), 3)
    assert health.verdict is Verdict.HOLD
    assert HealthReason.EVERY_SIDE_DOWN in health.reasons


def test_who_sees_nothing_at_all_is_cut_off() -> None:
    """One that sees every side down while others see them well has no vote, however long it lasts."""
    watch = _Watch()
    health = watch.rounds({NAMES[0]: GONE, NAMES[1]: WELL, NAMES[2]: WELL}, 20)
    assert health.verdict is Verdict.WELL
    assert HealthReason.OBSERVER_ISOLATED in health.reasons
    assert [side.down_votes for side in health.sides] == [0, 0]


def test_a_liar_moves_nothing() -> None:
    """One observer that sees the active side down for ever."""
    watch = _Watch()
    for _ in range(100):
        assert watch.round({NAMES[0]: OUT, NAMES[1]: WELL, NAMES[2]: WELL}).verdict is Verdict.WELL


def test_reports_are_believed_for_a_while() -> None:
    """After thirty seconds of silence nobody says anything any more."""
    watch = _Watch()
    watch.rounds(_all(OUT), 3)
    assert judge(PLAN, watch.observed, "virginia", watch.now + timedelta(seconds=30)).verdict is Verdict.FAIL_OVER
    late = judge(PLAN, watch.observed, "virginia", watch.now + timedelta(seconds=31))
    assert (late.verdict, late.reasons) == (Verdict.UNCERTAIN, (HealthReason.TOO_FEW_OBSERVERS,))


def test_failures_with_a_silence_between_are_not_in_a_row() -> None:
    """Two, a minute of nothing, and one more."""
    watch = _Watch()
    watch.rounds(_all(OUT), 2)
    watch.now += timedelta(minutes=1)
    assert watch.round(_all(OUT)).verdict is Verdict.UNCERTAIN


def test_observers_of_one_cloud_are_not_believed_alone() -> None:
    """Two of four agree that it is down, and both stand behind the same way out."""
    detection = Detection((*OBSERVERS, replace(OBSERVERS[0], observer_id="observer-aws-2")), quorum=2)
    plan = failover_plan(detection=detection)
    observed = Observed()
    for turn in range(3):
        at = NOW + EVERY * turn
        for one in detection.observers:
            seen = OUT if one.observer_id.startswith("observer-aws") else WELL
            observed = fold(observed, _report(one.observer_id, at, seen), detection)
    health = judge(plan, observed, "virginia", NOW + EVERY * 2)
    assert health.verdict is Verdict.UNCERTAIN
    assert HealthReason.ONE_CLOUD_ONLY in health.reasons


def test_a_side_that_flaps_is_left_alone() -> None:
    """Down for the third time within the hour: wait until it settles."""
    watch = _Watch()
    for _ in range(2):
        assert watch.rounds(_all(OUT), 3).verdict is Verdict.FAIL_OVER
        watch.rounds(_all(WELL), 10)
    health = watch.rounds(_all(OUT), 3)
    assert health.verdict is Verdict.HOLD
    assert HealthReason.FLAPPING in health.reasons


def test_old_reports_and_strangers_change_nothing() -> None:
    """Told again, told late, or told by nobody that the plan knows."""
    watch = _Watch()
    watch.rounds(_all(WELL), 3)
    before = watch.observed
    for report in (
        _report(NAMES[0], watch.now, OUT),
        _report(NAMES[0], watch.now - EVERY, OUT),
        _report("stranger", watch.now + EVERY, OUT),
    ):
        assert fold(before, report, PLAN.detection) == before


def test_ten_thousand_blips_of_one_observer_move_nothing() -> None:
    """Whatever one observer at a time sees, of one side or both, for one round or many: no false failover."""
    chance = random.Random(20261123)
    failovers = 0
    watch = _Watch()
    for turn in range(10_000):
        if turn % 5 == 0:
            # Begun anew, so that no observer has become one that flaps and is not believed for that.
            watch = _Watch()
            watch.rounds(_all(WELL), 3)
        liar = chance.choice(NAMES)
        blip = chance.choice((OUT, GONE, {"virginia": True, "iowa": False}))
        seen = {name: blip if name == liar else WELL for name in NAMES}
        for _ in range(chance.choice((1, 1, 2, 3, 4))):
            failovers += watch.round(seen).verdict is Verdict.FAIL_OVER
        # The next blip may be another observer's while the word of this one still is that the side is down.
        failovers += watch.rounds(_all(WELL), chance.randint(1, 12)).verdict is Verdict.FAIL_OVER
    assert failovers == 0
