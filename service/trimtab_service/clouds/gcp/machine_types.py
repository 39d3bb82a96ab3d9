"""What the name of a machine type says."""

import re
from dataclasses import dataclass
from typing import Final

from trimtab_service.domain.resources import Capacity

_CUSTOM: Final = re.compile(r"(?:(?P<family>[a-z]\w*)-)?custom-(?P<cpus>\d+|micro|small|medium)-(?P<mib>\d+)(?:-ext)?")
_SHARED_CPUS: Final = {"micro": 0.25, "small": 0.5, "medium": 1.0}
"""vCPUs that a shared-core E2 type sustains (Compute Engine, "Shared-core machine types")."""

_ACCELERATED_FAMILIES: Final = (
    "a2",
    "a3",
    "a4",
    "a4x",
    "g2",
    "g4",
    "ct3",
    "ct3p",
    "ct4p",
    "ct5l",
    "ct5lp",
    "ct5p",
    "ct6e",
)
"""Families whose accelerators are part of the type; `ct*` are TPU hosts."""


@dataclass(frozen=True, slots=True)
class Attached:
    """Accelerators beside the machine type: `nvidia-tesla-t4`, 2."""

    accelerator: str
    count: int


def custom_capacity(machine_type: str) -> Capacity | None:
    """Capacity that is in the name of a custom type (`n2-custom-4-16384`, `e2-custom-micro-1024`), else None.

    The memory in the name is in MiB. A predefined type is the catalogue's to know.
    """
    match = _CUSTOM.fullmatch(machine_type.partition("+")[0])
    if match is None:
        return None
    cpus = match["cpus"]
    return Capacity(vcpus=_SHARED_CPUS.get(cpus) or float(cpus), memory_gib=int(match["mib"]) / 1024)


def type_name(machine_type: str, attached: Attached | None) -> str:
    """The catalogue's name: attached accelerators of N1 are composed into it (`n1-standard-8+nvidia-tesla-t4x2`).

    Families that carry their accelerators list them as guest accelerators too; their name stays as it is.
    """
    if attached is None or has_own_accelerators(machine_type):
        return machine_type
    return f"{machine_type}+{attached.accelerator}x{attached.count}"


def parts_of(name: str) -> tuple[str, Attached | None]:
    """The machine type and the attached accelerators of a catalogue name: `type_name` undone."""
    machine_type, plus, rest = name.partition("+")
    if not plus:
        return machine_type, None
    accelerator, _, count = rest.rpartition("x")
    return machine_type, Attached(accelerator, int(count))


def has_own_accelerators(machine_type: str) -> bool:
    """Whether the family's types carry accelerators."""
    return machine_type.partition("-")[0] in _ACCELERATED_FAMILIES


def is_accelerated(name: str) -> bool:
    """Whether a type, by its catalogue name, has accelerators at all."""
    return "+" in name or has_own_accelerators(name)
