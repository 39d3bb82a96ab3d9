"""A plan for people without a database: every step in words, and the fencing token to use."""

from datetime import datetime

from trimtab_service.domain.failover import (
    AcquireCapacity,
    Action,
    Approve,
    CheckWatermark,
    ChildPlan,
    FailoverPlan,
    LowerTtl,
    Notify,
    PromoteDataStore,
    RunHealthCheck,
    ScaleCapacity,
    Step,
    SwitchTraffic,
    Wait,
    Workflow,
)
from trimtab_service.failover.admission import ServiceRecord
from trimtab_service.failover.fence import BY_HAND, LABEL, Fence


def runbook_of(plan: FailoverPlan, plan_hash: str, service: ServiceRecord, now: datetime) -> str:
    """Markdown. The token to use by hand is past any that a controller which comes back could hold."""
    token = service.token + 1
    lines = [
        f"# Runbook: {plan.service_id}",
        "",
        f"Plan `{plan.name}`, hash `{plan_hash}`, exported {now:%Y-%m-%d %H:%M:%S}Z.",
        "",
        *([plan.description, ""] if plan.description else []),
        "| what | now |",
        "| --- | --- |",
        f"| active side | {service.active_side or 'not known: look at where the name points'} |",
        f"| last fencing token given out | {service.token} |",
        f"| run under way | {service.live.run_id if service.live else 'none'} |",
        f"| recovery time asked for | {_length(plan.rto_target)} |",
        f"| age of data accepted | {_length(plan.rpo_target)} |",
        "",
        f"By hand, write the fence token **{token}** with every change of traffic, in the same change where the",
        "provider can: a controller that comes back with an older one is then refused by the name itself, and the",
        f"next run of trimtab holds one that passes. A DNS name has it in the TXT record `{LABEL}.` and its name,",
        "a SageMaker endpoint in the tag `trimtab:fence`, as this text; on Azure DNS the number is the metadata",
        "`trimtab_token`.",
        "",
        f"    {Fence(token, BY_HAND).text}",
        "",
        "## Sides",
        "",
        "| side | cloud | region | networks |",
        "| --- | --- | --- | --- |",
        *(
            f"| `{side.side_id}` | {side.cloud.value} | {side.region} | {', '.join(side.cidr_blocks) or '-'} |"
            for side in plan.sides
        ),
        "",
        *_section("Activate a side", plan.activate),
        *_section("Take the other side out", plan.deactivate),
        *_section("Afterwards", plan.post_recovery),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, workflow: Workflow) -> list[str]:
    if not workflow.stages:
        return []
    lines = [f"## {title}", ""]
    for number, stage in enumerate(workflow.stages, start=1):
        together = " (together)" if len(stage) > 1 else ""
        lines += [f"{number}. Stage {number}{together}", *(f"   - [ ] {_line(step)}" for step in stage)]
    return [*lines, ""]


def _line(step: Step) -> str:
    words = step.description or _words(step.action)
    only = " Only while the side that is left still answers." if step.graceful_only else ""
    more = f" ({_words(step.action)})" if step.description else ""
    return f"`{step.step_id}`: {words}{more}. Give up after {_length(step.timeout)}.{only}"


def _words(action: Action) -> str:  # noqa: C901, PLR0911 - one a kind of action
    match action:
        case SwitchTraffic(target=name, weight=weight):
            return f"point {weight:.0%} of `{name}` at the side, under the fence token"
        case LowerTtl(target=name, ttl=ttl):
            return f"set the TTL of `{name}` to {_length(ttl)}"
        case ScaleCapacity(target=name, count=count, percent_of_peak=percent):
            return f"scale `{name}` to {f'{count} instances' if count is not None else f'{percent:g} % of the peak'}"
        case AcquireCapacity(targets=targets, count=count, minimum_share=share):
            names = ", then ".join(f"`{name}`" for name in targets)
            return f"get {count} instances ({share:.0%} suffice) from {names}"
        case PromoteDataStore(target=name):
            return f"make `{name}` the primary"
        case CheckWatermark(target=name, max_age=None):
            return f"go on only if the newest canary of `{name}` is no older than the age of data accepted (above)"
        case CheckWatermark(target=name, max_age=age):
            return f"go on only if the newest canary of `{name}` is at most {age} old"
        case RunHealthCheck(probes=probes, successes=successes):
            return f"wait for {successes} successes in a row of {', '.join(f'`{name}`' for name in probes)}"
        case Wait(duration=duration):
            return f"wait {_length(duration)}"
        case Approve(four_eyes=four_eyes):
            return f"ask {'somebody else' if four_eyes else 'an approver'}"
        case Notify(channel=name, text=text):
            return f"tell `{name}`: {text}"
        case ChildPlan(failover_plan=name):
            return f"carry out `{name}`"


def _length(value: object) -> str:
    return "not said" if value is None else str(value)
