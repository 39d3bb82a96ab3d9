"""Parses a workload of the contract into the domain's, collecting every violation on the way."""

import re
from collections.abc import Iterable
from datetime import datetime

from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.domain.accelerators import UnknownAccelerator, read_model
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import (
    DEFAULT_RESTART_HOURS,
    HOURS_PER_MONTH,
    HOURS_PER_YEAR,
    CallerOffer,
    CurrentPlace,
    DataSet,
    GpuNeed,
    Interruption,
    OfferPattern,
    Quota,
    RegionKey,
    ServiceNeed,
    Size,
    UserGroup,
    Users,
    Workload,
)
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.residency_parser import parse_residency
from trimtab_service.rpc.vocabulary import (
    ARCHITECTURE_OF,
    CLOUD_OF,
    OPTION_OF,
    Vocabulary,
    datetime_of,
    suggestion,
)

MAX_DATA_SETS = 64
MAX_TAGS = 64
MAX_GPU_NEEDS = 8
MAX_GROUPS = 64
MAX_SERVICES = 32
MAX_QUOTAS = 256
MAX_PATTERNS = 256
MAX_CALLER_OFFERS = 64
MAX_SPREAD = 16

_WORKLOAD_ID = re.compile(r"[a-z0-9-]{1,128}\Z")
_DEFAULT_OPTIONS = (PurchaseOption.ON_DEMAND, PurchaseOption.OWNED_COMMITMENT)
_NO_INTERRUPTION = Interruption()
_UNITS = {pb.Quota.UNIT_VCPUS: "vcpus", pb.Quota.UNIT_INSTANCES: "instances", pb.Quota.UNIT_GPUS: "gpus"}


def parse_workload(
    message: pb.Workload, vocabulary: Vocabulary, instant: datetime, found: Violations, at: str = "workload"
) -> Workload:
    """The workload, in full when `found` stays empty; `at` is its path in the request.

    `instant` is the time of the decision: a deadline must lie after it.
    """
    readings: list[str] = []
    caller = _caller_offers(message, vocabulary, found, at) if message.caller_offers else ()
    private_types = frozenset(offer.instance_type for offer in caller)
    hours, is_service = _usage(message, found, at)
    return Workload(
        size=_size(message.size, vocabulary, found, f"{at}.size", readings, required=True),
        hours=hours,
        is_service=is_service,
        workload_id=_workload_id(message.workload_id, found, at) if message.workload_id else "",
        tags=_tags(message, found, at) if message.tags else (),
        count=_whole(found, f"{at}.count", message.count, bounds.MAX_COUNT) if message.count else 1,
        spread_zones=_whole(found, f"{at}.spread_zones", message.spread_zones, MAX_SPREAD) if message.spread_zones else 1,
        options=_options(message.purchase_options, found, f"{at}.purchase_options"),
        interruption=_interruption(message.interruption, vocabulary, found, f"{at}.interruption")
        if message.HasField("interruption")
        else _NO_INTERRUPTION,
        deadline=_deadline(message, instant, found, at) if message.HasField("deadline") else None,
        data_sets=_data_sets(message, vocabulary, found, at) if message.data_sets else (),
        users=_users(message.users, vocabulary, found, f"{at}.users") if message.HasField("users") else None,
        residency=parse_residency(message.residency, vocabulary, found, f"{at}.residency", private_types)
        if message.HasField("residency")
        else None,
        services=_services(message, vocabulary, found, at) if message.services else (),
        current=_current(message.current, vocabulary, found, f"{at}.current") if message.HasField("current") else None,
        quotas=_quotas(message, vocabulary, found, at) if message.quotas else (),
        blocked_offers=_blocked(message, vocabulary, found, at) if message.blocked_offers else (),
        caller_offers=caller,
        tolerance_fraction=bounds.number(found, f"{at}.tolerance_fraction", message.tolerance_fraction, 1.0)
        if message.tolerance_fraction
        else None,
        month_to_date_egress=_month_to_date(message, vocabulary, found, at) if message.month_to_date_egress else (),
        hours_per_month=bounds.number(found, f"{at}.hours_per_month", message.hours_per_month, 744.0, least=1.0)
        if message.hours_per_month
        else HOURS_PER_MONTH,
        hours_per_year=bounds.number(found, f"{at}.hours_per_year", message.hours_per_year, 8_784.0, least=1.0)
        if message.hours_per_year
        else HOURS_PER_YEAR,
        partitions=_partitions(message, vocabulary, found, at) if message.partitions else frozenset(),
        allow_estimated_prices=not message.HasField("allow_estimated_prices") or message.allow_estimated_prices,
        readings=tuple(readings),
    )


def _whole(found: Violations, field: str, value: int, most: int) -> int:
    return int(bounds.number(found, field, value, most))


def _usage(message: pb.Workload, found: Violations, at: str) -> tuple[float, bool]:
    given = message.WhichOneof("usage")
    if given == "duration":
        return bounds.hours(found, f"{at}.duration", message.duration, positive=True), False
    if given == "service_hours_per_month":
        month = message.hours_per_month or HOURS_PER_MONTH
        value = message.service_hours_per_month
        if not 0 < value <= month:
            found.add(f"{at}.service_hours_per_month", ErrorReason.OUT_OF_RANGE, f"must be above 0, to {month:g} hours")
            return 0.0, True
        return value, True
    found.add(f"{at}.duration", ErrorReason.FIELD_REQUIRED, "give duration, or service_hours_per_month")
    return 0.0, False


def _workload_id(value: str, found: Violations, at: str) -> str:
    if not _WORKLOAD_ID.match(value):
        found.add(f"{at}.workload_id", ErrorReason.BAD_FORMAT, "must be 1 to 128 characters of a-z, 0-9 and -")
        return ""
    return value


def _tags(message: pb.Workload, found: Violations, at: str) -> tuple[tuple[str, str], ...]:
    if not bounds.few(found, f"{at}.tags", len(message.tags), MAX_TAGS):
        return ()
    for key, value in message.tags.items():
        if not key or len(key) > 128 or len(value) > bounds.MAX_TEXT:
            found.add(f"{at}.tags", ErrorReason.TOO_LARGE, f"key {key[:32]!r}: 1 to 128 characters, value up to 256")
    return tuple(sorted(message.tags.items()))


def _options(values: Iterable[int], found: Violations, field: str) -> tuple[PurchaseOption, ...]:
    options: list[PurchaseOption] = []
    for index, value in enumerate(values):
        option = OPTION_OF.get(value)
        if option is None:
            found.add(f"{field}[{index}]", ErrorReason.UNKNOWN_VALUE, "not a purchase option")
        elif option not in options:
            options.append(option)
    return tuple(options) or _DEFAULT_OPTIONS


def _size(
    message: pb.Size, vocabulary: Vocabulary, found: Violations, at: str, readings: list[str], *, required: bool
) -> Size:
    gpus: list[GpuNeed] = []
    if message.gpus and bounds.few(found, f"{at}.gpus", len(message.gpus), MAX_GPU_NEEDS):
        gpus = [
            need
            for index, gpu in enumerate(message.gpus)
            if (need := _gpu(gpu, vocabulary, found, f"{at}.gpus[{index}]", readings)) is not None
        ]
    if required and not (message.vcpus or message.memory_gib or message.gpus or message.instance_type):
        found.add(at, ErrorReason.FIELD_REQUIRED, "ask for vcpus, memory_gib, gpus or an instance_type")
    return Size(
        vcpus=bounds.number(found, f"{at}.vcpus", message.vcpus, bounds.MAX_VCPUS),
        memory_gib=bounds.number(found, f"{at}.memory_gib", message.memory_gib, bounds.MAX_MEMORY_GIB),
        gpus=tuple(gpus),
        architecture=_architecture(message.architecture, found, at) if message.architecture else None,
        local_disk_gb=bounds.number(found, f"{at}.local_disk_gb", message.local_disk_gb, bounds.MAX_GIB),
        network_gbps=bounds.number(found, f"{at}.network_gbps", message.network_gbps, 1e5),
        instance_type=bounds.text(found, f"{at}.instance_type", message.instance_type) or None,
    )


def _architecture(value: int, found: Violations, at: str) -> str | None:
    name = ARCHITECTURE_OF.get(value)
    if name is None:
        found.add(f"{at}.architecture", ErrorReason.UNKNOWN_VALUE, "not an architecture")
    return name


def _gpu(
    message: pb.GpuNeed, vocabulary: Vocabulary, found: Violations, at: str, readings: list[str]
) -> GpuNeed | None:
    count = int(bounds.number(found, f"{at}.count", message.count or 1, bounds.MAX_GPUS, least=1))
    memory = bounds.number(found, f"{at}.memory_gib", message.memory_gib, 1e5)
    if not message.model:
        found.add(f"{at}.model", ErrorReason.FIELD_REQUIRED, "name a GPU model")
        return None
    if not bounds.text(found, f"{at}.model", message.model, 64):
        return None
    reading = read_model(message.model, memory_gb=memory or None, also_known=vocabulary.gpu_models)
    if isinstance(reading, UnknownAccelerator):
        near = f"; nearest: {', '.join(reading.nearest)}" if reading.nearest else ""
        found.add(f"{at}.model", ErrorReason.UNKNOWN_VALUE, f"no such GPU model: {message.model!r}{near}")
        return None
    if reading.note:
        readings.append(reading.note)
    return GpuNeed(reading.models, count, memory)


def region_key(
    message: types_pb2.RegionRef, vocabulary: Vocabulary, found: Violations, at: str
) -> RegionKey | None:
    """The region that a reference names; noted when it is missing or not in the catalogue."""
    key = vocabulary.region(message.cloud, message.region)
    if key is not None:
        return key
    if message.cloud not in CLOUD_OF:
        found.add(f"{at}.cloud", ErrorReason.FIELD_REQUIRED, "name a cloud: aws, gcp or azure")
    if not message.region:
        found.add(f"{at}.region", ErrorReason.FIELD_REQUIRED, "name a region")
    elif bounds.text(found, f"{at}.region", message.region, 64) and message.cloud in CLOUD_OF:
        near = vocabulary.nearest_regions(message.cloud, message.region)
        cloud = CLOUD_OF[message.cloud]
        found.add(f"{at}.region", ErrorReason.UNKNOWN_VALUE, f"{cloud} has no region {message.region!r}{near}")
    return None


def _interruption(
    message: pb.InterruptionTolerance, vocabulary: Vocabulary, found: Violations, at: str
) -> Interruption:
    month = 744.0
    store = None
    if message.HasField("checkpoint_store"):
        store = region_key(message.checkpoint_store, vocabulary, found, f"{at}.checkpoint_store")
    return Interruption(
        checkpoint_write_hours=bounds.hours(found, f"{at}.checkpoint_write_time", message.checkpoint_write_time, most=month)
        if message.HasField("checkpoint_write_time")
        else None,
        restart_hours=bounds.hours(found, f"{at}.restart_time", message.restart_time, most=month)
        if message.HasField("restart_time")
        else DEFAULT_RESTART_HOURS,
        checkpoint_interval_hours=bounds.hours(
            found, f"{at}.checkpoint_interval", message.checkpoint_interval, positive=True
        )
        if message.HasField("checkpoint_interval")
        else None,
        checkpoint_store=store,
        checkpoint_gib=bounds.number(found, f"{at}.checkpoint_gib", message.checkpoint_gib, bounds.MAX_GIB),
        checkpoint_nanos_per_gib_month=bounds.nanos(
            found, f"{at}.checkpoint_price_per_gib_month", message.checkpoint_price_per_gib_month
        )
        if message.HasField("checkpoint_price_per_gib_month")
        else 0,
        max_expected_interruptions=bounds.number(
            found, f"{at}.max_expected_interruptions", message.max_expected_interruptions, 1e9
        )
        if message.HasField("max_expected_interruptions")
        else None,
    )


def _deadline(message: pb.Workload, instant: datetime, found: Violations, at: str) -> datetime | None:
    field = f"{at}.deadline"
    if message.WhichOneof("usage") == "service_hours_per_month":
        found.add(field, ErrorReason.CONTRADICTION, "a service has no deadline; give a duration instead")
        return None
    try:
        deadline = datetime_of(message.deadline)
    except OverflowError:
        found.add(field, ErrorReason.OUT_OF_RANGE, "not a time between the years 1 and 9999")
        return None
    if deadline <= instant:
        found.add(field, ErrorReason.OUT_OF_RANGE, "lies in the past")
        return None
    return deadline


def _data_sets(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str) -> tuple[DataSet, ...]:
    if not bounds.few(found, f"{at}.data_sets", len(message.data_sets), MAX_DATA_SETS):
        return ()
    parsed: list[DataSet] = []
    for index, data in enumerate(message.data_sets):
        here = f"{at}.data_sets[{index}]"
        location = region_key(data.location, vocabulary, found, f"{here}.location")
        gib = bounds.number(found, f"{here}.gib", data.gib, bounds.MAX_GIB)
        reads = bounds.number(found, f"{here}.reads", data.reads, 1e6) if data.reads else 1.0
        rate = None
        if data.HasField("private_rate_per_gib"):
            rate = bounds.nanos(found, f"{here}.private_rate_per_gib", data.private_rate_per_gib)
        clouds = []
        for position, code in enumerate(data.private_rate_clouds):
            if code in CLOUD_OF:
                clouds.append(CLOUD_OF[code])
            else:
                found.add(f"{here}.private_rate_clouds[{position}]", ErrorReason.UNKNOWN_VALUE, "not a cloud")
        if location is not None:
            parsed.append(DataSet(location, gib, reads, rate, tuple(clouds)))
    return tuple(parsed)


def _users(message: pb.Users, vocabulary: Vocabulary, found: Violations, at: str) -> Users | None:
    if not message.groups:
        found.add(f"{at}.groups", ErrorReason.FIELD_REQUIRED, "name at least one group of users")
    if not bounds.few(found, f"{at}.groups", len(message.groups), MAX_GROUPS):
        return None
    places: list[tuple[float, float, float]] = []
    for index, group in enumerate(message.groups):
        here = f"{at}.groups[{index}]"
        share = bounds.number(found, f"{here}.share", group.share, 1e9, least=1e-9)
        kind = group.WhichOneof("place")
        if kind == "region":
            key = region_key(group.region, vocabulary, found, f"{here}.region")
            if key is not None:
                facts = vocabulary.snapshot.regions[vocabulary.snapshot.region_index[key.cloud, key.region]]
                places.append((facts.latitude, facts.longitude, share))
        elif kind == "location":
            latitude = bounds.number(found, f"{here}.location.latitude", group.location.latitude, 90.0, least=-90.0)
            longitude = bounds.number(found, f"{here}.location.longitude", group.location.longitude, 180.0, least=-180.0)
            places.append((latitude, longitude, share))
        else:
            found.add(here, ErrorReason.FIELD_REQUIRED, "name a region or a location")
    whole = sum(share for _, _, share in places)
    return Users(
        groups=tuple(UserGroup(latitude, longitude, share / whole) for latitude, longitude, share in places),
        max_latency_ms=bounds.number(found, f"{at}.max_latency_ms", message.max_latency_ms, 1e6),
        egress_gib=bounds.number(found, f"{at}.egress_gib", message.egress_gib, bounds.MAX_GIB),
    )


def _services(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str) -> tuple[ServiceNeed, ...]:
    if not bounds.few(found, f"{at}.services", len(message.services), MAX_SERVICES):
        return ()
    parsed: list[ServiceNeed] = []
    for index, need in enumerate(message.services):
        here = f"{at}.services[{index}]"
        name = vocabulary.service(need.service)
        value = None
        if need.HasField("preference_value"):
            value = bounds.micros(found, f"{here}.preference_value", need.preference_value)
        if name is None:
            reason = ErrorReason.UNKNOWN_VALUE if need.service else ErrorReason.FIELD_REQUIRED
            near = suggestion(need.service, vocabulary.service_names)
            found.add(f"{here}.service", reason, f"no such cloud service: {need.service[:64]!r}{near}")
        else:
            parsed.append(ServiceNeed(name, value))
    return tuple(parsed)


def _current(message: pb.CurrentPlace, vocabulary: Vocabulary, found: Violations, at: str) -> CurrentPlace | None:
    location = region_key(message.location, vocabulary, found, f"{at}.location")
    option = None
    if message.purchase_option:
        option = OPTION_OF.get(message.purchase_option)
        if option is None:
            found.add(f"{at}.purchase_option", ErrorReason.UNKNOWN_VALUE, "not a purchase option")
    if location is None:
        return None
    return CurrentPlace(
        location=location,
        zone=bounds.text(found, f"{at}.zone", message.zone, 64),
        instance_type=bounds.text(found, f"{at}.instance_type", message.instance_type),
        option=option,
        state_gib=bounds.number(found, f"{at}.state_gib", message.state_gib, bounds.MAX_GIB),
        changeover_hours=bounds.hours(found, f"{at}.changeover", message.changeover),
        fixed_cost_micros=bounds.micros(found, f"{at}.fixed_cost", message.fixed_cost),
        minimum_gain_micros=bounds.micros(found, f"{at}.minimum_gain", message.minimum_gain),
        minimum_gain_fraction=bounds.number(found, f"{at}.minimum_gain_fraction", message.minimum_gain_fraction, 1.0),
    )


def _quotas(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str) -> tuple[Quota, ...]:
    if not bounds.few(found, f"{at}.quotas", len(message.quotas), MAX_QUOTAS):
        return ()
    parsed: list[Quota] = []
    for index, quota in enumerate(message.quotas):
        here = f"{at}.quotas[{index}]"
        location = region_key(quota.location, vocabulary, found, f"{here}.location")
        unit = _UNITS.get(quota.unit)
        if unit is None:
            found.add(f"{here}.unit", ErrorReason.FIELD_REQUIRED, "say what is counted: vCPUs, instances or GPUs")
        left = bounds.number(found, f"{here}.left", quota.left, 1e9)
        model = ""
        if quota.gpu_model:
            reading = read_model(quota.gpu_model[:64], also_known=vocabulary.gpu_models)
            if isinstance(reading, UnknownAccelerator) or reading.is_ambiguous:
                found.add(f"{here}.gpu_model", ErrorReason.UNKNOWN_VALUE, "must name one GPU model, with its memory")
            else:
                model = reading.models[0]
        options = frozenset(
            _options(quota.purchase_options, found, f"{here}.purchase_options") if quota.purchase_options else ()
        )
        if location is not None and unit is not None:
            family = bounds.text(found, f"{here}.family", quota.family)
            parsed.append(Quota(location, unit, left, family, model, options))
    return tuple(parsed)


def parse_pattern(message: pb.OfferPattern, vocabulary: Vocabulary, found: Violations, at: str) -> OfferPattern:
    """A pattern of offers; the region must be known where a cloud is named with it."""
    cloud = CLOUD_OF.get(message.cloud)
    if message.cloud and cloud is None:
        found.add(f"{at}.cloud", ErrorReason.UNKNOWN_VALUE, "not a cloud")
    option = OPTION_OF.get(message.purchase_option)
    if message.purchase_option and option is None:
        found.add(f"{at}.purchase_option", ErrorReason.UNKNOWN_VALUE, "not a purchase option")
    if message.region and cloud is not None and vocabulary.region(message.cloud, message.region) is None:
        near = vocabulary.nearest_regions(message.cloud, message.region[:64])
        found.add(f"{at}.region", ErrorReason.UNKNOWN_VALUE, f"{cloud} has no region {message.region[:64]!r}{near}")
    return OfferPattern(
        cloud=cloud,
        region=bounds.text(found, f"{at}.region", message.region, 64),
        zone=bounds.text(found, f"{at}.zone", message.zone, 64),
        instance_type=bounds.text(found, f"{at}.instance_type", message.instance_type),
        option=option,
    )


_EVERYTHING = OfferPattern()


def _blocked(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str) -> tuple[OfferPattern, ...]:
    if not bounds.few(found, f"{at}.blocked_offers", len(message.blocked_offers), MAX_PATTERNS):
        return ()
    parsed: list[OfferPattern] = []
    for index, pattern in enumerate(message.blocked_offers):
        here = f"{at}.blocked_offers[{index}]"
        read = parse_pattern(pattern, vocabulary, found, here)
        if read == _EVERYTHING:
            found.add(here, ErrorReason.FIELD_REQUIRED, "an empty pattern would block every offer")
        parsed.append(read)
    return tuple(parsed)


def _caller_offers(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str
) -> tuple[CallerOffer, ...]:
    if not bounds.few(found, f"{at}.caller_offers", len(message.caller_offers), MAX_CALLER_OFFERS):
        return ()
    parsed: list[CallerOffer] = []
    for index, offer in enumerate(message.caller_offers):
        here = f"{at}.caller_offers[{index}]"
        location = region_key(offer.location, vocabulary, found, f"{here}.location")
        name = bounds.text(found, f"{here}.instance_type", offer.instance_type)
        if not offer.instance_type:
            found.add(f"{here}.instance_type", ErrorReason.FIELD_REQUIRED, "name the type")
        option = OPTION_OF.get(offer.purchase_option)
        if option not in {PurchaseOption.ON_DEMAND, PurchaseOption.SPOT}:
            found.add(f"{here}.purchase_option", ErrorReason.FIELD_REQUIRED, "must be on demand or spot")
            continue
        price = bounds.nanos(found, f"{here}.price_per_hour", offer.price_per_hour, positive=True)
        size = None
        if offer.HasField("size"):
            size = _size(offer.size, vocabulary, found, f"{here}.size", [], required=False)
        bounds.few(found, f"{here}.zones", len(offer.zones), MAX_SPREAD)
        zones = tuple(sorted({bounds.text(found, f"{here}.zones", zone, 64) for zone in offer.zones[:MAX_SPREAD]}))
        if location is not None and name:
            parsed.append(CallerOffer(location, name, option, price, size, zones))
    return tuple(parsed)


def _month_to_date(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str
) -> tuple[tuple[RegionKey, float], ...]:
    field = f"{at}.month_to_date_egress"
    if not bounds.few(found, field, len(message.month_to_date_egress), 256):
        return ()
    sent: dict[RegionKey, float] = {}
    for index, entry in enumerate(message.month_to_date_egress):
        here = f"{field}[{index}]"
        location = region_key(entry.location, vocabulary, found, f"{here}.location")
        gib = bounds.number(found, f"{here}.gib", entry.gib, bounds.MAX_GIB)
        if location is not None:
            if location in sent:
                found.add(f"{here}.location", ErrorReason.CONTRADICTION, "the region is given twice")
            sent[location] = gib
    return tuple(sent.items())


def _partitions(message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: str) -> frozenset[str]:
    for index, name in enumerate(message.partitions):
        if name not in vocabulary.partitions:
            known = ", ".join(sorted(vocabulary.partitions))
            here = f"{at}.partitions[{index}]"
            found.add(here, ErrorReason.UNKNOWN_VALUE, f"no such partition: {name[:64]!r}; known: {known}")
            if index > 16:
                break
    return frozenset(message.partitions) & vocabulary.partitions
