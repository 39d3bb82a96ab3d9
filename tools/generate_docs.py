"""Write the committed files that are made from code, or with `--check` fail when one of them is stale."""

import inspect
import sys
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from tools.dashboard import dashboard_page
from trimtab_service.config import setting_fields
from trimtab_service.domain import reasons
from trimtab_service.rpc.access import roles_page
from trimtab_service.settings_sources import CONFIG_FILE_VARIABLE, ENV_PREFIX

ROOT = Path(__file__).resolve().parent.parent


def errors_page() -> str:
    """`docs/errors.md`: every reason that trimtab gives, by kind, in the order of the code."""
    lines = [
        "# Reasons",
        "",
        "Generated from `domain/reasons.py` by `make docs`. Every refusal, rejection and finding carries one of these",
        "constants; the text beside it may change, the constant does not. A failed call is a `google.rpc.Status` with",
        "one `ErrorInfo` of domain `trimtab.v1`, whose `reason` is one of the first table and whose `metadata` holds",
        "every variable that the message mentions.",
    ]
    for kind in _kinds():
        lines += [
            "",
            f"## {kind.__name__}",
            "",
            inspect.getdoc(kind) or "",
            "",
            "| reason | meaning |",
            "| --- | --- |",
        ]
        lines += [f"| `{reason.name}` | {reason.meaning} |" for reason in kind]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """`docs/settings.md`: every setting, its environment variable, default and meaning."""
    lines = [
        "# Settings",
        "",
        "Generated from `config.py` by `make docs`. A flag of `trimtab serve` wins over the environment, that over",
        f"the TOML file that `{CONFIG_FILE_VARIABLE}` names, that over the default. Unknown keys are refused, and all",
        "faults are told together.",
        "",
        "| variable | default | meaning |",
        "| --- | --- | --- |",
    ]
    for field in setting_fields():
        variable = f"{ENV_PREFIX}{field.name.upper()}"
        lines.append(f"| `{variable}` | {_shown(field.default)} | {field.metadata['meaning']} |")
    return "\n".join(lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "docs/errors.md": errors_page,
    "docs/roles.md": roles_page,
    "docs/settings.md": settings_page,
    "deploy/grafana/trimtab.json": dashboard_page,
}
"""Path from the root of the checkout to what makes the file."""


def stale_pages() -> list[str]:
    """Paths of the files that are missing or differ from what the code says now."""
    return [name for name, page in PAGES.items() if not _same(ROOT / name, page())]


def main(arguments: list[str]) -> int:
    """Write all files, or check them. Returns the exit status."""
    stale = stale_pages()
    if "--check" in arguments:
        for name in stale:
            sys.stderr.write(f"{name} is stale: run `make docs`\n")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"{name}: written\n")
    return 0


def _kinds() -> list[type[reasons.Reason]]:
    """The enums of the module in the order of their definition, without the memberless root."""
    return [
        kind
        for kind in vars(reasons).values()
        if isinstance(kind, type) and issubclass(kind, reasons.Reason) and len(kind) > 0
    ]


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _shown(default: object) -> str:
    """A default as one would write it in the environment."""
    match default:
        case None | "" | ():
            return ""
        case bool():
            return f"`{str(default).lower()}`"
        case timedelta():
            return f"`{default.total_seconds():g}s`"
        case tuple():
            return f"`{','.join(str(item) for item in default)}`"
        case _:
            return f"`{default}`"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
