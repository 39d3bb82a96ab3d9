"""The library serves one catalogue at a time, swaps it whole, and never gives up a good one for a bad one."""

import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.catalog_sources import CatalogSource, good_source
from trimtab_service.catalog.builder_process import BuilderProcess
from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason


class Clock:
    """Tells the time it was set to, a second later at every question."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The next second."""
        self.now += timedelta(seconds=1)
        return self.now


def _dearer(factor: float) -> CatalogSource:
    source = good_source()
    for row in source.tables["prices"]:
        row["usd_per_hour"] = float(str(row["usd_per_hour"])) * factor
    return source


def _library(tmp_path: Path, kept_versions: int = 9) -> CatalogLibrary:
    return CatalogLibrary(tmp_path / "catalogs", tmp_path / "in", clock=Clock(), kept_versions=kept_versions)


def test_nothing_is_served_before_the_first_load(tmp_path: Path) -> None:
    """Asking too early is an answer of its own, not a crash."""
    with pytest.raises(UnavailableError) as caught:
        _ = _library(tmp_path).current
    assert caught.value.reason is ErrorReason.CATALOG_UNAVAILABLE


def test_a_start_without_any_good_catalogue_says_why(tmp_path: Path) -> None:
    """With nothing to fall back on the refusal reaches the caller and stays visible."""
    (tmp_path / "in").mkdir()
    library = _library(tmp_path)
    with pytest.raises(FailedPreconditionError):
        library.start()
    with pytest.raises(UnavailableError, match="regions"):
        _ = library.current


def test_an_unchanged_source_is_not_built_again(tmp_path: Path) -> None:
    """Same files: the same load answers, and history does not grow."""
    good_source().write(tmp_path / "in")
    library = _library(tmp_path)
    first = library.start()
    assert library.refresh() is first
    assert len(library.history()) == 1


def test_a_refused_refresh_keeps_the_last_good_catalogue(tmp_path: Path) -> None:
    """Prices cut in the middle: the old catalogue serves on, the failure is told, and the next good one clears it."""
    source = good_source().write(tmp_path / "in")
    library = _library(tmp_path)
    good = library.start()
    prices = source / "prices.csv"
    whole = prices.read_bytes()
    prices.write_bytes(whole[:-30])
    with pytest.raises(FailedPreconditionError):
        library.refresh()
    assert library.current is good
    assert library.last_failure is not None
    assert library.last_failure.reason is ErrorReason.CATALOG_REFUSED
    prices.write_bytes(whole.replace(b"2026-07-20", b"2026-07-21"))
    assert library.refresh().snapshot.version != good.snapshot.version
    assert library.last_failure is None


def test_a_builder_that_dies_is_not_a_bad_catalogue(tmp_path: Path) -> None:
    """A builder without time to finish is a failed source, told apart from refused content."""
    good_source().write(tmp_path / "in")
    library = CatalogLibrary(
        tmp_path / "catalogs", tmp_path / "in", clock=Clock(), builder=BuilderProcess(timeout=timedelta(milliseconds=1))
    )
    with pytest.raises(UnavailableError) as caught:
        library.start()
    assert caught.value.reason is ErrorReason.SOURCE_FAILED


def test_a_restart_finds_the_catalogue_even_when_the_source_is_gone(tmp_path: Path) -> None:
    """What was in force before serves again, with its load record, whatever became of the source."""
    source = good_source().write(tmp_path / "in")
    before = _library(tmp_path).start()
    for file in source.iterdir():
        file.unlink()
    library = _library(tmp_path)
    after = library.start()
    assert after.snapshot.version == before.snapshot.version
    assert after.load == before.load
    assert library.last_failure is not None


def test_another_process_takes_over_what_was_refreshed(tmp_path: Path) -> None:
    """A follower sees a new catalogue without building it, and only once."""
    good_source().write(tmp_path / "in")
    leader, follower = _library(tmp_path), _library(tmp_path)
    leader.start()
    assert follower.follow()
    _dearer(2.0).write(tmp_path / "in")
    version = leader.refresh().snapshot.version
    assert follower.follow()
    assert follower.current.snapshot.version == version
    assert not follower.follow()


def test_every_version_of_the_history_can_be_opened_again(tmp_path: Path) -> None:
    """History lists loads newest first, and opens each; a version that is not of the history is never looked for."""
    library = _library(tmp_path)
    versions = []
    for factor in (1.0, 2.0, 4.0):
        _dearer(factor).write(tmp_path / "in")
        versions.append(library.refresh().snapshot.version)
    assert [load.version for _, load in library.history()] == versions[::-1]
    for version in versions:
        assert library.open_version(version).version == version
    with pytest.raises(NotFoundError) as caught:
        library.open_version("../../etc")
    assert caught.value.reason is ErrorReason.REPLAY_UNAVAILABLE


def test_versions_past_the_kept_ones_are_gone_with_their_records(tmp_path: Path) -> None:
    """The oldest version leaves disk and history; what is newer opens."""
    library = _library(tmp_path, kept_versions=2)
    versions = []
    for factor in (1.0, 2.0, 4.0):
        _dearer(factor).write(tmp_path / "in")
        versions.append(library.refresh().snapshot.version)
    assert [load.version for _, load in library.history()] == versions[:0:-1]
    assert not (tmp_path / "catalogs" / versions[0]).exists()
    with pytest.raises(NotFoundError):
        library.open_version(versions[0])
    assert library.open_version(versions[1]).version == versions[1]


def test_what_a_dead_builder_left_is_cleared(tmp_path: Path) -> None:
    """The next build removes half-written directories."""
    good_source().write(tmp_path / "in")
    leftover = tmp_path / "catalogs" / ".0123456789abcdef.4711"
    (leftover / "arrays").mkdir(parents=True)
    _library(tmp_path).start()
    assert not leftover.exists()


def test_a_snapshot_is_prepared_before_it_is_seen(tmp_path: Path) -> None:
    """What is registered sees each new snapshot while the one before is still in force; a follower's too."""
    good_source().write(tmp_path / "in")
    leader, follower = _library(tmp_path), _library(tmp_path)
    seen: list[tuple[str, bool]] = []
    for library in (leader, follower):
        library.prepare_with(partial(_note, library, seen))
    first = leader.start().snapshot.version
    follower.follow()
    _dearer(2.0).write(tmp_path / "in")
    second = leader.refresh().snapshot.version
    follower.follow()
    assert seen == [(first, False), (first, False), (second, False), (second, False)]


def _note(library: CatalogLibrary, seen: list[tuple[str, bool]], snapshot: CatalogSnapshot) -> None:
    try:
        in_force = library.current.snapshot is snapshot
    except UnavailableError:
        in_force = False
    seen.append((snapshot.version, in_force))


def test_a_damaged_version_is_passed_over_by_followers(tmp_path: Path) -> None:
    """A version that does not open leaves what is in force alone."""
    good_source().write(tmp_path / "in")
    leader, follower = _library(tmp_path), _library(tmp_path)
    leader.start()
    follower.follow()
    _dearer(2.0).write(tmp_path / "in")
    version = leader.refresh().snapshot.version
    (tmp_path / "catalogs" / version / "meta.json").write_bytes(b"{")
    assert not follower.follow()
    assert follower.current.snapshot.version != version


def test_readers_see_one_whole_catalogue_while_it_is_swapped(tmp_path: Path) -> None:
    """Under swaps every reader finds all prices of the one version it took: all single, or all double."""
    good_source().write(tmp_path / "in")
    library = _library(tmp_path)
    base = np.array(library.start().snapshot.offers.price_nanos)
    stop, mixed, seen = threading.Event(), [], set()

    def read() -> None:
        while not stop.is_set():
            loaded = library.current
            factors = set(np.unique(np.rint(loaded.snapshot.offers.price_nanos / base)).tolist())
            seen.update(factors)
            if len(factors) != 1 or loaded.load.version != loaded.snapshot.version:
                mixed.append(factors)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for factor in (2.0, 1.0, 2.0):
        _dearer(factor).write(tmp_path / "in")
        library.refresh()
    stop.set()
    for reader in readers:
        reader.join()
    assert mixed == []
    assert seen == {1.0, 2.0}
