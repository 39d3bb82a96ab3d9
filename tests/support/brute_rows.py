"""The catalogue as plain rows, for the scorer that looks at every offer."""

from typing import NamedTuple

from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption


class TypeRow(NamedTuple):
    """An instance type."""

    cloud: Cloud
    name: str
    family: str
    arch: str
    vcpus: float
    memory: float
    gpu: str
    gpus: float
    gpu_memory: float
    network: float
    disk: float


class OfferRow(NamedTuple):
    """A price of a type in a region."""

    option: PurchaseOption
    region: int
    type_number: int
    price: int
    day: int
    basis: PriceBasis
    bucket: int
