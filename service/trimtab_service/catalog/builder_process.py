"""Runs the builder in a process of its own and reads its answer."""

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from trimtab_service.catalog.loads import CatalogLoad
from trimtab_service.catalog.paced_builder import STARVED
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason

BUILD_TIMEOUT = timedelta(minutes=2)
"""Sixty times the measured time of a full load: past it the builder hangs."""


@dataclass(frozen=True, slots=True)
class BuilderProcess:
    """How the builder is started. `max_lost_share` as in `builder.build`; `niceness` keeps it behind decisions."""

    max_lost_share: float = 0.05
    niceness: int = 5
    timeout: timedelta = BUILD_TIMEOUT

    def run(self, source: Path, root: Path, *, as_of: datetime, paced: bool = False) -> CatalogLoad:
        """Builds `source` into `root` and waits for it.

        `paced`: decisions are being made meanwhile, so it takes what they leave; where that is next to nothing, it is
        begun anew with the same right to the processors as others, but for `niceness`.

        Raises FailedPreconditionError (CATALOG_REFUSED) where the content is not acceptable, and UnavailableError
        (SOURCE_FAILED) where the builder itself failed: that says nothing about the content.
        """
        arguments = [
            str(source),
            str(root),
            f"--as-of={as_of.isoformat()}",
            f"--max-lost-share={self.max_lost_share}",
            f"--nice={self.niceness}",
        ]
        try:
            done = self._ran("paced_builder" if paced else "builder", arguments)
            if paced and done.returncode == STARVED:
                done = self._ran("builder", arguments)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(f"the catalogue builder did not finish: {type(error).__name__}") from error
        try:
            answer = orjson.loads(done.stdout.splitlines()[-1])
        except (IndexError, orjson.JSONDecodeError) as error:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise _failed(f"the catalogue builder failed with status {done.returncode}: {' '.join(last)}") from error
        if "refused" in answer:
            raise FailedPreconditionError(
                ErrorReason.CATALOG_REFUSED, str(answer["refused"]), metadata=answer["metadata"]
            )
        return CatalogLoad.from_json(answer["load"])

    def _ran(self, module: str, arguments: list[str]) -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", f"trimtab_service.catalog.{module}", *arguments]
        # One thread is enough for a load of a second, and leaves the other cores to decisions.
        environment = {**os.environ, "POLARS_MAX_THREADS": "1"}
        with subprocess.Popen(  # noqa: S603 - the arguments are this program's own, no shell is involved
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
        ) as process:
            try:
                output, errors = process.communicate(timeout=self.timeout.total_seconds())
            except subprocess.TimeoutExpired:
                # By SIGTERM, which the pacer hands on.
                process.terminate()
                raise
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _failed(message: str) -> UnavailableError:
    return UnavailableError(ErrorReason.SOURCE_FAILED, message)
