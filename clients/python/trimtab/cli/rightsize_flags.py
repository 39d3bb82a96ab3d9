"""Flags that describe a resource, its series, and how sizes are to be chosen; taken by `trimtab rightsize`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Final

import typer

from trimtab import vocabulary
from trimtab.cli import values
from trimtab.cli.series_files import Told
from trimtab.cli.values import parse
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1.rightsizing_service_pb2 import OwnPrice

ASSUMED_TYPE: Final = "m5.xlarge"
"""What a series is taken to be of when nobody says: the size that most examples of the field use. Always printed."""

NODE_TYPE_TAG: Final = "kubernetes:node-type"
"""Tag by which the service knows a container's node."""

PROFILES: Final = ("safe", "balanced", "economy", "aws-compute-optimizer", "vpa", "krr")

_RESOURCE = "Resource"
_SERIES = "Series"
_CHOICE = "How sizes are chosen"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFlags:
    """What the resource is now."""

    resource: Annotated[
        str,
        typer.Option(metavar="ID", help="Its id. With csv: all files are of it.", rich_help_panel=_RESOURCE),
    ] = ""
    type: Annotated[
        str,
        typer.Option(
            "--type", help=f"Present instance type. Absent: {ASSUMED_TYPE}, assumed.", rich_help_panel=_RESOURCE
        ),
    ] = ""
    cloud: Annotated[str, typer.Option(help="aws, gcp or azure.", rich_help_panel=_RESOURCE)] = "aws"
    region: Annotated[str, typer.Option(help="Region.", rich_help_panel=_RESOURCE)] = "us-east-1"
    kind: Annotated[
        str,
        typer.Option(help="instance, instance-group, endpoint, training-job, container.", rich_help_panel=_RESOURCE),
    ] = "instance"
    count: Annotated[int, typer.Option(help="Instances of a group.", rich_help_panel=_RESOURCE)] = 0
    price: Annotated[
        str, typer.Option(metavar="USD", help="Own price of one instance an hour.", rich_help_panel=_RESOURCE)
    ] = ""
    own_price: Annotated[
        list[str],
        typer.Option(
            metavar="TYPE=USD",
            help="Own price of another type an hour, as ml.g5.xlarge=1.41. Repeat.",
            rich_help_panel=_RESOURCE,
        ),
    ] = field(default_factory=list)
    vcpus: Annotated[float, typer.Option(help="vCPUs of a type of your own.", rich_help_panel=_RESOURCE)] = 0.0
    memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory of a type of your own, as 64GiB.", rich_help_panel=_RESOURCE)
    ] = ""
    gpus: Annotated[
        str,
        typer.Option(metavar="MODEL=COUNT", help="GPUs of a type of your own, as A100=4.", rich_help_panel=_RESOURCE),
    ] = ""
    node_type: Annotated[
        str, typer.Option(help="Of a container: its node's type, which prices it.", rich_help_panel=_RESOURCE)
    ] = ""
    arm_ready: Annotated[
        bool, typer.Option("--arm-ready", help="It is known to run on Arm.", rich_help_panel=_RESOURCE)
    ] = False
    workload: Annotated[str, typer.Option(help="Workload whose policies hold.", rich_help_panel=_RESOURCE)] = ""
    team: Annotated[str, typer.Option(help="Who answers for it.", rich_help_panel=_RESOURCE)] = ""

    def own_prices(self) -> list[OwnPrice]:
        """What other types cost the caller."""
        pairs = (parse("--own-price", values.pair, text) for text in self.own_price)
        return [
            OwnPrice(instance_type=name, price_per_hour=parse("--own-price", vocabulary.money, usd))
            for name, usd in pairs
        ]

    def message(self, resource_id: str, *, assume: bool) -> pb.CloudResource:
        """The resource; with `assume` it gets a type where none is said."""
        model, count = parse("--gpus", values.pair, self.gpus) if self.gpus else ("", "0")
        capacity = pb.Capacity(
            vcpus=self.vcpus,
            memory_gib=parse("--memory", values.gib, self.memory) if self.memory else 0.0,
            gpu_model=model,
            gpus=parse("--gpus", values.number, count),
        )
        own = capacity if capacity.ByteSize() else None
        return pb.CloudResource(
            resource_id=resource_id,
            kind=parse("--kind", vocabulary.resource_kind, self.kind),
            cloud=parse("--cloud", vocabulary.cloud, self.cloud),
            region=self.region,
            instance_type=self.type or (ASSUMED_TYPE if assume and own is None else ""),
            count=self.count,
            capacity=own,
            price_per_hour=parse("--price", vocabulary.money, self.price) if self.price else None,
            workload_id=self.workload,
            team=self.team,
            arm_ready=self.arm_ready,
            tags={NODE_TYPE_TAG: self.node_type} if self.node_type else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFlags:
    """What csv files measure."""

    metric: Annotated[
        str, typer.Option(help="cpu, memory, gpu, ... Absent: by column or file name.", rich_help_panel=_SERIES)
    ] = ""
    unit: Annotated[str, typer.Option(help="percent, vcpus, gib, bytes, ...", rich_help_panel=_SERIES)] = ""
    statistic: Annotated[str, typer.Option(help="average, maximum, sum or counter.", rich_help_panel=_SERIES)] = ""

    def told(self) -> Told:
        """The flags, once their words are found right."""
        if self.metric:
            parse("--metric", vocabulary.metric, self.metric)
        if self.unit:
            parse("--unit", vocabulary.unit, self.unit)
        if self.statistic:
            parse("--statistic", vocabulary.statistic, self.statistic)
        return Told(self.metric, self.unit, self.statistic)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceFlags:
    """What the caller prefers."""

    profile: Annotated[
        list[str],
        typer.Option(help=f"{', '.join(PROFILES)}. Repeat with --compare.", rich_help_panel=_CHOICE),
    ] = field(default_factory=list)
    percentile: Annotated[
        list[str],
        typer.Option(metavar="DIMENSION=P", help="As cpu=99; 100 is the maximum. Repeat.", rich_help_panel=_CHOICE),
    ] = field(default_factory=list)
    headroom: Annotated[
        list[str],
        typer.Option(metavar="DIMENSION=SHARE", help="As cpu=20%. Repeat.", rich_help_panel=_CHOICE),
    ] = field(default_factory=list)
    lookback: Annotated[
        str, typer.Option(metavar="DURATION", help="How far back series are read, as 14d.", rich_help_panel=_CHOICE)
    ] = ""
    minimum_data: Annotated[
        str, typer.Option(metavar="DURATION", help="Least span of data, as 30h.", rich_help_panel=_CHOICE)
    ] = ""
    family: Annotated[list[str], typer.Option(help="Only this family. Repeat.", rich_help_panel=_CHOICE)] = field(
        default_factory=list
    )
    max_risk: Annotated[float | None, typer.Option(help="Most risk, 0 to 4.", rich_help_panel=_CHOICE)] = None
    never_shrink: Annotated[
        bool, typer.Option("--never-shrink", help="Never less of anything.", rich_help_panel=_CHOICE)
    ] = False
    throttled_hour_cost: Annotated[
        str,
        typer.Option(metavar="USD", help="What an hour of want costs; sets the level.", rich_help_panel=_CHOICE),
    ] = ""
    minimum_saving: Annotated[
        str, typer.Option(metavar="USD", help="Least saving a month.", rich_help_panel=_CHOICE)
    ] = ""
    options: Annotated[int, typer.Option(help="Options shown, 1 to 20.", rich_help_panel=_CHOICE)] = 0

    def message(self, profile: str) -> pb.RightsizingPreferences:
        """The preferences, with this profile (empty: what policies say)."""
        made = pb.RightsizingPreferences(
            profile=profile,
            families=self.family,
            max_options=self.options,
            minimum_monthly_saving=parse("--minimum-saving", vocabulary.money, self.minimum_saving)
            if self.minimum_saving
            else None,
            throttled_hour_cost=parse("--throttled-hour-cost", vocabulary.money, self.throttled_hour_cost)
            if self.throttled_hour_cost
            else None,
        )
        if self.max_risk is not None:
            made.max_risk = self.max_risk
        if self.never_shrink:
            made.never_shrink = True
        if self.lookback:
            made.lookback.FromTimedelta(parse("--lookback", values.duration, self.lookback))
        if self.minimum_data:
            made.minimum_data.FromTimedelta(parse("--minimum-data", values.duration, self.minimum_data))
        by_dimension: dict[int, pb.DimensionPreference] = {}
        for dimension, percentile in _pairs("--percentile", self.percentile, values.number):
            by_dimension.setdefault(dimension, pb.DimensionPreference(dimension=dimension)).percentile = percentile
        for dimension, headroom in _pairs("--headroom", self.headroom, _share):
            by_dimension.setdefault(dimension, pb.DimensionPreference(dimension=dimension)).headroom_fraction = headroom
        made.dimensions.extend(by_dimension.values())
        return made


def _pairs(
    flag: str, texts: Iterable[str], read: Callable[[str], float]
) -> Iterable[tuple[pb.Dimension.ValueType, float]]:
    for text in texts:
        name, value = parse(flag, values.pair, text)
        yield parse(flag, vocabulary.dimension, name), parse(flag, read, value)


def _share(text: str) -> float:
    """`20%` or `0.2`; unlike `values.fraction` more than the whole is allowed."""
    stripped = text.strip()
    return values.number(stripped.removesuffix("%")) / (100 if stripped.endswith("%") else 1)
