"""A positive variable and its positive dual slack, whose product the interior-point method drives to a small number."""

from dataclasses import dataclass, field

import numpy as np

from trimtab_service.purchasing.program import Floats

_FLOOR = 1e-40
"""Rounding may not push a positive number to zero."""

_NOTHING = np.empty((0, 0))


@dataclass(slots=True, eq=False)
class Pair:
    """`value` and `dual` (rows, h); `lift` is what the step of `value` would be were the dual to stand still."""

    value: Floats
    dual: Floats
    lift: Floats = field(default_factory=lambda: _NOTHING)
    value_step: Floats = field(default_factory=lambda: _NOTHING)
    dual_step: Floats = field(default_factory=lambda: _NOTHING)

    def predict(self) -> None:
        """Aims at products of zero."""
        self.lift = -self.value

    def correct(self, aim: Floats | float) -> Floats:
        """Aims at products of `aim` less those of the predicted directions (Mehrotra); what that adds to `lift`."""
        more = self.value_step * self.dual_step
        np.subtract(aim, more, out=more)
        more /= self.dual
        self.lift += more
        return more

    def follow(self, dual_step: Floats) -> None:
        """The direction of the dual is known; the variable's follows from the product aimed at."""
        self.dual_step = dual_step
        step = self.value / self.dual
        step *= dual_step
        np.subtract(self.lift, step, out=step)
        self.value_step = step

    def falls(self) -> tuple[float, float]:
        """The largest relative fall of the variable and of the dual in a full step."""
        return (
            -float(np.min(self.value_step / self.value, initial=0.0)),
            -float(np.min(self.dual_step / self.dual, initial=0.0)),
        )

    def product(self, weights: Floats | None) -> float:
        """Sum of the products, hours weighted."""
        return _dot(self.value, self.dual, weights)

    def product_after(self, primal: float, dual: float, weights: Floats | None) -> float:
        """The same after steps of these lengths."""
        return (
            _dot(self.value, self.dual, weights)
            + primal * _dot(self.value_step, self.dual, weights)
            + dual * _dot(self.value, self.dual_step, weights)
            + primal * dual * _dot(self.value_step, self.dual_step, weights)
        )

    def advance(self, primal: float, dual: float) -> None:
        """Takes the step."""
        self.value_step *= primal
        self.value += self.value_step
        np.maximum(self.value, _FLOOR, out=self.value)
        self.dual_step *= dual
        self.dual += self.dual_step
        np.maximum(self.dual, _FLOOR, out=self.dual)


def _dot(left: Floats, right: Floats, weights: Floats | None) -> float:
    if weights is None:
        return float(np.vdot(left, right))
    return float(np.einsum("kh,kh,h->", left, right, weights))
