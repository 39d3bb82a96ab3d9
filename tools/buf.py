"""Run buf over `protos/` without a network.

buf would fetch the `google/api` imports from its registry. Here they come from the installed
googleapis-common-protos: this program lays both side by side in a temporary workspace, with the lint and breaking
rules of the committed `buf.yaml`, and hands its arguments to buf there.
"""

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
# What the contract imports, directly or through one another.
GOOGLE = ("google/api", "google/rpc", "google/type")


def main(arguments: list[str]) -> int:
    """Run `buf VERB protos OPTIONS`; image paths are relative to the caller's directory. Returns buf's exit status."""
    buf = Path(sysconfig.get_path("scripts")) / "buf"
    with tempfile.TemporaryDirectory(prefix="trimtab-buf-") as scratch:
        workspace = Path(scratch)
        _lay_out(workspace)
        resolved = [str(Path(word).resolve()) if word.endswith(".binpb") else word for word in arguments]
        verb, *options = resolved
        return subprocess.run([buf, verb, "protos", *options], cwd=workspace, check=False).returncode


def _lay_out(workspace: Path) -> None:
    shutil.copytree(ROOT / "protos", workspace / "protos")
    installed = Path(str(importlib.metadata.distribution("googleapis-common-protos").locate_file("")))
    for folder in GOOGLE:
        shutil.copytree(
            installed / folder,
            workspace / "imports" / folder,
            ignore=lambda directory, names: [
                name for name in names if not name.endswith(".proto") and not (Path(directory) / name).is_dir()
            ],
        )
    config = yaml.safe_load((ROOT / "buf.yaml").read_text(encoding="utf-8"))
    config["modules"].append({"path": "imports"})
    (workspace / "buf.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
