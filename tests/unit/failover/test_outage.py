"""A run that detection started is held against what the observers say just before its traffic moves."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.support.failovers import NOW, plan, run_of
from trimtab_service.domain.failover import Detection, FailoverPlan, Observer, RunMode
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.detection import Report, fold_all, judge
from trimtab_service.failover.reach import StepFailedError
from trimtab_service.failover.run import Trigger
from trimtab_service.failover.steps.call import Call, never_read
from trimtab_service.failover.steps.outage import confirm_outage

_OBSERVERS = tuple(Observer(cloud.value, cloud) for cloud in (Cloud.AWS, Cloud.GCP, Cloud.AZURE))
_PLAN = replace(plan(), detection=Detection(_OBSERVERS, failures=1, successes=1, automatic=True))
_LEFT, _KEPT = (side.side_id for side in _PLAN.sides[:2])
_DOWN, _WELL = {_LEFT: False, _KEPT: True}, {_LEFT: True, _KEPT: True}


class _Time:
    """Time that passes while somebody waits, and what every observer then says."""

    def __init__(self, said: Mapping[timedelta, Mapping[str, bool]]) -> None:
        self.passed = timedelta()
        self.said = said
        self.mode = RunMode.GRACEFUL

    def now(self) -> datetime:
        return NOW + self.passed

    def check(self) -> None:
        """It is held."""

    def remaining_s(self) -> float:
        return 60.0

    def wait(self, seconds: float) -> None:
        self.passed += timedelta(seconds=seconds)

    def judged(self, kept: FailoverPlan, side_id: str) -> Any:  # noqa: ANN401 - as `detection.judge`
        reports = [
            Report(one.observer_id, NOW + at, tuple(sides.items()))
            for at, sides in self.said.items()
            if at <= self.passed
            for one in _OBSERVERS
        ]
        return judge(kept, fold_all(reports, kept.detection), side_id, self.now())


def _call(time: _Time, trigger: Trigger = Trigger.AUTOMATIC, **step: object) -> Call:
    run = replace(run_of(_PLAN), trigger=trigger, from_side=_LEFT, to_side=_KEPT)
    return Call(
        run=run,
        plan=_PLAN,
        step=replace(run.steps[0], **step),  # type: ignore[arg-type] # the caller's own values
        step_deadline=NOW + timedelta(minutes=10),
        pace_s=1.0,
        clock=time.now,
        hold=time,
        note=lambda memo: memo,
        children=None,  # type: ignore[arg-type] # it starts no child
        healthy_sides=lambda _: None,
        known_peak=never_read,
        judged=time.judged,
    )


def test_an_outage_that_lasts_is_confirmed_at_once() -> None:
    """Nothing is waited for."""
    time = _Time({timedelta(): _DOWN})
    confirm_outage(_call(time))
    assert time.passed == timedelta()


def test_observers_that_stay_silent_stop_an_automatic_run() -> None:
    """They get as long as a report is believed, and the reason says what is missing."""
    time = _Time({-timedelta(minutes=5): _DOWN})
    with pytest.raises(StepFailedError, match="TOO_FEW_OBSERVERS"):
        confirm_outage(_call(time))
    assert time.passed == _PLAN.detection.report_ttl


def test_observers_that_speak_again_in_time_let_it_go_on() -> None:
    """As after a restart of the service, which heard nobody meanwhile."""
    time = _Time({-timedelta(minutes=5): _DOWN, timedelta(seconds=3): _DOWN})
    confirm_outage(_call(time))
    assert time.passed == timedelta(seconds=3)


def test_a_side_that_recovered_is_not_left() -> None:
    """At once, for there is nothing to wait for."""
    time = _Time({-timedelta(seconds=2): _DOWN, -timedelta(seconds=1): _WELL})
    with pytest.raises(StepFailedError, match="ACTIVE_SIDE_WELL"):
        confirm_outage(_call(time))
    assert time.passed == timedelta()


@pytest.mark.parametrize(
    ("trigger", "step"),
    [
        (Trigger.MANUAL, {}),
        (Trigger.AUTOMATIC, {"actor": "ann"}),
        (Trigger.AUTOMATIC, {"memo": {"share_left": 1.0}}),
    ],
)
def test_a_persons_decision_and_a_begun_effect_ask_no_observer(trigger: Trigger, step: dict[str, object]) -> None:
    """A manual run, a step that a person retried, and one that was taken over after it noted what it would do."""
    confirm_outage(_call(_Time({timedelta(): _WELL}), trigger, **step))
