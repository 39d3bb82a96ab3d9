"""Purchase plans as pictures: cost over commitment, usage by what covers it, coverage over time, what ends when."""

from __future__ import annotations  # matplotlib is an extra of its own, imported when a picture is asked for

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from trimtab.vocabulary import amount_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from google.protobuf.timestamp_pb2 import Timestamp
    from matplotlib.axes import Axes

    from trimtab.v1 import purchasing_service_pb2 as pb

_DAY_S: Final = 86_400.0
"""matplotlib counts dates in days since 1970."""

_MOST_LAYERS: Final = 8
_MOST_BARS: Final = 30


def draw_plan(plan: pb.PurchasePlan, prefix: Path) -> list[Path]:
    """Write PREFIX-curve.png, -usage.png, -coverage.png and -calendar.png; those for which there are data.

    Raises ImportError without the extra `plot`.
    """
    drawn: list[Path] = []
    if plan.cost_curve:
        with _panel(prefix, "curve", drawn) as panel:
            _curve(panel, plan)
    if plan.periods:
        with _panel(prefix, "usage", drawn) as panel:
            _usage(panel, plan)
        with _panel(prefix, "coverage", drawn) as panel:
            _coverage(panel, plan)
    if plan.purchases or plan.expiries:
        with _panel(prefix, "calendar", drawn) as panel:
            _calendar(panel, plan)
    return drawn


def draw_ladder(ladder: pb.PurchaseLadder, path: Path) -> list[Path]:
    """Write one picture: each purchase from its day to its end."""
    drawn: list[Path] = []
    with _panel(path, "", drawn) as panel:
        _ladder(panel, ladder)
    return drawn


@contextmanager
def _panel(prefix: Path, name: str, drawn: list[Path]) -> Iterator[Axes]:
    import matplotlib as mpl  # noqa: PLC0415 - an extra of its own

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, panel = plt.subplots(figsize=(11, 5.2))
    yield panel
    figure.tight_layout()
    path = prefix.with_name(f"{prefix.name}-{name}.png") if name else prefix.with_suffix(".png")
    figure.savefig(path, dpi=110)
    plt.close(figure)
    drawn.append(path)


def _curve(panel: Axes, plan: pb.PurchasePlan) -> None:
    levels = [float(amount_of(point.commitment_per_hour)) for point in plan.cost_curve]
    costs = [float(amount_of(point.cost)) for point in plan.cost_curve]
    bound = float(amount_of(plan.certificate.lower_bound))
    best = min(range(len(costs)), key=costs.__getitem__)
    panel.plot(levels, costs, color="tab:blue", label="cost, the plan's mix kept")
    panel.axhline(bound, color="tab:gray", linestyle="--", label="no plan costs less")
    panel.plot([levels[best]], [costs[best]], "o", color="tab:green", label=f"the plan: {levels[best]:,.2f} an hour")
    panel.set_xlabel(f"commitment per hour [{_currency(plan)}]")
    panel.set_ylabel(f"cost over the horizon [{_currency(plan)}]")
    panel.set_title(f"Cost over commitment: optimum {costs[best]:,.2f}, proved within {plan.certificate.gap:.1e}")
    panel.legend(frameon=False)


def _usage(panel: Axes, plan: pb.PurchasePlan) -> None:
    times = [_day(one.start_time) for one in plan.periods]
    totals = [sum(one.covered[index] for one in plan.periods) for index in range(len(plan.purchases))]
    order = sorted(range(len(totals)), key=lambda index: -totals[index])
    layers: list[tuple[str, list[float]]] = []
    if any(one.covered_by_owned for one in plan.periods):
        layers.append(("owned already", [one.covered_by_owned for one in plan.periods]))
    for index in order[:_MOST_LAYERS]:
        name = plan.purchases[index].offer.offer_id
        layers.append((name, [one.covered[index] for one in plan.periods]))
    rest = order[_MOST_LAYERS:]
    if rest:
        layers.append((f"{len(rest)} more", [sum(one.covered[index] for index in rest) for one in plan.periods]))
    layers.append(("on demand", [one.uncovered for one in plan.periods]))
    colors = [f"C{index % 10}" for index in range(len(layers) - 1)] + ["lightgray"]
    panel.stackplot(times, [values for _, values in layers], labels=[name for name, _ in layers], colors=colors)
    panel.plot(times, [one.usage for one in plan.periods], color="black", linewidth=0.8, label="usage")
    panel.xaxis_date()
    panel.set_ylabel(f"usage per hour at on-demand prices [{_currency(plan)}]")
    panel.set_title("Usage, and what covers it (means of each stretch)")
    handles, labels = panel.get_legend_handles_labels()
    panel.legend(
        handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize="small", frameon=False
    )


def _coverage(panel: Axes, plan: pb.PurchasePlan) -> None:
    times = [_day(one.start_time) for one in plan.periods]
    covered = [_share(one.usage - one.uncovered, one.usage) for one in plan.periods]
    used = [_share(one.used, one.committed) for one in plan.periods]
    panel.plot(times, covered, color="tab:blue", label=f"coverage, {plan.coverage:.1%} in all")
    panel.plot(times, used, color="tab:orange", label=f"utilisation, {plan.utilization:.1%} in all")
    panel.xaxis_date()
    panel.set_ylim(0, 105)
    panel.set_ylabel("[%]")
    panel.set_title("Share of usage that is covered, and of commitments that is used")
    panel.legend(loc="lower left", frameon=False)


def _calendar(panel: Axes, plan: pb.PurchasePlan) -> None:
    bars = [
        (
            one.offer.offer_id,
            _day(one.purchase_time),
            _day(one.end_time),
            float(amount_of(one.commitment_per_hour)),
            _day(one.return_until) if one.HasField("return_until") else None,
        )
        for one in plan.purchases
    ]
    bought = {one.offer.offer_id for one in plan.purchases}
    now = _day(plan.as_of)
    bars += [
        (one.plan, now, _day(one.end_time), float(amount_of(one.commitment_per_hour)), None)
        for one in plan.expiries
        if one.plan not in bought
    ]
    _bars(panel, bars)
    panel.set_title("What is bought, until when it can be given back (red), and when it ends")


def _ladder(panel: Axes, ladder: pb.PurchaseLadder) -> None:
    bars = [
        (
            f"step {number}",
            _day(step.purchase_time),
            _day(step.end_time),
            float(amount_of(step.buy_per_hour)),
            _day(step.return_until) if step.HasField("return_until") else None,
        )
        for number, step in enumerate(ladder.steps, 1)
    ]
    _bars(panel, bars)
    panel.set_title("Ladder: what to buy when, until when it can be given back (red), and when it ends")


def _bars(panel: Axes, bars: Sequence[tuple[str, float, float, float, float | None]]) -> None:
    shown = sorted(bars, key=lambda bar: -bar[3])[:_MOST_BARS]
    shown.sort(key=lambda bar: (bar[1], bar[0]))
    for row, (name, begin, end, per_hour, back) in enumerate(shown):
        panel.barh(row, end - begin, left=begin, color="tab:blue", height=0.7)
        if back is not None:
            panel.barh(row, back - begin, left=begin, color="tab:red", height=0.7)
        panel.text(end, row, f" {per_hour:,.2f}/h", va="center", fontsize="small")
        panel.text(begin, row, f"{name} ", va="center", ha="right", fontsize="small")
    panel.set_yticks([])
    panel.invert_yaxis()
    panel.margins(x=0.18)
    panel.xaxis_date()
    left = len(bars) - len(shown)
    if left > 0:
        panel.set_xlabel(f"and {left} smaller ones")


def _share(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole > 0.0 else 100.0


def _day(stamp: Timestamp) -> float:
    return stamp.seconds / _DAY_S


def _currency(plan: pb.PurchasePlan) -> str:
    return plan.total_cost.currency_code or "USD"
