"""Commands that other packages add through the entry point group `trimtab.commands`, such as `serve`.

An entry point names a function with typer's annotations, or a `typer.Typer`. It is loaded when its command is run and
not before, so that `trimtab place` does not pay for the service's imports.
"""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points

import typer
from rich.text import Text

from trimtab.cli import output as out
from trimtab.cli.exits import Exit

GROUP = "trimtab.commands"
_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True}
_EXTRAS = {"serve": "service"}
_HELP = {"serve": "Serve decisions (needs the extra `service`)."}


def add_commands(app: typer.Typer, found: Iterable[EntryPoint] | None = None) -> None:
    """Add a command for every entry point."""
    for entry in sorted(entry_points(group=GROUP) if found is None else found, key=lambda one: one.name):
        _add(app, entry)


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    text = _HELP.get(entry.name, f"Added by {entry.dist.name if entry.dist else entry.module}.")

    @app.command(entry.name, help=text, context_settings=_ARGUMENTS, add_help_option=False)
    def run(context: typer.Context) -> None:
        try:
            loaded = entry.load()
        except ImportError as error:
            console = out.console(stderr=True)
            console.print(Text(f"error: `trimtab {entry.name}` cannot be loaded: {error}"))
            extra = _EXTRAS.get(entry.name, entry.name)
            console.print(Text(f"  is the extra that brings it installed? pip install 'trimtab[{extra}]'"))
            raise typer.Exit(Exit.FAILED) from None
        extension = loaded
        if not isinstance(loaded, typer.Typer):
            extension = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            extension.command()(loaded)
        extension(list(context.args), prog_name=f"trimtab {entry.name}")
