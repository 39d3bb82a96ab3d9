"""What a purchase plan says: tranches, their money and risk, the certificate, alternatives."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.purchasing import DroppedOffer, Payment
from trimtab_service.domain.reasons import DemandNote
from trimtab_service.purchasing.optimiser import Ending
from trimtab_service.purchasing.pools import Pool
from trimtab_service.purchasing.program import Floats
from trimtab_service.purchasing.rebilling import PlanBill


@dataclass(frozen=True, slots=True)
class Tranche:
    """One purchase. Money is the offer's own, at its rates; `family` and `region` are empty where it floats.

    `per_hour` is the commitment, `upfront` paid at once, `per_month` (730 h) besides, `total` over the term.
    `utilisation` over the horizon; `break_even_utilisation` the use below which it loses money; `break_even_month` when
    what was paid is earned back, None if never; `fall_tolerance` how far all usage may fall before it loses money;
    `return_until` the last instant at which it can be handed back, None where it cannot.
    """

    offer_id: str
    kind: CommitmentKind
    family: str
    region: str
    payment: Payment
    start_time: datetime
    end_time: datetime
    per_hour: Decimal
    units: int
    upfront: Decimal
    per_month: Decimal
    total: Decimal
    utilisation: float
    break_even_utilisation: float
    break_even_month: float | None
    fall_tolerance: float
    return_until: datetime | None


@dataclass(frozen=True, slots=True)
class Figures:
    """A portfolio over the horizon: `cost` and what the same usage costs `on_demand`, in money of the horizon.

    `per_hour` is the most new plan money an hour that is in force at once.
    """

    name: str
    cost: float
    on_demand: float
    coverage: float
    utilisation: float
    per_hour: float = 0.0

    @property
    def savings(self) -> float:
        """On demand less cost."""
        return self.on_demand - self.cost

    @property
    def effective_savings_rate(self) -> float:
        """1 - cost over on demand."""
        return 1.0 - self.cost / self.on_demand if self.on_demand > 0.0 else 0.0


@dataclass(frozen=True, slots=True)
class Rebilled:
    """The rounded plan billed in the provider's order over the same hours, and its cost over the bound less one."""

    bill: PlanBill
    gap_to_bound: float

    @property
    def cost(self) -> Decimal:
        """All that is paid."""
        return self.bill.cost


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """`bound` no portfolio undercuts, `gap` = (cost - bound) / cost, `ending`: is it a relaxation, was it stopped.

    `shadow_prices` (H,) by hour of the timeline: what one more unit of flexible plan money would have saved, the most
    over the pools; `statements` and `prices`, a pool each, are what `trimtab.certificates` checks.
    """

    bound: float
    gap: float
    ending: Ending
    shadow_prices: Floats
    statements: tuple[Mapping[str, Any], ...]
    prices: tuple[Mapping[str, Any], ...]
    amounts: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class ScenarioFigure:
    """The plan in one future: its cost, the least possible there and the regret between, the share of plans used."""

    name: str
    cost: float
    best: float
    utilisation: float

    @property
    def regret(self) -> float:
        """Cost over the least possible, less one."""
        return self.cost / self.best - 1.0 if self.best > 0.0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class RiskFigures:
    """Over the fan of futures drawn from the history: see `fan`. Shares are of plan money.

    `below_break_even_by_slot` holds for each pool (K+M,) the share of futures in which a slot's plans lose money.
    """

    probability_below_break_even: float
    probability_below_90_percent: float
    cvar_95: float
    expected_cost: float
    scenarios: tuple[ScenarioFigure, ...]
    below_break_even_by_slot: tuple[Floats, ...]


@dataclass(frozen=True, slots=True, eq=False)
class PurchasePlan:
    """The answer: `figures` of the plan, `alternatives` beside it, `risk` None where not asked for or time was up."""

    tranches: tuple[Tranche, ...]
    figures: Figures
    certificate: Certificate
    rebilled: Rebilled | None
    alternatives: tuple[Figures, ...]
    risk: RiskFigures | None
    dropped: tuple[DroppedOffer, ...]
    notes: tuple[DemandNote, ...]
    pools: tuple[Pool, ...]
