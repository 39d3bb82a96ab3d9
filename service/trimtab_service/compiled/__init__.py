"""The hot path in compiled form, where it was built from its sources as they are now.

`kernel.pyx` and `wire.pyx` do what the placement engine and its codec do for the requests that most callers send,
several times as fast, and leave every other request to those; `sizing.pyx` has the inner loops of sizing one resource.
A source may be in parts, which it includes: `kernel_*.pxi`. Nothing depends on them: without a compiler the interpreted
form answers all, with the same bytes (sums over samples of a size's past to a part in 10^12). `make setup` builds them
(`python -m trimtab_service.compiled`).

The name of a built module ends in the digest of its source, and only the module of the present source is looked for.
So an edited source is never answered for by an old build: it runs interpreted, and says so, until it is built again.
"""

import hashlib
import importlib
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final

SOURCES: Final = ("kernel", "sizing", "wire")
INTERPRETED: Final = "TRIMTAB_TEST_INTERPRETED"
"""Environment variable: when set, nothing compiled is loaded."""

HERE: Final = Path(__file__).parent
FLAGS: Final = ("-O3", "-fwrapv", "-fno-fast-math", "-ffp-contract=off")
"""For the compiler. No contraction: a fused product and sum would round once where the interpreted form does twice."""

COMPILED: Final = "compiled"


def built_name(name: str, source: bytes | None = None) -> str:
    """The name that the module of a source has when it is built; of the present source when none is given."""
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    digest.update(source_of(name) if source is None else source)
    return f"{name}_{digest.hexdigest()[:12]}"


def parts_of(name: str) -> list[Path]:
    """The files of a source: the one that is compiled, and those that it includes."""
    return [HERE / f"{name}.pyx", *sorted(HERE.glob(f"{name}_*.pxi"))]


def source_of(name: str) -> bytes:
    """All parts of a source, each after its name."""
    return b"".join(part.name.encode() + b"\n" + part.read_bytes() for part in parts_of(name))


@cache
def load(name: str) -> ModuleType | None:
    """A compiled module, or None where the interpreted form has to do."""
    if os.environ.get(INTERPRETED):
        return None
    try:
        return importlib.import_module(f"{__name__}.{built_name(name)}")
    except ImportError:
        return None


def form() -> str:
    """Which form of the hot path runs: `compiled`, or `interpreted` and why."""
    if os.environ.get(INTERPRETED):
        return f"interpreted: {INTERPRETED} is set"
    for name in SOURCES:
        if load(name) is None:
            return f"interpreted: {_why(name)}"
    return COMPILED


def _why(name: str) -> str:
    try:
        importlib.import_module(f"{__name__}.{built_name(name)}")
    except ModuleNotFoundError:
        if any(HERE.glob(f"{name}_*.so")):
            return f"{name} was changed since it was built; make setup builds it again"
        return f"{name} is not built; make setup builds it where there is a C compiler"
    except ImportError as error:
        return f"{name} does not fit: {error}"
    return f"{name} was built after the start"
