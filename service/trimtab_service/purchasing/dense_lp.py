"""A small dense linear program: min c x, A x = b, x >= 0, by Mehrotra's interior point. For tens of variables."""

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

        def direction(
            aim: Floats,
            primal: Floats = primal,
            dual: Floats = dual,
            scaling: Floats = scaling,
            matrix: Floats = matrix,
            z: Floats = z,
        ) -> tuple[Floats, Floats, Floats]:
            dy = np.linalg.solve(matrix, primal + rows @ (scaling * dual - aim / z))
            dz = dual - rows.T @ dy
            return aim / z - scaling * dz, dy, dz

        dx, dy, dz = direction(-x * z)
        after = float((x + _length(x, dx) * dx) @ (z + _length(z, dz) * dz)) / count
        dx, dy, dz = direction((after / gap) ** 3 * gap - x * z - dx * dz)
        step, slack = min(1.0, 0.99 * _length(x, dx)), min(1.0, 0.99 * _length(z, dz))
        x, y, z = x + step * dx, y + slack * dy, z + slack * dz
    return x, y


def _length(value: Floats, step: Floats) -> float:
    fall = float(np.max(-step / value))
    return 1.0 / max(fall, 0.99)
