"""Policies: contract to domain and back."""

from collections.abc import Iterable
from datetime import timedelta

from trimtab.v1 import policy_service_pb2 as pb
from trimtab_service.domain.offers import PriceBasis, PurchaseOption
from trimtab_service.domain.policy import EffectivePolicy, Rules
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.preferences_parser import parse_preferences
from trimtab_service.rpc.residency_parser import parse_residency
from trimtab_service.rpc.vocabulary import BASES_OF, OPTION_OF, Vocabulary
from trimtab_service.rpc.workload_parser import MAX_TAG_KEY

MAX_CONDITION = 4_096
MAX_DESCRIPTION = 1_000
_MAX_TAGS = 64


def parse_rules(message: pb.Rules, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> Rules:
    """Typed rules; a field that is not set stays None. Rules that say nothing at all are at fault."""
    rules = Rules(
        residency=parse_residency(message.residency, vocabulary, found, (at, "residency"))
        if message.HasField("residency")
        else None,
        options=_options(message.purchase_options, found, (at, "purchase_options")),
        price_bases=_bases(message.price_bases, found, (at, "price_bases")),
        max_price_age=timedelta(hours=bounds.hours(found, (at, "max_price_age"), message.max_price_age))
        if message.HasField("max_price_age")
        else None,
        max_expected_interruptions=bounds.number(
            found, (at, "max_expected_interruptions"), message.max_expected_interruptions, 1e9
        )
        if message.HasField("max_expected_interruptions")
        else None,
        max_cost_micros=bounds.micros(found, (at, "max_cost"), message.max_cost)
        if message.HasField("max_cost")
        else None,
        required_tags=_tags(message.required_tags, found, (at, "required_tags")),
        approval_threshold_micros=bounds.micros(found, (at, "approval_threshold"), message.approval_threshold)
        if message.HasField("approval_threshold")
        else None,
        tolerance_fraction=bounds.number(found, (at, "tolerance_fraction"), message.tolerance_fraction, 1.0)
        if message.HasField("tolerance_fraction")
        else None,
        minimum_gain_fraction=bounds.number(found, (at, "minimum_gain_fraction"), message.minimum_gain_fraction, 1.0)
        if message.HasField("minimum_gain_fraction")
        else None,
        rightsizing=_rightsizing(message, vocabulary, found, (at, "rightsizing")),
        apply_approval_threshold_micros=bounds.micros(
            found, (at, "apply_approval_threshold"), message.apply_approval_threshold
        )
        if message.HasField("apply_approval_threshold")
        else None,
    )
    if rules == Rules():
        found.add(at, ErrorReason.FIELD_REQUIRED, "a policy has at least one rule")
    return rules


def _rightsizing(
    message: pb.Rules, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> RightsizingPreferences | None:
    """None where no preference says anything: an empty message is no rule."""
    if not message.HasField("rightsizing"):
        return None
    preferences = parse_preferences(message.rightsizing, vocabulary, found, at)
    return None if preferences == RightsizingPreferences() else preferences


def _options(codes: Iterable[int], found: Violations, field: FieldPath) -> frozenset[PurchaseOption] | None:
    options: set[PurchaseOption] = set()
    for index, code in enumerate(codes):
        if code in OPTION_OF:
            options.add(OPTION_OF[code])
        else:
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, "not a purchase option")
    return frozenset(options) or None


def _bases(codes: Iterable[int], found: Violations, field: FieldPath) -> frozenset[PriceBasis] | None:
    bases: set[PriceBasis] = set()
    for index, code in enumerate(codes):
        if code in BASES_OF:
            bases |= BASES_OF[code]
        else:
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, "not a price basis")
    return frozenset(bases) or None


def _tags(keys: Iterable[str], found: Violations, field: FieldPath) -> frozenset[str] | None:
    tags = list(keys)
    if not tags or not bounds.few(found, field, len(tags), _MAX_TAGS):
        return None
    for index, tag in enumerate(tags):
        if not tag or len(tag) > MAX_TAG_KEY:
            found.add((field, f"[{index}]"), ErrorReason.BAD_FORMAT, "must be 1 to 128 characters")
    return frozenset(tags)


def encode_effective(effective: EffectivePolicy) -> pb.EffectivePolicy:
    """Every value that holds, with its source."""
    return pb.EffectivePolicy(
        rules=[pb.EffectiveRule(field=rule.field, value=rule.value, source=rule.source) for rule in effective.sources],
        policy_revision=effective.revision,
        not_applicable=effective.not_applicable,
    )
