"""Series and resources in the words that people use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from trimtab import vocabulary
from trimtab.v1 import rightsizing_pb2 as pb
from trimtab.v1.rightsizing_service_pb2 import SeriesPoints

POINTS_A_MESSAGE: Final = 200_000
"""Points that fit into one message with room to spare: 3.2 MB with stamps, of the 4 MiB that servers take."""


def series(  # noqa: PLR0913 - the fields of the message, each optional
    metric: str,
    values: Iterable[float],
    *,
    start: datetime | None = None,
    step: timedelta | None = None,
    epoch_seconds: Iterable[int] = (),
    unit: str = "",
    statistic: str = "",
    device: str = "",
) -> pb.MetricSeries:
    """One measured series: values on a grid (`start` and `step`), or each with its second since 1970.

    Words are those of the contract's enums in any case: metric `cpu`, `network-in`, `gpu-memory`, ...; unit `percent`,
    `vcpus`, `gib`, ...; statistic `average`, `maximum`, `sum`, `counter`. NaN is a gap.

    Raises ValueError for a word that is none, and for a start without a time zone.
    """
    made = pb.MetricSeries(
        metric=vocabulary.metric(metric),
        unit=vocabulary.unit(unit) if unit else pb.UNIT_UNSPECIFIED,
        statistic=vocabulary.statistic(statistic) if statistic else pb.STATISTIC_UNSPECIFIED,
        device=device,
        epoch_seconds=epoch_seconds,
        values=values,
    )
    if start is not None:
        if start.tzinfo is None:
            raise ValueError("a start needs its time zone")
        made.start_time.FromDatetime(start.astimezone(UTC).replace(tzinfo=None))
    if step is not None:
        made.step.FromTimedelta(step)
    return made


def resource(  # noqa: PLR0913 - the fields that most resources use, each optional
    resource_id: str,
    *,
    cloud: str,
    region: str,
    instance_type: str = "",
    count: int = 0,
    price_per_hour: Decimal | str | int | None = None,
    workload_id: str = "",
    team: str = "",
    arm_ready: bool = False,
    tags: Mapping[str, str] | None = None,
) -> pb.CloudResource:
    """A `CloudResource` of the commonest fields; set the others on the result."""
    return pb.CloudResource(
        resource_id=resource_id,
        cloud=vocabulary.cloud(cloud),
        region=region,
        instance_type=instance_type,
        count=count,
        price_per_hour=None if price_per_hour is None else vocabulary.money(price_per_hour),
        workload_id=workload_id,
        team=team,
        arm_ready=arm_ready,
        tags=tags,
    )


def in_parts(given: Sequence[pb.MetricSeries]) -> tuple[list[pb.MetricSeries], Iterator[SeriesPoints]]:
    """Series too large for one message: their heads, and their points in parts, for `stream_rightsize`."""
    heads: list[pb.MetricSeries] = []
    for one in given:
        head = pb.MetricSeries(metric=one.metric, unit=one.unit, statistic=one.statistic, device=one.device)
        if one.HasField("start_time"):
            head.start_time.CopyFrom(one.start_time)
        if one.HasField("step"):
            head.step.CopyFrom(one.step)
        heads.append(head)

    def parts() -> Iterator[SeriesPoints]:
        for index, one in enumerate(given):
            for begin in range(0, len(one.values), POINTS_A_MESSAGE):
                end = begin + POINTS_A_MESSAGE
                yield SeriesPoints(
                    series=index, epoch_seconds=one.epoch_seconds[begin:end], values=one.values[begin:end]
                )

    return heads, parts()
