"""Where the `trimtab` command starts: says in plain words when the extra `cli` is not installed."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (absent: the process's own) and answer its exit code; see `trimtab.cli.exits`."""
    try:
        # Here, because the thin client is installed without them.
        import rich  # noqa: F401, PLC0415
        import typer  # noqa: F401, PLC0415
        import yaml  # noqa: F401, PLC0415
        from grpc_health.v1 import health_pb2  # noqa: F401, PLC0415
    except ModuleNotFoundError as error:
        sys.stderr.write(f"trimtab: the command line needs the extra `cli`: pip install 'trimtab[cli]' ({error})\n")
        return 1
    from trimtab.cli.app import run  # noqa: PLC0415

    return run(arguments)
