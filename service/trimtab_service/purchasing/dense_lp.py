"""A small dense linear program: min c x, A x = b, x >= 0, by Mehrotra's interior point. For tens of variables."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from trimtab_service.purchasing.program import Floats

_ITERATIONS: Final = 60
_TOLERANCE: Final = 1e-13
_SPENT: Final = 1e-17
_REGULAR: Final = 1e-13


def solve(cost: Floats, rows: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Solution (n,) and the rows' duals (m,) of a program that has an optimum."""
    count = cost.size
    x, z, y = np.ones(count), np.ones(count), np.zeros(right.size)
    for _ in range(_ITERATIONS):
        primal, dual = right - rows @ x, cost - rows.T @ y - z
        gap = float(x @ z) / count
        if gap < _SPENT:
            break
        if gap < _TOLERANCE and np.abs(primal).max() < _TOLERANCE and np.abs(dual).max() < _TOLERANCE:
            break
        scaling = x / z
        matrix = (rows * scaling) @ rows.T
        matrix[np.diag_indices_from(matrix)] += _REGULAR * (1.0 + np.diagonal(matrix))
        newton = _Newton(rows, primal, dual, scaling, matrix, z)
        dx, dy, dz = newton.towards(-x * z)
        after = float((x + _length(x, dx) * dx) @ (z + _length(z, dz) * dz)) / count
        dx, dy, dz = newton.towards((after / gap) ** 3 * gap - x * z - dx * dz)
        step, slack = min(1.0, 0.99 * _length(x, dx)), min(1.0, 0.99 * _length(z, dz))
        x, y, z = x + step * dx, y + slack * dy, z + slack * dz
    return x, y


@dataclass(frozen=True, slots=True, eq=False)
class _Newton:
    """The Newton system of one iteration."""

    rows: Floats
    primal: Floats
    dual: Floats
    scaling: Floats
    matrix: Floats
    slack: Floats

    def towards(self, aim: Floats) -> tuple[Floats, Floats, Floats]:
        """Directions of x, y and z that change the products x z by `aim`."""
        right = self.primal + self.rows @ (self.scaling * self.dual - aim / self.slack)
        dy = np.asarray(np.linalg.solve(self.matrix, right), dtype=np.float64)
        dz = self.dual - self.rows.T @ dy
        return np.asarray(aim / self.slack - self.scaling * dz), dy, np.asarray(dz)


def _length(value: Floats, step: Floats) -> float:
    fall = float(np.max(-step / value))
    return 1.0 / max(fall, 0.99)
