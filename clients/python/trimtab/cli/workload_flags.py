"""Flags that describe a workload, taken by `place`, `explain` and `policy effective`."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

_SIZE = "Size of one instance"
_TIME = "How long, how many"
_BUY = "Bought how"
_WHERE = "Where it may run"
_DATA = "Data and users"
_NOW = "Where it runs now"
_MORE = "Facts of the caller"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFlags:
    """What the flags say, as text; `workload_parse` makes the message of it."""

    gpu: Annotated[
        list[str], typer.Option(help="GPU model, such as V100. Repeat: any will do.", rich_help_panel=_SIZE)
    ] = field(default_factory=list)
    gpus: Annotated[int, typer.Option(help="GPUs. 0: one, when a model is given.", rich_help_panel=_SIZE)] = 0
    gpu_memory: Annotated[
        str, typer.Option(metavar="SIZE", help="Memory of each GPU, as 40GiB.", rich_help_panel=_SIZE)
    ] = ""
    vcpus: Annotated[float, typer.Option(help="Virtual CPUs.", rich_help_panel=_SIZE)] = 0.0
    memory: Annotated[str, typer.Option(metavar="SIZE", help="Memory, as 64GiB.", rich_help_panel=_SIZE)] = ""
    arch: Annotated[str, typer.Option(help="x86_64 or arm64.", rich_help_panel=_SIZE)] = ""
    local_disk_gb: Annotated[float, typer.Option(help="Local disk in GB.", rich_help_panel=_SIZE)] = 0.0
    network_gbps: Annotated[float, typer.Option(help="Network in Gbit/s.", rich_help_panel=_SIZE)] = 0.0
    instance_type: Annotated[str, typer.Option(help="Only this type.", rich_help_panel=_SIZE)] = ""

    hours: Annotated[
        str, typer.Option(metavar="DURATION", help="Work to be done once, as 8, 8h or 90m.", rich_help_panel=_TIME)
    ] = ""
    service_hours: Annotated[
        float, typer.Option(help="Instead: hours of every month that a service runs.", rich_help_panel=_TIME)
    ] = 0.0
    count: Annotated[int, typer.Option(help="Instances, all or nothing.", rich_help_panel=_TIME)] = 0
    spread: Annotated[int, typer.Option(help="Zones to spread them over.", rich_help_panel=_TIME)] = 0
    deadline: Annotated[
        str, typer.Option(metavar="INSTANT", help="Done by 2026-11-24T08:00Z, or in 12h.", rich_help_panel=_TIME)
    ] = ""
    start_by: Annotated[
        str,
        typer.Option(
            metavar="INSTANT", help="It may wait until then: say when it is best started.", rich_help_panel=_TIME
        ),
    ] = ""

    on_demand: Annotated[bool, typer.Option("--on-demand", help="Allow on demand.", rich_help_panel=_BUY)] = False
    spot: Annotated[bool, typer.Option("--spot", help="Allow spot.", rich_help_panel=_BUY)] = False
    reserved_1y: Annotated[
        bool, typer.Option("--reserved-1y", help="Allow a new one-year reservation.", rich_help_panel=_BUY)
    ] = False
    reserved_3y: Annotated[
        bool, typer.Option("--reserved-3y", help="Allow a new three-year reservation.", rich_help_panel=_BUY)
    ] = False
    owned: Annotated[bool, typer.Option("--owned", help="Allow room of owned commitments.", rich_help_panel=_BUY)] = (
        False
    )
    checkpoint_write: Annotated[
        str, typer.Option(metavar="DURATION", help="Time to write a checkpoint, as 30s.", rich_help_panel=_BUY)
    ] = ""
    checkpoint_interval: Annotated[
        str, typer.Option(metavar="DURATION", help="Work between checkpoints.", rich_help_panel=_BUY)
    ] = ""
    checkpoint_store: Annotated[
        str, typer.Option(metavar="CLOUD:REGION:SIZE", help="Where checkpoints are, how large.", rich_help_panel=_BUY)
    ] = ""
    restart: Annotated[
        str, typer.Option(metavar="DURATION", help="From new capacity to useful work.", rich_help_panel=_BUY)
    ] = ""
    max_interruptions: Annotated[
        float | None, typer.Option(help="Most interruptions to expect.", rich_help_panel=_BUY)
    ] = None

    residency: Annotated[
        list[str], typer.Option(metavar="PLACE", help="Country or bloc, as DE or EU.", rich_help_panel=_WHERE)
    ] = field(default_factory=list)
    deny_country: Annotated[list[str], typer.Option(help="Not in this country.", rich_help_panel=_WHERE)] = field(
        default_factory=list
    )
    clouds: Annotated[
        list[str], typer.Option(metavar="CLOUD", help="aws, gcp, azure; commas or repeat.", rich_help_panel=_WHERE)
    ] = field(default_factory=list)
    deny_cloud: Annotated[list[str], typer.Option(metavar="CLOUD", help="Not there.", rich_help_panel=_WHERE)] = field(
        default_factory=list
    )
    region: Annotated[list[str], typer.Option(metavar="CLOUD:REGION", help="Only there.", rich_help_panel=_WHERE)] = (
        field(default_factory=list)
    )
    deny_region: Annotated[
        list[str], typer.Option(metavar="CLOUD:REGION", help="Not there.", rich_help_panel=_WHERE)
    ] = field(default_factory=list)
    family: Annotated[list[str], typer.Option(help="Only this instance family.", rich_help_panel=_WHERE)] = field(
        default_factory=list
    )
    deny_family: Annotated[list[str], typer.Option(help="Not this family.", rich_help_panel=_WHERE)] = field(
        default_factory=list
    )
    deny_type: Annotated[list[str], typer.Option(help="Not this instance type.", rich_help_panel=_WHERE)] = field(
        default_factory=list
    )
    block: Annotated[
        list[str],
        typer.Option(metavar="OFFER", help="Not CLOUD:REGION:TYPE:OPTION; parts may be empty.", rich_help_panel=_WHERE),
    ] = field(default_factory=list)
    service: Annotated[list[str], typer.Option(help="Cloud service it must have, as S3.", rich_help_panel=_WHERE)] = (
        field(default_factory=list)
    )
    prefer: Annotated[
        list[str],
        typer.Option(
            metavar="SERVICE=USD", help="Service it would like, and what doing without costs.", rich_help_panel=_WHERE
        ),
    ] = field(default_factory=list)
    partition: Annotated[
        list[str], typer.Option(help="Also this partition, as aws-us-gov.", rich_help_panel=_WHERE)
    ] = field(default_factory=list)
    no_estimated_prices: Annotated[
        bool, typer.Option("--no-estimated-prices", help="Published prices only.", rich_help_panel=_WHERE)
    ] = False

    data: Annotated[
        list[str],
        typer.Option(
            metavar="CLOUD:REGION:SIZE",
            help="Data it reads, as aws:eu-west-1:500GiB; xN: N times.",
            rich_help_panel=_DATA,
        ),
    ] = field(default_factory=list)
    users: Annotated[
        list[str],
        typer.Option(metavar="CLOUD:REGION:SHARE", help="Users there (or LAT,LONG:SHARE).", rich_help_panel=_DATA),
    ] = field(default_factory=list)
    max_latency: Annotated[
        str, typer.Option(metavar="DURATION", help="Longest mean round trip, as 50ms.", rich_help_panel=_DATA)
    ] = ""
    users_egress: Annotated[str, typer.Option(metavar="SIZE", help="Data sent to users.", rich_help_panel=_DATA)] = ""
    sent: Annotated[
        list[str],
        typer.Option(
            metavar="CLOUD:REGION:SIZE", help="Already sent to the internet this month.", rich_help_panel=_DATA
        ),
    ] = field(default_factory=list)

    current: Annotated[
        str, typer.Option(metavar="CLOUD:REGION:TYPE:OPTION", help="The later parts optional.", rich_help_panel=_NOW)
    ] = ""
    state: Annotated[str, typer.Option(metavar="SIZE", help="State that moves along.", rich_help_panel=_NOW)] = ""
    changeover: Annotated[
        str, typer.Option(metavar="DURATION", help="Work lost and time paid twice by moving.", rich_help_panel=_NOW)
    ] = ""
    moving_cost: Annotated[str, typer.Option(metavar="USD", help="Other cost of moving.", rich_help_panel=_NOW)] = ""
    minimum_gain: Annotated[
        str, typer.Option(metavar="USD|PERCENT", help="Stay unless the gain is this much.", rich_help_panel=_NOW)
    ] = ""

    workload: Annotated[str, typer.Option(metavar="ID", help="Id of the workload.", rich_help_panel=_MORE)] = ""
    tag: Annotated[
        list[str], typer.Option(metavar="KEY=VALUE", help="Tag that policies ask for.", rich_help_panel=_MORE)
    ] = field(default_factory=list)
    tolerance: Annotated[
        str, typer.Option(metavar="PERCENT", help="Costs this near are equal; less risk wins.", rich_help_panel=_MORE)
    ] = ""
    quota: Annotated[
        list[str],
        typer.Option(metavar="QUOTA", help="Left: CLOUD:REGION:vcpus|instances|gpus=N.", rich_help_panel=_MORE),
    ] = field(default_factory=list)
    own_price: Annotated[
        list[str],
        typer.Option(
            metavar="OFFER=USD", help="Offer at your price: CLOUD:REGION:TYPE:OPTION=USD.", rich_help_panel=_MORE
        ),
    ] = field(default_factory=list)
    hours_per_month: Annotated[float, typer.Option(help="0: 730.", rich_help_panel=_MORE)] = 0.0
    hours_per_year: Annotated[float, typer.Option(help="0: 8,760.", rich_help_panel=_MORE)] = 0.0
