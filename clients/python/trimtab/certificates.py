"""Check a purchase plan's certificate of optimality by hand: plain Python, no code in common with the service.

A certificate is a price for every hour. From those alone anyone can compute an amount that no portfolio can undercut;
where the plan's own cost meets it, the plan is optimal. A problem is the pool as the service states it:

`usage[k][t]` on-demand money of class k in hour t, `weights[t]` how often the hour counts, `segments` the bounds of the
hours between which no term starts or ends, `rates[m][k]` plan money per on-demand money (None where budget m does not
apply), `owned[slot][segment]` what is there already (slots are the classes, then the budgets), `purchases` what can
be bought: `slot`, `cost` per unit over the horizon, `segments` that it covers; `spot[k]` None or `price` and `room[t]`;
`limits`: `weights` per purchase and `most`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

Problem = Mapping[str, Any]


def lower_bound(problem: Problem, prices: Mapping[str, Any]) -> float:
    """What no portfolio undercuts.

    `prices` are `flexible[m][t]`, `limits[c]` and, where classes have several terms or spot, `usage[k][t]`.

    Prices need not be trusted: whatever breaks a rule is cut down to where it holds, which only lowers the bound.
    """
    weights, classes = problem["weights"], len(problem["usage"])
    segment_of = _segment_of(problem)
    nu = [max(price, 0.0) for price in prices["limits"]]
    allowed = [
        purchase["cost"] + sum(n * limit["weights"][i] for n, limit in zip(nu, problem["limits"], strict=True))
        for i, purchase in enumerate(problem["purchases"])
    ]
    bound = -sum(n * limit["most"] for n, limit in zip(nu, problem["limits"], strict=True))
    flexible = []
    for m, given in enumerate(prices["flexible"]):
        lam = _held(problem, classes + m, [max(price, 0.0) for price in given], allowed, segment_of)
        flexible.append(lam)
        owned = problem["owned"][classes + m]
        bound -= sum(w * price * owned[s] for w, price, s in zip(weights, lam, segment_of, strict=True))
    for k, usage in enumerate(problem["usage"]):
        rates = [rate[k] for rate in problem["rates"]]
        ceiling = [
            min([1.0, *(r * lam[t] for r, lam in zip(rates, flexible, strict=True) if r is not None)])
            for t in range(len(usage))
        ]
        given = prices["usage"][k] if "usage" in prices else _quantile(problem, k, ceiling, allowed, segment_of)
        mu = [min(max(price, 0.0), most) for price, most in zip(given, ceiling, strict=True)]
        mu = _held(problem, k, mu, allowed, segment_of)
        spot, owned = problem["spot"][k], problem["owned"][k]
        for t, price in enumerate(mu):
            gain = price * (usage[t] - owned[segment_of[t]])
            bound += weights[t] * (gain - (spot["room"][t] * max(price - spot["price"], 0.0) if spot else 0.0))
    return float(bound)


def cost(problem: Problem, amounts: Sequence[float]) -> float:
    """What a portfolio costs: the purchases, and by the hour what their best use leaves to pay. One budget at most."""
    if len(problem["rates"]) > 1:
        raise ValueError("with several budgets the cost is the provider's bill: see the plan's own")
    weights, classes = problem["weights"], len(problem["usage"])
    level = [list(owned) for owned in problem["owned"]]
    for amount, purchase in zip(amounts, problem["purchases"], strict=True):
        for segment in purchase["segments"]:
            level[purchase["slot"]][segment] += amount
    total = sum(amount * purchase["cost"] for amount, purchase in zip(amounts, problem["purchases"], strict=True))
    for t, segment in enumerate(_segment_of(problem)):
        left, room = [], level[classes][segment] if problem["rates"] else 0.0
        for k, usage in enumerate(problem["usage"]):
            over = max(usage[t] - level[k][segment], 0.0)
            spot = problem["spot"][k]
            cheap = min(over, spot["room"][t]) if spot else 0.0
            rate = problem["rates"][0][k] if problem["rates"] else None
            left += [(1.0, rate, over - cheap), (spot["price"] if spot else 1.0, rate, cheap)]
        for value, rate, amount in sorted(left, key=lambda item: -item[0] / item[1] if item[1] else 0.0):
            taken = min(amount, room / rate) if rate else 0.0
            room -= taken * (rate or 0.0)
            total += weights[t] * value * (amount - taken)
    return float(total)


def _segment_of(problem: Problem) -> list[int]:
    bounds = problem["segments"]
    return [s for s, (first, last) in enumerate(pairwise(bounds)) for _ in range(first, last)]


def _held(problem: Problem, slot: int, price: list[float], allowed: list[float], segment_of: list[int]) -> list[float]:
    """`price` scaled down until no purchase of the slot is worth more than it costs."""
    sums = [0.0] * (len(problem["segments"]) - 1)
    for w, value, s in zip(problem["weights"], price, segment_of, strict=True):
        sums[s] += w * value
    factor = 1.0
    for most, purchase in zip(allowed, problem["purchases"], strict=True):
        worth = sum(sums[s] for s in purchase["segments"])
        if purchase["slot"] == slot and worth > most:
            factor = min(factor, max(most, 0.0) / worth)
    return [value * factor for value in price]


def _quantile(
    problem: Problem, k: int, ceiling: list[float], allowed: list[float], segment_of: list[int]
) -> list[float]:
    """The best answer of a class with at most one purchase, over all its hours: the hours above a weighted quantile."""
    over = [usage - problem["owned"][k][s] for usage, s in zip(problem["usage"][k], segment_of, strict=True)]
    mine = [i for i, purchase in enumerate(problem["purchases"]) if purchase["slot"] == k]
    left = allowed[mine[0]] if mine else float("inf")
    price = [0.0] * len(over)
    for t in sorted(range(len(over)), key=lambda hour: -over[hour]):
        if over[t] <= 0.0 or left <= 0.0:
            break
        price[t] = min(ceiling[t], left / problem["weights"][t])
        left -= price[t] * problem["weights"][t]
    return price
