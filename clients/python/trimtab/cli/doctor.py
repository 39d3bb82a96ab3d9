"""`trimtab doctor`: is the server reachable, well, willing and current? If not: what to do."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from rich.text import Text

from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.flags import command
from trimtab.cli.health_checks import Finding, State, examine

_STYLES = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "bold red", State.SKIPPED: "dim"}


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(doctor)


def doctor(*, output: Output, connection: Connection) -> None:
    """Check connection, TLS, health, credentials, catalogue and clocks; say what is wrong and what to do.

    The exit code is that of the first failure: 5 unreachable or unwell, 4 not permitted, 1 anything else.
    """
    findings = examine(connection, datetime.now(UTC))
    if output.json:
        for finding in findings:
            line = {"check": finding.check, "state": finding.state, "found": finding.found, "advice": finding.advice}
            sys.stdout.write(json.dumps(line) + "\n")
    else:
        _show(findings)
    failed = [finding for finding in findings if finding.state is State.FAILED]
    raise typer.Exit(failed[0].exit_code if failed else Exit.OK)


def _show(findings: Sequence[Finding]) -> None:
    shown = out.table("check", "", "found")
    for finding in findings:
        text = Text(finding.found)
        if finding.advice:
            text.append(f"\n-> {finding.advice}", style="bold")
        shown.add_row(finding.check, Text(finding.state, style=_STYLES[finding.state]), text)
    out.show(shown)
