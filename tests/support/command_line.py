"""The `trimtab` command in this process: arguments in, exit code and both outputs out."""

import io
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

from trimtab.cli.main import main


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str


def run(*arguments: str, environment: Mapping[str, str] | None = None, stdin: str = "") -> Ran:
    """Run a command line with no variables of trimtab but those given, as if its output went to a file.

    It waits longer for answers than people do: the machine that tests run on may stand still for a while.
    """
    out, err = io.StringIO(), io.StringIO()
    with _world({"TRIMTAB_TIMEOUT": "10m", **(environment or {})}, stdin), redirect_stdout(out), redirect_stderr(err):
        code = main(arguments)
    return Ran(code, out.getvalue(), err.getvalue())


@contextmanager
def _world(environment: Mapping[str, str], stdin: str) -> Iterator[None]:
    """Environment and standard input belong to the process, so they are lent and given back."""
    kept, kept_stdin = dict(os.environ), sys.stdin
    for key in kept:
        if key.startswith("TRIMTAB_") or key == "COLUMNS":
            del os.environ[key]
    os.environ.update(environment)
    sys.stdin = io.StringIO(stdin)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
        sys.stdin = kept_stdin
