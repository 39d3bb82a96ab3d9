"""Offers before the optimiser: what they really cost, and which of them cannot be part of a best plan.

Paying ahead costs what the money would have earned: a share f of the term's price paid at once, at a yearly cost of
capital i over T years, is worth f iT / (1 - exp(-iT)) of the same price paid hour by hour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.purchasing import DroppedOffer, PlanOffer, PurchaseLimits, UsageKey
from trimtab_service.domain.reasons import DroppedReason, ErrorReason
from trimtab_service.purchasing.program import NEVER, Floats

_YEAR: Final = timedelta(days=365)


@dataclass(frozen=True, slots=True, eq=False)
class PricedOffer:
    """`rates` (K,) levelised plan money per on-demand money, NEVER out of scope; `levelling` what paying ahead adds."""

    offer: PlanOffer
    rates: Floats
    levelling: float

    @property
    def scope(self) -> frozenset[int]:
        """The usage rows that it covers."""
        return frozenset(np.flatnonzero(np.isfinite(self.rates)).tolist())


@dataclass(frozen=True, slots=True, eq=False)
class Screened:
    """What is left, and why the rest is not."""

    offers: tuple[PricedOffer, ...]
    dropped: tuple[DroppedOffer, ...]


def levelling_factor(offer: PlanOffer, cost_of_capital: float) -> float:
    """What a unit of the plan's price is worth when its upfront part is paid at once; 1 without cost of capital."""
    burden = cost_of_capital * (offer.term / _YEAR)
    if burden <= 0.0 or offer.upfront_fraction <= 0.0:
        return 1.0
    return 1.0 - offer.upfront_fraction + offer.upfront_fraction * burden / -math.expm1(-burden)


def priced(offer: PlanOffer, keys: Sequence[UsageKey], cost_of_capital: float) -> PricedOffer:
    """The offer over the usage rows `keys`."""
    factor = levelling_factor(offer, cost_of_capital)
    rates = np.array([offer.rate_of(key) * factor if offer.covers(key) else NEVER for key in keys])
    return PricedOffer(offer, rates, factor)


def screen(
    offers: Sequence[PlanOffer],
    keys: Sequence[UsageKey],
    limits: PurchaseLimits,
    cost_of_capital: float,
    *,
    terms_matter: bool,
) -> Screened:
    """Offers that may be part of a best plan. With `terms_matter` only offers of one term dominate one another.

    Raises InvalidArgumentError for offers that cannot be right: no term, a rate that is not a positive number, an
    upfront share outside [0, 1], mixed currencies, an id that comes twice.
    """
    _require_sound(offers)
    dropped: list[DroppedOffer] = []
    left: list[PricedOffer] = []
    for offer in sorted(offers, key=lambda offer: offer.offer_id):
        candidate = priced(offer, keys, cost_of_capital)
        reason = _alone(candidate, limits)
        if reason is None:
            left.append(candidate)
        else:
            dropped.append(DroppedOffer(offer.offer_id, reason))
    kept: list[PricedOffer] = []
    # Cheaper first, so that what dominates is met before what it dominates; ties by id, once.
    for candidate in sorted(left, key=lambda c: (-len(c.scope), float(c.rates[np.isfinite(c.rates)].sum()))):
        by = next((k for k in kept if _dominates(k, candidate, terms_matter=terms_matter)), None)
        if by is None:
            kept.append(candidate)
        else:
            dropped.append(DroppedOffer(candidate.offer.offer_id, DroppedReason.DOMINATED, by.offer.offer_id))
    kept.sort(key=lambda candidate: candidate.offer.offer_id)
    return Screened(tuple(kept), tuple(sorted(dropped, key=lambda drop: drop.offer_id)))


def _alone(candidate: PricedOffer, limits: PurchaseLimits) -> DroppedReason | None:
    offer = candidate.offer
    if limits.terms is not None and offer.term not in limits.terms:
        return DroppedReason.TERM_NOT_ALLOWED
    if limits.payments is not None and offer.payment not in limits.payments:
        return DroppedReason.PAYMENT_NOT_ALLOWED
    if not candidate.scope:
        return DroppedReason.NO_USAGE
    if float(candidate.rates.min()) >= 1.0:
        return DroppedReason.DEARER_THAN_ON_DEMAND
    return None


def _dominates(one: PricedOffer, other: PricedOffer, *, terms_matter: bool) -> bool:
    """Whether `one` does all that `other` does for no more.

    A spend plan over a wider scope serves for a narrower one at the same rates. A locked plan bound to several rows
    covers them as one budget; only of the same scope are locked and flexible alike.
    """
    if terms_matter and one.offer.term != other.offer.term:
        return False
    if not one.scope >= other.scope:
        return False
    inside = np.isfinite(other.rates)
    return bool(np.all(one.rates[inside] <= other.rates[inside]))


def _require_sound(offers: Sequence[PlanOffer]) -> None:
    violations = []
    for index, offer in enumerate(offers):
        field = f"offers[{index}]"
        if offer.term <= timedelta(0):
            violations.append(Violation(f"{field}.term", ErrorReason.OUT_OF_RANGE, "a plan has a term"))
        violations.extend(
            Violation(f"{field}.rate", ErrorReason.OUT_OF_RANGE, f"{rate} is not a rate")
            for rate in (offer.rate, *offer.rates.values())
            if not (math.isfinite(rate) and rate > 0.0)
        )
        if not 0.0 <= offer.upfront_fraction <= 1.0:
            text = f"{offer.upfront_fraction} is not between 0 and 1"
            violations.append(Violation(f"{field}.upfront_fraction", ErrorReason.OUT_OF_RANGE, text))
    if len({offer.currency for offer in offers}) > 1:
        violations.append(Violation("offers", ErrorReason.CONTRADICTION, "offers are in several currencies"))
    ids = [offer.offer_id for offer in offers]
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        violations.append(Violation("offers", ErrorReason.CONTRADICTION, f"the id {twice!r} comes twice"))
    if violations:
        raise InvalidArgumentError(violations)
