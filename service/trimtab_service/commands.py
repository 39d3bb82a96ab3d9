"""The commands that the service adds to the `trimtab` CLI (entry points of the group `trimtab.commands`)."""

import os
from pathlib import Path
from typing import Annotated

import typer

from trimtab_service.bootstrap import compose
from trimtab_service.config import EXIT_BAD_CONFIG, ConfigError
from trimtab_service.serving import serve as serve_until_signal
from trimtab_service.settings_sources import load_settings


def serve(  # noqa: PLR0913, PLR0917 - a flag each
    listen: Annotated[str | None, typer.Option(help="gRPC address, as host:port; port 0 picks a free one.")] = None,
    admin_listen: Annotated[str | None, typer.Option(help="HTTP address of metrics and health.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="The one directory that is written to.")] = None,
    database_url: Annotated[str | None, typer.Option(help="Store; empty means SQLite in the data directory.")] = None,
    catalog_dir: Annotated[Path | None, typer.Option(help="Catalogue; empty means the one in the package.")] = None,
    workers: Annotated[int | None, typer.Option(help="Serving processes on the one port.")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file with any setting.")] = None,
) -> None:
    """Serve until SIGTERM or SIGINT. Every setting is also an environment variable `TRIMTAB_...`; a flag wins."""
    flags: dict[str, object] = {
        "listen": listen,
        "admin_listen": admin_listen,
        "data_dir": None if data_dir is None else str(data_dir),
        "database_url": database_url,
        "catalog_dir": None if catalog_dir is None else str(catalog_dir),
        "workers": None if workers is None else str(workers),
        "log_level": log_level,
    }
    try:
        settings = load_settings(os.environ, flags, config)
    except ConfigError as error:
        for violation in error.violations:
            typer.echo(f"trimtab serve: {violation}", err=True)
        raise typer.Exit(EXIT_BAD_CONFIG) from None
    raise typer.Exit(serve_until_signal(settings, compose))
