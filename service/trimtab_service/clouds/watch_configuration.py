"""The probes that the service makes itself, as the deployment's file names them: `[[probes]]` tables.

A site's file names the probes that are made from there; processes of one site share them out. No call adds one.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from trimtab_service import settings_values as values
from trimtab_service.clouds.configuration import PROBES, read_document
from trimtab_service.clouds.document_values import NAME, Reader, matching, word
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.clouds.target_kinds import KINDS, Role
from trimtab_service.config import ConfigError
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.watching import Watch

MOST: Final = 256
"""Probes of one file."""

_NAME: Final = matching(NAME, "1 to 63 of a-z, 0-9, . _ -, beginning and ending with a letter or digit")
_READERS: Final[dict[str, Reader]] = {
    "name": _NAME,
    "project": word,
    "service": word,
    "side": word,
    "observer": word,
    "cloud": values.choice(*Cloud),
    "region": word,
    "target": word,
    "interval": values.duration(0.5, 300),
    "timeout": values.duration(0.05, 60),
    "fails": values.integer(1, 20),
    "of": values.integer(1, 20),
}
_REQUIRED: Final = frozenset({"name", "project", "service", "side", "observer", "cloud", "target"})
_FIELDS: Final = {"service": "service_id", "side": "side_id", "observer": "observer_id"}


def load_watches(path: Path | None, targets: Sequence[ConfiguredTarget]) -> tuple[Watch, ...]:
    """The probes of a file; none without a file. Raises ConfigError with every fault, without values."""
    return () if path is None else parse_watches(read_document(path), targets)


def parse_watches(document: Mapping[str, object], targets: Sequence[ConfiguredTarget]) -> tuple[Watch, ...]:
    """The probes of a parsed file. Raises ConfigError as `load_watches` does."""
    tables = document.get(PROBES, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError([f"cloud_accounts: {PROBES} is a list of tables: [[{PROBES}]]"])
    if len(tables) > MOST:
        raise ConfigError([f"cloud_accounts: {PROBES}: at most {MOST}"])
    faults: list[str] = []
    found: list[Watch] = []
    for at, table in enumerate(tables):
        where = f"cloud_accounts: {PROBES}[{at}]"
        watch, own = _watch(table)
        if watch is not None:
            own = [*own, *_faults(watch, targets)]
            found.append(watch)
        faults += [f"{where}: {fault}" for fault in own]
    faults += _joint_faults(found)
    if faults:
        raise ConfigError(faults)
    return tuple(found)


def _watch(table: Mapping[str, object]) -> tuple[Watch | None, list[str]]:
    faults = [f"{key}: required" for key in sorted(_REQUIRED - table.keys())]
    parsed: dict[str, Any] = {}
    for key, raw in table.items():
        reader = _READERS.get(key)
        if reader is None:
            faults.append(f"{key}: not a key of a probe; they are {', '.join(_READERS)}")
            continue
        try:
            parsed[_FIELDS.get(key, key)] = reader(raw)
        except ValueError as error:
            faults.append(f"{key}: {error}")
    if faults:
        return None, faults
    return Watch(**{**parsed, "cloud": Cloud(parsed["cloud"])}), []


def _faults(watch: Watch, targets: Sequence[ConfiguredTarget]) -> Iterator[str]:
    if watch.fails > watch.of:
        yield "fails: at most `of`"
    if watch.timeout >= watch.interval:
        yield "timeout: below the interval"
    target = next((one for one in targets if one.name == watch.target), None)
    if target is None or KINDS[target.kind].role is not Role.PROBE:
        kinds = ", ".join(name for name, kind in KINDS.items() if kind.role is Role.PROBE)
        yield f"target: none of that name is a probe ({kinds})"
    elif not target.open_to(watch.project):
        yield "target: not open to the project"


def _joint_faults(watches: Sequence[Watch]) -> Iterator[str]:
    for one, other in combinations(watches, 2):
        if one.name == other.name:
            yield f"cloud_accounts: {one.name}: the name of the probe is taken"
        if (one.project, one.observer_id) != (other.project, other.observer_id):
            continue
        if (one.service_id, one.side_id) == (other.service_id, other.side_id):
            yield f"cloud_accounts: {other.name}: {one.name} speaks for the same observer of the same side"
        if one.cloud is not other.cloud:
            yield f"cloud_accounts: {other.name}: {one.name} says that the observer stands in another cloud"
