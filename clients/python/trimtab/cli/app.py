"""The `trimtab` command: everything put together, failures turned into text and exit codes."""

import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from trimtab.cli import (
    catalog,
    commitment,
    decision,
    doctor,
    extensions,
    failover,
    fleet,
    outcome,
    place,
    policy,
    purchase,
    recommendations,
    replication,
    rightsize,
)
from trimtab.cli.exits import Exit, of_error
from trimtab.cli.failures import show_failure
from trimtab.errors import CallError

_HELP = """Decide how big, how bought, where, and what if it fails, for machine learning on several clouds.

Every command takes --target, --project and the rest of "Connection"; each has a variable, such as TRIMTAB_TARGET.

Exit codes: 0 done; 1 failed; 2 wrong command line or field; 3 no place, no size; 4 not permitted;
5 unreachable, too late or over a limit; 6 not found; 7 conflict.
"""


def build() -> typer.Typer:
    """The application with all its commands."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=_HELP, rich_markup_mode="markdown")
    app.callback()(_root)
    for part in (
        place,
        outcome,
        decision,
        rightsize,
        fleet,
        purchase,
        recommendations,
        failover,
        replication,
        catalog,
        policy,
        commitment,
        doctor,
    ):
        part.add_commands(app)
    extensions.add_commands(app)
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (absent: the process's own) and answer its exit code."""
    try:
        build()(None if arguments is None else list(arguments), prog_name="trimtab")
    except CallError as error:
        show_failure(error)
        return of_error(error)
    except BrokenPipeError:
        # `trimtab ... | head` is no failure; Python would complain about the flush at exit otherwise.
        sys.stdout = None
        return Exit.OK
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else Exit.OK if leaving.code is None else Exit.FAILED
    return Exit.OK


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's signature
    if wanted:
        typer.echo(f"trimtab {metadata.version('trimtab')}")
        raise typer.Exit


def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    del version
