"""Parses what a request says of single offers: patterns, quotas, options, and the caller's own offers."""

from collections.abc import Iterable

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.domain.accelerators import UnknownAccelerator, read_model
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import CallerOffer, OfferPattern, Quota
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.size_parser import parse_size, region_key
from trimtab_service.rpc.vocabulary import CLOUD_OF, OPTION_OF, Vocabulary

MAX_QUOTAS = 256
MAX_PATTERNS = 256
MAX_CALLER_OFFERS = 64
MAX_ZONES = 16

_DEFAULT_OPTIONS = (PurchaseOption.ON_DEMAND, PurchaseOption.OWNED_COMMITMENT)
_UNITS = {pb.Quota.UNIT_VCPUS: "vcpus", pb.Quota.UNIT_INSTANCES: "instances", pb.Quota.UNIT_GPUS: "gpus"}
_EVERYTHING = OfferPattern()


def parse_options(values: Iterable[int], found: Violations, field: FieldPath) -> tuple[PurchaseOption, ...]:
    """Purchase options in their order, each once. None given: on demand, and room of owned commitments."""
    options: list[PurchaseOption] = []
    for index, value in enumerate(values):
        option = OPTION_OF.get(value)
        if option is None:
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, "not a purchase option")
        elif option not in options:
            options.append(option)
    return tuple(options) or _DEFAULT_OPTIONS


def parse_quotas(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> tuple[Quota, ...]:
    """Quotas left to the caller."""
    if not bounds.few(found, (at, "quotas"), len(message.quotas), MAX_QUOTAS):
        return ()
    parsed: list[Quota] = []
    for index, quota in enumerate(message.quotas):
        here = (at, f"quotas[{index}]")
        location = region_key(quota.location, vocabulary, found, (here, "location"))
        unit = _UNITS.get(quota.unit)
        if unit is None:
            found.add((here, "unit"), ErrorReason.FIELD_REQUIRED, "say what is counted: vCPUs, instances or GPUs")
        left = bounds.number(found, (here, "left"), quota.left, 1e9)
        model = ""
        if quota.gpu_model:
            reading = read_model(quota.gpu_model[:64], also_known=vocabulary.gpu_models)
            if isinstance(reading, UnknownAccelerator) or reading.is_ambiguous:
                found.add((here, "gpu_model"), ErrorReason.UNKNOWN_VALUE, "must name one GPU model, with its memory")
            else:
                model = reading.models[0]
        options = frozenset(
            parse_options(quota.purchase_options, found, (here, "purchase_options")) if quota.purchase_options else ()
        )
        if location is not None and unit is not None:
            family = bounds.text(found, (here, "family"), quota.family)
            parsed.append(Quota(location, unit, left, family, model, options))
    return tuple(parsed)


def parse_pattern(message: pb.OfferPattern, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> OfferPattern:
    """A pattern of offers; the region must be known where a cloud is named with it."""
    cloud = CLOUD_OF.get(message.cloud)
    if message.cloud and cloud is None:
        found.add((at, "cloud"), ErrorReason.UNKNOWN_VALUE, "not a cloud")
    option = OPTION_OF.get(message.purchase_option)
    if message.purchase_option and option is None:
        found.add((at, "purchase_option"), ErrorReason.UNKNOWN_VALUE, "not a purchase option")
    if message.region and cloud is not None and vocabulary.region(message.cloud, message.region) is None:
        near = vocabulary.nearest_regions(message.cloud, message.region[:64])
        found.add((at, "region"), ErrorReason.UNKNOWN_VALUE, f"{cloud} has no region {message.region[:64]!r}{near}")
    return OfferPattern(
        cloud=cloud,
        region=bounds.text(found, (at, "region"), message.region, 64),
        zone=bounds.text(found, (at, "zone"), message.zone, 64),
        instance_type=bounds.text(found, (at, "instance_type"), message.instance_type),
        option=option,
    )


def parse_blocked(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> tuple[OfferPattern, ...]:
    """Patterns of offers not to be used; one that would block everything is at fault."""
    if not bounds.few(found, (at, "blocked_offers"), len(message.blocked_offers), MAX_PATTERNS):
        return ()
    parsed: list[OfferPattern] = []
    for index, pattern in enumerate(message.blocked_offers):
        here = (at, f"blocked_offers[{index}]")
        read = parse_pattern(pattern, vocabulary, found, here)
        if read == _EVERYTHING:
            found.add(here, ErrorReason.FIELD_REQUIRED, "an empty pattern would block every offer")
        parsed.append(read)
    return tuple(parsed)


def parse_caller_offers(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> tuple[CallerOffer, ...]:
    """The caller's own offers, at the caller's price."""
    if not bounds.few(found, (at, "caller_offers"), len(message.caller_offers), MAX_CALLER_OFFERS):
        return ()
    parsed: list[CallerOffer] = []
    for index, offer in enumerate(message.caller_offers):
        here = (at, f"caller_offers[{index}]")
        location = region_key(offer.location, vocabulary, found, (here, "location"))
        name = bounds.text(found, (here, "instance_type"), offer.instance_type)
        if not offer.instance_type:
            found.add((here, "instance_type"), ErrorReason.FIELD_REQUIRED, "name the type")
        option = OPTION_OF.get(offer.purchase_option)
        if option not in {PurchaseOption.ON_DEMAND, PurchaseOption.SPOT}:
            found.add((here, "purchase_option"), ErrorReason.FIELD_REQUIRED, "must be on demand or spot")
            continue
        price = bounds.nanos(
            found, (here, "price_per_hour"), offer.price_per_hour, positive=True, most=bounds.MAX_UNIT_USD
        )
        size = None
        if offer.HasField("size"):
            size = parse_size(offer.size, vocabulary, found, (here, "size"), [], required=False)
        bounds.few(found, (here, "zones"), len(offer.zones), MAX_ZONES)
        zones = tuple(sorted({bounds.text(found, (here, "zones"), zone, 64) for zone in offer.zones[:MAX_ZONES]}))
        if location is not None and name:
            parsed.append(CallerOffer(location, name, option, price, size, zones))
    return tuple(parsed)
