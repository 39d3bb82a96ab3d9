"""One vocabulary of accelerators: canonical names, memory, aliases, and how an ambiguous name is read.

A canonical name fixes the memory per device, because an A100 of 40 GB and one of 80 GB are different goods.
A name that leaves the memory open stands for all its variants, and the reading says so. Memory is the nominal
figure on the data sheet, in GB as vendors count it; clouds report the same device a little smaller in GiB.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Accelerator:
    """A device model. `aliases` are further spellings; case, blanks, `-`, `_` and a vendor prefix never count."""

    name: str
    vendor: str
    memory_gb: float
    generic: str
    aliases: tuple[str, ...] = ()


VOCABULARY: tuple[Accelerator, ...] = (
    Accelerator("A10", "nvidia", 24, "A10"),
    Accelerator("A100-40GB", "nvidia", 40, "A100", ("a100-sxm4-40gb", "a100-pcie-40gb")),
    Accelerator("A100-80GB", "nvidia", 80, "A100", ("a100-sxm4-80gb", "a100-pcie-80gb", "a100-sxm-80gb")),
    Accelerator("A10G", "nvidia", 24, "A10G"),
    Accelerator("B200", "nvidia", 180, "B200"),
    Accelerator("B300", "nvidia", 270, "B300"),
    Accelerator("FPGA-U250", "amd", 64, "FPGA-U250", ("alveo-u250", "u250")),
    Accelerator("GB200", "nvidia", 186, "GB200"),
    Accelerator(
        "H100-80GB", "nvidia", 80, "H100", ("h100-sxm", "h100-sxm5", "h100-pcie", "h100-80gb-hbm3", "h100-mega-80gb")
    ),
    Accelerator("H100-94GB", "nvidia", 94, "H100", ("h100-nvl", "h100nvl")),
    Accelerator("H200", "nvidia", 141, "H200", ("h200-sxm", "h200-141gb")),
    Accelerator("Inferentia", "aws", 8, "Inferentia", ("inferentia1", "inf1")),
    Accelerator("Inferentia2", "aws", 32, "Inferentia2", ("inf2",)),
    Accelerator("K80", "nvidia", 12, "K80"),
    Accelerator("L4", "nvidia", 24, "L4"),
    Accelerator("L40S", "nvidia", 48, "L40S"),
    Accelerator("M60", "nvidia", 8, "M60"),
    Accelerator("MI25", "amd", 16, "MI25", ("radeon-instinct-mi25",)),
    Accelerator("MI300X", "amd", 192, "MI300X", ("instinct-mi300x",)),
    Accelerator("P100", "nvidia", 16, "P100"),
    Accelerator("P4", "nvidia", 8, "P4"),
    Accelerator("Qualcomm-AI100", "qualcomm", 16, "Qualcomm-AI100", ("ai100", "cloud-ai-100")),
    Accelerator("RTX-PRO-4500", "nvidia", 32, "RTX-PRO-4500"),
    Accelerator("RTX-PRO-6000", "nvidia", 96, "RTX-PRO-6000", ("rtx-pro-server-6000", "rtx6000pro")),
    Accelerator("T4", "nvidia", 16, "T4"),
    Accelerator("T4g", "nvidia", 16, "T4g"),
    Accelerator("Trainium", "aws", 32, "Trainium", ("trainium1", "trn1")),
    Accelerator("Trainium2", "aws", 96, "Trainium2", ("trn2",)),
    Accelerator("V100-16GB", "nvidia", 16, "V100", ("v100-sxm2", "v100-sxm2-16gb", "v100-pcie-16gb")),
    Accelerator("V100-32GB", "nvidia", 32, "V100", ("v100-sxm2-32gb", "v100-sxm3-32gb", "v100-pcie-32gb")),
    Accelerator("V620", "amd", 32, "V620", ("radeon-pro-v620",)),
    Accelerator("V710", "amd", 24, "V710", ("radeon-pro-v710",)),
)
"""Every model of the known catalogues. Data-sheet memory; from vendors' public family names."""

BY_NAME: dict[str, Accelerator] = {model.name: model for model in VOCABULARY}

_VENDOR_PREFIXES = ("nvidia", "tesla", "amd", "aws", "geforce")
_MEMORY_SUFFIX = re.compile(r"(\d+)(?:gb|gib|g)$")


def _fold(name: str) -> str:
    """Spelling without what never counts: case, separators, vendor prefixes, the word `gpu`."""
    folded = re.sub(r"[^a-z0-9]", "", name.casefold())
    changed = True
    while changed:
        changed = False
        for prefix in _VENDOR_PREFIXES:
            if folded.startswith(prefix) and len(folded) > len(prefix):
                folded, changed = folded[len(prefix) :], True
    return folded.removesuffix("gpu") or folded


def _spellings() -> dict[str, tuple[str, ...]]:
    """Folded spelling -> canonical names it stands for."""
    table: dict[str, list[str]] = {}
    for model in VOCABULARY:
        for spelling in (model.name, model.generic, *model.aliases):
            names = table.setdefault(_fold(spelling), [])
            if model.name not in names:
                names.append(model.name)
        # `t4-16gb` for a model whose name does not carry its memory.
        sized = table.setdefault(_fold(f"{model.generic}-{model.memory_gb:g}gb"), [])
        if model.name not in sized:
            sized.append(model.name)
    return {spelling: tuple(names) for spelling, names in table.items()}


_SPELLINGS = _spellings()


@dataclass(frozen=True, slots=True)
class Reading:
    """How a name was understood: the canonical models it stands for, and a note when that needs saying.

    `models` is empty only where the memory asked for is more than any variant of the name has; the note says so.
    """

    asked: str
    models: tuple[str, ...]
    note: str = ""

    @property
    def is_ambiguous(self) -> bool:
        """More than one model answers to the name."""
        return len(self.models) > 1


@dataclass(frozen=True, slots=True)
class UnknownAccelerator:
    """The name is in no vocabulary; `nearest` are known names close to it, best first."""

    asked: str
    nearest: tuple[str, ...]


def read_model(
    name: str, *, memory_gb: float | None = None, also_known: Iterable[str] = ()
) -> Reading | UnknownAccelerator:
    """Reads a model name as a person or a cloud writes it.

    `memory_gb` (per device, at least) narrows an ambiguous name; clouds count a little under the nominal figure,
    so 6 % less satisfies it. `also_known` are model names of the loaded catalogue that the vocabulary lacks;
    they match by exact spelling, folded.
    """
    folded = _fold(name)
    models = _SPELLINGS.get(folded, ())
    if not models:
        models = tuple(known for known in also_known if _fold(known) == folded)
    if not models:
        return UnknownAccelerator(name, _nearest(folded, also_known))
    if memory_gb is None or not any(model in BY_NAME for model in models):
        return Reading(name, models, _open_note(name, models))
    large_enough = tuple(m for m in models if BY_NAME[m].memory_gb >= memory_gb * 0.94)
    if not large_enough:
        sizes = ", ".join(f"{BY_NAME[m].memory_gb:g} GB" for m in models)
        return Reading(name, (), f"{name} exists with {sizes}: less than the {memory_gb:g} GB asked for")
    return Reading(name, large_enough, _open_note(name, large_enough))


def canonical_model(name: str, memory_gib: float) -> str:
    """Canonical name of a device that a catalogue row describes by model and memory per device.

    An ambiguous name is settled by the nearest memory. A name outside the vocabulary is kept as it is written.
    """
    models = _SPELLINGS.get(_fold(name), ())
    if not models:
        return name.strip()
    return min(models, key=lambda model: (abs(BY_NAME[model].memory_gb - memory_gib), model))


def models_with_memory(memory_gb: float) -> tuple[str, ...]:
    """Canonical models with at least this much memory per device, by name; 6 % less satisfies, as above."""
    return tuple(model.name for model in VOCABULARY if model.memory_gb >= memory_gb * 0.94)


def _open_note(asked: str, models: tuple[str, ...]) -> str:
    if len(models) <= 1:
        return ""
    return f"{asked} leaves the memory open; read as any of {', '.join(models)}"


def _nearest(folded: str, also_known: Iterable[str]) -> tuple[str, ...]:
    """Names to suggest, one per device family, best match first."""
    shown: dict[str, str] = {_fold(model.generic): model.generic for model in VOCABULARY}
    shown.update({_fold(model.name): model.name for model in VOCABULARY})
    shown.update({_fold(name): name for name in also_known})
    stem = _MEMORY_SUFFIX.sub("", folded)
    found = get_close_matches(folded, shown, n=3, cutoff=0.4) or get_close_matches(stem, shown, n=3, cutoff=0.4)
    return tuple(dict.fromkeys(shown[key] for key in found))
