"""Parses the surroundings of a workload: its data, users, services, interruptions and the place it has now."""

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.catalog.services import UnknownService
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import (
    DEFAULT_RESTART_HOURS,
    CurrentPlace,
    DataSet,
    Interruption,
    RegionKey,
    ServiceNeed,
    UserGroup,
    Users,
)
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.size_parser import region_key
from trimtab_service.rpc.vocabulary import CLOUD_OF, OPTION_OF, Vocabulary

MAX_DATA_SETS = 64
MAX_GROUPS = 64
MAX_SERVICES = 32
MAX_EGRESS_SOURCES = 256
MAX_READS = 1e6
MAX_READ_GIB = 1e10
"""Of one data set, all reads together: ten exbibytes."""


def parse_interruption(
    message: pb.InterruptionTolerance, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> Interruption:
    """What an interruption costs the workload."""
    month = 744.0
    store = None
    if message.HasField("checkpoint_store"):
        store = region_key(message.checkpoint_store, vocabulary, found, (at, "checkpoint_store"))
    return Interruption(
        checkpoint_write_hours=bounds.hours(
            found, (at, "checkpoint_write_time"), message.checkpoint_write_time, most=month
        )
        if message.HasField("checkpoint_write_time")
        else None,
        restart_hours=bounds.hours(found, (at, "restart_time"), message.restart_time, most=month)
        if message.HasField("restart_time")
        else DEFAULT_RESTART_HOURS,
        checkpoint_interval_hours=bounds.hours(
            found, (at, "checkpoint_interval"), message.checkpoint_interval, positive=True
        )
        if message.HasField("checkpoint_interval")
        else None,
        checkpoint_store=store,
        checkpoint_gib=bounds.number(found, (at, "checkpoint_gib"), message.checkpoint_gib, bounds.MAX_GIB),
        checkpoint_nanos_per_gib_month=bounds.nanos(
            found,
            (at, "checkpoint_price_per_gib_month"),
            message.checkpoint_price_per_gib_month,
            most=bounds.MAX_UNIT_USD,
        )
        if message.HasField("checkpoint_price_per_gib_month")
        else 0,
        max_expected_interruptions=bounds.number(
            found, (at, "max_expected_interruptions"), message.max_expected_interruptions, 1e9
        )
        if message.HasField("max_expected_interruptions")
        else None,
    )


def parse_data_sets(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> tuple[DataSet, ...]:
    """Data that the workload reads."""
    if not bounds.few(found, (at, "data_sets"), len(message.data_sets), MAX_DATA_SETS):
        return ()
    parsed: list[DataSet] = []
    for index, data in enumerate(message.data_sets):
        here = (at, f"data_sets[{index}]")
        location = region_key(data.location, vocabulary, found, (here, "location"))
        gib = bounds.number(found, (here, "gib"), data.gib, bounds.MAX_GIB)
        reads = bounds.number(found, (here, "reads"), data.reads, MAX_READS) if data.reads else 1.0
        if gib * reads > MAX_READ_GIB:
            found.add((here, "reads"), ErrorReason.OUT_OF_RANGE, f"reads times gib must be at most {MAX_READ_GIB:g}")
        rate = None
        if data.HasField("private_rate_per_gib"):
            rate = bounds.nanos(
                found, (here, "private_rate_per_gib"), data.private_rate_per_gib, most=bounds.MAX_UNIT_USD
            )
        clouds = []
        for position, code in enumerate(data.private_rate_clouds):
            if code in CLOUD_OF:
                clouds.append(CLOUD_OF[code])
            else:
                found.add((here, f"private_rate_clouds[{position}]"), ErrorReason.UNKNOWN_VALUE, "not a cloud")
        if location is not None:
            parsed.append(DataSet(location, gib, reads, rate, tuple(clouds)))
    return tuple(parsed)


def parse_users(message: pb.Users, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> Users | None:
    """Groups of users at coordinates, their shares made to sum to 1."""
    if not message.groups:
        found.add((at, "groups"), ErrorReason.FIELD_REQUIRED, "name at least one group of users")
    if not bounds.few(found, (at, "groups"), len(message.groups), MAX_GROUPS):
        return None
    places: list[tuple[float, float, float]] = []
    for index, group in enumerate(message.groups):
        here = (at, f"groups[{index}]")
        share = bounds.number(found, (here, "share"), group.share, 1e9, least=1e-9)
        kind = group.WhichOneof("place")
        if kind == "region":
            key = region_key(group.region, vocabulary, found, (here, "region"))
            if key is not None:
                facts = vocabulary.snapshot.regions[vocabulary.snapshot.region_index[key.cloud, key.region]]
                places.append((facts.latitude, facts.longitude, share))
        elif kind == "location":
            latitude = bounds.number(found, (here, "location.latitude"), group.location.latitude, 90.0, least=-90.0)
            longitude = bounds.number(
                found, (here, "location.longitude"), group.location.longitude, 180.0, least=-180.0
            )
            places.append((latitude, longitude, share))
        else:
            found.add(here, ErrorReason.FIELD_REQUIRED, "name a region or a location")
    whole = sum(share for _, _, share in places)
    return Users(
        groups=tuple(UserGroup(latitude, longitude, share / whole) for latitude, longitude, share in places),
        max_latency_ms=bounds.number(found, (at, "max_latency_ms"), message.max_latency_ms, 1e6),
        egress_gib=bounds.number(found, (at, "egress_gib"), message.egress_gib, bounds.MAX_GIB),
    )


def parse_services(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> tuple[ServiceNeed, ...]:
    """Cloud services needed or preferred, by names of the table."""
    if not bounds.few(found, (at, "services"), len(message.services), MAX_SERVICES):
        return ()
    parsed: list[ServiceNeed] = []
    for index, need in enumerate(message.services):
        here = (at, f"services[{index}]")
        known = vocabulary.services.find(need.service[:64])
        value = None
        if need.HasField("preference_value"):
            value = bounds.micros(found, (here, "preference_value"), need.preference_value)
        if isinstance(known, UnknownService):
            reason = ErrorReason.UNKNOWN_VALUE if need.service else ErrorReason.FIELD_REQUIRED
            near = f"; nearest: {', '.join(known.nearest)}" if known.nearest else ""
            found.add((here, "service"), reason, f"no such cloud service: {need.service[:64]!r}{near}")
        else:
            parsed.append(ServiceNeed(need.service, value))
    return tuple(parsed)


def parse_current(
    message: pb.CurrentPlace, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> CurrentPlace | None:
    """Where the workload runs now."""
    location = region_key(message.location, vocabulary, found, (at, "location"))
    option = None
    if message.purchase_option:
        option = OPTION_OF.get(message.purchase_option)
        if option is None:
            found.add((at, "purchase_option"), ErrorReason.UNKNOWN_VALUE, "not a purchase option")
    if location is None:
        return None
    return CurrentPlace(
        location=location,
        zone=bounds.text(found, (at, "zone"), message.zone, 64),
        instance_type=bounds.text(found, (at, "instance_type"), message.instance_type),
        option=option,
        state_gib=bounds.number(found, (at, "state_gib"), message.state_gib, bounds.MAX_GIB),
        changeover_hours=bounds.hours(found, (at, "changeover"), message.changeover),
        fixed_cost_micros=bounds.micros(found, (at, "fixed_cost"), message.fixed_cost),
        minimum_gain_micros=bounds.micros(found, (at, "minimum_gain"), message.minimum_gain),
        minimum_gain_fraction=bounds.number(found, (at, "minimum_gain_fraction"), message.minimum_gain_fraction, 1.0),
    )


def parse_month_to_date(
    message: pb.Workload, vocabulary: Vocabulary, found: Violations, at: FieldPath
) -> tuple[tuple[RegionKey, float], ...]:
    """What was sent to the internet this month, by source region, each once."""
    field = (at, "month_to_date_egress")
    if not bounds.few(found, field, len(message.month_to_date_egress), MAX_EGRESS_SOURCES):
        return ()
    sent: dict[RegionKey, float] = {}
    for index, entry in enumerate(message.month_to_date_egress):
        here = (field, f"[{index}]")
        location = region_key(entry.location, vocabulary, found, (here, "location"))
        gib = bounds.number(found, (here, "gib"), entry.gib, bounds.MAX_GIB)
        if location is not None:
            if location in sent:
                found.add((here, "location"), ErrorReason.CONTRADICTION, "the region is given twice")
            sent[location] = gib
    return tuple(sent.items())
