"""The purchase problem as arrays: a convex, piecewise linear program with few variables and many hours.

A *class* is a kind of usage that a locked plan covers whole (a family in a region). A *budget* is a flexible plan: an
hourly amount that many classes draw from, each at its own rate. A *slot* is what is bought: slots 0..K-1 are the
classes' locked cover, slots K..K+M-1 the budgets. A *column* is one purchase: it raises one slot's level in the
segments that its term covers, at a cost per unit over the horizon.

Hour t costs what is left after locked cover c and budgets C, drawn as cheaply as the plans allow:

    min sum_k (1 x base_k + s_k x spot_k)   with   base_k + spot_k + sum_m y_mk >= u_kt - c_k,   sum_k r_mk y_mk <= C_m

(u in on-demand money per hour, r in plan money per on-demand money). With one budget its value is the closed form
sum_j delta_j (S_jt - C)+ of the marginal class, and the provider's fill order attains it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEVER: Final = np.inf
"""The rate of a class that a budget does not cover."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """n purchases: `slot` (n,) what each raises, `cost` (n,) per unit over the horizon, `covers` (S, n) when."""

    slot: NDArray[np.int64]
    cost: Floats
    covers: NDArray[np.bool_]

    def levels(self, amounts: Floats, slots: int) -> Floats:
        """(slots, S): the level that `amounts` (n,) add to each slot in each segment."""
        raised = np.zeros((slots, self.covers.shape[0]))
        np.add.at(raised, self.slot, (self.covers * amounts).T)
        return raised

    def reached(self, slot_values: Floats) -> Floats:
        """(n,): the sum over the covered segments of `slot_values` (slots, S): the transpose of `levels`."""
        reached: Floats = np.einsum("sn,ns->n", self.covers, slot_values[self.slot])
        return reached


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """One pool of classes and budgets over H weighted hours in S segments; everything is finite and non-negative.

    `usage` (K, H) on-demand money per hour; `weights` (H,) how often the hour counts; `segments` (S+1,) bounds of the
    hours between which no term starts or ends; `rates` (M, K), NEVER outside a budget's scope; `existing` (K+M, S)
    levels that are already owned; `spot_price` (K,) and `spot_room` (K, H): the part of usage that may run at that
    share of the on-demand price; `caps` (c, n) and `cap_limits` (c,): caps @ amounts <= cap_limits.
    """

    usage: Floats
    weights: Floats
    segments: NDArray[np.int64]
    rates: Floats
    existing: Floats
    columns: Columns
    spot_price: Floats
    spot_room: Floats | None
    caps: Floats
    cap_limits: Floats

    @property
    def classes(self) -> int:
        """K."""
        return int(self.usage.shape[0])

    @property
    def budgets(self) -> int:
        """M."""
        return int(self.rates.shape[0])

    @property
    def slots(self) -> int:
        """K + M."""
        return self.classes + self.budgets

    def levels(self, amounts: Floats) -> Floats:
        """(K+M, S): what is in force when `amounts` (n,) are bought."""
        return self.existing + self.columns.levels(amounts, self.slots)

    def segment_slices(self) -> list[slice]:
        """The hours of each segment."""
        bounds = self.segments.tolist()
        return [slice(start, stop) for start, stop in pairwise(bounds)]

    def segment_weights(self) -> Floats:
        """(S,): weighted hours of each segment."""
        return np.array([self.weights[hours].sum() for hours in self.segment_slices()])


def single_period(usage: Floats, locked_rates: Floats, flexible_rates: Floats | None) -> Program:
    """One locked plan a class at `locked_rates` (K,), one flexible plan at `flexible_rates` (K,) or none."""
    classes, hours = usage.shape
    budgets = 0 if flexible_rates is None else 1
    slots = classes + budgets
    return Program(
        usage=np.ascontiguousarray(usage, dtype=np.float64),
        weights=np.ones(hours),
        segments=np.array([0, hours]),
        rates=np.empty((0, classes)) if flexible_rates is None else np.asarray(flexible_rates, float)[None, :],
        existing=np.zeros((slots, 1)),
        columns=Columns(
            slot=np.arange(slots),
            cost=hours * np.concatenate([np.asarray(locked_rates, float), np.ones(budgets)]),
            covers=np.ones((1, slots), bool),
        ),
        spot_price=np.ones(classes),
        spot_room=None,
        caps=np.empty((0, slots)),
        cap_limits=np.empty(0),
    )
