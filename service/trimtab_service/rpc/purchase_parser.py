"""Parses what a purchase plan is asked with: offers, owned plans, spot, changes, scenarios, limits."""

import math
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.purchasing import (
    ChangeKind,
    CommitmentBasis,
    DeclaredChange,
    OwnedLevel,
    Payment,
    PlanOffer,
    Preference,
    ProviderQuote,
    PurchaseLimits,
    RiskAim,
    Scenario,
    SpotShare,
    UsageKey,
)
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import bounds
from trimtab_service.rpc.commitment_codec import KINDS
from trimtab_service.rpc.demand_parser import money_nanos
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import CLOUD_OF

MAX_OFFERS: Final = 1_000
MAX_OWNED: Final = 10_000
MAX_ENTRIES: Final = 1_024
MAX_SCENARIOS: Final = 256
MAX_PURCHASE_TIMES: Final = 120
_MAX_NAME: Final = 128
_MAX_RATES: Final = 4_096
_MAX_FACTOR: Final = 1_000.0
_LEAST: Final = 1e-6
"""Of rates and factors: what they make of usage has to stay a number to reckon with."""
_MAX_TERM_H: Final = 5 * 8_784.0
_MAX_HORIZON_H: Final = 10 * 8_784.0
_NANOS: Final = 1e9
_NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)

PAYMENTS: Final[Mapping[int, Payment]] = {
    pb.PAYMENT_OPTION_UNSPECIFIED: Payment.NO_UPFRONT,
    pb.PAYMENT_OPTION_NO_UPFRONT: Payment.NO_UPFRONT,
    pb.PAYMENT_OPTION_PARTIAL_UPFRONT: Payment.PARTIAL_UPFRONT,
    pb.PAYMENT_OPTION_ALL_UPFRONT: Payment.ALL_UPFRONT,
}
_BASES: Final[Mapping[int, CommitmentBasis]] = {
    pb.COMMITMENT_BASIS_UNSPECIFIED: CommitmentBasis.DISCOUNTED,
    pb.COMMITMENT_BASIS_DISCOUNTED: CommitmentBasis.DISCOUNTED,
    pb.COMMITMENT_BASIS_ON_DEMAND: CommitmentBasis.ON_DEMAND,
}
_CHANGES: Final[Mapping[int, ChangeKind]] = {
    pb.DeclaredChange.KIND_RETIRES: ChangeKind.RETIRES,
    pb.DeclaredChange.KIND_SCALES: ChangeKind.SCALES,
    pb.DeclaredChange.KIND_MIGRATES: ChangeKind.MIGRATES,
}
_PREFERENCES: Final[Mapping[int, Preference]] = {
    pb.RISK_PREFERENCE_UNSPECIFIED: Preference.EXPECTED_COST,
    pb.RISK_PREFERENCE_EXPECTED_COST: Preference.EXPECTED_COST,
    pb.RISK_PREFERENCE_CVAR: Preference.CVAR,
    pb.RISK_PREFERENCE_MAXIMUM_REGRET: Preference.MAXIMUM_REGRET,
}


def require_one_scope(offers: Iterable[tuple[str, PlanOffer]], keys: Collection[UsageKey]) -> None:
    """Raises InvalidArgumentError for offers, by their fields, that float where the provider's product is bound."""
    why = "binds to one family in one region, and the usage in its scope is of several: name them, an offer for each"
    loose = [at for at, offer in offers if not offer.is_one_scope(keys)]
    if loose:
        raise InvalidArgumentError([Violation(f"{at}.family", ErrorReason.CONTRADICTION, why) for at in loose])


class PurchaseParser:
    """Reads the parts of one request, in its one currency; faults are noted in `found`."""

    def __init__(self, currency: str, found: Violations) -> None:
        self._currency = currency
        self._found = found

    def offers(self, messages: "list[pb.PurchaseOffer]", at: str) -> tuple[PlanOffer, ...]:
        """Offers of distinct ids."""
        if not bounds.few(self._found, at, len(messages), MAX_OFFERS):
            return ()
        offers = [self.offer(message, f"{at}[{index}]") for index, message in enumerate(messages)]
        seen: set[str] = set()
        for index, offer in enumerate(offers):
            if not offer.offer_id:
                self._found.add((f"{at}[{index}]", "offer_id"), ErrorReason.FIELD_REQUIRED, "name the offer")
            elif offer.offer_id in seen:
                self._found.add((f"{at}[{index}]", "offer_id"), ErrorReason.CONTRADICTION, "the id is taken")
            seen.add(offer.offer_id)
        return tuple(offers)

    def offer(self, message: pb.PurchaseOffer, at: FieldPath) -> PlanOffer:
        """One offer; its id may be empty."""
        found = self._found
        kind, cloud = KINDS.get(message.kind), CLOUD_OF.get(message.cloud)
        if kind is None:
            found.add((at, "kind"), ErrorReason.FIELD_REQUIRED, "say the provider's product")
        if cloud is None:
            found.add((at, "cloud"), ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
        if kind is not None and cloud is not None and not kind.value.startswith(cloud.value):
            found.add((at, "cloud"), ErrorReason.CONTRADICTION, f"{kind.value} is not sold by {cloud.value}")
        payment = PAYMENTS.get(message.payment)
        if payment is None:
            found.add((at, "payment"), ErrorReason.UNKNOWN_VALUE, "not a payment option")
        basis = _BASES.get(message.commitment_basis)
        if basis is None:
            found.add((at, "commitment_basis"), ErrorReason.UNKNOWN_VALUE, "not a basis")
        upfront = bounds.number(found, (at, "upfront_fraction"), message.upfront_fraction, 1.0)
        payment = payment or Payment.NO_UPFRONT
        if payment is Payment.ALL_UPFRONT and not message.upfront_fraction:
            upfront = 1.0
        if payment is Payment.NO_UPFRONT and upfront:
            found.add((at, "upfront_fraction"), ErrorReason.CONTRADICTION, "NO_UPFRONT pays nothing at once")
        return PlanOffer(
            offer_id=bounds.text(found, (at, "offer_id"), message.offer_id, _MAX_NAME),
            kind=kind or CommitmentKind.AWS_COMPUTE_SAVINGS_PLAN,
            cloud=cloud or Cloud.AWS,
            term=timedelta(hours=self._term(message, at)),
            rate=self._rate(message.rate, (at, "rate")),
            family=bounds.text(found, (at, "family"), message.family, _MAX_NAME),
            region=bounds.text(found, (at, "region"), message.region, _MAX_NAME),
            sku=bounds.text(found, (at, "sku"), message.sku, _MAX_NAME),
            payment=payment,
            upfront_fraction=upfront,
            rates=self._rates(message, at),
            basis=basis or CommitmentBasis.DISCOUNTED,
            unit_per_hour=self._unit(message, at),
            currency=self._currency,
            quote=self._quote(message, at),
        )

    def owned(self, messages: "list[pb.OwnedPlan]", at: str) -> tuple[OwnedLevel, ...]:
        """What is owned."""
        found = self._found
        if not bounds.few(found, at, len(messages), MAX_OWNED):
            return ()
        levels = []
        for index, message in enumerate(messages):
            here = f"{at}[{index}]"
            if not message.commitment_id:
                found.add((here, "commitment_id"), ErrorReason.FIELD_REQUIRED, "name the commitment")
            start = self._instant(message, "start_time", here)
            end = self._instant(message, "end_time", here)
            if start >= end and end is not _NEVER:
                found.add((here, "end_time"), ErrorReason.CONTRADICTION, "is not after start_time")
            levels.append(
                OwnedLevel(
                    bounds.text(found, (here, "commitment_id"), message.commitment_id, _MAX_NAME),
                    self.offer(message.offer, (here, "offer")),
                    money_nanos(found, (here, "commitment_per_hour"), message.commitment_per_hour, self._currency)
                    / _NANOS,
                    start,
                    end,
                    bounds.text(found, (here, "account"), message.account, _MAX_NAME),
                )
            )
        return tuple(levels)

    def spot(self, messages: "list[pb.SpotUse]") -> tuple[SpotShare, ...]:
        """Spot that may be used."""
        found = self._found
        if not bounds.few(found, "spot", len(messages), MAX_ENTRIES):
            return ()
        shares = []
        for index, message in enumerate(messages):
            at = f"spot[{index}]"
            if not 0.0 < message.on_demand_fraction < 1.0:
                found.add((at, "on_demand_fraction"), ErrorReason.OUT_OF_RANGE, "must be above 0 and below 1")
            shares.append(
                SpotShare(
                    self._cloud(message.cloud, at),
                    self._family(message.family, (at, "family")),
                    bounds.number(found, (at, "share"), message.share, 1.0),
                    message.on_demand_fraction,
                    bounds.text(found, (at, "region"), message.region, _MAX_NAME),
                )
            )
        return tuple(shares)

    def changes(self, messages: "list[pb.DeclaredChange]") -> tuple[DeclaredChange, ...]:
        """What is known of the future."""
        found = self._found
        if not bounds.few(found, "changes", len(messages), MAX_ENTRIES):
            return ()
        changes = []
        for index, message in enumerate(messages):
            at = f"changes[{index}]"
            kind = _CHANGES.get(message.kind)
            if kind is None:
                found.add((at, "kind"), ErrorReason.FIELD_REQUIRED, "say what changes")
            if (kind is ChangeKind.MIGRATES) != bool(message.to_family):
                found.add((at, "to_family"), ErrorReason.CONTRADICTION, "goes with MIGRATES, and only with it")
            changes.append(
                DeclaredChange(
                    kind or ChangeKind.RETIRES,
                    self._cloud(message.cloud, at),
                    self._family(message.family, (at, "family")),
                    self._instant(message, "effective_time", at),
                    self._factor((at, "factor"), message.factor) or 1.0,
                    bounds.text(found, (at, "to_family"), message.to_family, _MAX_NAME),
                    bounds.text(found, (at, "region"), message.region, _MAX_NAME),
                )
            )
        return tuple(changes)

    def scenarios(self, messages: "list[pb.DemandScenario]") -> tuple[Scenario, ...]:
        """Futures, whose probabilities sum to 1."""
        found = self._found
        if not bounds.few(found, "scenarios", len(messages), MAX_SCENARIOS):
            return ()
        scenarios = []
        for index, message in enumerate(messages):
            at = f"scenarios[{index}]"
            if not message.scenario_id:
                found.add((at, "scenario_id"), ErrorReason.FIELD_REQUIRED, "name the future")
            if bounds.few(found, (at, "family_scales"), len(message.family_scales), _MAX_RATES):
                for family, scale in message.family_scales.items():
                    self._factor((at, f"family_scales[{family[:64]!r}]"), scale)
            scenarios.append(
                Scenario(
                    bounds.text(found, (at, "scenario_id"), message.scenario_id, _MAX_NAME),
                    bounds.number(found, (at, "probability"), message.probability, 1.0),
                    self._factor((at, "scale"), message.scale) or 1.0,
                    dict(message.family_scales),
                )
            )
        return tuple(scenarios)

    def limits(self, message: pb.PurchaseLimits) -> PurchaseLimits:
        """What may be bought."""
        found = self._found
        payments = {PAYMENTS.get(code) for code in message.payments}
        if None in payments:
            found.add("limits.payments", ErrorReason.UNKNOWN_VALUE, "not a payment option")
        terms = frozenset(
            timedelta(hours=bounds.hours(found, f"limits.terms[{index}]", term, most=_MAX_TERM_H, positive=True))
            for index, term in enumerate(message.terms)
        )
        most = None
        if message.HasField("max_commitment_per_hour"):
            field = "limits.max_commitment_per_hour"
            most = money_nanos(found, field, message.max_commitment_per_hour, self._currency) / _NANOS
        return PurchaseLimits(
            most, terms or None, frozenset(payment for payment in payments if payment is not None) or None
        )

    def aim(self, request: pb.OptimizePurchasePlanRequest) -> RiskAim:
        """What is minimised."""
        preference = _PREFERENCES.get(request.risk_preference)
        if preference is None:
            self._found.add("risk_preference", ErrorReason.UNKNOWN_VALUE, "not a preference")
        if preference not in {None, Preference.EXPECTED_COST} and not request.scenarios:
            self._found.add("scenarios", ErrorReason.FIELD_REQUIRED, "this preference is over scenarios")
        tail = bounds.number(self._found, "risk_tail", request.risk_tail, 1.0)
        return RiskAim(preference or Preference.EXPECTED_COST, tail or 0.05)

    def horizon(self, request: pb.OptimizePurchasePlanRequest) -> timedelta | None:
        """How long is planned for; None where it is not said."""
        if not request.HasField("horizon"):
            return None
        hours = bounds.hours(self._found, "horizon", request.horizon, most=_MAX_HORIZON_H, positive=True)
        return timedelta(hours=math.ceil(hours))

    def purchase_times(self, request: pb.OptimizePurchasePlanRequest) -> tuple[datetime, ...]:
        """When may be bought, sorted."""
        if not bounds.few(self._found, "purchase_times", len(request.purchase_times), MAX_PURCHASE_TIMES):
            return ()
        times = [
            bounds.instant(self._found, f"purchase_times[{index}]", stamp)
            for index, stamp in enumerate(request.purchase_times)
        ]
        return tuple(sorted({time.replace(minute=0, second=0, microsecond=0) for time in times if time is not None}))

    def _term(self, message: pb.PurchaseOffer, at: FieldPath) -> int:
        if not message.HasField("term"):
            self._found.add((at, "term"), ErrorReason.FIELD_REQUIRED, "say how long it binds")
            return 1
        hours = bounds.hours(self._found, (at, "term"), message.term, most=_MAX_TERM_H, positive=True)
        return max(round(hours), 1)

    def _factor(self, field: FieldPath, factor: float) -> float:
        if 0.0 < factor < _LEAST:
            self._found.add(field, ErrorReason.OUT_OF_RANGE, f"must be 0, or from {_LEAST:g} to {_MAX_FACTOR:g}")
        return bounds.number(self._found, field, factor, _MAX_FACTOR)

    def _rate(self, rate: float, field: FieldPath) -> float:
        if not _LEAST <= rate <= _MAX_FACTOR:
            why = f"plan money per on-demand money: from {_LEAST:g}, as 0.6 for a discount of 40 %"
            self._found.add(field, ErrorReason.OUT_OF_RANGE if rate else ErrorReason.FIELD_REQUIRED, why)
            return 1.0
        return rate

    def _rates(self, message: pb.PurchaseOffer, at: FieldPath) -> dict[str, float]:
        if not bounds.few(self._found, (at, "rates"), len(message.rates), _MAX_RATES):
            return {}
        return {name: self._rate(rate, (at, f"rates[{name[:64]!r}]")) for name, rate in sorted(message.rates.items())}

    def _unit(self, message: pb.PurchaseOffer, at: FieldPath) -> float:
        if not message.HasField("unit_price_per_hour"):
            return 0.0
        field = (at, "unit_price_per_hour")
        return money_nanos(self._found, field, message.unit_price_per_hour, self._currency, positive=True) / _NANOS

    def _quote(self, message: pb.PurchaseOffer, at: FieldPath) -> ProviderQuote | None:
        if not message.HasField("quote"):
            return None
        usage_type = bounds.text(self._found, ((at, "quote"), "usage_type"), message.quote.usage_type, _MAX_NAME)
        if not usage_type:
            self._found.add(((at, "quote"), "usage_type"), ErrorReason.FIELD_REQUIRED, "say what was quoted")
        field = ((at, "quote"), "rate")
        return ProviderQuote(
            usage_type, money_nanos(self._found, field, message.quote.rate, self._currency, positive=True)
        )

    def _cloud(self, code: int, at: FieldPath) -> Cloud:
        cloud = CLOUD_OF.get(code)
        if cloud is None:
            self._found.add((at, "cloud"), ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
        return cloud or Cloud.AWS

    def _family(self, family: str, field: FieldPath) -> str:
        if not family:
            self._found.add(field, ErrorReason.FIELD_REQUIRED, "name a family")
        return bounds.text(self._found, field, family, _MAX_NAME)

    def _instant(self, message: "pb.OwnedPlan | pb.DeclaredChange", field: str, at: FieldPath) -> datetime:
        if not message.HasField(field):  # type: ignore[arg-type] # the names are literals of the callers
            self._found.add((at, field), ErrorReason.FIELD_REQUIRED, "say when")
            return _NEVER
        found = bounds.instant(self._found, (at, field), getattr(message, field))
        return (found or _NEVER).replace(minute=0, second=0, microsecond=0)
