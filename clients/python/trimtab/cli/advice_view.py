"""Sizing advice as people read it: what was found, the options with risk and back-test, what the series held."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from rich.table import Table
from rich.text import Text

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab.v1.rightsizing_service_pb2 import RightsizingAdvice

_ADVICE: Final = RightsizingAdvice
_STYLES: Final = {
    _ADVICE.FINDING_OPTIMIZED: "bold green",
    _ADVICE.FINDING_OVER_PROVISIONED: "bold cyan",
    _ADVICE.FINDING_UNDER_PROVISIONED: "bold magenta",
    _ADVICE.FINDING_NOT_OPTIMIZED: "bold cyan",
    _ADVICE.FINDING_IDLE: "bold cyan",
    _ADVICE.FINDING_INSUFFICIENT_DATA: "bold yellow",
    _ADVICE.FINDING_UNSUPPORTED: "bold yellow",
    _ADVICE.FINDING_SOURCE_FAILED: "bold red",
}

_CAVEATS: Final = {
    "CPU_NOT_MEASURED": "CPU not measured: kept",
    "MEMORY_NOT_MEASURED": "memory not measured: kept",
    "GPU_NOT_MEASURED": "use of the GPUs not measured: kept",
    "GPU_MEMORY_NOT_MEASURED": "GPU memory not measured: kept",
    "LESS_THAN_A_WEEK": "less than a week of data",
    "PEAKS_ABOVE_SIZE": "moments within intervals rose above the size",
    "PEAKS_NOT_SEEN": "means only: peaks within intervals not seen",
    "NO_PRICE": "no price known",
}
"""What to bear in mind, of an advice that is one of many."""

Part = Table | Text | str


def advice_parts(advice: RightsizingAdvice, *, details: bool = True) -> list[Part]:
    """Everything worth printing of an advice; without `details` only what was found and the options."""
    parts: list[Part] = [headline(advice)]
    if advice.HasField("current"):
        parts.append(_options([advice.current, *advice.options]))
    if advice.missing:
        parts.append(out.listed(f"missing: {text}" for text in advice.missing))
    if not details:
        caveats = [_CAVEATS[reason] for reason in advice.reasons if reason in _CAVEATS]
        return [*parts, Text(f"  {'; '.join(caveats)}", style="dim")] if caveats else parts
    if advice.options:
        parts += [out.heading("The first option"), _dimensions(advice.options[0])]
    elif advice.HasField("current"):
        parts += [out.heading("The present size"), _dimensions(advice.current)]
    if advice.reasons:
        parts += [out.heading("Reasons"), out.listed(advice.reasons)]
    if advice.telemetry.series:
        parts += [out.heading("Series"), _series(advice)]
    if advice.rejections:
        parts += [out.heading("Not offered"), _rejections(advice.rejections)]
    return [*parts, out.heading("Made with"), _provenance(advice)]


def headline(advice: RightsizingAdvice) -> Text:
    """What was found, for what, and the first option."""
    resource = advice.resource
    line = Text(finding_word(advice.finding).upper(), style=_STYLES.get(advice.finding, "bold"))
    what = resource.instance_type or vocabulary.word(pb.CloudResource.Kind.DESCRIPTOR, resource.kind)
    times = f" x{resource.count}" if resource.count > 1 else ""
    line.append(f"  {resource.resource_id}", style="bold")
    line.append(f"  {out.cloud(resource.cloud)} {resource.region}  {what}{times}")
    if advice.options:
        first = advice.options[0]
        line.append(f" -> {option_name(first)}", style="bold")
        line.append(f"  {_saved(first)}", style="bold cyan")
    return line


def finding_word(finding: RightsizingAdvice.Finding.ValueType) -> str:
    """`over-provisioned`."""
    return vocabulary.word(RightsizingAdvice.Finding.DESCRIPTOR, finding)


def option_name(option: pb.RightsizingOption) -> str:
    """The type, its count and share, or what is done instead."""
    action = pb.RightsizingOption
    if option.action == action.ACTION_STOP:
        return "stop"
    name = option.instance_type or _capacity(option.capacity)
    if option.count > 1:
        name += f" x{option.count}"
    if option.gpu_share:
        name += f" ({option.gpu_share})"
    return f"{name}, by schedule" if option.action == action.ACTION_SCHEDULE else name


def compared(by_profile: Mapping[str, RightsizingAdvice]) -> list[Part]:
    """The first option of each profile, side by side."""
    made = out.table(
        *("  profile", "first option", "month", "saves", "risk", "exceeded", "slack", "ahead", "slack ahead"),
        right=["month", "saves", "risk", "exceeded", "slack", "ahead", "slack ahead"],
    )
    for profile, advice in by_profile.items():
        if not advice.HasField("current"):
            made.add_row(f"  {profile}", finding_word(advice.finding), *["-"] * 7)
            continue
        option = advice.options[0] if advice.options else advice.current
        test, tested = option.back_test, option.HasField("back_test")
        shares = (test.exceedance, test.slack, test.rule_exceedance, test.rule_slack)
        made.add_row(
            f"  {profile}",
            option_name(option) if advice.options else f"{option_name(option)}, as it is",
            out.dollars(option.monthly_cost, 2),
            out.dollars(option.monthly_saving, 2),
            f"{option.risk:.1f}",
            *(_share(share) if tested else "-" for share in shares),
        )
    return [made, Text("  ahead: the profile's rule walked forward, in each window knowing only its past", style="dim")]


def summary(advices: Sequence[RightsizingAdvice]) -> Table:
    """What many advices come to."""
    counts: dict[str, int] = {}
    for advice in advices:
        word = finding_word(advice.finding)
        counts[word] = counts.get(word, 0) + 1
    savings = [vocabulary.amount_of(advice.options[0].monthly_saving) for advice in advices if advice.options]
    saved = sum(savings, Decimal(0))
    rows = [(word, str(count)) for word, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))]
    return out.pairs([*rows, ("first options save", f"{out.dollars(vocabulary.money(saved), 2)} a month")])


def _options(options: Iterable[pb.RightsizingOption]) -> Table:
    """`95% up to` is the upper end of the confidence interval of what was exceeded, by days: few days tell little."""
    made = out.table(
        *("  #", "option", "what", "month", "saves", "risk", "binding", "exceeded", "95% up to", "slack", "effort"),
        right=["  #", "month", "saves", "risk", "exceeded", "95% up to", "slack"],
    )
    for option in options:
        test, tested = option.back_test, option.HasField("back_test")
        made.add_row(
            f"  {option.rank}" if option.rank else "  now",
            option_name(option),
            _what(option) if option.rank else "",
            Text(out.dollars(option.monthly_cost, 2), style="" if _is_listed(option) else "yellow"),
            out.dollars(option.monthly_saving, 2) if option.rank else "",
            f"{option.risk:.1f}",
            vocabulary.word(pb.Dimension.DESCRIPTOR, option.binding_dimension) if option.binding_dimension else "-",
            *(_share(share) if tested else "-" for share in (test.exceedance, test.exceedance_high, test.slack)),
            vocabulary.word(pb.MigrationEffort.DESCRIPTOR, option.migration_effort) if option.rank else "",
        )
    return made


def _dimensions(option: pb.RightsizingOption) -> Table:
    made = out.table(
        *("  dimension", "has", "needs", "mean", "p95", "max", "risk", "exceeded", ""),
        right=["has", "needs", "mean", "p95", "max", "risk", "exceeded"],
    )
    for one in option.dimensions:
        known = not one.assumed
        made.add_row(
            f"  {vocabulary.word(pb.Dimension.DESCRIPTOR, one.dimension)}",
            f"{out.count(one.capacity)} {one.unit}",
            f"{out.count(one.demand)} {one.unit}" if known else "-",
            *(
                [_share(one.mean_utilization), _share(one.p95_utilization), _share(one.max_utilization)]
                if known
                else ["-"] * 3
            ),
            f"{one.risk:.1f}" if known else "-",
            _share(one.back_test.exceedance) if one.HasField("back_test") else "-",
            "" if known else "not measured: kept",
        )
    return made


def _series(advice: RightsizingAdvice) -> Table:
    made = out.table("  metric", "points", "used", "every", "gaps", "notes", right=["points", "used", "gaps"])
    for one in advice.telemetry.series:
        made.add_row(
            f"  {vocabulary.word(pb.Metric.DESCRIPTOR, one.metric)}",
            f"{one.points:,}",
            f"{one.used_points:,}",
            out.length(one.step) if one.step.ByteSize() else "-",
            _share(one.gap_fraction),
            ", ".join(one.notes),
        )
    return made


def _rejections(rejections: Iterable[types_pb2.RejectionCount]) -> Table:
    return out.pairs(
        (one.reason, f"{one.count:,}") for one in sorted(rejections, key=lambda one: (-one.count, one.reason))
    )


def _provenance(advice: RightsizingAdvice) -> Table:
    rows: list[tuple[str, str | Text]] = []
    if advice.recommendation:
        rows.append(("recommendation", advice.recommendation))
    if advice.telemetry.HasField("start_time"):
        rows.append(
            ("measured", f"{out.moment(advice.telemetry.start_time)} to {out.moment(advice.telemetry.end_time)}")
        )
    rows.append(("confidence", f"{advice.confidence:.2f}"))
    rows.append(("catalogue", f"{out.version(advice.catalog_version)}, policies {advice.policy_revision}"))
    rows += [
        ("preference", f"{rule.field.removeprefix('rightsizing.')} = {rule.value}, by {rule.source}")
        for rule in advice.preferences
        if rule.source != "default"
    ]
    return out.pairs(rows)


def _what(option: pb.RightsizingOption) -> str:
    """`resize`, `family`, `architecture`, `gpu`, `scale-in`, ...: what is changed, or done."""
    return vocabulary.word(pb.RightsizingOption.Action.DESCRIPTOR, option.action).removeprefix("change-")


def _capacity(capacity: pb.Capacity) -> str:
    parts = [f"{out.count(capacity.vcpus)} vCPU"] if capacity.vcpus else []
    parts += [f"{out.count(capacity.memory_gib)} GiB"] if capacity.memory_gib else []
    parts += [f"{out.count(capacity.gpus)} x {capacity.gpu_model}"] if capacity.gpus else []
    return ", ".join(parts) or "-"


def _saved(option: pb.RightsizingOption) -> str:
    amount = vocabulary.amount_of(option.monthly_saving)
    word = "saves" if amount >= 0 else "costs"
    return f"{word} {out.dollars(vocabulary.money(abs(amount)), 2)} a month"


def _is_listed(option: pb.RightsizingOption) -> bool:
    return option.price_basis in {types_pb2.PRICE_BASIS_LIST, types_pb2.PRICE_BASIS_CALLER}


def _share(value: float) -> str:
    return f"{value:.1%}" if value >= 0.0005 or value == 0.0 else f"{value:.2%}"  # noqa: PLR2004 - where one place shows 0
