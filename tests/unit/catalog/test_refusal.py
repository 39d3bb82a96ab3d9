"""A catalogue that cannot be trusted as a whole is refused, with the file and the reason."""

import gzip
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.support.catalog_sources import AS_OF, good_source, price
from trimtab_service.catalog.builder import build
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.reasons import ErrorReason


def _refused(source: Path, tmp_path: Path) -> FailedPreconditionError:
    with pytest.raises(FailedPreconditionError) as caught:
        build(source, tmp_path / "out", as_of=AS_OF)
    assert caught.value.reason is ErrorReason.CATALOG_REFUSED
    return caught.value


def _cut_csv(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _cut_gzip(path: Path) -> None:
    content = gzip.compress(path.read_bytes())
    path.unlink()
    path.with_name(f"{path.name}.gz").write_bytes(content[: len(content) // 2])


def _cut_parquet(path: Path) -> None:
    frame = pl.read_csv(path)
    path.unlink()
    whole = path.with_suffix(".parquet")
    frame.write_parquet(whole)
    whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _not_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00\x00" * 64)


@pytest.mark.parametrize("damage", [_cut_csv, _cut_gzip, _cut_parquet, _empty, _not_text])
@pytest.mark.parametrize("table", ["prices", "zones"])
def test_a_damaged_file_refuses_the_catalogue(damage: Callable[[Path], None], table: str, tmp_path: Path) -> None:
    """A file cut in the middle is no smaller catalogue: optional or not, nothing is loaded from the directory."""
    source = good_source().write(tmp_path / "in")
    damage(source / f"{table}.csv")
    error = _refused(source, tmp_path)
    assert "UNREADABLE_FILE" in error.message
    assert error.metadata["file"].startswith(table)


@pytest.mark.parametrize("table", ["prices", "regions", "instance_types"])
def test_a_missing_required_file_refuses_the_catalogue(table: str, tmp_path: Path) -> None:
    """Prices, regions and types cannot be done without."""
    source = good_source().write(tmp_path / "in")
    (source / f"{table}.csv").unlink()
    assert _refused(source, tmp_path).metadata["file"] == table


def test_a_missing_optional_file_is_a_warning(tmp_path: Path) -> None:
    """Without zones, egress or advisor the catalogue loads and says what is assumed."""
    source = good_source().write(tmp_path / "in")
    (source / "zones.csv").unlink()
    load = build(source, tmp_path / "out", as_of=AS_OF)
    assert {warning.split(":")[0] for warning in load.warnings} >= {"zones", "egress", "aws_spot_advisor"}


def test_a_missing_column_refuses_the_catalogue(tmp_path: Path) -> None:
    """A price file without its basis column is another format."""
    source = good_source()
    source.tables["prices"] = [{k: v for k, v in row.items() if k != "basis"} for row in source.tables["prices"]]
    assert "basis" in _refused(source.write(tmp_path / "in"), tmp_path).message


@pytest.mark.parametrize(("bad", "accepted"), [(2, True), (3, False)])
def test_the_lost_share_decides(bad: int, accepted: bool, tmp_path: Path) -> None:
    """With 44 good rows, 2 bad ones are under 5 % and load; 3 are over and are refused with counts by reason."""
    source = good_source()
    source.tables["prices"] += [price("aws", "us-east-1", f"ghost.{number}", 0.1) for number in range(bad)]
    directory = source.write(tmp_path / "in")
    if accepted:
        assert build(directory, tmp_path / "out", as_of=AS_OF).quarantined[0].rows == bad
    else:
        error = _refused(directory, tmp_path)
        assert error.metadata == {"file": "prices", "lost": "3", "rows": "47"}
        assert "UNKNOWN_INSTANCE_TYPE 3" in error.message
        assert not [path for path in (tmp_path / "out").glob("*") if path.is_dir()]
