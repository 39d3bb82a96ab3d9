"""A process that carries one run out, started as a program, so that its clock can be another: `set_clock` sets it.

    python -m tests.support.failover_process DSN RECORD PROJECT RUN LEASE_SECONDS

With Debian's libfaketime every clock of the process but the monotonic one is moved, as when somebody sets the host's.
Without it the process is a thread here whose clock is passed in.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from tests.support.failover_worker import SHORT, Fate, run_until_over, utc_now, wait_for, worker
from trimtab_service.failover.execution import Conduct

STEADY: Final = replace(SHORT, lease=timedelta(minutes=1))
"""A process that keeps its run although the machine stands still for a while."""
ROOT: Final = Path(__file__).resolve().parents[2]
_FOUND: Final = tuple(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@dataclass(slots=True)
class SkewedProcess:
    """It runs until its run is over. `path` is the file that libfaketime reads."""

    path: Path
    process: "subprocess.Popen[bytes] | None" = None
    thread: threading.Thread | None = None
    ahead: timedelta = field(default_factory=timedelta)

    def set_clock(self, ahead: timedelta) -> None:
        """From now on its host's clock is so far ahead of ours."""
        self.ahead = ahead
        beside = self.path.with_suffix(".new")
        beside.write_text(f"{ahead.total_seconds():+.0f}\n")
        beside.replace(self.path)

    def now(self) -> datetime:
        """Its host's clock."""
        return utc_now() + self.ahead

    def is_alive(self) -> bool:
        """Whether it still carries the run out."""
        return self.process.poll() is None if self.process is not None else bool(self.thread and self.thread.is_alive())

    def join(self) -> None:
        """Wait for it to end."""
        if self.process is not None:
            assert self.process.wait(60) == 0
        if self.thread is not None:
            self.thread.join(60)
            assert not self.thread.is_alive()


@contextmanager
def skewed(
    directory: Path, dsn: str, record: Path, run: tuple[str, str], conduct: Conduct = SHORT
) -> Iterator[SkewedProcess]:
    """A process for one run (project, id), its clock not yet moved."""
    made = SkewedProcess(directory / "ahead")
    made.set_clock(timedelta())
    if not _FOUND:
        made.thread = threading.Thread(target=_carry_out, args=(made, dsn, record, run, conduct))
        made.thread.start()
        yield made
        made.join()
        return
    environment = {
        "LD_PRELOAD": str(_FOUND[0]),
        "FAKETIME_TIMESTAMP_FILE": str(made.path),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": f"{ROOT / 'service'}:{ROOT / 'clients/python'}:{ROOT}",
    }
    command = [sys.executable, "-m", "tests.support.failover_process", dsn, str(record), *run]
    command.append(str(conduct.lease.total_seconds()))
    made.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def _carry_out(made: SkewedProcess, dsn: str, record: Path, run: tuple[str, str], conduct: Conduct) -> None:
    own = worker(dsn, record, "skewed", conduct=conduct, clock=made.now)
    own.runner.start()
    try:
        wait_for(own.runs, *run, lambda run: run.state.is_over)
    finally:
        own.close()


def _sleep(seconds: float) -> None:
    """What `time.sleep` is made of, `clock_nanosleep`, is spoilt by libfaketime; this is not."""
    threading.Event().wait(seconds)


if __name__ == "__main__":
    time.sleep = _sleep  # type: ignore[assignment] # nothing here sleeps for an index
    lasting = replace(SHORT, lease=timedelta(seconds=float(sys.argv[5])))
    run_until_over(sys.argv[1], Path(sys.argv[2]), Fate(), sys.argv[3], sys.argv[4], lasting)
