"""What was really brought, beside what was promised."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from tests.support.findings import CURRENT, HOURS, NOW, advice, content, option, recommendation, stopping
from trimtab_service.domain.offers import PriceBasis
from trimtab_service.domain.recommendations import (
    AppliedOperation,
    Kind,
    Outcome,
    Priority,
    Recommendation,
    State,
    Transition,
    TransitionReason,
)
from trimtab_service.domain.rightsizing import Action, Finding
from trimtab_service.recommendations.intake import content_of
from trimtab_service.recommendations.verification import (
    Exceedance,
    Observation,
    applied_time,
    realized,
    resource_after,
    rollback_content,
)

DAY: Final = timedelta(days=1)
FINE: Final = Exceedance(0.002, 200.0)


def applied(**changes: object) -> Recommendation:
    """A resize carried out at NOW."""
    made = recommendation(State.SUCCEEDED, claimed_by="ada")
    steps = [
        AppliedOperation(operation, NOW - timedelta(minutes=1), NOW, Outcome.DONE)
        for group in made.content.operation_groups
        for operation in group.operations
    ]
    return replace(made, applied_operations=tuple(steps), **changes)  # type: ignore[arg-type] # fields by name


def test_saving_is_price_before_less_after_over_the_hours_run_to_the_micro() -> None:
    """10 days at 0.384 less 0.192 USD an hour are 46.08 USD, and that is the promise kept."""
    impact = realized(applied(), Observation(FINE), NOW + 10 * DAY)
    assert (impact.saving_micros, impact.promised_saving_micros) == (46_080_000, 46_080_000)
    assert (impact.monthly_saving_micros, impact.running_hours) == (140_160_000, 240.0)
    assert (impact.regression, impact.reason) == (False, "")


def test_hours_that_it_did_not_run_save_nothing() -> None:
    """A third of a cent is not rounded away before it is summed."""
    impact = realized(applied(), Observation(FINE, running_hours=1 / 3), NOW + 10 * DAY)
    assert impact.saving_micros == 64_000
    assert realized(applied(), Observation(FINE, running_hours=0.0), NOW + DAY).saving_micros == 0


@pytest.mark.parametrize(
    ("price", "saving", "reason", "regression"),
    [
        (192_000_000, 4_608_000, "", False),
        (292_000_000, 2_208_000, "REALIZED_LESS", False),
        (384_000_000, 0, "REALIZED_LESS", False),
        (400_000_000, -384_000, "REALIZED_LESS", True),
    ],
)
def test_costing_more_is_a_regression_and_saving_less_is_said(
    price: int, saving: int, reason: str, regression: bool
) -> None:
    """By the price of the new size as it is by now."""
    impact = realized(applied(), Observation(FINE, price_after_nanos_per_hour=price), NOW + DAY)
    assert (impact.saving_micros, impact.reason, impact.regression) == (saving, reason, regression)


@pytest.mark.parametrize(
    ("share", "hours", "reason", "regression"),
    [
        (0.012, 48.0, "", False),
        (0.0121, 48.0, "EXCEEDS_MORE", True),
        (0.5, 23.0, "NOT_MEASURED_YET", False),
        (0.5, 24.0, "EXCEEDS_MORE", True),
    ],
)
def test_exceedance_above_the_promised_interval_is_a_regression_once_a_day_is_measured(
    share: float, hours: float, reason: str, regression: bool
) -> None:
    """The upper end of the interval was 1.2 %."""
    impact = realized(applied(), Observation(Exceedance(share, hours)), NOW + 3 * DAY)
    assert (impact.reason, impact.regression) == (reason, regression)


@pytest.mark.parametrize(("share", "regression"), [(0.05, False), (0.051, True)])
def test_a_wide_interval_does_not_hide_a_regression(share: float, regression: bool) -> None:
    """Few days of history promise nought to a quarter; five points above the promise is too much all the same."""
    found = applied()
    promised = found.content.rightsizing_option
    assert promised is not None
    assert promised.back_test is not None
    wide = replace(promised, back_test=replace(promised.back_test, exceedance=0.0, exceedance_high=0.25))
    found = replace(found, content=replace(found.content, rightsizing_option=wide))
    impact = realized(found, Observation(Exceedance(share, 48.0)), NOW + 3 * DAY)
    assert impact.regression is regression


def test_without_series_nothing_is_said_about_exceedance() -> None:
    """Not measured is not a promise kept."""
    impact = realized(applied(), Observation(None), NOW + DAY)
    assert (impact.reason, impact.regression, impact.saving_micros) == ("NOT_MEASURED_YET", False, 4_608_000)


def test_what_is_stopped_saves_its_whole_price() -> None:
    """And needs no series to be measured."""
    stopped = replace(applied(), content=stopping())
    impact = realized(stopped, Observation(None), NOW + DAY)
    assert (impact.saving_micros, impact.reason) == (9_216_000, "")


def test_what_owned_commitments_paid_for_is_not_saved() -> None:
    """The bill falls by 20 USD a month only, so that is what is promised and what is kept."""
    covered = content_of(advice(options=(option(monthly_net_saving_micros=20_440_000),)), "cw")
    assert covered is not None
    impact = realized(replace(applied(), content=covered), Observation(FINE), NOW + 10 * DAY)
    assert (impact.saving_micros, impact.promised_saving_micros, impact.reason) == (6_720_000, 6_720_000, "")


def test_a_schedule_saves_in_the_hours_that_it_does_not_run() -> None:
    """Of a week from Monday noon it is to run 50 hours, 08:00 to 18:00 on five days; 118 USD a week were promised."""
    used = tuple(day * 24 + hour for day in range(5) for hour in range(8, 18))
    weekly = 118_000_000
    monthly = round(weekly * HOURS / 168)
    made = content_of(
        advice(options=(option(action=Action.SCHEDULE, used_hours=used, monthly_net_saving_micros=monthly),)), "cw"
    )
    assert made is not None
    kept = replace(applied(), content=made)

    def brought(**observed: object) -> tuple[int, int, str]:
        impact = realized(kept, Observation(**{"exceedance": FINE, **observed}), NOW + 7 * DAY)  # type: ignore[arg-type] # fields by name
        assert not impact.regression
        return round(impact.saving_micros, -2), round(impact.promised_saving_micros, -2), impact.reason

    assert brought(running_hours=50.0) == (weekly, weekly, "")
    assert brought(exceedance=Exceedance(0.0, 50.0)) == (weekly, weekly, "")
    assert brought(running_hours=109.0) == (weekly // 2, weekly, "REALIZED_LESS")
    assert brought(exceedance=None) == (0, weekly, "NOT_MEASURED_YET")
    # On the first afternoon nothing is due before six.
    assert realized(kept, Observation(FINE, 6.0), NOW + DAY / 4).promised_saving_micros == 0


def test_a_larger_size_regresses_only_when_it_costs_more_than_was_said() -> None:
    """Costing more is what it was made for."""
    larger = option(1, "m5.4xlarge", 768_000_000)
    made = content_of(advice(finding=Finding.UNDER_PROVISIONED, options=(larger,), current=CURRENT), "cw")
    assert made is not None
    grown = replace(applied(), content=made)
    told = realized(grown, Observation(FINE), NOW + DAY)
    assert (told.saving_micros, told.promised_saving_micros, told.regression) == (-9_216_000, -9_216_000, False)
    assert realized(grown, Observation(FINE, price_after_nanos_per_hour=820_000_000), NOW + DAY).regression


def test_a_regression_asks_for_the_way_back() -> None:
    """Pressing, of the same exclusive group, with the operations reversed and the figures turned round."""
    done = applied()
    impact = realized(done, Observation(Exceedance(0.2, 48.0)), NOW + 3 * DAY)
    back = rollback_content(done, impact)
    assert back is not None
    assert (back.kind, back.priority, back.rolls_back) == (Kind.ROLLBACK, Priority.P1, done.name)
    assert back.exclusive_group == done.content.exclusive_group
    (group,) = back.operation_groups
    assert [one.kind.value for one in group.operations] == ["stop_instance", "modify_instance_type", "start_instance"]
    assert (group.operations[1].changes[0].before, group.operations[1].changes[0].after) == ("m5.xlarge", "m5.2xlarge")
    assert (back.rightsizing_option, back.rightsizing_current) == (CURRENT, done.content.rightsizing_option)
    assert rollback_content(done, impact) == back


def test_what_was_done_elsewhere_has_no_way_back_from_here() -> None:
    """There is no journal of it."""
    elsewhere = replace(applied(), applied_operations=())
    impact = realized(elsewhere, Observation(Exceedance(0.2, 48.0)), NOW + 3 * DAY)
    assert impact.regression
    assert rollback_content(elsewhere, impact) is None


def test_it_counts_from_the_end_of_its_last_operation_or_from_the_mark() -> None:
    """Whichever is known."""
    marked = datetime(2026, 12, 1, tzinfo=NOW.tzinfo)
    step = Transition(marked, State.CLAIMED, State.SUCCEEDED, "ada", TransitionReason.DONE_ELSEWHERE)
    assert applied_time(applied(history=(step,))) == NOW
    assert applied_time(replace(applied(history=(step,)), applied_operations=())) == marked


def test_the_resource_after_is_measured_as_it_is_then() -> None:
    """New type, and no price of the old one."""
    after = resource_after(content())
    assert (after.instance_type, after.price_nanos_per_hour) == ("m5.xlarge", None)


@pytest.mark.parametrize("change", [{"price_basis": PriceBasis.CALLER}, {"gpu_share": "MIG 3g.40gb"}])
def test_what_the_catalogue_does_not_price_keeps_its_price(change: dict[str, Any]) -> None:
    """The caller's own price, or a part of a machine's, is none that the catalogue's may be held against."""
    made = content_of(advice(options=(option(nanos=40_000_000, **change),)), "")
    assert made is not None
    assert resource_after(made).price_nanos_per_hour == 40_000_000
