"""Builds as `builder` does, from what decisions leave of the processors.

    python -m trimtab_service.catalog.paced_builder SOURCE ROOT ...

A low priority alone is not enough. Where all processors are busy the kernel lets even an idle task run on for a slice
of several milliseconds, and the thread that should have answered waits for it. So the builder is stopped by a process
that does nothing else before such a slice is over, and goes on a moment later. Where next to nothing is left for it,
it gives up, since who runs idle may not ask for more: exit status `STARVED`.
"""

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

STARVED: Final = 75
"""EX_TEMPFAIL of sysexits.h: ask again, in another manner."""

_WORK_S: Final = 0.001
_REST_S: Final = 0.0005
_PATIENCE_S: Final = 1.5
_LEAST_SHARE: Final = 0.1
"""Of a processor, over the patience. Beside one client that asks without pause it gets three times that on two."""

_PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2)."""
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_ENDED_BY_SIGNAL: Final = 128


def main(arguments: list[str]) -> int:
    """Exit status of the builder, whose output is its own. It ends with this process."""
    signal.signal(signal.SIGTERM, _leave)
    builder = 0
    status: int | None = None
    pacer = os.getpid()
    try:
        builder = os.fork()
        if builder == 0:
            _build(arguments, pacer)
        status = _paced(builder)
    finally:
        if builder and status in {None, STARVED}:
            os.kill(builder, signal.SIGKILL)
            os.waitpid(builder, 0)
    return status if status >= 0 else _ENDED_BY_SIGNAL - status


def _paced(builder: int) -> int:
    looked, had = time.monotonic(), 0.0
    while True:
        time.sleep(_WORK_S)
        ended, status = os.waitpid(builder, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        os.kill(builder, signal.SIGSTOP)
        time.sleep(_REST_S)
        os.kill(builder, signal.SIGCONT)
        if time.monotonic() - looked > _PATIENCE_S:
            spent = _processor_s(builder)
            if spent - had < _PATIENCE_S * _LEAST_SHARE:
                return STARVED
            looked, had = time.monotonic(), spent


def _build(arguments: list[str], pacer: int) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Stopped for good it would hold the catalogue's lock: the kernel ends it, should its pacer be killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != pacer:
        os._exit(_ENDED_BY_SIGNAL + signal.SIGKILL)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    from trimtab_service.catalog import builder  # noqa: PLC0415 - what it loads is the builder's work, to be paced too

    sys.exit(builder.main(arguments))


def _processor_s(process: int) -> float:
    """What it had of processors: utime and stime of proc(5), counted past the name, which may hold anything."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    del frame
    sys.exit(_ENDED_BY_SIGNAL + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
