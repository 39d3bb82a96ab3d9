"""Snapshots to decide on: the packaged starter catalogue, a small cut of it, or any directory."""

import shutil
import zlib
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from trimtab_service.catalog.builder import build
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.starter_source import STARTER_DIRECTORY
from trimtab_service.catalog.storage import open_snapshot

AS_OF = datetime(2026, 11, 23, tzinfo=UTC)


def snapshot_of(source: Path, root: Path) -> CatalogSnapshot:
    """The snapshot of a catalogue directory, built below `root`."""
    return open_snapshot(root / build(source, root, as_of=AS_OF).version)


def starter_snapshot(root: Path) -> CatalogSnapshot:
    """The starter catalogue."""
    return snapshot_of(STARTER_DIRECTORY, root)


def small_snapshot(root: Path) -> CatalogSnapshot:
    """A tenth of the starter catalogue's prices: every third region, and a third of the types."""
    source = root / "small"
    shutil.copytree(STARTER_DIRECTORY, source)
    prices = pl.read_parquet(source / "prices.parquet")
    kept = prices.filter(_third("region") & _third("instance_type"))
    kept.write_parquet(source / "prices.parquet")
    return snapshot_of(source, root)


def _third(column: str) -> pl.Expr:
    return pl.col(column).map_elements(lambda name: zlib.crc32(str(name).encode()) % 3 == 0, return_dtype=pl.Boolean)
