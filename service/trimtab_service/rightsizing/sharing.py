"""Parts of a GPU as sizes: what a slice or a share would serve, and its part of the price of the cheapest whole.

A share saves money only where others use the rest: alone, the whole machine is paid. So shares are told after whole
sizes, priced by their part, and every one says `SHARE_NEEDS_OTHERS`.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from trimtab_service.catalog.snapshot import day_of
from trimtab_service.domain.commitments import MILLI
from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import PRICE_BASES
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.resources import Capacity, ResourceKind
from trimtab_service.domain.rightsizing import Action
from trimtab_service.rightsizing.candidates import Candidates, Sized
from trimtab_service.rightsizing.gpu_shares import Share, shares_of
from trimtab_service.rightsizing.needs import ROUNDING, Needs
from trimtab_service.rightsizing.options import Size
from trimtab_service.rightsizing.permissions import CODE
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.pricing import monthly_micros

_SHAREABLE: Final = frozenset({ResourceKind.INSTANCE, ResourceKind.CONTAINER, ResourceKind.ENDPOINT})
MOST: Final = 2
"""More shares in one answer would hide the sizes that can be had alone."""

_UNFIT: Final = frozenset(
    {CODE[AdviceReason.TOO_SMALL], CODE[AdviceReason.RISK_LIMIT], CODE[AdviceReason.COSTLIER],
     CODE[AdviceReason.SAVING_UNDER_FLOOR], CODE[AdviceReason.NOT_WORTH_THE_DISRUPTION],
     CODE[AdviceReason.SHRINK_FORBIDDEN]}
)  # fmt: skip
"""Why a whole machine may not serve although a part of its like does."""


def shares(candidates: Candidates, present: Present, needs: Needs, hours: float) -> list[Size]:
    """Shares that serve and cost less than now, cheapest first."""
    gpu, memory = needs.get(Dimension.GPU), needs.get(Dimension.GPU_MEMORY)
    if (
        present.resource.kind not in _SHAREABLE
        or present.count != 1
        or gpu is None
        or gpu.is_assumed
        or gpu.peak <= 0
        # A part has less memory than the whole: without knowing what is in use nobody can say that it fits.
        or memory is None
        or memory.is_assumed
    ):
        return []
    before = present.price_nanos
    found = [size for size in _sizes(candidates, present, needs, hours) if size.price_nanos < before]
    found.sort(key=lambda size: (size.price_nanos, size.instance_type, size.gpu_share))
    best: dict[str, Size] = {}
    for size in found:
        best.setdefault(size.capacity.gpu_model, size)
    return list(best.values())[:MOST]


def _sizes(candidates: Candidates, present: Present, needs: Needs, hours: float) -> Iterator[Size]:
    offers = candidates.offers
    gpu, memory = needs.get(Dimension.GPU), needs.get(Dimension.GPU_MEMORY)
    if gpu is None or memory is None:
        return
    ordinary = (candidates.reason < 0) | np.isin(candidates.reason, list(_UNFIT))
    for at in np.flatnonzero(ordinary & (offers.gpus >= 1) & (candidates.gpu_speed > 0)).tolist():
        model = offers.snapshot.gpu_models[int(offers.gpu_model[at])]
        gpus, speed = float(offers.gpus[at]), float(candidates.gpu_speed[at])
        for share in shares_of(model, float(offers.gpu_memory_gib[at])):
            fits = (
                share.compute * speed >= gpu.demand * (1 - ROUNDING)
                and share.memory_gib >= memory.demand * (1 - ROUNDING)
                and _has_beside(offers.vcpus[at] / gpus, share, needs, Dimension.CPU)
                and _has_beside(offers.memory_gib[at] / gpus, share, needs, Dimension.MEMORY)
            )
            if fits:
                yield _size(candidates, at, share, model, present, hours)
                break  # the smallest that serves


def _has_beside(of_one_gpu: float, share: Share, needs: Needs, dimension: Dimension) -> bool:
    need = needs.get(dimension)
    if need is None or need.is_assumed:
        # What is not known to be needed is taken in proportion to the GPU.
        return True
    return of_one_gpu * share.price >= need.demand * (1 - ROUNDING)


def _size(  # noqa: PLR0913, PLR0917 - what a share is made of
    candidates: Candidates, at: int, share: Share, model: str, present: Present, hours: float
) -> Size:
    offers = candidates.offers
    gpus = float(offers.gpus[at])
    price = round(int(offers.price_nanos[at]) * share.price / gpus)
    part = share.price / gpus
    reasons = [AdviceReason.GPU_SHARE_SERVES, AdviceReason.SHARE_NEEDS_OTHERS]
    if model != present.capacity.gpu_model:
        reasons.append(AdviceReason.GPU_SPEED_ESTIMATED)
    network = float(offers.network_gbps[at])
    return Size(
        Action.SHARE_GPU,
        offers.region.cloud,
        offers.region.name,
        offers.names[at],
        Sized(1),
        Capacity(
            vcpus=float(offers.vcpus[at]) * part,
            memory_gib=float(offers.memory_gib[at]) * part,
            gpu_model=model,
            gpus=share.compute,
            gpu_memory_gib=share.memory_gib,
            network_gbps=None if np.isnan(network) else network * part,
            disk_iops=present.capacity.disk_iops,
            disk_mibps=present.capacity.disk_mibps,
        ),
        price,
        PRICE_BASES[int(offers.basis[at])],
        day_of(int(offers.as_of[at])),
        monthly_micros(price, MILLI, hours),
        0,
        2,
        float(candidates.gpu_speed[at]),
        share.name,
        None,
        tuple(reasons),
    )
