"""A positive variable and its positive dual slack, whose product the interior-point method drives to a small number."""

from dataclasses import dataclass, field

import numpy as np

from trimtab_service.purchasing.program import Floats

_NOTHING = np.empty((0, 0))


@dataclass(slots=True, eq=False)
class Pair:
    """`value` and `dual` (rows, h); `ratio` is their quotient where `weigh` took it; `gap` their weighted product.

    `lift` is what the step of `value` would be were the dual to stand still; None while aiming at products of zero.
    """

    value: Floats
    dual: Floats
    ratio: Floats = field(default_factory=lambda: _NOTHING)
    lift: Floats | None = None
    value_step: Floats = field(default_factory=lambda: _NOTHING)
    dual_step: Floats = field(default_factory=lambda: _NOTHING)
    gap: float = 0.0

    def weigh(self) -> Floats:
        """Takes the quotient: how far the variable moves per unit of its dual."""
        self.ratio = self.value / self.dual
        return self.ratio

    def predict(self) -> None:
        """Aims at products of zero."""
        self.lift = None

    def correct(self, aim: Floats | float) -> Floats:
        """Aims at products of `aim` less those of the predicted directions (Mehrotra); what that adds to the lift."""
        more = self.value_step * self.dual_step
        np.subtract(aim, more, out=more)
        more /= self.dual
        self.lift = more - self.value
        return more

    def follow(self, dual_step: Floats) -> None:
        """The direction of the dual is known; the variable's follows from the product aimed at."""
        self.dual_step = dual_step
        step = self.ratio * dual_step
        if self.lift is None:
            step += self.value
            np.negative(step, out=step)
        else:
            np.subtract(self.lift, step, out=step)
        self.value_step = step

    def falls(self) -> tuple[float, float]:
        """The largest relative fall of the variable and of the dual in a full step."""
        relative = self.dual_step / self.dual
        dual = -float(np.minimum.reduce(relative, axis=None, initial=0.0))
        if self.lift is None:  # both relative changes add up to -1
            return 1.0 + float(np.maximum.reduce(relative, axis=None, initial=-1.0)), dual
        np.divide(self.value_step, self.value, out=relative)
        return -float(np.minimum.reduce(relative, axis=None, initial=0.0)), dual

    def product(self, weights: Floats | None) -> float:
        """Sum of the products, hours weighted."""
        self.gap = _dot(self.value, self.dual, weights)
        return self.gap

    def product_after(self, primal: float, dual: float, weights: Floats | None) -> float:
        """The same after steps of these lengths along directions that aim at products of zero."""
        across = _dot(self.value, self.dual_step, weights)
        # value x dual_step + value_step x dual = -value x dual, so the other cross term need not be summed.
        return (
            (1.0 - primal) * self.gap
            + (dual - primal) * across
            + primal * dual * _dot(self.value_step, self.dual_step, weights)
        )

    def advance(self, primal: float, dual: float) -> None:
        """Takes the step, which ends short of zero."""
        self.value_step *= primal
        self.value += self.value_step
        self.dual_step *= dual
        self.dual += self.dual_step


def _dot(left: Floats, right: Floats, weights: Floats | None) -> float:
    if weights is None:
        return float(np.vdot(left, right))
    return float(np.einsum("kh,kh,h->", left, right, weights))
