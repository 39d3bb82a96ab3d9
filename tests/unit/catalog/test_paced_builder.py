"""A builder that takes what decisions leave of the processors."""

import fcntl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from tests.support.catalog_sources import good_source
from trimtab_service.catalog.builder_process import BuilderProcess
from trimtab_service.catalog.paced_builder import STARVED
from trimtab_service.domain.errors import FailedPreconditionError

NOW = datetime(2026, 8, 1, tzinfo=UTC)


@contextmanager
def without_progress(tmp_path: Path) -> Iterator["tuple[subprocess.Popen[bytes], psutil.Process]"]:
    """A pacer and its builder, which gets nothing done: another one holds the lock of the root."""
    source, root = good_source().write(tmp_path / "in"), tmp_path / "catalogs"
    root.mkdir()
    command = [sys.executable, "-m", "trimtab_service.catalog.paced_builder", str(source), str(root)]
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as pacer:
            found: list[psutil.Process] = []
            while not found and pacer.poll() is None:
                found = psutil.Process(pacer.pid).children()
            yield pacer, found[0]
            pacer.wait(60)


def test_it_builds_what_the_other_builds(tmp_path: Path) -> None:
    """The same version, whether it got enough of the processors or had to begin anew."""
    source = good_source().write(tmp_path / "in")
    paced = BuilderProcess().run(source, tmp_path / "paced", as_of=NOW, paced=True)
    plain = BuilderProcess().run(source, tmp_path / "plain", as_of=NOW)
    assert (paced.version, paced.price_rows, paced.fingerprint) == (plain.version, plain.price_rows, plain.fingerprint)


def test_what_is_refused_is_refused_in_either_manner(tmp_path: Path) -> None:
    """The builder's answer is handed on as it is."""
    source = good_source().write(tmp_path / "in")
    next(source.glob("prices*")).write_bytes(b"\0\0")
    with pytest.raises(FailedPreconditionError):
        BuilderProcess().run(source, tmp_path / "catalogs", as_of=NOW, paced=True)


def test_a_builder_without_a_processor_gives_up(tmp_path: Path) -> None:
    """It says so by its exit status, and leaves nothing behind that runs or waits."""
    with without_progress(tmp_path) as (pacer, builder):
        assert pacer.wait(60) == STARVED
        assert not builder.is_running()


def test_it_ends_with_its_pacer(tmp_path: Path) -> None:
    """Who tells the pacer to end has ended both."""
    with without_progress(tmp_path) as (pacer, builder):
        pacer.terminate()
        assert pacer.wait(60) != 0
        assert not builder.is_running()


def test_it_outlives_no_pacer_that_is_killed(tmp_path: Path) -> None:
    """Stopped or not, it is ended with it: one that stayed stopped would hold the lock of the root for good."""
    with without_progress(tmp_path) as (pacer, builder):
        pacer.kill()
        give_up = time.monotonic() + 60
        # Nobody may be there to reap it: a container's first process often does not.
        with suppress(psutil.NoSuchProcess):
            while builder.status() != psutil.STATUS_ZOMBIE:
                assert time.monotonic() < give_up
                time.sleep(0.01)
