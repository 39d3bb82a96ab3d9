"""A block of hours inside the interior-point method: its variables and its share of the Newton system.

Per hour and class: y_m is drawn from budget m (dual slack r_m lambda_m - mu), o is paid on demand (dual slack 1 - mu),
v is cover that stays over (dual mu), p runs on spot up to its room; per budget s is idle (dual lambda). Eliminating
them hour by hour leaves an arrow of K + M rows, so an hour costs O(K M^2) and only a matrix of the purchases' size is
ever factored. A block fits the cache, which is most of the speed.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trimtab_service.purchasing.complementary_pair import Pair
from trimtab_service.purchasing.program import Floats

Rows = slice | NDArray[np.int64]

_DEFINITE = 1e-10
_NOTHING = np.empty((0, 0))


@dataclass(slots=True, eq=False)
class Spot:
    """`amount` of the classes `rows` runs on spot and `left` of the room does not; their duals differ by price - mu."""

    rows: NDArray[np.int64]
    amount: Pair
    left: Pair
    conductance: Floats = field(default_factory=lambda: _NOTHING)
    offset: Floats = field(default_factory=lambda: _NOTHING)
    amount_lift: Floats = field(default_factory=lambda: _NOTHING)
    left_lift: Floats = field(default_factory=lambda: _NOTHING)

    def factor(self) -> Floats:
        """How much more runs on spot per unit of the hour's price."""
        self.conductance = 1.0 / (self.amount.dual / self.amount.value + self.left.dual / self.left.value)
        return self.conductance

    def predict(self) -> Floats:
        """Takes the pure Newton aim; what it adds to the cover, at no change of the price."""
        self.amount.predict()
        self.left.predict()
        self.amount_lift, self.left_lift = -self.amount.dual, -self.left.dual
        added: Floats = self.conductance * (self.amount_lift - self.left_lift)
        return added

    def correct(self, aim: Floats | float) -> Floats:
        """Takes the corrected aim; what that adds besides."""
        amount = (aim - self.amount.value_step * self.amount.dual_step) / self.amount.value
        left = (aim - self.left.value_step * self.left.dual_step) / self.left.value
        self.amount_lift, self.left_lift = self.amount_lift + amount, self.left_lift + left
        self.amount.lift, self.left.lift = amount, left
        added: Floats = self.conductance * (amount - left)
        return added

    def follow(self, price_step: Floats) -> None:
        """The hour's price moves by `price_step` (K, h)."""
        step = self.conductance * (price_step[self.rows] + self.amount_lift - self.left_lift)
        self.amount.value_step, self.left.value_step = step, -step
        self.amount.dual_step = self.amount_lift - self.amount.dual / self.amount.value * step
        self.left.dual_step = self.left_lift + self.left.dual / self.left.value * step


@dataclass(slots=True, eq=False)
class Block:
    """Hours of one segment. `weights` (h,) or None where each counts once; `rows` and `rates` (k_m, 1) per budget.

    `cover` pairs the surplus with mu, `idle` (M, h) the unused budget with lambda.
    """

    segment: int
    hours: slice
    usage: Floats
    weights: Floats | None
    rows: list[Rows]
    rates: list[Floats]
    drawn: list[Pair]
    paid: Pair
    cover: Pair
    idle: Pair
    spot: Spot | None
    diagonal: Floats = field(default_factory=lambda: _NOTHING)
    shares: list[Floats] = field(default_factory=list)
    inverse: Floats = field(default_factory=lambda: _NOTHING)
    right: Floats = field(default_factory=lambda: _NOTHING)
    right_budgets: Floats = field(default_factory=lambda: _NOTHING)

    @property
    def pairs(self) -> list[Pair]:
        """Every complementary pair of the block."""
        spot = [] if self.spot is None else [self.spot.amount, self.spot.left]
        return [*self.drawn, self.paid, self.cover, self.idle, *spot]

    def factor(self) -> Floats:
        """(K+M, K+M): how the slots' prices answer to their levels: the weighted inverse of the hours' arrows."""
        rest = self.paid.weigh() + self.cover.weigh()
        idle = self.idle.weigh()
        if self.spot is not None:
            rest[self.spot.rows] += self.spot.factor()
        draws = [pair.weigh() for pair in self.drawn]
        self.diagonal = rest.copy()
        for rows, draw in zip(self.rows, draws, strict=True):
            self.diagonal[rows] += draw
        budgets = len(draws)
        arrow = np.empty((budgets, budgets, self.usage.shape[1]))
        self.shares = []
        for m, (rows, rate, draw) in enumerate(zip(self.rows, self.rates, draws, strict=True)):
            # r^2 d - (r d)^2 / D written without cancellation, as (r d / D) r (D - d).
            others = rest[rows] if budgets == 1 else self.diagonal[rows] - draw
            share = draw / self.diagonal[rows]
            share *= rate
            self.shares.append(share)
            arrow[m, m] = idle[m] + rate[:, 0] @ (share * others)
        for m in range(budgets):
            for other in range(m):
                arrow[m, other] = arrow[other, m] = -self._overlap(m, other)
        self.inverse = _inverse(arrow)
        return self._response()

    def _overlap(self, m: int, other: int) -> Floats:
        full = np.zeros_like(self.usage)
        full[self.rows[other]] = self.shares[other] * self.diagonal[self.rows[other]]
        overlap: Floats = np.einsum("kh,kh->h", self.shares[m], full[self.rows[m]])
        return overlap

    def _response(self) -> Floats:
        classes, budgets, hours = self.usage.shape[0], len(self.drawn), self.usage.shape[1]
        response = np.zeros((classes + budgets, classes + budgets))
        own = 1.0 / self.diagonal
        each = np.arange(classes)
        response[each, each] = own.sum(axis=1) if self.weights is None else own @ self.weights
        stacks = np.zeros((budgets, classes + budgets, hours))
        for m in range(budgets):
            stacks[m, :classes][self.rows[m]] = self.shares[m]
            stacks[m][classes + m] = 1.0
        if budgets == 1:
            factor = self.inverse[0, 0] if self.weights is None else self.inverse[0, 0] * self.weights
            stacks[0] *= np.sqrt(factor)
            response += stacks[0] @ stacks[0].T  # a product with its own transpose costs half
            return response
        for m in range(budgets):
            for other in range(budgets):
                factor = self.inverse[m, other] if self.weights is None else self.inverse[m, other] * self.weights
                response += (stacks[m] * factor) @ stacks[other].T
        return response

    def reached(self) -> Floats:
        """(K+M,): the weighted sum of the hours' prices of each slot: what one more unit of its level saves here."""
        prices = np.concatenate([self.cover.dual, self.idle.dual])
        total: Floats = prices.sum(axis=1) if self.weights is None else prices @ self.weights
        return total

    def predict(self, level: Floats) -> Floats:
        """(K+M,): the pure Newton step's demand on the slots' prices, at slot levels `level` (K+M,)."""
        classes = self.usage.shape[0]
        for pair in (*self.drawn, self.paid, self.cover, self.idle):
            pair.predict()
        self.right = self.usage - level[:classes, None]
        if self.spot is not None:
            self.right[self.spot.rows] -= self.spot.amount.value + self.spot.predict()
        self.right_budgets = np.repeat(-level[classes:, None], self.usage.shape[1], axis=1)
        return self._demand()

    def correct(self, target: float) -> Floats:
        """(K+M,): the same for weighted products of `target` with second-order terms; after `follow`."""
        aim: Floats | float = target if self.weights is None else target / self.weights
        self.right += self.cover.correct(aim)
        self.right -= self.paid.correct(aim)
        for m, (rows, rate, pair) in enumerate(zip(self.rows, self.rates, self.drawn, strict=True)):
            more = pair.correct(aim)
            self.right[rows] -= more
            self.right_budgets[m] += rate[:, 0] @ more
        if self.spot is not None:
            self.right[self.spot.rows] -= self.spot.correct(aim)
        self.right_budgets += self.idle.correct(aim)
        return self._demand()

    def _demand(self) -> Floats:
        lam = self._budget_prices(self.right, self.right_budgets)
        own = self.right / self.diagonal
        weighted = lam if self.weights is None else lam * self.weights
        demand = np.concatenate([own.sum(axis=1) if self.weights is None else own @ self.weights, weighted.sum(axis=1)])
        for m, (rows, share) in enumerate(zip(self.rows, self.shares, strict=True)):
            demand[: self.usage.shape[0]][rows] += share @ weighted[m]
        return demand

    def _budget_prices(self, right: Floats, right_budgets: Floats) -> Floats:
        pull = right_budgets.copy()
        for m, (rows, share) in enumerate(zip(self.rows, self.shares, strict=True)):
            pull[m] += np.einsum("kh,kh->h", share, right[rows])
        if pull.shape[0] == 1:
            pull *= self.inverse[0]
            return pull
        prices: Floats = np.einsum("mnh,nh->mh", self.inverse, pull)
        return prices

    def follow(self, level_step: Floats) -> None:
        """The slots' levels move by `level_step` (K+M,): every variable's direction."""
        classes = self.usage.shape[0]
        right = self.right - level_step[:classes, None]
        lam = self._budget_prices(right, self.right_budgets - level_step[classes:, None])
        right /= self.diagonal
        mu = right
        for m, (rows, share) in enumerate(zip(self.rows, self.shares, strict=True)):
            mu[rows] += share * lam[m]
        for m, (rows, rate, pair) in enumerate(zip(self.rows, self.rates, self.drawn, strict=True)):
            pair.follow(rate * lam[m] - mu[rows])
        self.paid.follow(-mu)
        self.cover.follow(mu)
        self.idle.follow(lam)
        if self.spot is not None:
            self.spot.follow(mu)

    def shift(self, level_step: Floats) -> None:
        """Moves the prices alone, as if the slots' levels had moved by `level_step` (K+M,) from where they fit."""
        classes, hours = self.usage.shape
        right = np.repeat(-level_step[:classes, None], hours, axis=1)
        lam = self._budget_prices(right, np.repeat(-level_step[classes:, None], hours, axis=1))
        right /= self.diagonal
        for m, (rows, share) in enumerate(zip(self.rows, self.shares, strict=True)):
            right[rows] += share * lam[m]
        self.cover.dual = np.maximum(self.cover.dual + right, 0.0)
        self.idle.dual = np.maximum(self.idle.dual + lam, 0.0)


def _inverse(arrow: Floats) -> Floats:
    """Of every hour's (M, M) matrix; `arrow` is (M, M, h). Definite by construction, whatever cancels.

    Budgets with proportional rates are told apart by their idle parts alone, so pivots may vanish: they are floored.
    """
    budgets = arrow.shape[0]
    if budgets <= 1:
        return 1.0 / arrow
    lower = np.zeros_like(arrow)  # the inverse of the unit lower factor, built row by row
    pivots = np.empty(arrow.shape[1:])
    for j in range(budgets):
        lower[j, j] = 1.0
        for i in range(j):
            # Entry (j, i) of the factor, from the rows already inverted.
            entry = np.einsum("kh,kh->h", arrow[j, :j], lower[i, :j]) / pivots[i]
            lower[j, :j] -= entry * lower[i, :j]
        row = lower[j, : j + 1]
        pivot = np.einsum("ah,abh,bh->h", row, arrow[: j + 1, : j + 1], row)
        pivots[j] = np.maximum(pivot, _DEFINITE * arrow[j, j])
    inverse: Floats = np.einsum("jah,jbh,jh->abh", lower, lower, 1.0 / pivots)
    return inverse
