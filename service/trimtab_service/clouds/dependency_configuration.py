"""The clouds that the deployment itself hangs on, as its file names them: the `[dependencies]` table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from trimtab_service import settings_values as values
from trimtab_service.clouds.configuration import DEPENDENCIES, read_document
from trimtab_service.config import ConfigError
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.linter import Dependencies

_KEYS: Final = ("state_store", "secrets", "images", "identity", "dns")
_CLOUD: Final = values.choice(*Cloud)


def load_dependencies(path: Path | None) -> Dependencies:
    """Those of a file; none without a file. Raises ConfigError with every fault."""
    return Dependencies() if path is None else parse_dependencies(read_document(path))


def parse_dependencies(document: Mapping[str, object]) -> Dependencies:
    """Those of a parsed file. Raises ConfigError."""
    table = document.get(DEPENDENCIES, {})
    if not isinstance(table, dict):
        raise ConfigError([f"cloud_accounts: {DEPENDENCIES} is one table: [{DEPENDENCIES}]"])
    faults: list[str] = []
    found: dict[str, str] = {}
    for key, raw in table.items():
        if key not in _KEYS:
            faults.append(f"cloud_accounts: {DEPENDENCIES}: {key}: not a key; they are {', '.join(_KEYS)}")
            continue
        try:
            found[key] = _CLOUD(raw)
        except ValueError as error:
            faults.append(f"cloud_accounts: {DEPENDENCIES}: {key}: {error}")
    if faults:
        raise ConfigError(faults)
    return Dependencies(**found)
