"""A snapshot on disk: one directory a version, arrays as `.npy`, opened by mapping.

    <root>/<version>/meta.json            names, regions, axes of the tables
    <root>/<version>/arrays/*.npy         the content; hashed into the version
    <root>/<version>/tables/*.npy         dominance tables end to end; derived, may be deleted and rebuilt

A directory appears whole or not at all: it is written beside and renamed.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson

from trimtab_service.catalog.arrays import AnyArray
from trimtab_service.catalog.size_tables import SizeTable
from trimtab_service.catalog.snapshot import CatalogSnapshot, EgressColumns, OfferColumns, RowColumns, TypeColumns
from trimtab_service.catalog.tabulation import size_tables
from trimtab_service.domain.offers import CLOUDS, PLACEMENT_OPTIONS, Cloud
from trimtab_service.domain.regions import Region

FORMAT = 3
"""Part of every version: arrays of another meaning must never answer to the same name."""

_VERSION_LENGTH = 16
_NPY_HEADER = 128
_GROUPS = {"types": TypeColumns, "rows": RowColumns, "offers": OfferColumns, "egress": EgressColumns}
_PLAIN_ARRAYS = (
    "region_cloud",
    "region_latitude",
    "region_longitude",
    "region_zone_start",
    "type_region_zones",
    "zone_evidence",
)
_TABLE_ARRAYS = ("row_of", "rank", "price_nanos")
_NAME_LISTS = ("zone_names", "type_names", "families", "arches", "gpu_models", "sources", "geographies")

_Group = TypeVar("_Group", TypeColumns, RowColumns, OfferColumns, EgressColumns)


@dataclass(frozen=True, slots=True)
class _TableEntry:
    """Where a table lies in the flat files, and its axes."""

    gpu_model: str | None
    arch: str | None
    counts: tuple[float, ...]
    vcpus: tuple[float, ...]
    memories_gib: tuple[float, ...]
    first_slot: int
    first_row: int
    rows: int


def save_snapshot(snapshot: CatalogSnapshot, root: Path) -> CatalogSnapshot:
    """Stores a snapshot below `root` and returns it with its version. Storing the same content again is a no-op."""
    names = orjson.dumps(_names(snapshot), option=orjson.OPT_SORT_KEYS)
    arrays = _arrays(snapshot)
    version = _version(names, arrays)
    target = root / version
    if target.is_dir() and (target / "tables" / "price_nanos.npy").is_file():
        return replace(snapshot, version=version)
    building = root / f".{version}.{os.getpid()}"
    shutil.rmtree(building, ignore_errors=True)
    (building / "arrays").mkdir(parents=True)
    for name, array in arrays.items():
        np.save(building / "arrays" / f"{name}.npy", array, allow_pickle=False)
    _write_tables(snapshot, building)
    (building / "meta.json").write_bytes(names)
    if target.exists():
        _restore_tables(building, target)
    else:
        building.rename(target)
    return replace(snapshot, version=version)


def open_snapshot(directory: Path) -> CatalogSnapshot:
    """Opens a stored version by mapping its arrays. Raises OSError or ValueError where the directory is damaged.

    Tables that are not there are rebuilt in memory, which takes about half a second for a full catalogue.
    """
    meta = orjson.loads((directory / "meta.json").read_bytes())
    if meta["format"] != FORMAT:
        raise ValueError(f"{directory.name}: format {meta['format']}, this program reads {FORMAT}")
    stored = directory / "arrays"
    regions = tuple(
        Region(**{**region, "cloud": Cloud(region["cloud"]), "zones": tuple(region["zones"])})
        for region in meta["regions"]
    )
    types = _open_group(stored, "types", TypeColumns)
    offers = _open_group(stored, "offers", OfferColumns)
    lists: dict[str, Any] = {name: tuple(meta[name]) for name in _NAME_LISTS}
    plain: dict[str, Any] = {name: _map(stored / f"{name}.npy") for name in _PLAIN_ARRAYS}
    clouds = [CLOUDS[code] for code in types.cloud.tolist()]
    tables = _open_tables(directory, len(regions)) or size_tables(
        lists["gpu_models"], lists["arches"], types, offers, len(regions)
    )
    return CatalogSnapshot(
        version=directory.name,
        regions=regions,
        types=types,
        rows=_open_group(stored, "rows", RowColumns),
        offers=offers,
        egress=_open_group(stored, "egress", EgressColumns),
        tables=tables,
        region_index={(region.cloud, region.name): number for number, region in enumerate(regions)},
        type_index={key: number for number, key in enumerate(zip(clouds, lists["type_names"], strict=True))},
        **lists,
        **plain,
    )


def remove_version(directory: Path) -> None:
    """Deletes a version; readers that have it mapped keep it."""
    shutil.rmtree(directory, ignore_errors=True)


def remove_unfinished(root: Path) -> None:
    """Deletes what builders that died have left. Only for who holds the builder's lock."""
    for path in root.glob(".*.*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)


def _names(snapshot: CatalogSnapshot) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "regions": [asdict(region) for region in snapshot.regions],
        **{name: list(getattr(snapshot, name)) for name in _NAME_LISTS},
    }


def _arrays(snapshot: CatalogSnapshot) -> dict[str, AnyArray]:
    arrays: dict[str, AnyArray] = {}
    for group, columns in _GROUPS.items():
        held = getattr(snapshot, group)
        arrays |= {f"{group}.{field.name}": getattr(held, field.name) for field in fields(columns)}
    arrays |= {name: getattr(snapshot, name) for name in _PLAIN_ARRAYS}
    little = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return {name: array.astype(array.dtype.newbyteorder("<"), copy=False) for name, array in sorted(little.items())}


def _version(names: bytes, arrays: Mapping[str, AnyArray]) -> str:
    digest = hashlib.sha256(names)
    for name, array in arrays.items():
        digest.update(f"\0{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digest.update(array.data)
    return digest.hexdigest()[:_VERSION_LENGTH]


def _write_tables(snapshot: CatalogSnapshot, directory: Path) -> None:
    (directory / "tables").mkdir()
    unique = {id(table): table for table in snapshot.tables.values()}
    entries, slots, rows = {}, 0, 0
    for number, table in unique.items():
        axes = (table.counts, table.vcpus, table.memories_gib)
        entries[number] = _TableEntry(table.gpu_model, table.arch, *axes, slots, rows, len(table.rank))
        slots += table.row_of.size
        rows += len(table.rank)
    for name in _TABLE_ARRAYS:
        parts = [getattr(table, name).reshape(-1) for table in unique.values()] or [np.zeros(0, dtype=np.int32)]
        np.save(directory / "tables" / f"{name}.npy", np.concatenate(parts), allow_pickle=False)
    index = [
        asdict(replace(entries[id(table)], gpu_model=model, arch=arch))
        for (model, arch), table in snapshot.tables.items()
    ]
    (directory / "tables" / "index.json").write_bytes(orjson.dumps(index))


def _restore_tables(building: Path, target: Path) -> None:
    """Gives a version its pruned tables back."""
    shutil.rmtree(target / "tables", ignore_errors=True)
    (building / "tables").rename(target / "tables")
    shutil.rmtree(building, ignore_errors=True)


def _open_tables(directory: Path, region_count: int) -> dict[tuple[str | None, str | None], SizeTable] | None:
    index = directory / "tables" / "index.json"
    if not index.is_file():
        return None
    slots, rank, price = (_map(directory / "tables" / f"{name}.npy") for name in _TABLE_ARRAYS)
    cells = len(PLACEMENT_OPTIONS) * region_count
    by_row: dict[int, SizeTable] = {}
    tables: dict[tuple[str | None, str | None], SizeTable] = {}
    for raw in orjson.loads(index.read_bytes()):
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        entry = _TableEntry(**values)
        if entry.first_row not in by_row:
            sizes = (len(entry.counts), len(entry.vcpus), len(entry.memories_gib))
            slot_span = slice(entry.first_slot, entry.first_slot + int(np.prod(sizes)))
            row_span = slice(entry.first_row * cells, (entry.first_row + entry.rows) * cells)
            shape = (entry.rows, len(PLACEMENT_OPTIONS), region_count)
            by_row[entry.first_row] = SizeTable(
                gpu_model=entry.gpu_model,
                arch=entry.arch,
                counts=entry.counts,
                vcpus=entry.vcpus,
                memories_gib=entry.memories_gib,
                row_of=slots[slot_span].reshape(sizes),
                rank=rank[row_span].reshape(shape),
                price_nanos=price[row_span].reshape(shape),
            )
        tables[entry.gpu_model, entry.arch] = by_row[entry.first_row]
    return tables


def _open_group(stored: Path, group: str, columns: type[_Group]) -> _Group:
    return columns(**{field.name: _map(stored / f"{group}.{field.name}.npy") for field in fields(columns)})


def _map(path: Path) -> Any:  # noqa: ANN401 - the dtype is the file's; the fields it is assigned to state it
    """A read-only mapped array as a plain ndarray: the memmap subclass costs a microsecond at every slice."""
    # A file without elements cannot be mapped.
    empty = path.stat().st_size <= _NPY_HEADER
    mapped = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    return np.asarray(mapped)
