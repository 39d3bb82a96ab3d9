"""Real data that lies beside the project, where it is there."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.demand import Demand, read_demand
from trimtab_service.catalog.starter_source import STARTER_DIRECTORY

_REPOSITORY = Path(__file__).resolve().parents[2]


def shared_catalog() -> Path:
    """The full three-cloud catalogue; skips the test where the project was cloned alone."""
    root = Path(os.environ.get("TRIMTAB_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    directory = root / "catalog"
    if not directory.is_dir():
        pytest.skip("the shared catalogue is not there: set TRIMTAB_SHARED_DATA to the directory that holds catalog/")
    return directory


def catalog_directory() -> Path:
    """The full catalogue for a bench; the packaged starter one, said aloud, where the project was cloned alone."""
    root = Path(os.environ.get("TRIMTAB_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    if (root / "catalog").is_dir():
        return root / "catalog"
    sys.stdout.write("the shared catalogue is not there: measuring the packaged starter catalogue instead\n")
    return STARTER_DIRECTORY


def shared_metrics() -> Path:
    """Series of real machines as csv files; skips the test where the project was cloned alone."""
    root = Path(os.environ.get("TRIMTAB_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    if not (root / "metrics").is_dir():
        pytest.skip("the shared series are not there: set TRIMTAB_SHARED_DATA to the directory that holds metrics/")
    return root / "metrics"


def demand_file() -> Path | None:
    """Three years of hourly VM counts of two regions, where they lie beside the project."""
    root = Path(os.environ.get("TRIMTAB_SHARED_DATA", _REPOSITORY.parent / "shared" / "data"))
    path = root / "demand" / "vm_demand_regions_1_2.parquet"
    return path if path.is_file() else None


def shared_demand() -> Demand:
    """The same, read; skips the test where the project was cloned alone."""
    path = demand_file()
    if path is None:
        pytest.skip("the shared demand is not there: set TRIMTAB_SHARED_DATA to the directory that holds demand/")
    return read_demand(path)
