"""Which offers nobody allowed, and what it takes to move to each: the same for all resources of one shape.

What is looked at here is neither the load nor a price nor a policy, so that it is worked out once a shape.
"""

from functools import lru_cache
from typing import Final, NamedTuple, Self

import numpy as np

from trimtab_service.catalog.arrays import F64, I8, Bools
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.rightsizing.gpu_speeds import speed_ratio
from trimtab_service.rightsizing.needs import Needs
from trimtab_service.rightsizing.present import SERVICE_PREFIXES, Present
from trimtab_service.rightsizing.region_offers import RegionOffers

REASONS: Final = (
    AdviceReason.POLICY,
    AdviceReason.FAMILY_NOT_ALLOWED,
    AdviceReason.ARCHITECTURE_NOT_ALLOWED,
    AdviceReason.GPU_MODEL_NOT_ALLOWED,
    AdviceReason.BURSTABLE_NOT_ALLOWED,
    AdviceReason.NO_PRICE,
    AdviceReason.TOO_SMALL,
    AdviceReason.SHRINK_FORBIDDEN,
    AdviceReason.RISK_LIMIT,
    AdviceReason.COSTLIER,
    AdviceReason.SAVING_UNDER_FLOOR,
    AdviceReason.NOT_WORTH_THE_DISRUPTION,
)
"""Why a candidate is not offered, in the order in which they are looked for."""

CODE: Final = {reason: code for code, reason in enumerate(REASONS)}

_KEPT: Final = 1_024
"""Shapes in use at a time; of each a few bytes an offer are kept."""


_USUAL_ARCH: Final = "x86_64"
"""Of a type that the catalogue does not hold: what is built for x86 runs nowhere else, what is not was built twice."""


class Shape(NamedTuple):
    """What permission rests on besides the offers.

    `gpus_vary`: GPUs may be exchanged for others whose speed is known; `gpus_unused`: nothing ever ran on them.
    """

    cloud: Cloud
    region: str
    type_index: int | None
    service_prefix: str
    arch: str
    arch_varies: bool
    arm_ready: bool
    gpu_model: str | None
    gpus_vary: bool
    gpus_unused: bool
    families: frozenset[str] | None
    burstable: bool

    @classmethod
    def of(cls, present: Present, needs: Needs, preferences: RightsizingPreferences) -> Self:
        """The shape of a resource, of which `gpu_model` is None where it has no GPU."""
        resource = present.resource
        arch_varies = preferences.allow_architecture_change
        gpu = needs.get(Dimension.GPU) if present.gpus else None
        measured = gpu is not None and not gpu.is_assumed
        return cls(
            resource.cloud,
            resource.region,
            present.type_index,
            present.service_prefix,
            present.arch or _USUAL_ARCH,
            resource.arm_ready if arch_varies is None else arch_varies,
            resource.arm_ready,
            present.capacity.gpu_model if present.gpus else None,
            bool(preferences.allow_gpu_model_change) and measured,
            measured and gpu is not None and gpu.peak <= 0,
            preferences.families,
            bool(preferences.allow_burstable) or present.burstable,
        )


class Permissions(NamedTuple):
    """Of each offer [k], read-only: why it is not allowed (as in `Candidates`), the effort, what a GPU is worth."""

    reason: I8
    effort: I8
    gpu_speed: F64


@lru_cache(maxsize=_KEPT)
def permissions_of(offers: RegionOffers, shape: Shape) -> Permissions:
    """Permissions of a region's offers."""
    speed = _gpu_speeds(offers, shape)
    reason = np.full(len(offers.names), -1, dtype=np.int8)
    for mask, why in _barred(offers, shape, speed):
        reason[(reason < 0) & mask] = CODE[why]
    made = Permissions(reason, _efforts(offers, shape), speed)
    for column in made:
        column.flags.writeable = False
    return made


def _gpu_speeds(offers: RegionOffers, shape: Shape) -> F64:
    """What one GPU of each type is worth in present ones [k]; NaN where nobody knows, 0 for types without GPU."""
    if shape.gpu_model is None:
        return np.zeros(len(offers.names))
    ratios = [speed_ratio(model, shape.gpu_model) for model in offers.snapshot.gpu_models]
    table = np.array([np.nan if ratio is None else ratio for ratio in ratios] + [0.0])
    found: F64 = table[offers.gpu_model]
    return found


def _efforts(offers: RegionOffers, shape: Shape) -> I8:
    """0 very low, 1 low, 2 medium, 3 high, as AWS Compute Optimizer names what it takes to move."""
    effort = np.zeros(len(offers.names), dtype=np.int8)
    if shape.arch:
        effort[offers.arch != _code(offers.snapshot.arches, shape.arch)] = 1 if shape.arm_ready else 2
    if shape.gpu_model is not None:
        effort[offers.gpu_model != _code(offers.snapshot.gpu_models, shape.gpu_model, -2)] = 2
    if (offers.region.cloud, offers.region.name) != (shape.cloud, shape.region):
        effort[:] = 3
    return effort


def _barred(offers: RegionOffers, shape: Shape, speed: F64) -> list[tuple[Bools, AdviceReason]]:
    """What is not allowed and why, what goes before first."""
    snapshot = offers.snapshot
    barred: list[tuple[Bools, AdviceReason]] = []
    if shape.families is not None:
        allowed = [code for code, family in enumerate(snapshot.families) if family in shape.families]
        barred.append((~np.isin(offers.family, allowed), AdviceReason.FAMILY_NOT_ALLOWED))
    service = SERVICE_PREFIXES.index(shape.service_prefix) if shape.service_prefix else -1
    barred.append((offers.prefix != service, AdviceReason.FAMILY_NOT_ALLOWED))
    if shape.arch and not shape.arch_varies:
        other = offers.arch != _code(snapshot.arches, shape.arch)
        barred.append((other, AdviceReason.ARCHITECTURE_NOT_ALLOWED))
    barred.append((_other_gpus(offers, shape, speed), AdviceReason.GPU_MODEL_NOT_ALLOWED))
    if not shape.burstable:
        barred.append((offers.burstable, AdviceReason.BURSTABLE_NOT_ALLOWED))
    same = offers.type_index == (-1 if shape.type_index is None else shape.type_index)
    barred.append((offers.is_superseded & ~same, AdviceReason.NO_PRICE))
    return barred


def _other_gpus(offers: RegionOffers, shape: Shape, speed: F64) -> Bools:
    if shape.gpu_model is None:
        return offers.gpu_model >= 0
    comparable = offers.gpu_model == _code(offers.snapshot.gpu_models, shape.gpu_model, -2)
    if shape.gpus_vary:
        comparable |= speed > 0
        if shape.gpus_unused:
            comparable |= offers.gpu_model < 0
    other: Bools = ~comparable
    return other


def _code(names: tuple[str, ...], name: str, missing: int = -1) -> int:
    return names.index(name) if name in names else missing
