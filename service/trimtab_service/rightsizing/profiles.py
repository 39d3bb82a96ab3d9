"""Named profiles: per dimension a recipe, as versioned data with its sources.

`safe`, `balanced` and `economy` are ours. Their rule for what slows down when short (CPU, network, disk, GPU) is the
least regret: the level where one more point of time in want is worth what it saves in points of idle size. How much
that is and how much want is tolerated tells them apart; they are statements about value and not about any series:

| profile | want tolerated | worth of a point below | and beyond |
|---|---|---|---|
| safe | half a percent of the time | 100 | 1,000 |
| balanced | half a percent | 20 | 400 |
| economy | ten percent | 1.75 | 40 |

The tolerance is what a percentile is, P99.5 and P90; around it the rates let a resource pay for less want where that
is cheap, and keep it from being given up where it is dear. `safe` and `balanced` add headroom for how much the load
grows from day to day. `economy` forgets by half each day, and adds
2.5 %. None is lowered by a weekend. Which constants were tried on what is told in `tests/bench/rightsizing_quality.py`.

For memory they differ in the headroom over the observed peak and never go below it.
`aws-compute-optimizer`, `vpa` and `krr` are models of those systems for comparison (design page, 1.1, 1.4, 1.6, 5.2).
How AWS applies its headroom is not documented; P99.5 / 0.8 is our reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from trimtab_service.domain.dimensions import DIMENSIONS, INCOMPRESSIBLE, Dimension
from trimtab_service.domain.preferences import DimensionPreference
from trimtab_service.rightsizing.estimators import PEAK, Estimator, LeastRegret, Percentile
from trimtab_service.rightsizing.recipes import Drift, Recipe


@dataclass(frozen=True, slots=True)
class Profile:
    """A name, the version of its constants, and a recipe for each dimension."""

    name: str
    version: int
    source: str
    recipes: Mapping[Dimension, Recipe]

    def estimator(
        self,
        dimension: Dimension,
        preference: DimensionPreference | None = None,
        *,
        floor: float | None = None,
        allow_below_peak: bool = False,
    ) -> Estimator:
        """The estimator of a dimension, with a caller's percentile and headroom where given.

        Memory and GPU memory stay at the observed peak at least, whatever is preferred, unless `allow_below_peak`.
        A floor is in the unit of the samples.
        """
        recipe = self.recipes[dimension]
        if preference is not None:
            recipe = recipe.overridden(preference.percentile, preference.headroom_fraction)
        if allow_below_peak and recipe.never_below_peak:
            recipe = _without_peak(recipe)
        return recipe.estimator(floor)


def _without_peak(recipe: Recipe) -> Recipe:
    return replace(recipe, never_below_peak=False)


def _recipes(compressible: Recipe, incompressible: Recipe) -> Mapping[Dimension, Recipe]:
    return MappingProxyType(
        {dimension: incompressible if dimension in INCOMPRESSIBLE else compressible for dimension in DIMENSIONS}
    )


_LOOK_BACK_DAYS: Final = 14.0

SAFE: Final = Profile(
    name="safe",
    version=2,
    source="trimtab",
    recipes=_recipes(
        Recipe(LeastRegret(100.0, 1_000.0, 0.005), _LOOK_BACK_DAYS, drift=Drift(2.0), weekday_aware=True),
        Recipe(PEAK, _LOOK_BACK_DAYS, headroom=0.20, never_below_peak=True),
    ),
)

BALANCED: Final = Profile(
    name="balanced",
    version=2,
    source="trimtab",
    recipes=_recipes(
        Recipe(LeastRegret(20.0, 400.0, 0.005), _LOOK_BACK_DAYS, drift=Drift(1.4), weekday_aware=True),
        Recipe(PEAK, _LOOK_BACK_DAYS, headroom=0.15, never_below_peak=True),
    ),
)

ECONOMY: Final = Profile(
    name="economy",
    version=3,
    source="trimtab",
    recipes=_recipes(
        Recipe(LeastRegret(1.75, 40.0, 0.10), _LOOK_BACK_DAYS, half_life_days=1.0, headroom=0.025, weekday_aware=True),
        Recipe(PEAK, _LOOK_BACK_DAYS, headroom=0.05, never_below_peak=True),
    ),
)

AWS_COMPUTE_OPTIMIZER: Final = Profile(
    name="aws-compute-optimizer",
    version=1,
    source="botocore compute-optimizer: defaults P99_5 and 20 % headroom, look-back 14 days; P99.5 / 0.8 as modelled",
    recipes=_recipes(
        Recipe(Percentile(99.5), 14.0, headroom=0.25),
        Recipe(PEAK, 14.0, headroom=0.25),
    ),
)

VPA: Final = Profile(
    name="vpa",
    version=1,
    source="kubernetes/autoscaler VPA recommender: p90, half-life 24 h, 8 days, margin 15 %; memory: daily peaks",
    recipes=_recipes(
        Recipe(Percentile(90.0), 8.0, half_life_days=1.0, headroom=0.15),
        Recipe(Percentile(90.0), 8.0, half_life_days=1.0, headroom=0.15, daily_peaks=True),
    ),
)

KRR: Final = Profile(
    name="krr",
    version=1,
    source="robusta-dev/krr simple strategy: CPU p95, memory maximum + 15 %, 336 hours",
    recipes=_recipes(
        Recipe(Percentile(95.0), 14.0),
        Recipe(PEAK, 14.0, headroom=0.15),
    ),
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {profile.name: profile for profile in (SAFE, BALANCED, ECONOMY, AWS_COMPUTE_OPTIMIZER, VPA, KRR)}
)
