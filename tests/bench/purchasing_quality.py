"""How good the purchase decisions are, on real demand, without using the future.

    python -m tests.bench.purchasing_quality [--quick] [--demand FILE]

`levels`: the cheapest single level of each region over the whole history and over the last year, at an on-demand
price of 2.1 units. `regret_12m`: one decision a month from a year on, paid for over the next 8,760 hours, by the
`trend` rule; mean is the cost of all decisions over hindsight's, less one, pooled over regions; worst is the worst
month of the pooled regions (`..._worst_single` the worst of one region). `ladder`: monthly top-up with yearly terms,
the last 24 months of 730 hours, over the exact hindsight; pooled by region, and family by family. What the clouds' and
other rules get stands beside. FILE has the columns hour, region, vm_type, count. The last line is one JSON object.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import orjson

from tests.support.demand import Demand, read_demand
from tests.support.shared_data import demand_file
from trimtab_service.purchasing.backtest import (
    STANDARD_LADDER,
    Target,
    decisions,
    ladder_ratio,
    rule_target,
    top_up_target,
)
from trimtab_service.purchasing.policies import RULES, Policy, Rule
from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.single_level import single_level, single_level_cost

_RATIO = 2.1
_YEAR = 8_760


def levels(usage: Floats) -> dict[str, float]:
    """Level, cost, savings, utilisation and coverage of the cheapest single level."""
    level = single_level(usage, _RATIO)
    cost = single_level_cost(usage, _RATIO, level)
    used = float(np.minimum(usage, level).sum())
    return {
        "level": level,
        "cost": round(cost, 1),
        "savings": round(1.0 - cost / (_RATIO * float(usage.sum())), 9),
        "utilisation": round(used / (level * usage.size), 9),
        "coverage": round(used / float(usage.sum()), 9),
    }


def month_starts(demand: Demand) -> list[int]:
    """Hours of the first of each month from a year after the start."""
    clock = np.datetime64(demand.start, "h")
    month = np.datetime64(demand.start, "M") + 12
    hours = next(iter(demand.counts.values())).shape[1]
    starts = []
    while (start := int((month.astype("datetime64[h]") - clock).astype(int))) < hours:
        starts.append(start)
        month += 1
    return starts


def regrets(demand: Demand, rule: Rule) -> tuple[float, float, float]:
    """Pooled mean, worst pooled month, worst single decision."""
    starts = month_starts(demand)
    outcomes = [decisions(demand.pool(region), starts, _YEAR, _RATIO, rule) for region in demand.counts]
    costs = np.array([[outcome.cost for outcome in region] for region in outcomes])
    best = np.array([[outcome.hindsight for outcome in region] for region in outcomes])
    pooled = costs.sum(axis=0) / best.sum(axis=0) - 1.0
    return float(costs.sum() / best.sum() - 1.0), float(pooled.max()), float((costs / best - 1.0).max())


def ladders(demand: Demand, rule: Rule | None) -> tuple[float, float]:
    """Ratios to hindsight of the regions' pools and of the single series; the standing rule where `rule` is None."""
    pools = {str(region): demand.pool(region) for region in demand.counts}
    series = {
        f"{region}/{name}": row
        for region, counts in demand.counts.items()
        for name, row in zip(demand.types[region], counts, strict=True)
        if row.any()
    }

    def target_of(name: str) -> Target:
        if rule is not None:
            return rule_target(rule, _RATIO, STANDARD_LADDER)
        family = name.partition("/")[2]
        siblings = [u for other, u in series.items() if family and other != name and other.endswith(f"/{family}")]
        return top_up_target(_RATIO, STANDARD_LADDER, siblings)

    return (
        ladder_ratio(pools, _RATIO, STANDARD_LADDER, target_of),
        ladder_ratio(series, _RATIO, STANDARD_LADDER, target_of),
    )


def main() -> None:
    """Prints the rules side by side and the JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--demand", type=Path, default=demand_file())
    arguments = parser.parse_args()
    if arguments.demand is None:
        sys.exit("the shared demand is not there: name a file with --demand")
    demand = read_demand(arguments.demand)
    others = (Policy.QUANTILE_30_DAYS, Policy.DRIFT) if arguments.quick else tuple(RULES)
    for policy in others:
        mean, worst, single = regrets(demand, RULES[policy])
        print(f"12 months, {policy:18} mean {mean:8.4%}  worst month {worst:8.4%}  worst decision {single:8.4%}")
    mean, worst, single = regrets(demand, RULES[Policy.TREND])
    plain = ladders(demand, RULES[Policy.QUANTILE_30_DAYS])
    print(f"ladder, plain monthly top-up: pools {plain[0]:.5f}  series {plain[1]:.4f}")
    pool, series = ladders(demand, None)
    report: dict[str, object] = {
        "levels": {
            str(region): {"all_hours": levels(demand.pool(region)), "last_year": levels(demand.pool(region)[-_YEAR:])}
            for region in demand.counts
        },
        "regret_12m_mean": mean,
        "regret_12m_worst": worst,
        "regret_12m_worst_single": single,
        "ladder_ratio_pool": pool,
        "ladder_ratio_series": series,
        "plain_top_up_ratio_pool": plain[0],
        "plain_top_up_ratio_series": plain[1],
    }
    print(orjson.dumps(report, option=orjson.OPT_SERIALIZE_NUMPY).decode())


if __name__ == "__main__":
    main()
