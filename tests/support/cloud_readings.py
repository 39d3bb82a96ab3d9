"""Asking a telemetry source for everything, as the tests of the AWS adapter do."""

from datetime import UTC, datetime, timedelta

from tests.support.moto_fleet import MotoFleet
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.connection import connect
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.dimensions import Metric, Statistic
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Reading, Scope, TelemetrySource, Window
from trimtab_service.rightsizing.telemetry import RawSeries


def soon(seconds: float = 300.0) -> datetime:
    """A deadline."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def source_of(account: CloudAccount) -> TelemetrySource:
    """Waits between repetitions are not waited for; everything else is real."""
    return connect(account, Patience(sleep=lambda _: None)).source


def window_of(fleet: MotoFleet, days: float = 14) -> Window:
    """Days before the fleet was made."""
    return Window(fleet.now - timedelta(days=days), fleet.now)


def listed(source: TelemetrySource) -> list[CloudResource]:
    """The whole inventory."""
    return list(source.inventory(Scope(), soon()))


def read_all(fleet: MotoFleet, source: TelemetrySource, days: float = 2, seconds: float = 300) -> dict[str, Reading]:
    """One reading of each resource, by machine name where there is one, by resource id else."""
    resources = listed(source)
    readings = list(source.read(resources, window_of(fleet, days), soon(seconds)))
    assert sorted(one.resource.key for one in readings) == sorted(one.key for one in resources)
    names = {fleet.ids[name]: name for name in fleet.ids}
    return {names.get(one.resource.resource_id, one.resource.resource_id): one for one in readings}


def series_of(reading: Reading, metric: Metric, statistic: Statistic, device: str = "") -> RawSeries:
    """The one series of that metric, statistic and device."""
    assert reading.telemetry is not None, reading.failure
    wanted = (metric, statistic, device)
    (found,) = [one for one in reading.telemetry.series if (one.metric, one.statistic, one.device) == wanted]
    return found
