"""Flags that say which server, on whose behalf, and how answers are shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

import trimtab
from trimtab.channel import DEFAULT_TARGET
from trimtab.cli.values import parse, seconds
from trimtab.client import DEFAULT_PROJECT

_PANEL = "Connection"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """Where to ask, as whom. Every command takes these."""

    target: Annotated[
        str, typer.Option(envvar="TRIMTAB_TARGET", help="Server, as host:port.", rich_help_panel=_PANEL)
    ] = DEFAULT_TARGET
    project: Annotated[
        str, typer.Option("--project", "-p", envvar="TRIMTAB_PROJECT", help="Project.", rich_help_panel=_PANEL)
    ] = DEFAULT_PROJECT
    tls: Annotated[
        bool,
        typer.Option(
            "--tls", envvar="TRIMTAB_TLS", help="Use TLS. Implied by --ca and --cert.", rich_help_panel=_PANEL
        ),
    ] = False
    ca: Annotated[
        Path | None,
        typer.Option(
            envvar="TRIMTAB_CA", help="PEM roots to trust, instead of the public ones.", rich_help_panel=_PANEL
        ),
    ] = None
    cert: Annotated[
        Path | None, typer.Option(envvar="TRIMTAB_CERT", help="PEM client certificate.", rich_help_panel=_PANEL)
    ] = None
    key: Annotated[
        Path | None, typer.Option(envvar="TRIMTAB_KEY", help="PEM key of the certificate.", rich_help_panel=_PANEL)
    ] = None
    server_name: Annotated[
        str,
        typer.Option(
            envvar="TRIMTAB_SERVER_NAME",
            help="Name in the server's certificate, if not the host.",
            rich_help_panel=_PANEL,
        ),
    ] = ""
    token: Annotated[
        str,
        typer.Option(
            envvar="TRIMTAB_TOKEN", help="Bearer token (the variable keeps it out of ps).", rich_help_panel=_PANEL
        ),
    ] = ""
    token_file: Annotated[
        Path | None, typer.Option(envvar="TRIMTAB_TOKEN_FILE", help="File with the token.", rich_help_panel=_PANEL)
    ] = None
    timeout: Annotated[
        str,
        typer.Option(
            envvar="TRIMTAB_TIMEOUT",
            metavar="DURATION",
            help="Longest wait for an answer, as 30s.",
            rich_help_panel=_PANEL,
        ),
    ] = ""

    def transport(self) -> trimtab.Tls | None:
        """TLS as the flags say, or None. Raises typer.BadParameter for a file that cannot be read."""
        if not (self.tls or self.ca or self.cert or self.key):
            return None
        try:
            return trimtab.Tls.from_files(ca=self.ca, certificate=self.cert, key=self.key, server_name=self.server_name)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(str(error), param_hint="--ca, --cert, --key") from None

    def client(self) -> trimtab.Client:
        """A client. Raises typer.BadParameter for flags that do not go together."""
        if self.token and self.token_file is not None:
            raise typer.BadParameter("give one of them", param_hint="--token, --token-file")
        if self.token_file is not None and not self.token_file.is_file():
            raise typer.BadParameter(f"no file {self.token_file}", param_hint="--token-file")
        source = trimtab.TokenFile(self.token_file) if self.token_file is not None else self.token or None
        timeout = parse("--timeout", seconds, self.timeout) if self.timeout else None
        try:
            return trimtab.Client(
                self.target, project=self.project, tls=self.transport(), token=source, timeout=timeout
            )
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="connection") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """How the answer is shown."""

    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Protobuf JSON for programs, one object (of a list: one a line).", rich_help_panel="Output"
        ),
    ] = False
