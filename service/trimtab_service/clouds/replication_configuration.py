"""The replications that the deployment's file names, read and checked as a whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from trimtab_service import settings_values as values
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.buckets import BUCKETS, BucketEnd
from trimtab_service.clouds.configuration import REPLICATIONS, read_document
from trimtab_service.clouds.document_values import Reader, matching, projects, word
from trimtab_service.clouds.simulated.connection import SIMULATED_ACCOUNT
from trimtab_service.clouds.simulated.objects import TRAINED_INTO
from trimtab_service.config import ConfigError
from trimtab_service.domain.identity import EVERY_PROJECT
from trimtab_service.replication.definition import MIB, Deletes, Replication

_ID: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MOST_BANDWIDTH: Final = 100_000
_LEAST_PART_MIB: Final = 5
"""S3 takes no smaller parts."""
_END: Final[dict[str, Reader]] = {"account": word, "bucket": word, "region": word, "storage_account": word}


@dataclass(frozen=True, slots=True)
class ConfiguredReplication:
    """A replication and the two buckets."""

    definition: Replication
    source: BucketEnd
    destination: BucketEnd


_SIMULATED_SOURCE: Final = BucketEnd(SIMULATED_ACCOUNT, TRAINED_INTO)
_SIMULATED_DESTINATION: Final = BucketEnd(SIMULATED_ACCOUNT, "models-gcp")
SIMULATED_REPLICATION: Final = ConfiguredReplication(
    Replication(
        name="models",
        projects=SIMULATED_ACCOUNT.projects,
        source=_SIMULATED_SOURCE.uri,
        destination=_SIMULATED_DESTINATION.uri,
    ),
    _SIMULATED_SOURCE,
    _SIMULATED_DESTINATION,
)
"""What a deployment without any file shows: it copies nothing until it is started."""


def load_replications(path: Path | None, accounts: Sequence[CloudAccount]) -> tuple[ConfiguredReplication, ...]:
    """Those of a file; a simulated one without a file. Raises ConfigError with every fault, without values."""
    return (SIMULATED_REPLICATION,) if path is None else parse_replications(read_document(path), accounts)


def parse_replications(
    document: Mapping[str, object], accounts: Sequence[CloudAccount]
) -> tuple[ConfiguredReplication, ...]:
    """Those of a parsed file. Raises ConfigError as `load_replications` does."""
    tables = document.get(REPLICATIONS, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError([f"cloud_accounts: {REPLICATIONS} is a list of tables: [[{REPLICATIONS}]]"])
    faults: list[str] = []
    by_name = {account.name: account for account in accounts}
    found = [_replication(table, at, by_name, faults) for at, table in enumerate(tables)]
    replications = [one for one in found if one is not None]
    for one, other in combinations(replications, 2):
        if one.definition.name == other.definition.name:
            faults.append(f"cloud_accounts: {one.definition.name}: the name of the replication is taken")
        elif _overlap(one.definition, other.definition):
            faults.append(f"cloud_accounts: {other.definition.name}: {one.definition.name} copies the same objects")
    if faults:
        raise ConfigError(faults)
    return tuple(sorted(replications, key=lambda one: one.definition.name))


def _replication(
    table: Mapping[str, object], at: int, accounts: Mapping[str, CloudAccount], faults: list[str]
) -> ConfiguredReplication | None:
    where = f"cloud_accounts: {REPLICATIONS}[{at}]"
    name = table.get("name")
    if isinstance(name, str) and _ID.fullmatch(name):
        where = f"cloud_accounts: {name}"
    required = {"name", "projects", "source", "destination"}
    found = [f"{key}: required" for key in sorted(required - table.keys())]
    parsed: dict[str, Any] = {}
    for key, raw in table.items():
        try:
            if key in {"source", "destination"}:
                parsed[key] = _end(raw, accounts)
            elif key in _READERS:
                parsed[_FIELDS.get(key, key)] = _READERS[key](raw)
            else:
                found.append(f"{key}: not a key of a replication")
        except ValueError as error:
            found.append(f"{key}: {error}")
    if not found:
        source, destination = parsed.pop("source"), parsed.pop("destination")
        definition = Replication(source=source.uri, destination=destination.uri, **parsed)
        found = list(_faults(definition, source, destination))
        if not found:
            return ConfiguredReplication(definition, source, destination)
    faults += [f"{where}: {fault}" for fault in found]
    return None


def _end(raw: object, accounts: Mapping[str, CloudAccount]) -> BucketEnd:
    if not isinstance(raw, dict):
        raise ValueError("expected a table: { account = ..., bucket = ... }")  # noqa: TRY004 - readers answer ValueError
    parsed: dict[str, str] = {}
    for key, value in raw.items():
        if key not in _END:
            raise ValueError(f"{key}: not a key of a bucket")
        parsed[key] = str(_END[key](value))
    account = accounts.get(parsed.pop("account", ""))
    kind = None if account is None else BUCKETS.get(account.kind)
    if account is None or kind is None:
        raise ValueError("account: expected one that has buckets")
    for key in {"bucket", *kind.needs} - parsed.keys():
        raise ValueError(f"{key}: required")
    for key in parsed.keys() - {"bucket", *kind.needs}:
        raise ValueError(f"{key}: not a key of a bucket of kind {account.kind}")
    return BucketEnd(account, **parsed)


def _faults(definition: Replication, source: BucketEnd, destination: BucketEnd) -> Iterator[str]:
    if definition.source == definition.destination:
        yield "destination: is the source"
    for key, end in (("source", source), ("destination", destination)):
        if not end.account.changes:
            # The canary is written at the source, and after a failover data flows the other way.
            yield f"{key}: nothing may be changed in the account; it needs changes = true"
        if EVERY_PROJECT not in end.account.projects and not definition.projects <= end.account.projects:
            yield f"{key}: the account is not open to all of the projects"
        if end.region and end.account.regions and end.region not in end.account.regions:
            yield f"{key}: region: not one of the account"


def _overlap(one: Replication, other: Replication) -> bool:
    """Whether both would write to the same keys of one bucket."""
    if not {one.source, one.destination} & {other.source, other.destination}:
        return False
    return one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)


def _mib(low: float, high: float) -> Reader:
    read = values.number(low, high)
    return lambda raw: int(read(raw) * MIB)


_READERS: Final[dict[str, Reader]] = {
    "name": matching(_ID, "1 to 63 of a-z, 0-9 and -, not at the ends"),
    "projects": projects,
    "prefix": values.text,
    "deletes": lambda raw: Deletes(values.choice(*Deletes)(raw)),
    "bandwidth_mib_per_s": _mib(0.1, _MOST_BANDWIDTH),
    "concurrency": values.integer(1, 64),
    "part_mib": _mib(_LEAST_PART_MIB, 256),
    "every": values.duration(1, 3600),
    "rpo_target": values.duration(1, 7 * 86_400),
}
_FIELDS: Final = {"bandwidth_mib_per_s": "bandwidth", "part_mib": "part_size"}
