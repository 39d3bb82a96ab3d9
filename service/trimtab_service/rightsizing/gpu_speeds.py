"""How fast one GPU model is against another: an estimate from data sheets, and never more than they support.

The ratio is the lesser of two: dense FP16 tensor throughput and memory bandwidth. A kernel is bound by one of them, so
a workload of unknown kind gains at least the lesser ratio when both rise, and loses at most it when both fall. A model
that is not in the table, or of another vendor, is comparable with itself alone.
"""

from typing import Final, NamedTuple

VERSION: Final = 1


class Speed(NamedTuple):
    """`tflops`: dense FP16, with tensor cores where there are any. `gb_per_s`: memory bandwidth, 10^9 bytes."""

    tflops: float
    gb_per_s: float


SPEEDS: Final[dict[str, Speed]] = {
    "K80": Speed(4.1, 240.0),
    "M60": Speed(4.8, 160.0),
    "P4": Speed(5.5, 192.0),
    "P100": Speed(18.7, 732.0),
    "V100-16GB": Speed(125.0, 900.0),
    "V100-32GB": Speed(125.0, 900.0),
    "T4": Speed(65.0, 320.0),
    "T4g": Speed(65.0, 320.0),
    "A10": Speed(125.0, 600.0),
    "A10G": Speed(70.0, 600.0),
    "A100-40GB": Speed(312.0, 1_555.0),
    "A100-80GB": Speed(312.0, 1_935.0),
    "L4": Speed(121.0, 300.0),
    "L40S": Speed(362.0, 864.0),
    "H100-80GB": Speed(989.0, 3_350.0),
    "H100-94GB": Speed(835.0, 3_900.0),
    "H200": Speed(989.0, 4_800.0),
    "B200": Speed(2_250.0, 8_000.0),
}
"""NVIDIA data sheets of each product, in the form that the clouds rent: H100-80GB as SXM5, H100-94GB as NVL, A100-80GB
as PCIe (the SXM4 form has 5 % more bandwidth), V100 as SXM2, P100 as PCIe.

K80, M60 and P4 have no fast FP16: half of the board's FP32 (K80, M60 are two devices) or FP32 itself. The A10G is AWS's
own variant: 70 TFLOPS as NVIDIA's A10G sheet lists it.
"""


def speed_ratio(model: str, present: str) -> float | None:
    """How many GPUs of `present` one of `model` is worth; None where no data sheet says so."""
    if model == present:
        return 1.0
    own, other = SPEEDS.get(model), SPEEDS.get(present)
    if own is None or other is None:
        return None
    return min(own.tflops / other.tflops, own.gb_per_s / other.gb_per_s)
