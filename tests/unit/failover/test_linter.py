"""Each finding of a plan is found where it is due, and nowhere else."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.support.failover_plans import LAYOUT, NOW, failover_plan, step
from trimtab_service.clouds.simulated.failover import Copy, Group, Layout, Name, SimulatedClouds
from trimtab_service.domain.failover import (
    AcquireCapacity,
    Approve,
    CheckWatermark,
    ChildPlan,
    Detection,
    FailoverPlan,
    Observer,
    RunKind,
    RunMode,
    ScaleCapacity,
    Side,
    SwitchTraffic,
    Wait,
    Workflow,
)
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import PlanReason
from trimtab_service.failover.findings import Evaluation, Severity
from trimtab_service.failover.linter import Dependencies, Question, evaluate, steps_of
from trimtab_service.failover.schedule import expected_rto
from trimtab_service.failover.survey import survey


def _question(plan: FailoverPlan, layout: Layout = LAYOUT, down: tuple[str, ...] = ()) -> Question:
    world = SimulatedClouds(layout, clock=lambda: NOW)
    for cloud in down:
        world.fail(cloud)
    return Question(
        plan=plan,
        survey=survey(steps_of(plan), world, plan.project, NOW),
        now=NOW,
        from_side="virginia",
        to_side="iowa",
    )


def _found(question: Question) -> dict[PlanReason, Severity]:
    return {one.reason: one.severity for one in evaluate(question).findings}


def _activating(*steps: object) -> FailoverPlan:
    return failover_plan(activate=Workflow(tuple((one,) for one in steps)))  # type: ignore[misc] # Steps


def test_a_good_plan_has_no_findings() -> None:
    """And is ready."""
    assert evaluate(_question(failover_plan())) == Evaluation(NOW, (), timedelta(seconds=80), service_id="serving")


def test_networks_that_touch_do_not_overlap() -> None:
    """10.0.0.0/16 and 10.1.0.0/16 pass; 10.0.128.0/17 lies in the first."""
    sides = (Side("virginia", Cloud.AWS, "us-east-1", ("10.0.0.0/16",)),)
    plan = failover_plan(sides=(*sides, Side("iowa", Cloud.GCP, "us-central1", ("10.0.128.0/17", "fd00::/8"))))
    assert _found(_question(plan)) == {PlanReason.CIDR_OVERLAP: Severity.ERROR}
    assert not evaluate(_question(plan)).is_ready


def test_the_control_plane_of_the_cloud_that_is_left() -> None:
    """DNS whose records are edited through AWS is no way out of AWS; out of Google Cloud it is."""
    layout = replace(LAYOUT, names={"dns/api.example.com": Name("virginia", cloud="aws")})
    question = _question(failover_plan(), layout)
    assert _found(question) == {PlanReason.CONTROL_PLANE_OF_LEFT_CLOUD: Severity.ERROR}
    assert PlanReason.CONTROL_PLANE_OF_LEFT_CLOUD not in {
        one.reason
        for one in evaluate(replace(question, from_side="iowa", to_side="virginia")).findings
        if one.subject == "switch"
    }


def test_a_side_that_is_not_said_is_the_first_one() -> None:
    """A plan that stands as ready must not be refused in the outage; what hangs on the assumption says so."""
    layout = replace(LAYOUT, names={"dns/api.example.com": Name("virginia", cloud="aws")})
    question = replace(_question(failover_plan(), layout), from_side="", to_side="")
    assert _found(question) == {PlanReason.CONTROL_PLANE_OF_LEFT_CLOUD: Severity.ERROR}
    (found,) = evaluate(question).findings
    assert found.detail.endswith("The side that is left was taken to be virginia.")


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("state_store", PlanReason.STATE_STORE_IN_LEFT_CLOUD),
        ("secrets", PlanReason.SECRETS_IN_LEFT_CLOUD),
        ("images", PlanReason.IMAGES_IN_LEFT_CLOUD),
        ("identity", PlanReason.IDENTITY_IN_LEFT_CLOUD),
    ],
)
def test_what_the_deployment_needs_stands_in_the_cloud_that_is_left(field: str, reason: PlanReason) -> None:
    """Each dependency has a finding of its own; one in another cloud has none."""
    question = _question(failover_plan())
    assert _found(replace(question, dependencies=Dependencies(**{field: "aws"}))) == {reason: Severity.ERROR}
    assert _found(replace(question, dependencies=Dependencies(**{field: "azure"}))) == {}


def test_capacity_that_may_not_be_there() -> None:
    """Not reserved warns, over the quota is an error, and an unknown quota is told."""
    group = Group("gcp", "iowa", ready=2, peak=2)
    layout = replace(LAYOUT, groups={**LAYOUT.groups, "gcp/mig/serving": group})
    assert _found(_question(failover_plan(), layout)) == {
        PlanReason.CAPACITY_NOT_RESERVED: Severity.WARNING,
        PlanReason.QUOTA_UNKNOWN: Severity.INFO,
    }
    small = replace(group, quota=9, is_reserved=True)
    layout = replace(LAYOUT, groups={**LAYOUT.groups, "gcp/mig/serving": small})
    assert _found(_question(failover_plan(), layout)) == {PlanReason.QUOTA_BELOW_TARGET: Severity.ERROR}


def test_one_fallback_over_its_quota_is_a_warning() -> None:
    """Another one may have room."""
    small = Group("gcp", "iowa", ready=0, peak=0, quota=4, is_reserved=True)
    layout = replace(LAYOUT, groups={**LAYOUT.groups, "gcp/mig/small": small})
    plan = _activating(step("get", AcquireCapacity(("gcp/mig/small", "gcp/mig/serving"), 8)))
    assert _found(_question(plan, layout))[PlanReason.QUOTA_BELOW_TARGET] is Severity.WARNING


def test_a_ttl_above_a_quarter_of_the_recovery_time() -> None:
    """225 seconds are a quarter of 15 minutes; one more is too many."""
    for seconds, found in ((225, {}), (226, {PlanReason.TTL_TOO_LONG: Severity.WARNING})):
        layout = replace(LAYOUT, names={"dns/api.example.com": Name("virginia", ttl=timedelta(seconds=seconds))})
        assert _found(_question(failover_plan(), layout)) == found


def test_targets_that_nobody_configured() -> None:
    """Each is named by its step."""
    plan = _activating(step("scale", ScaleCapacity("nowhere", count=1)), step("switch", SwitchTraffic("dns/other")))
    unknown = [one for one in evaluate(_question(plan)).findings if one.reason is PlanReason.UNKNOWN_TARGET]
    assert [(one.subject, one.severity) for one in unknown] == [
        ("scale", Severity.ERROR),
        ("switch", Severity.ERROR),
    ]


def test_a_standby_that_does_not_answer_is_an_error_and_the_side_that_is_left_is_not() -> None:
    """With Google Cloud down nothing can be moved there; with AWS down that is why one moves."""
    assert _found(_question(failover_plan(), down=("gcp",))) == {PlanReason.TARGET_NOT_READABLE: Severity.ERROR}
    hour_later = replace(_question(failover_plan(), down=("aws",)), now=NOW + timedelta(hours=1))
    assert _found(hour_later) == {PlanReason.REPLICA_STALE: Severity.WARNING}


def test_slower_than_the_recovery_time_asked_for() -> None:
    """80 seconds against 79."""
    plan = failover_plan(rto_target=timedelta(seconds=120))
    assert PlanReason.SLOWER_THAN_RTO not in _found(_question(plan))
    assert PlanReason.SLOWER_THAN_RTO in _found(_question(replace(plan, rto_target=timedelta(seconds=79))))


def test_expected_time_is_the_critical_path() -> None:
    """5 + max(60, 20) + 5 + 10 seconds; what comes after the switch does not count; a drill's figure goes first."""
    plan = failover_plan()
    assert expected_rto(plan, {}, {}, RunMode.GRACEFUL) == timedelta(seconds=80)
    assert expected_rto(plan, {"scale": timedelta(seconds=10)}, {}, RunMode.GRACEFUL) == timedelta(seconds=40)


def test_what_an_ungraceful_run_leaves_out_takes_no_time() -> None:
    """A drain of ten minutes is for graceful runs."""
    drain = step("drain", Wait(timedelta(minutes=10)), graceful_only=True)
    plan = failover_plan()
    plan = replace(plan, activate=Workflow(((drain,), *plan.activate.stages)))
    assert expected_rto(plan, {}, {}, RunMode.UNGRACEFUL) == timedelta(seconds=80)
    assert expected_rto(plan, {}, {}, RunMode.GRACEFUL) == timedelta(seconds=680)


def test_cycles_and_grandchildren() -> None:
    """A plan runs another one, one level deep, and never itself."""
    parent = _activating(step("child", ChildPlan("projects/shop/failoverPlans/data")))
    data = replace(failover_plan(), plan_id="data")
    grand = replace(parent, plan_id="data", activate=Workflow(((step("x", ChildPlan("other")),),)))
    back = replace(parent, plan_id="data", activate=Workflow(((step("x", ChildPlan(parent.name)),),)))
    own = _activating(step("child", ChildPlan(parent.name)))
    question = _question(parent)
    for child, reason in (
        (None, PlanReason.UNKNOWN_CHILD),
        (grand, PlanReason.CHILD_TOO_DEEP),
        (back, PlanReason.PLAN_CYCLE),
    ):
        children = {} if child is None else {data.name: child}
        assert _found(replace(question, children=children))[reason] is Severity.ERROR
    assert PlanReason.CHILD_TOO_DEEP not in _found(replace(question, children={data.name: data}))
    assert _found(_question(own))[PlanReason.PLAN_CYCLE] is Severity.ERROR


def test_500_steps_are_the_most() -> None:
    """And every id is its own."""
    stages = tuple((step(f"wait-{at}", Wait(timedelta(seconds=1))),) for at in range(501))
    plan = failover_plan(activate=Workflow(stages[:500]))
    assert PlanReason.TOO_MANY_STEPS not in _found(_question(plan))
    assert PlanReason.TOO_MANY_STEPS in _found(_question(replace(plan, activate=Workflow(stages))))
    twice = failover_plan(activate=Workflow((stages[0], stages[0])))
    assert PlanReason.DUPLICATE_STEP in _found(_question(twice))


def test_starting_alone_takes_three_observers_in_two_clouds() -> None:
    """And a quorum that they can reach."""
    three = tuple(Observer(f"o-{at}", Cloud.AWS) for at in range(3))
    reasons = set(_found(_question(failover_plan(detection=Detection(three, quorum=4, automatic=True)))))
    assert reasons == {PlanReason.AUTOMATIC_NEEDS_OBSERVERS, PlanReason.QUORUM_OUT_OF_REACH}


def test_one_credential_does_not_decide_alone() -> None:
    """Whoever reports for a quorum starts runs: those that name him, and those that name nobody, count as his."""
    clouds = (Cloud.AWS, Cloud.GCP, Cloud.AZURE, Cloud.AWS, Cloud.GCP)
    for reporters, is_one_enough in (
        (("a", "b", "c", "d", "e"), False),
        (("a", "a", "b", "c", "d"), False),
        (("a", "a", "a", "b", "c"), True),
        (("a", "a", "", "b", "c"), True),
        (("", "", "b", "c", "d"), True),
        (("", "b", "c", "d", "e"), False),
        (("", "", "", "", ""), True),
    ):
        observers = tuple(
            Observer(f"o-{at}", cloud, reporter)
            for at, (cloud, reporter) in enumerate(zip(clouds, reporters, strict=True))
        )
        found = _found(_question(failover_plan(detection=Detection(observers, automatic=True))))
        told = {PlanReason.ONE_CREDENTIAL_DECIDES: Severity.WARNING} if is_one_enough else {}
        assert found == told, reporters
        assert not _found(_question(failover_plan(detection=Detection(observers))))


def test_a_switch_or_promotion_without_a_check_before_it() -> None:
    """Each is warned of."""
    stages = failover_plan().activate.stages
    bare = failover_plan(activate=Workflow((stages[1], stages[3])))
    assert _found(_question(bare)) == {
        PlanReason.NO_HEALTH_CHECK: Severity.WARNING,
        PlanReason.PROMOTION_UNGUARDED: Severity.WARNING,
    }


def test_a_dry_run_says_what_each_step_would_do() -> None:
    """Before, after, how long and how well fenced; nothing is changed by it."""
    plan = failover_plan()
    world = SimulatedClouds(LAYOUT, clock=lambda: NOW)
    question = replace(_question(plan), survey=survey(steps_of(plan), world, "shop", NOW))
    shown = {one.step_id: (one.before, one.after, one.fencing.value) for one in evaluate(question, dry_run=True).steps}
    assert shown["scale"] == ("gcp/mig/serving: 2 of 2 instances ready", "10 instances", "weak")
    assert shown["switch"] == (
        "dns/api.example.com: virginia 100% (token 0, TTL 30 s)",
        "iowa gets 100%",
        "strong",
    )
    assert world.effects() == ()


def test_the_way_back_leaves_nothing_that_is_gone() -> None:
    """A failback is made while both clouds answer, so the control plane of neither is a danger."""
    layout = replace(LAYOUT, names={"dns/api.example.com": Name("virginia", cloud="aws")})
    question = replace(_question(failover_plan(), layout), kind=RunKind.POST_RECOVERY)
    assert _found(question) == {}


def test_a_replica_that_is_read_in_the_cloud_that_is_left() -> None:
    """Its bucket may not answer in the outage, and the check would stop the run; at the other side it is well."""
    layout = replace(LAYOUT, copies={"replication/models": Copy("gcp", "aws")})
    assert _found(_question(failover_plan(), layout)) == {PlanReason.REPLICA_IN_LEFT_CLOUD: Severity.WARNING}


def test_a_check_of_age_without_an_age() -> None:
    """It lets every replica pass; the step's own limit or the plan's is enough."""
    plan = failover_plan(rpo_target=None)
    assert _found(_question(plan)) == {PlanReason.NO_AGE_LIMIT: Severity.WARNING}
    limited = CheckWatermark("replication/models", timedelta(minutes=5))
    assert PlanReason.NO_AGE_LIMIT not in _found(
        _question(replace(_activating(step("fresh", limited)), rpo_target=None))
    )


@pytest.mark.parametrize("workflow", ["activate", "deactivate", "post_recovery"])
def test_a_step_that_is_given_up_before_it_is_done(workflow: str) -> None:
    """As the plan says or a drill measured; waits and approvals end by themselves."""
    slow = step("slow", ScaleCapacity("gcp/mig/serving", count=10), expected_duration=timedelta(minutes=11))
    rest, ask = step("rest", Wait(timedelta(hours=1))), step("ask", Approve(), expected_duration=timedelta(hours=1))
    fields: dict[str, Any] = {workflow: Workflow(((slow,), (rest,), (ask,)))}
    plan = failover_plan(**fields)
    told = [one for one in evaluate(_question(plan)).findings if one.reason is PlanReason.GIVEN_UP_EARLY]
    assert [(one.subject, one.severity) for one in told] == [("slow", Severity.WARNING)]
    measured = {"slow": timedelta(minutes=9)}
    assert PlanReason.GIVEN_UP_EARLY not in _found(replace(_question(plan), measured=measured))


def test_a_child_plan_that_takes_longer_than_its_step() -> None:
    """Eleven minutes of a child in a step that is given up after ten."""
    child = replace(_activating(step("rest", Wait(timedelta(minutes=11)))), plan_id="child", service_id="other")
    plan = _activating(step("child", ChildPlan(child.name)))
    assert PlanReason.GIVEN_UP_EARLY in _found(replace(_question(plan), children={child.name: child}))
    patient = _activating(step("child", ChildPlan(child.name), timeout=timedelta(minutes=12)))
    assert PlanReason.GIVEN_UP_EARLY not in _found(replace(_question(patient), children={child.name: child}))
