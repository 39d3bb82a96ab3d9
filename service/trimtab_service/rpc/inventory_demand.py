"""Usage of a request that names accounts instead of hours: what runs there, priced by the catalogue."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError
from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PurchaseOption
from trimtab_service.domain.purchasing import Service
from trimtab_service.domain.reasons import DemandNote, ErrorReason
from trimtab_service.domain.resources import CloudResource
from trimtab_service.purchasing.inventory_usage import TypeFacts, inventory_usage
from trimtab_service.purchasing.ports import RunningFleet
from trimtab_service.rightsizing.ports import Scope, TelemetrySources
from trimtab_service.rpc import bounds
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.vocabulary import CLOUD_CODE, money_of_nanos, set_timestamp

_MOST_SOURCES: Final = 16
_LOOKBACK_H: Final = 30 * 24.0
_MOST_LOOKBACK_H: Final = 366 * 24.0
_LONGEST_S: Final = 600.0
_ON_DEMAND: Final = PLACEMENT_OPTIONS.index(PurchaseOption.ON_DEMAND)


@dataclass(frozen=True, slots=True)
class ListedFleet:
    """Implements `RunningFleet` over the telemetry sources, which know their account's resources."""

    sources: TelemetrySources

    def list(self, project: str, name: str, deadline: datetime) -> Iterator[CloudResource]:
        """As the port says."""
        source = self.sources.get(project, name)
        if source is None:
            raise NotFoundError(
                ErrorReason.NOT_FOUND,
                f"no account {name!r} that this project may use",
                metadata={"telemetry_source": name},
            )
        return source.inventory(Scope(), deadline)


@dataclass(frozen=True, slots=True)
class InventoryDemand:
    """Turns `InventoryUsage` into series; other usage it leaves as it is."""

    fleet: RunningFleet
    snapshot: Callable[[str], CatalogSnapshot]
    clock: Callable[[], datetime]

    def series_of(
        self, message: pb.PurchaseDemand, call: Call, at: str
    ) -> tuple[pb.PurchaseDemand, tuple[DemandNote, ...]]:
        """The usage as series, and what was assumed to make them.

        Raises InvalidArgumentError, NotFoundError, UnavailableError (SOURCE_FAILED) where an account is not listed, and
        FailedPreconditionError (NO_USAGE) where nothing runs.
        """
        if not message.HasField("inventory"):
            return message, ()
        asked, found = message.inventory, Violations()
        here = f"{at}.inventory"
        if message.series:
            found.add((at, "series"), ErrorReason.CONTRADICTION, "usage is given, or it is of what runs")
        if message.currency_code not in {"", "USD"}:
            found.add((at, "currency_code"), ErrorReason.CONTRADICTION, "the catalogue prices in USD")
        names = list(dict.fromkeys(asked.telemetry_sources))
        if not names or not all(names):
            found.add((here, "telemetry_sources"), ErrorReason.FIELD_REQUIRED, "name configured accounts")
        bounds.few(found, (here, "telemetry_sources"), len(names), _MOST_SOURCES)
        lookback = _LOOKBACK_H
        if asked.HasField("lookback"):
            lookback = bounds.hours(found, (here, "lookback"), asked.lookback, most=_MOST_LOOKBACK_H, positive=True)
        found.check()
        instant = self.clock()
        deadline = instant + timedelta(seconds=min(call.time_remaining(), _LONGEST_S))
        listed: dict[str, CloudResource] = {}
        for name in names:
            for resource in self.fleet.list(call.project, name, deadline):
                listed.setdefault(resource.key, resource)
            call.check()
        snapshot = self.snapshot(call.project)
        used = inventory_usage(
            listed.values(),
            lambda resource: _facts(snapshot, resource),
            instant.replace(minute=0, second=0, microsecond=0),
            timedelta(hours=max(round(lookback), 1)),
            always=asked.assume_always,
        )
        if not used.keys:
            why = "nothing runs there that is paid by the hour at a price of the catalogue"
            raise FailedPreconditionError(ErrorReason.NO_USAGE, why)
        made = pb.PurchaseDemand()
        set_timestamp(made.start_time, used.start)
        for key, nanos, units in zip(used.keys, used.nanos, used.units, strict=True):
            made.series.add(
                cloud=CLOUD_CODE[key.cloud],
                family=key.family,
                region=key.region,
                sku=key.sku,
                account=key.account,
                sagemaker=key.service is Service.SAGEMAKER,
                hourly_usage=units.tolist(),
                unit_price=money_of_nanos(nanos),
            )
        return made, used.notes


def _facts(snapshot: CatalogSnapshot, resource: CloudResource) -> TypeFacts | None:
    """Family and price: the caller's own price of an instance counts before the catalogue's."""
    region = snapshot.region_index.get((resource.cloud, resource.region))
    known = snapshot.type_index.get((resource.cloud, resource.instance_type))
    family = "" if known is None else snapshot.families[int(snapshot.types.family[known])]
    nanos = resource.price_nanos_per_hour
    if nanos is None and region is not None and known is not None:
        nanos = snapshot.offer_price_nanos(_ON_DEMAND, region, known)
    if not nanos:
        return None
    return TypeFacts(family or resource.instance_type.rpartition(".")[0] or resource.instance_type, nanos)
