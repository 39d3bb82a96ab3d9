"""Parts of random placement requests."""

from dataclasses import replace
from random import Random

from trimtab_service.catalog.services import packaged_services
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, PurchaseOption
from trimtab_service.domain.regions import BLOCS
from trimtab_service.domain.workloads import (
    CallerOffer,
    CurrentPlace,
    DataSet,
    GpuNeed,
    Interruption,
    OfferPattern,
    Quota,
    RegionKey,
    Residency,
    ServiceNeed,
    Size,
    UserGroup,
    Users,
)

BOTH = (PurchaseOption.ON_DEMAND, PurchaseOption.SPOT)


class RequestParts:
    """Makes them over the vocabulary of one snapshot."""

    def __init__(self, snapshot: CatalogSnapshot, random: Random) -> None:
        self.snapshot = snapshot
        self.random = random
        self.regions = [RegionKey(r.cloud, r.name) for r in snapshot.regions]
        self.countries_of_all = sorted({r.country for r in snapshot.regions})
        models = snapshot.types.gpu_model
        self.models = [name for i, name in enumerate(snapshot.gpu_models) if (models == i).any()]
        self.services = sorted({fact.service for fact in packaged_services().facts})
        self._gpu_types = [t for t, model in enumerate(models.tolist()) if model >= 0]
        self._cpu_types = [t for t, model in enumerate(models.tolist()) if model < 0]

    def hours(self) -> float:
        """Of a run, from seconds to months."""
        rng = self.random
        return rng.choice((1.0, 8.0, round(10 ** rng.uniform(-2, 3.3), 3), rng.uniform(0.001, 0.02)))

    def options(self) -> tuple[PurchaseOption, ...]:
        """How it may be bought."""
        rng = self.random
        if rng.random() < 0.4:
            return BOTH
        if rng.random() < 0.3:
            return (PurchaseOption.ON_DEMAND, PurchaseOption.OWNED_COMMITMENT)
        every = (*PLACEMENT_OPTIONS, PurchaseOption.OWNED_COMMITMENT)
        return tuple(rng.sample(every, rng.randint(1, len(every))))

    def size(self) -> Size:
        """What some type has, or a little less; now and then a size out of the blue, with more that it must have."""
        rng = self.random
        if rng.random() < 0.1:
            size = Size(float(rng.choice((1, 3, 6, 48, 96))), float(rng.choice((15, 61, 200, 512))))
            if rng.random() < 0.3:
                size = replace(size, gpus=(GpuNeed((rng.choice(self.models),), rng.choice((1, 2, 3, 8)), 14.0),))
        else:
            gpu = rng.random() < 0.5
            types = self._gpu_types if gpu else self._cpu_types
            size = self.size_of(rng.choice(types))
            if gpu and rng.random() < 0.3:
                need = GpuNeed(
                    tuple(rng.sample(self.models, min(len(self.models), rng.choice((1, 2))))), rng.choice((1, 2))
                )
                size = replace(size, gpus=(*size.gpus, need))
        return size

    def size_of(self, t: int) -> Size:
        """A size that type t meets."""
        rng, types = self.random, self.snapshot.types
        share = rng.choice((0.0, 0.5, 0.9, 1.0))
        vcpus, memory = float(types.vcpus[t]) * share, float(types.memory_gib[t]) * rng.choice((0.0, 0.5, 1.0))
        size = Size(float(int(vcpus)), float(int(memory)))
        if types.gpu_model[t] >= 0:
            count = max(1, int(types.gpu_count[t] * rng.choice((0.5, 1.0, 1.0))))
            memory = float(types.gpu_memory_gib[t]) if rng.random() < 0.2 else 0.0
            size = replace(size, gpus=(GpuNeed((self.snapshot.gpu_models[int(types.gpu_model[t])],), count, memory),))
        return size

    def countries(self) -> frozenset[str]:
        """A bloc, a country, any, or a few."""
        rng = self.random
        kind = rng.random()
        if kind < 0.4:
            return BLOCS["EU"]
        if kind < 0.55:
            return frozenset({"US"})
        if kind < 0.8:
            return frozenset()
        return frozenset(rng.sample(self.countries_of_all, min(len(self.countries_of_all), rng.randint(1, 8))))

    def families(self, count: int) -> list[str]:
        """Families weighed by their types: large ones win more often, so denying them bites."""
        families, of_type = self.snapshot.families, self.snapshot.types.family
        return [families[int(of_type[self.random.randrange(len(of_type))])] for _ in range(count)]

    def type_names(self, count: int) -> list[str]:
        """Names of types, each with equal chance."""
        return [self.random.choice(self.snapshot.type_names) for _ in range(count)]

    def residency(self) -> Residency:
        """Rules of place, family and type, each with its own chance."""
        rng = self.random
        residency = Residency(countries=self.countries())
        if rng.random() < 0.3:
            residency = replace(residency, denied_countries=frozenset(rng.sample(self.countries_of_all, 2)))
        if rng.random() < 0.25:
            residency = replace(residency, clouds=frozenset(rng.sample(CLOUDS, 2)))
        if rng.random() < 0.15:
            residency = replace(residency, denied_clouds=frozenset(rng.sample(CLOUDS, 1)))
        if rng.random() < 0.15:
            residency = replace(residency, regions=frozenset(rng.sample(self.regions, min(len(self.regions), 12))))
        if rng.random() < 0.3:
            residency = replace(residency, denied_regions=frozenset(rng.sample(self.regions, 3)))
        if rng.random() < 0.15:
            residency = replace(residency, families=frozenset(self.families(6)))
        if rng.random() < 0.3:
            residency = replace(residency, denied_families=frozenset(self.families(3)))
        if rng.random() < 0.1:
            residency = replace(residency, instance_types=frozenset(self.type_names(20)))
        if rng.random() < 0.3:
            residency = replace(residency, denied_instance_types=frozenset(self.type_names(4)))
        return residency

    def interruption(self) -> Interruption:
        """What an interruption costs, and how many are borne."""
        rng = self.random
        if rng.random() < 0.3:
            return Interruption()
        tolerance = Interruption(
            checkpoint_write_hours=rng.choice((None, 0.0, 0.01, 0.1)), restart_hours=rng.choice((0.0, 0.1, 0.5))
        )
        if rng.random() < 0.2:
            tolerance = replace(tolerance, checkpoint_interval_hours=rng.choice((0.25, 1.0)))
        if rng.random() < 0.4:
            tolerance = replace(
                tolerance,
                checkpoint_store=rng.choice(self.regions),
                checkpoint_gib=rng.choice((10.0, 500.0)),
                checkpoint_nanos_per_gib_month=rng.choice((0, 23_000_000)),
            )
        if rng.random() < 0.15:
            tolerance = replace(tolerance, max_expected_interruptions=rng.choice((0.001, 0.05, 1.0)))
        return tolerance

    def data_set(self) -> DataSet:
        """Data to read, in a region, through the internet or a line of one's own."""
        rng = self.random
        data = DataSet(rng.choice(self.regions), rng.choice((1.0, 50.0, 500.0, 2_000.0, rng.uniform(0.1, 30_000.0))))
        if rng.random() < 0.3:
            data = replace(data, reads=rng.choice((0.5, 2.0, 10.0)))
        if rng.random() < 0.15:
            data = replace(data, private_nanos_per_gib=rng.choice((0, 1_000_000, 20_000_000)))
            if rng.random() < 0.5:
                data = replace(data, private_clouds=tuple(rng.sample(CLOUDS, rng.randint(1, 2))))
        return data

    def users(self) -> Users:
        """Groups of users over the world."""
        rng = self.random
        shares = [rng.uniform(0.1, 1.0) for _ in range(rng.randint(1, 3))]
        groups = tuple(
            UserGroup(rng.uniform(-50.0, 65.0), rng.uniform(-180.0, 180.0), share / sum(shares)) for share in shares
        )
        return Users(groups, rng.choice((0.0, 0.0, 60.0, 150.0)), rng.choice((0.0, 100.0, 15_000.0)))

    def service(self) -> ServiceNeed:
        """A service that must be near, or had better be."""
        rng = self.random
        preference = rng.choice((None, 1_000_000, 50_000_000))
        return ServiceNeed(rng.choice(self.services), preference)

    def place(self) -> tuple[RegionKey, str, str]:
        """A region with a type that has an offer there, and a zone of it or none."""
        rng, snapshot = self.random, self.snapshot
        k = rng.randrange(snapshot.offers.type_index.size)
        t = int(snapshot.offers.type_index[k])
        cell = int((snapshot.offers.cell_start <= k).sum()) - 1
        region = cell % len(snapshot.regions)
        zones = snapshot.zones_of(t, region)
        zone = rng.choice(zones) if zones and rng.random() < 0.5 else ""
        return self.regions[region], snapshot.type_names[t], zone

    def current(self) -> CurrentPlace:
        """Where the work runs now."""
        rng = self.random
        location, name, zone = self.place()
        return CurrentPlace(
            location,
            zone=zone,
            instance_type=name if rng.random() < 0.6 else "",
            option=rng.choice((None, *BOTH)),
            state_gib=rng.choice((0.0, 10.0, 3_000.0)),
            changeover_hours=rng.choice((0.0, 0.1, 1.0)),
            fixed_cost_micros=rng.choice((0, 500_000)),
            minimum_gain_micros=rng.choice((0, 0, 2_000_000)),
            minimum_gain_fraction=rng.choice((0.0, 0.1)),
        )

    def quota(self) -> Quota:
        """What is left of a quota."""
        rng = self.random
        quota = Quota(
            rng.choice(self.regions), rng.choice(("vcpus", "instances", "gpus")), float(rng.choice((0, 1, 8, 31, 64)))
        )
        if rng.random() < 0.2:
            quota = replace(quota, family=self.families(1)[0])
        if rng.random() < 0.2:
            quota = replace(quota, gpu_model=rng.choice(self.models))
        if rng.random() < 0.3:
            quota = replace(quota, options=frozenset(rng.sample(BOTH, 1)))
        return quota

    def pattern(self) -> OfferPattern:
        """Offers that are blocked."""
        rng = self.random
        location, name, zone = self.place()
        kind = rng.random()
        if kind < 0.3:
            return OfferPattern(location.cloud, location.region, instance_type=name)
        if kind < 0.5:
            return OfferPattern(location.cloud, location.region, zone=zone, option=rng.choice((None, *BOTH)))
        if kind < 0.7:
            return OfferPattern(instance_type=name)
        if kind < 0.8:
            return OfferPattern(region=location.region, option=PurchaseOption.SPOT)
        if kind < 0.9 and zone:
            return OfferPattern(zone=zone)
        return OfferPattern(location.cloud, location.region, zone, name, PurchaseOption.ON_DEMAND)

    def caller_offer(self, size: Size) -> CallerOffer:
        """An offer of the caller's own."""
        rng = self.random
        location, name, _ = self.place()
        zones = self.snapshot.regions[self.snapshot.region_index[location.cloud, location.region]].zones
        return CallerOffer(
            location,
            rng.choice(("ml.p3.2xlarge", "private-1", name)),
            rng.choice(BOTH),
            rng.randint(1_000_000, 3_000_000_000),
            size=rng.choice((None, size, replace(size, vcpus=size.vcpus / 2))),
            zones=tuple(rng.sample(zones, rng.randint(0, len(zones)))),
        )
