"""`python -m trimtab_service`: the same as `trimtab serve`."""

import typer

from trimtab_service.commands import serve

if __name__ == "__main__":
    typer.run(serve)
