"""From flags to the `Workload` message. Only what a flag says is set: it may be laid over a file's request."""

from collections.abc import Iterable

import typer

from trimtab import vocabulary
from trimtab.cli import values
from trimtab.cli.values import parse
from trimtab.cli.workload_flags import WorkloadFlags
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2


def workload_of(flags: WorkloadFlags) -> pb.Workload:
    """The workload. Raises typer.BadParameter that names the flag at fault."""
    workload = pb.Workload(workload_id=flags.workload, count=flags.count, spread_zones=flags.spread)
    workload.tags.update(parse("--tag", values.pair, text) for text in flags.tag)
    _size(workload, flags)
    _time(workload, flags)
    workload.purchase_options.extend(_options(flags))
    _interruption(workload, flags)
    _residency(workload, flags)
    _data(workload, flags)
    _current(workload, flags)
    _facts(workload, flags)
    return workload


def _size(workload: pb.Workload, flags: WorkloadFlags) -> None:
    size = pb.Size(
        vcpus=flags.vcpus,
        memory_gib=parse("--memory", values.gib, flags.memory) if flags.memory else 0.0,
        local_disk_gb=flags.local_disk_gb,
        network_gbps=flags.network_gbps,
        instance_type=flags.instance_type,
    )
    if flags.arch:
        size.architecture = parse("--arch", vocabulary.architecture, flags.arch)
    if (flags.gpus or flags.gpu_memory) and not flags.gpu:
        raise typer.BadParameter("say which model with --gpu", param_hint="--gpus, --gpu-memory")
    memory = parse("--gpu-memory", values.gib, flags.gpu_memory) if flags.gpu_memory else 0.0
    for model in flags.gpu:
        size.gpus.append(pb.GpuNeed(model=model, count=flags.gpus, memory_gib=memory))
    if size.ByteSize():
        workload.size.CopyFrom(size)


def _time(workload: pb.Workload, flags: WorkloadFlags) -> None:
    if flags.hours and flags.service_hours:
        raise typer.BadParameter("work is done once or every month, not both", param_hint="--hours, --service-hours")
    if flags.hours:
        workload.duration.FromTimedelta(parse("--hours", values.hours, flags.hours))
    elif flags.service_hours:
        workload.service_hours_per_month = flags.service_hours
    if flags.start_by:
        workload.latest_start_time.FromDatetime(parse("--start-by", values.instant, flags.start_by))
    if flags.deadline:
        workload.deadline.FromDatetime(parse("--deadline", values.instant, flags.deadline))


def _options(flags: WorkloadFlags) -> Iterable[types_pb2.PurchaseOption.ValueType]:
    if flags.on_demand:
        yield types_pb2.PURCHASE_OPTION_ON_DEMAND
    if flags.spot:
        yield types_pb2.PURCHASE_OPTION_SPOT
    if flags.reserved_1y:
        yield types_pb2.PURCHASE_OPTION_RESERVED_1Y
    if flags.reserved_3y:
        yield types_pb2.PURCHASE_OPTION_RESERVED_3Y
    if flags.owned:
        yield types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT


def _interruption(workload: pb.Workload, flags: WorkloadFlags) -> None:
    tolerance = pb.InterruptionTolerance()
    if flags.checkpoint_write:
        tolerance.checkpoint_write_time.FromTimedelta(
            parse("--checkpoint-write", values.duration, flags.checkpoint_write)
        )
    if flags.checkpoint_interval:
        tolerance.checkpoint_interval.FromTimedelta(
            parse("--checkpoint-interval", values.duration, flags.checkpoint_interval)
        )
    if flags.restart:
        tolerance.restart_time.FromTimedelta(parse("--restart", values.duration, flags.restart))
    if flags.checkpoint_store:
        store = parse("--checkpoint-store", values.month_to_date, flags.checkpoint_store)
        tolerance.checkpoint_store.CopyFrom(store.location)
        tolerance.checkpoint_gib = store.gib
    if flags.max_interruptions is not None:
        tolerance.max_expected_interruptions = flags.max_interruptions
    if tolerance.ByteSize():
        workload.interruption.CopyFrom(tolerance)


def _residency(workload: pb.Workload, flags: WorkloadFlags) -> None:
    allowed = parse("--residency", vocabulary.residency, _split(flags.residency))
    allowed.denied_countries.extend(word.upper() for word in _split(flags.deny_country))
    allowed.clouds.extend(parse("--clouds", vocabulary.cloud, text) for text in _split(flags.clouds))
    allowed.denied_clouds.extend(parse("--deny-cloud", vocabulary.cloud, text) for text in _split(flags.deny_cloud))
    allowed.regions.extend(parse("--region", vocabulary.region, text) for text in _split(flags.region))
    allowed.denied_regions.extend(parse("--deny-region", vocabulary.region, text) for text in _split(flags.deny_region))
    allowed.families.extend(_split(flags.family))
    allowed.denied_families.extend(_split(flags.deny_family))
    allowed.denied_instance_types.extend(_split(flags.deny_type))
    if allowed.ByteSize():
        workload.residency.CopyFrom(allowed)
    workload.blocked_offers.extend(parse("--block", values.pattern, text) for text in flags.block)
    workload.services.extend(pb.ServiceNeed(service=name) for name in flags.service)
    workload.services.extend(parse("--prefer", values.preference, text) for text in flags.prefer)
    workload.partitions.extend(_split(flags.partition))
    if flags.no_estimated_prices:
        workload.allow_estimated_prices = False


def _data(workload: pb.Workload, flags: WorkloadFlags) -> None:
    workload.data_sets.extend(parse("--data", values.data_set, text) for text in flags.data)
    users = pb.Users(groups=[parse("--users", values.user_group, text) for text in flags.users])
    if flags.max_latency:
        users.max_latency_ms = parse("--max-latency", values.milliseconds, flags.max_latency)
    if flags.users_egress:
        users.egress_gib = parse("--users-egress", values.gib, flags.users_egress)
    if users.ByteSize():
        workload.users.CopyFrom(users)
    workload.month_to_date_egress.extend(parse("--sent", values.month_to_date, text) for text in flags.sent)


def _current(workload: pb.Workload, flags: WorkloadFlags) -> None:
    moving = {
        "--state": flags.state,
        "--changeover": flags.changeover,
        "--moving-cost": flags.moving_cost,
        "--minimum-gain": flags.minimum_gain,
    }
    if not flags.current:
        given = [flag for flag, text in moving.items() if text]
        if given:
            raise typer.BadParameter("say where it runs now with --current", param_hint=", ".join(given))
        return
    place = parse("--current", values.current_place, flags.current)
    if flags.state:
        place.state_gib = parse("--state", values.gib, flags.state)
    if flags.changeover:
        place.changeover.FromTimedelta(parse("--changeover", values.duration, flags.changeover))
    if flags.moving_cost:
        place.fixed_cost.CopyFrom(parse("--moving-cost", vocabulary.money, flags.moving_cost))
    if flags.minimum_gain.strip().endswith("%"):
        place.minimum_gain_fraction = parse("--minimum-gain", values.fraction, flags.minimum_gain)
    elif flags.minimum_gain:
        place.minimum_gain.CopyFrom(parse("--minimum-gain", vocabulary.money, flags.minimum_gain))
    workload.current.CopyFrom(place)


def _facts(workload: pb.Workload, flags: WorkloadFlags) -> None:
    if flags.tolerance:
        workload.tolerance_fraction = parse("--tolerance", values.fraction, flags.tolerance)
    workload.quotas.extend(parse("--quota", values.quota, text) for text in flags.quota)
    workload.caller_offers.extend(parse("--own-price", values.caller_offer, text) for text in flags.own_price)
    workload.hours_per_month = flags.hours_per_month
    workload.hours_per_year = flags.hours_per_year


def _split(texts: Iterable[str]) -> list[str]:
    """Repeated flags and commas are the same."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]
