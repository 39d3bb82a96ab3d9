"""The targets of failover that the deployment's file names, read and checked as a whole."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.configuration import TARGETS, read_document
from trimtab_service.clouds.document_values import NAME, Reader, matching, projects, word
from trimtab_service.clouds.target_kinds import KINDS, TargetKind
from trimtab_service.config import ConfigError
from trimtab_service.domain.identity import EVERY_PROJECT

_NAME: Final = matching(
    re.compile(rf"(?=.{{1,127}}\Z){NAME.pattern}(/{NAME.pattern})*"),
    "1 to 63 of a-z, 0-9, . _ -, beginning and ending with a letter or digit, or several of them joined by /",
)


@dataclass(frozen=True, slots=True)
class ConfiguredTarget:
    """One target. `settings` are the values of its kind's own keys; `account` is None where the kind has none."""

    name: str
    kind: str
    projects: frozenset[str]
    account: CloudAccount | None = None
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def open_to(self, project: str) -> bool:
        """Whether plans of a project may name it."""
        return EVERY_PROJECT in self.projects or project in self.projects

    @property
    def cloud(self) -> str:
        """The cloud whose control plane it is changed through; empty: none that is known."""
        if self.account is not None:
            return str(self.account.cloud or "")
        return str(self.settings.get("cloud", ""))


def load_targets(path: Path | None, accounts: Sequence[CloudAccount]) -> tuple[ConfiguredTarget, ...]:
    """The targets of a file, by name; none without a file. Raises ConfigError with every fault, without values."""
    return () if path is None else parse_targets(read_document(path), accounts)


def parse_targets(document: Mapping[str, object], accounts: Sequence[CloudAccount]) -> tuple[ConfiguredTarget, ...]:
    """The targets of a parsed file. Raises ConfigError as `load_targets` does."""
    tables = document.get(TARGETS, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError([f"cloud_accounts: {TARGETS} is a list of tables: [[{TARGETS}]]"])
    faults: list[str] = []
    by_name = {account.name: account for account in accounts}
    found = [_target(table, at, by_name, faults) for at, table in enumerate(tables)]
    targets = [one for one in found if one is not None]
    for one, other in combinations(targets, 2):
        if one.name == other.name:
            faults.append(f"cloud_accounts: {one.name}: the name of the target is taken")
    if faults:
        raise ConfigError(faults)
    return tuple(sorted(targets, key=lambda one: one.name))


def _target(
    table: Mapping[str, object], at: int, accounts: Mapping[str, CloudAccount], faults: list[str]
) -> ConfiguredTarget | None:
    where = f"cloud_accounts: {TARGETS}[{at}]"
    name = table.get("name")
    if isinstance(name, str) and NAME.fullmatch(name.replace("/", "")):
        where = f"cloud_accounts: {name}"
    kind = KINDS.get(str(table.get("kind")))
    if kind is None:
        faults.append(f"{where}: kind: one of {', '.join(KINDS)}")
        return None
    readers: dict[str, Reader] = {"name": _NAME, "projects": projects, **kind.required, **kind.optional}
    required = {"name", "projects", *kind.required}
    if kind.within is not None:
        readers["account"] = word
        required.add("account")
    found = [f"{key}: required" for key in sorted(required - table.keys())]
    parsed: dict[str, Any] = {}
    for key, raw in table.items():
        if key == "kind":
            continue
        if key not in readers:
            found.append(f"{key}: not a key of kind {table['kind']}")
            continue
        try:
            parsed[key] = readers[key](raw)
        except ValueError as error:
            found.append(f"{key}: {error}")
    if not found:
        target = _made(str(table["kind"]), parsed, accounts)
        found = list(_faults(target, kind, named=str(parsed.get("account", ""))))
        if not found:
            return target
    faults += [f"{where}: {fault}" for fault in found]
    return None


def _made(kind: str, parsed: Mapping[str, Any], accounts: Mapping[str, CloudAccount]) -> ConfiguredTarget:
    own = {key: value for key, value in parsed.items() if key not in {"name", "projects", "account"}}
    account = accounts.get(str(parsed.get("account", "")))
    return ConfiguredTarget(str(parsed["name"]), kind, parsed["projects"], account, MappingProxyType(own))


def _faults(target: ConfiguredTarget, kind: TargetKind, *, named: str) -> Iterator[str]:
    """What single keys cannot tell."""
    if target.account is not None:
        yield from _faults_of_account(target, target.account, kind)
    elif named:
        yield "account: there is none of that name"
    if "record" in target.settings:
        record, zone = target.settings["record"], target.settings["zone"]
        if record != zone and not record.endswith(f".{zone}"):
            yield "record: not in the zone"
    for key in ("key_file", "url_file", "token_file", "ca_file"):
        file = target.settings.get(key)
        if file is not None and not file.is_file():
            yield f"{key}: no such file"
    if target.kind == "webhook" and ("url" in target.settings) == ("url_file" in target.settings):
        yield "url, url_file: one of them"
    if kind.missing_extra:
        extra = kind.missing_extra
        yield f"kind {target.kind} needs the extra `{extra}`: pip install 'trimtab[service,{extra}]'"


def _faults_of_account(target: ConfiguredTarget, account: CloudAccount, kind: TargetKind) -> Iterator[str]:
    if account.kind is not kind.within:
        yield f"account: expected one of kind {kind.within}"
    if not account.changes:
        yield "account: nothing may be changed in it; it needs changes = true"
    if EVERY_PROJECT not in account.projects and not target.projects <= account.projects:
        yield "projects: the account is not open to all of them"
    if account.regions and target.settings.get("region", account.regions[0]) not in account.regions:
        yield "region: not one of the account"
