"""Parts of a GPU: MIG slices as NVIDIA defines them, and time-shared GPUs.

Source of the profiles: NVIDIA Multi-Instance GPU User Guide, tables of supported profiles of A30, A100, H100, H200:
the compute slices of 7 (A30: of 4) and the memory of each. A time-shared GPU (1 of n) has neither memory nor compute
of its own: its memory is counted as an equal part, which is what neighbours of equal rights leave.
"""

from typing import Final, NamedTuple


class Share(NamedTuple):
    """A part of one GPU. `compute` is the fraction of its throughput, `memory_gib` what it may hold.

    `price` is the fraction of the whole that it takes away from others: the greater of compute and memory.
    """

    name: str
    compute: float
    memory_gib: float
    price: float


class _Profile(NamedTuple):
    slices: int
    memory_gb: float
    memory_eighths: int


_SEVENTHS: Final = 7
_EIGHTHS: Final = 8

MIG_PROFILES: Final[dict[str, tuple[_Profile, ...]]] = {
    "A100-40GB": (_Profile(1, 5, 1), _Profile(2, 10, 2), _Profile(3, 20, 4), _Profile(4, 20, 4)),
    "A100-80GB": (_Profile(1, 10, 1), _Profile(2, 20, 2), _Profile(3, 40, 4), _Profile(4, 40, 4)),
    "H100-80GB": (_Profile(1, 10, 1), _Profile(2, 20, 2), _Profile(3, 40, 4), _Profile(4, 40, 4)),
    "H100-94GB": (_Profile(1, 12, 1), _Profile(2, 24, 2), _Profile(3, 47, 4), _Profile(4, 47, 4)),
    "H200": (_Profile(1, 18, 1), _Profile(2, 35, 2), _Profile(3, 71, 4), _Profile(4, 71, 4)),
}
"""Slices of sevenths of compute and eighths of memory. A30 has slices of quarters: see `_A30`."""

_A30: Final = (Share("MIG 1g.6gb", 0.25, 6.0, 0.25), Share("MIG 2g.12gb", 0.5, 12.0, 0.5))

TIME_SHARES: Final = (2, 3, 4)
"""How many may share one GPU by time. More neighbours make the waiting of each hard to foresee."""


def shares_of(model: str, memory_gib: float) -> tuple[Share, ...]:
    """Every part of a GPU of this model, the smallest first; `memory_gib` is of the whole GPU."""
    slices: tuple[Share, ...]
    if model == "A30":
        slices = _A30
    else:
        slices = tuple(
            Share(
                f"MIG {one.slices}g.{one.memory_gb:g}gb",
                one.slices / _SEVENTHS,
                min(one.memory_gb, memory_gib),
                max(one.slices / _SEVENTHS, one.memory_eighths / _EIGHTHS),
            )
            for one in MIG_PROFILES.get(model, ())
        )
    timed = tuple(Share(f"time-shared 1/{n}", 1 / n, memory_gib / n, 1 / n) for n in TIME_SHARES)
    return tuple(sorted((*slices, *timed), key=lambda share: (share.price, share.name)))
