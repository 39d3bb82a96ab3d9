"""The purchase program as a plain linear program for HiGHS: a reference that shares no code with the engine.

Rows: cover of every class and hour, every budget and hour, the caps. Columns: purchases, drawn, paid, spot.
"""

import time
from dataclasses import dataclass

import highspy
import numpy as np
from scipy import sparse

from trimtab_service.purchasing.program import Program


@dataclass(frozen=True, slots=True)
class Reference:
    """What HiGHS says: the least cost, the purchases, seconds of the solve call alone, and whether it finished."""

    cost: float
    amounts: np.ndarray
    seconds: float
    finished: bool


def solve_with_highs(program: Program, method: str = "ipm", limit_seconds: float = 300.0) -> Reference:
    """One thread, default tolerances; crossover as HiGHS has it by default."""
    matrix, cost, upper, row_lower, row_upper = _linear_program(program)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = matrix.shape[1], matrix.shape[0]
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, np.zeros(cost.size), upper
    model.row_lower_, model.row_upper_ = row_lower, row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    solver = highspy.Highs()  # type: ignore[no-untyped-call] # its constructor is not annotated
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("solver", method)
    solver.setOptionValue("time_limit", float(limit_seconds))
    solver.passModel(model)
    started = time.perf_counter()
    solver.run()
    seconds = time.perf_counter() - started
    finished = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    solution = np.array(solver.getSolution().col_value)
    purchases = program.columns.cost.size
    return Reference(float(solver.getInfo().objective_function_value), solution[:purchases], seconds, finished)


def _linear_program(
    program: Program,
) -> tuple[sparse.csc_matrix, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    classes, hours = program.usage.shape
    budgets, bought = program.budgets, program.columns.cost.size
    segment = np.repeat(np.arange(program.existing.shape[1]), np.diff(program.segments))
    weights = program.weights
    covers = program.columns.covers[segment].astype(float)  # (H, n)
    owned = program.existing[:, segment]
    drawn = [(m, k) for m in range(budgets) for k in range(classes) if np.isfinite(program.rates[m, k])]
    width = bought + hours * (len(drawn) + 2 * classes)
    rows, columns, values = [], [], []

    def add(row: np.ndarray, column: np.ndarray, value: np.ndarray) -> None:
        keep = np.broadcast_to(value, row.shape) != 0.0
        rows.append(row[keep])
        columns.append(column[keep])
        values.append(np.broadcast_to(value, row.shape)[keep])

    clock = np.arange(hours)
    for i in range(bought):
        add(int(program.columns.slot[i]) * hours + clock, np.full(hours, i), covers[:, i])
    for p, (m, k) in enumerate(drawn):
        add(k * hours + clock, bought + p * hours + clock, np.ones(hours))
        add((classes + m) * hours + clock, bought + p * hours + clock, np.full(hours, -program.rates[m, k]))
    paid = bought + len(drawn) * hours
    for k in range(classes):
        add(k * hours + clock, paid + k * hours + clock, np.ones(hours))
        add(k * hours + clock, paid + (classes + k) * hours + clock, np.ones(hours))
    below = (classes + budgets) * hours
    for c in range(program.cap_limits.size):
        add(np.full(bought, below + c), np.arange(bought), program.caps[c])
    matrix = sparse.csc_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(below + program.cap_limits.size, width),
    )
    cost = np.concatenate(
        [
            program.columns.cost,
            np.zeros(len(drawn) * hours),
            np.tile(weights, classes),
            (program.spot_price[:, None] * weights).ravel(),
        ]
    )
    upper = np.full(width, np.inf)
    room = np.zeros((classes, hours)) if program.spot_room is None else program.spot_room
    upper[paid + classes * hours :] = room.ravel()
    row_lower = np.concatenate(
        [(program.usage - owned[:classes]).ravel(), -owned[classes:].ravel(), np.full(program.cap_limits.size, -np.inf)]
    )
    row_upper = np.concatenate([np.full(below, np.inf), program.cap_limits])
    return matrix, cost, upper, row_lower, row_upper
