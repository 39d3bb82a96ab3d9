"""Generate the protobuf and gRPC stubs from `protos/` into `clients/python/`.

Two ways in: hatchling calls `StubsHook` whenever it builds a wheel, an sdist or an editable install;
`python hatch_build.py` does the same in place, for a checkout whose protos were edited after the install.
Either way the work is skipped while the protos and the generator are those of the last run.

One file, because hatchling loads a build hook by its path and not as part of a package.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import sys
import sysconfig
import tempfile
from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
PROTOS = ROOT / "protos"
# The proto path equals the package path, so that the imports in generated code need no rewriting.
PACKAGE = Path("trimtab/v1")
TARGET = ROOT / "clients" / "python"
STAMP = ".generated-from"
GENERATORS = ("grpcio-tools", "mypy-protobuf", "googleapis-common-protos")
INIT = '"""Messages and stubs of the contract, generated from protos/trimtab/v1 at build."""\n'


class StubsHook(BuildHookInterface[Any]):
    """hatchling's way in; `artifacts` in pyproject.toml makes the git-ignored result part of what is built."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate before hatchling collects the files. Both arguments are hatchling's and unused."""
        del version, build_data
        generate()


def generate() -> bool:
    """Bring the stubs up to date and say whether anything was done.

    Files are written beside their final place and moved over one by one, so that a process importing
    the package meanwhile never reads half a module.
    """
    sources = sorted((PROTOS / PACKAGE).glob("*.proto"))
    if not sources:
        raise SystemExit(f"no .proto files in {PROTOS / PACKAGE}")
    fingerprint = _fingerprint(sources)
    final = TARGET / PACKAGE
    stamp = final / STAMP
    if stamp.is_file() and stamp.read_text(encoding="ascii") == fingerprint:
        return False
    final.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".v1-") as scratch:
        _run_protoc(sources, Path(scratch))
        made = Path(scratch) / PACKAGE
        (made / "__init__.py").write_text(INIT, encoding="utf-8")
        fresh = {path.name for path in made.iterdir()}
        for path in sorted(made.iterdir()):
            path.replace(final / path.name)
        for path in final.iterdir():
            if path.is_file() and path.name not in fresh:
                path.unlink()
    stamp.write_text(fingerprint, encoding="ascii")
    return True


def _fingerprint(sources: list[Path]) -> str:
    """Digest of everything the output depends on: the protos, this file, the generator's versions."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for name in GENERATORS:
        digest.update(f"{name}={importlib.metadata.version(name)}\n".encode())
    for source in sources:
        digest.update(f"{source.name}\n".encode() + source.read_bytes())
    return digest.hexdigest()


def _run_protoc(sources: list[Path], out: Path) -> None:
    # Imported here, because most runs find the stubs up to date and protoc's library is large.
    from grpc_tools import protoc  # noqa: PLC0415

    includes = [PROTOS, Path(str(resources.files("grpc_tools") / "_proto")), google_protos()]
    status = protoc.main(
        [
            "protoc",
            *(f"--proto_path={path}" for path in includes),
            *(f"--plugin={name}={_script(name)}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")),
            *(f"--{kind}_out={out}" for kind in ("python", "grpc_python")),
            *(f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")),
            *(str(source) for source in sources),
        ]
    )
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}; its messages are above")


def google_protos() -> Path:
    """Directory under which googleapis-common-protos keeps `google/api/*.proto`."""
    found = importlib.metadata.distribution("googleapis-common-protos").locate_file("")
    return Path(str(found))


def _script(name: str) -> str:
    """Absolute path of a console script: an unactivated venv has it nowhere on PATH."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        raise SystemExit(f"{name} is not installed (it belongs to mypy-protobuf)")
    return found


if __name__ == "__main__":
    sys.stdout.write("stubs: generated\n" if generate() else "stubs: up to date\n")
