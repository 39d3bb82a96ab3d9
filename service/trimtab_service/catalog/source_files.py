"""Reads the files of a catalogue directory into polars frames. Runs in the builder process only.

A table `prices` is `prices.parquet`, `prices.csv.gz` or `prices.csv`, in that order of preference. Every column is
brought to its declared type here; what does not parse becomes null and is judged by the checks that follow.
"""

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from trimtab_service.catalog.quarantine import Quarantine
from trimtab_service.catalog.source_layout import FLAG, LAYOUT, NUMBER, TEXT, TableLayout, find_table
from trimtab_service.domain.reasons import CatalogIssue

_DTYPE = {TEXT: pl.String(), NUMBER: pl.Float64(), FLAG: pl.Boolean()}


class UnreadableFileError(Exception):
    """A file is missing, cut off or not in its format. Carries the file's name and why."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(f"{file}: {why}")
        self.file = file
        self.why = why


@dataclass(frozen=True, slots=True)
class SourceFiles:
    """The tables of a directory as frames, each with a `row` column (1 is the first data row)."""

    frames: dict[str, pl.DataFrame]
    warnings: tuple[str, ...]


def read_source(directory: Path, quarantine: Quarantine) -> SourceFiles:
    """Reads every table. Raises UnreadableFileError; unknown columns are warned about and ignored."""
    frames: dict[str, pl.DataFrame] = {}
    warnings: list[str] = []
    for layout in LAYOUT:
        path = find_table(directory, layout.name)
        if path is None:
            if layout.required:
                raise UnreadableFileError(layout.name, f"no {layout.name}.parquet, .csv.gz or .csv in the directory")
            warnings.append(f"{layout.name}: no such file; what depends on it is assumed or left out")
            frames[layout.name] = pl.DataFrame(
                schema={"row": pl.Int64(), **{column: _DTYPE[kind] for column, kind in layout.columns.items()}}
            )
            continue
        frames[layout.name] = _typed(_read(path), layout, path.name, quarantine, warnings)
    return SourceFiles(frames, tuple(warnings))


def _read(path: Path) -> pl.DataFrame:
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(io.BytesIO(path.read_bytes()))
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        _refuse_cut_text(path.name, content)
        return pl.read_csv(content, infer_schema=False)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, pl.exceptions.PolarsError) as error:
        raise UnreadableFileError(path.name, str(error).splitlines()[0]) from error


def _refuse_cut_text(name: str, content: bytes) -> None:
    """A text cut in the middle of its last row has too few fields there and no end of line."""
    if not content.strip():
        raise UnreadableFileError(name, "the file is empty")
    if content.endswith(b"\n"):
        return
    header, last = content.split(b"\n", 1)[0], content.rsplit(b"\n", 1)[-1]
    # Quoted commas only ever add to the count of the last row, and a header has none.
    if last.count(b",") < header.count(b","):
        raise UnreadableFileError(name, "the last row is cut off")


def _typed(
    frame: pl.DataFrame, layout: TableLayout, file: str, quarantine: Quarantine, warnings: list[str]
) -> pl.DataFrame:
    unknown = [column for column in frame.columns if column not in layout.columns]
    if unknown:
        warnings.append(f"{file}: columns ignored: {', '.join(unknown)}")
        quarantine.add(file, CatalogIssue.UNKNOWN_COLUMN, 0, unknown)
    missing = [c for c in layout.columns if c not in frame.columns and c not in layout.optional_columns]
    if missing:
        raise UnreadableFileError(file, f"columns missing: {', '.join(missing)}")
    expressions = []
    for column, kind in layout.columns.items():
        dtype = _DTYPE[kind]
        if column not in frame.columns:
            expressions.append(pl.lit(None, dtype=dtype).alias(column))
        elif frame.schema[column] == dtype:
            expressions.append(pl.col(column))
        elif kind == TEXT and isinstance(frame.schema[column], pl.Datetime):
            expressions.append(pl.col(column).dt.date().cast(dtype))
        elif kind == FLAG:
            text = pl.col(column).cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
            flag = pl.when(text.is_in(["true", "1"])).then(statement=True).when(text.is_in(["false", "0"]))
            expressions.append(flag.then(statement=False).otherwise(None).alias(column))
        else:
            expressions.append(pl.col(column).cast(dtype, strict=False))
    return frame.select(expressions).with_row_index("row", offset=1)
