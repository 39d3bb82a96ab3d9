"""The models hold in every reachable state, and fail when what makes them hold is taken away.

Spin and a C compiler come with `make system-deps`; a machine without them skips these tests and says so.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

MODELS = Path(__file__).parent
MUTATIONS = (
    ("fence.pml", "NO_FENCE"),
    ("fence.pml", "NO_GUARD"),
    ("fence.pml", "SAME_TOKEN"),
    ("exclusion.pml", "NO_EXCLUSION"),
    ("exclusion.pml", "NO_COOLDOWN"),
    ("exclusion.pml", "AUTOMATIC_FAILBACK"),
    ("exclusion.pml", "NO_LIMIT"),
)
FEWEST_STATES = {"fence.pml": 1_000, "exclusion.pml": 10_000}
"""Fewer means that the model was cut down until there was nothing left to check."""


@dataclass(frozen=True, slots=True)
class Search:
    """What an exhaustive search found."""

    errors: int
    states: int
    is_complete: bool


def searched(model: str, directory: Path, *defined: str) -> Search:
    """Search all of it: safety and deadlock, no partial storage."""
    for program in ("spin", "gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed: apt-get install {program} (`make system-deps`)")
    flags = [f"-D{name}" for name in defined]
    ran(directory, "spin", "-a", *flags, str(MODELS / model))
    # The searches take milliseconds, an optimizing compiler seconds.
    ran(directory, "gcc", "-O0", "-w", "-DSAFETY", "-DVECTORSZ=2048", "-o", "pan", "pan.c")
    told = ran(directory, "./pan", "-m1000000")
    errors, states = re.search(r"errors: (\d+)", told), re.search(r"(\d+) states, stored", told)
    assert errors is not None, told
    assert states is not None, told
    return Search(int(errors[1]), int(states[1]), "not completed" not in told and "too small" not in told)


def ran(directory: Path, *command: str) -> str:
    """What a program said. Its exit status is its own."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=300, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("model", sorted(FEWEST_STATES))
def test_a_model_holds_in_every_reachable_state(model: str, tmp_path: Path) -> None:
    """Searched to the end, without an error, and there was something to search."""
    search = searched(model, tmp_path)
    assert search.errors == 0
    assert search.is_complete
    assert search.states > FEWEST_STATES[model]


@pytest.mark.parametrize(("model", "mutation"), MUTATIONS)
def test_a_model_without_its_guard_fails(model: str, mutation: str, tmp_path: Path) -> None:
    """Else it would prove nothing about the guard."""
    assert searched(model, tmp_path, mutation).errors == 1
