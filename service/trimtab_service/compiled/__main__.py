"""Builds the compiled form beside its sources: `python -m trimtab_service.compiled`, done by `make setup`.

Needs Cython, a C compiler and Python's headers. Without them it says so and ends well: the interpreted form answers
everything the compiled one does. What is built already from the sources as they are is left alone.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from trimtab_service.compiled import FLAGS, HERE, SOURCES, built_name, parts_of

_SUFFIX: Final = str(sysconfig.get_config_var("EXT_SUFFIX"))


def missing() -> str:
    """What is needed to build and is not there; empty when all is."""
    if find_spec("Cython") is None:
        return "Cython is not installed"
    if not _compiler():
        return "there is no C compiler"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").is_file():
        return "Python's headers are not installed"
    return ""


def build() -> list[str]:
    """Build what is not built; returns the names of what was.

    Raises:
        subprocess.CalledProcessError: a source does not compile.

    """
    made = []
    for name in SOURCES:
        built = built_name(name)
        target = HERE / f"{built}{_SUFFIX}"
        if target.is_file():
            continue
        with tempfile.TemporaryDirectory(dir=HERE, prefix=".build-") as scratch:
            source = Path(scratch) / f"{built}.pyx"
            first, *others = parts_of(name)
            shutil.copyfile(first, source)
            for part in others:
                shutil.copy(part, scratch)
            _run(sys.executable, "-m", "cython", "-3", str(source))
            library = source.with_suffix(_SUFFIX)
            _run(*_compiler(), *FLAGS, *_include(), str(source.with_suffix(".c")), "-o", str(library))
            # In one step: a process that starts meanwhile finds the whole file or none.
            library.replace(target)
        for old in HERE.glob(f"{name}_*{_SUFFIX}"):
            if old != target:
                old.unlink()
        made.append(built)
    return made


def _compiler() -> list[str]:
    """The C compiler with what makes an extension module; empty when there is none."""
    wanted = (os.environ.get("CC"), sysconfig.get_config_var("CC"), "cc", "gcc", "clang")
    for name in wanted:
        words = shlex.split(name or "")
        if words and shutil.which(words[0]):
            linking = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
            return [words[0], *linking, "-fPIC", "-w"]
    return []


def _include() -> list[str]:
    paths = sysconfig.get_paths()
    return [f"-I{path}" for path in dict.fromkeys((paths["include"], paths["platinclude"]))]


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - the compiler, our sources


def main() -> int:
    """Build, say what was done; 0 even when nothing could be, because nothing depends on it."""
    lacking = missing()
    if lacking:
        sys.stdout.write(f"hot path: {lacking}; it runs interpreted, slower and with the same answers\n")
        return 0
    try:
        made = build()
    except subprocess.CalledProcessError as error:
        sys.stdout.write(f"{error.stdout or ''}{error.stderr or ''}"[-4_000:])
        sys.stdout.write(f"hot path: {error.cmd[0]} failed; it runs interpreted, slower and with the same answers\n")
        return 0
    sys.stdout.write(f"hot path: {'compiled ' + ', '.join(made) if made else 'up to date'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
