"""Real data that lies beside the project, where it is there."""

import os
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]


def shared_catalog() -> Path:
    """The full three-cloud catalogue; skips the test where the project was cloned alone."""
    root = Path(os.environ.get("TRIMTAB_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    directory = root / "catalog"
    if not directory.is_dir():
        pytest.skip("the shared catalogue is not there: set TRIMTAB_SHARED_DATA to the directory that holds catalog/")
    return directory
