"""How often spot capacity is taken away, learned from the project's own hours and interruptions.

Interruptions are Poisson with a rate that is Gamma distributed. Three pools, each the prior of the next, worth
`PRIOR_HOURS` of running there whatever it was learned from: the instance family everywhere in its cloud, the
type in the region, the type in the zone. A pool's evidence leaves out that of the next, so nothing counts
twice. The prior of the first is the catalogue's interruption bucket: thirty hours of one's own outweigh it.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.placement.gamma import gamma_quantile
from trimtab_service.placement.shards import ShardedMap

PRIOR_HOURS: Final = 30.0
"""Hours of running that a prior is worth: of the bucket, and of each wider pool to the next narrower."""

DEFAULT_INTERVAL_MASS: Final = 0.9


class Exposure(NamedTuple):
    """Evidence: interruptions suffered over instance hours run."""

    interruptions: int
    hours: float


_NOTHING: Final = Exposure(0, 0.0)

_Key = TypeVar("_Key", bound=Hashable)

RateRow = tuple[str, str, str, str, int, float]
"""Pool (`family`, `place`, `zone`) keys and evidence, as kept in snapshots: cloud, region, zone, name, count, hours."""


_FamilyEvidence = tuple[tuple[str, str], Exposure]
_PlaceEvidence = tuple[tuple[str, str, str], Exposure]


@dataclass(frozen=True, slots=True)
class RatePosterior:
    """Gamma(`shape`, `hours`) over interruptions per instance hour."""

    shape: float
    hours: float

    @property
    def mean(self) -> float:
        """Expected interruptions per hour: the rate that decisions use."""
        return self.shape / self.hours

    def interval(self, mass: float = DEFAULT_INTERVAL_MASS) -> tuple[float, float]:
        """The equal-tailed interval that holds the rate with probability `mass`, in interruptions per hour."""
        tail = (1.0 - mass) / 2.0
        if self.shape <= 0.0:
            return 0.0, 0.0
        return gamma_quantile(self.shape, self.hours, tail), gamma_quantile(self.shape, self.hours, 1.0 - tail)


@dataclass(frozen=True, slots=True, eq=False)
class RateBook:
    """Evidence by pool. Immutable: `report` answers another book that shares almost all with this one."""

    _families: ShardedMap[tuple[str, str], Exposure] = field(default_factory=ShardedMap)
    _places: ShardedMap[tuple[str, str, str], Exposure] = field(default_factory=ShardedMap)
    _zones: ShardedMap[tuple[str, str, str, str], Exposure] = field(default_factory=ShardedMap)

    @property
    def is_empty(self) -> bool:
        """Whether every rate is still its prior."""
        return not len(self._families)

    def knows(self, cloud: Cloud, family: str) -> bool:
        """Whether a rate of this family may differ from its prior."""
        return self._families.get((cloud, family)) is not None

    def families(self) -> Iterator[_FamilyEvidence]:
        """The families that it knows, each as (cloud, family) with its evidence, in no defined order."""
        return self._families.items()

    def places(self) -> Iterator[_PlaceEvidence]:
        """The types that it knows of a region, as (cloud, region, type) with their evidence, in no defined order."""
        return self._places.items()

    def since(self, old: "RateBook") -> tuple[list[_FamilyEvidence], list[_PlaceEvidence]] | None:
        """Evidence of `families` and `places` that was reported since `old`; None where `old` is of another project."""
        families = self._families.since(old._families)  # noqa: SLF001 - another of this class
        places = self._places.since(old._places)  # noqa: SLF001 - the same
        return None if families is None or places is None else (families, places)

    def report(self, outcome: Outcome) -> "RateBook":
        """The book with one outcome more. Only spot capacity is interrupted; other options teach nothing here."""
        count, hours = outcome.interruptions, outcome.hours_run
        if outcome.option is not PurchaseOption.SPOT or (count == 0 and hours == 0.0):
            return self
        family = (outcome.cloud, outcome.family or outcome.instance_type)
        place = (outcome.cloud, outcome.region, outcome.instance_type)
        zones = self._zones
        if outcome.zone:
            zones = _more(zones, (*place, outcome.zone), count, hours)
        return RateBook(_more(self._families, family, count, hours), _more(self._places, place, count, hours), zones)

    def rate(  # noqa: PLR0913, PLR0917 - the parts of an offer's name, called for each spot offer looked at
        self, cloud: Cloud, family: str, region: str, instance_type: str, zone: str, prior_rate: float
    ) -> float:
        """Posterior mean of interruptions per hour of one instance. `zone` empty: of the region as a whole."""
        whole = self._families.get((cloud, family))
        if whole is None:
            return prior_rate
        place = self._places.get((cloud, region, instance_type))
        if place is None:
            return (prior_rate * PRIOR_HOURS + whole[0]) / (PRIOR_HOURS + whole[1])
        count, hours = place
        rate = (prior_rate * PRIOR_HOURS + (whole[0] - count)) / (PRIOR_HOURS + (whole[1] - hours))
        if not zone:
            return (rate * PRIOR_HOURS + count) / (PRIOR_HOURS + hours)
        near = self._zones.get((cloud, region, instance_type, zone)) or _NOTHING
        rate = (rate * PRIOR_HOURS + (count - near[0])) / (PRIOR_HOURS + (hours - near[1]))
        return (rate * PRIOR_HOURS + near[0]) / (PRIOR_HOURS + near[1])

    def posterior(  # noqa: PLR0913, PLR0917 - as `rate`
        self, cloud: Cloud, family: str, region: str, instance_type: str, zone: str, prior_rate: float
    ) -> RatePosterior:
        """The distribution whose mean is `rate`, given the evidence of the narrowest pool that was asked for."""
        place = self._places.get((cloud, region, instance_type)) or _NOTHING
        if zone:
            place = self._zones.get((cloud, region, instance_type, zone)) or _NOTHING
        hours = PRIOR_HOURS + place.hours
        return RatePosterior(self.rate(cloud, family, region, instance_type, zone, prior_rate) * hours, hours)

    def rows(self) -> list[RateRow]:
        """All evidence, sorted: the same book has the same rows in every process."""
        families = [(c, "", "", f, *e) for (c, f), e in self._families.items()]
        places = [(c, r, "", t, *e) for (c, r, t), e in self._places.items()]
        zones = [(c, r, z, t, *e) for (c, r, t, z), e in self._zones.items()]
        return sorted(families) + sorted(places) + sorted(zones)

    @classmethod
    def from_rows(cls, rows: list[RateRow]) -> "RateBook":
        """The book that `rows` was called on."""
        families: ShardedMap[tuple[str, str], Exposure] = ShardedMap()
        places: ShardedMap[tuple[str, str, str], Exposure] = ShardedMap()
        zones: ShardedMap[tuple[str, str, str, str], Exposure] = ShardedMap()
        for cloud, region, zone, name, count, hours in rows:
            exposure = Exposure(count, hours)
            if zone:
                zones = zones.set((cloud, region, name, zone), exposure)
            elif region:
                places = places.set((cloud, region, name), exposure)
            else:
                families = families.set((cloud, name), exposure)
        return cls(families, places, zones)


def _more(pool: ShardedMap[_Key, Exposure], key: _Key, count: int, hours: float) -> ShardedMap[_Key, Exposure]:
    known = pool.get(key) or _NOTHING
    return pool.set(key, Exposure(known.interruptions + count, known.hours + hours))
