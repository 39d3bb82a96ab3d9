"""The file that names the deployment's cloud accounts, read and checked as a whole.

TOML with one `[[accounts]]` table an account, one `[[targets]]` table a target of failover, one `[[probes]]` table a
probe that the service makes itself, and `[dependencies]`, the clouds that it stands in. Only this file says where the
service connects to: no call carries a URL, a role or a region that is not in it.
"""

import ipaddress
import re
import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from trimtab_service import settings_values as values
from trimtab_service.clouds.accounts import CLOUD_OF_KIND, CloudAccount
from trimtab_service.clouds.document_values import NAME, Reader, matching, projects, url, word, words
from trimtab_service.clouds.kinds import missing_extra
from trimtab_service.config import ConfigError
from trimtab_service.domain.identity import EVERY_PROJECT
from trimtab_service.domain.money import nanos_from_usd
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import OwnOffer
from trimtab_service.rightsizing.ports import SourceKind

_TABLE: Final = "accounts"
TARGETS: Final = "targets"
REPLICATIONS: Final = "replications"
"""The table that `target_configuration` reads."""
PROBES: Final = "probes"
"""The table that `watch_configuration` reads."""
DEPENDENCIES: Final = "dependencies"
"""The table that `dependency_configuration` reads."""
_AWS_ACCOUNT: Final = re.compile(r"\d{12}")
_AWS_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


def load_accounts(path: Path | None) -> tuple[CloudAccount, ...]:
    """The accounts of a file, by name; none without a file.

    Raises:
        ConfigError: with every fault, each naming the account and the key. Values are not repeated in it, since one
            may have been put into the wrong key.

    """
    return () if path is None else parse_accounts(read_document(path))


def read_document(path: Path) -> dict[str, object]:
    """The file, parsed. Raises ConfigError where it is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"cloud_accounts: {path} cannot be read ({type(error).__name__})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"cloud_accounts: {path} is not TOML: {error}"]) from None


def parse_accounts(document: Mapping[str, object]) -> tuple[CloudAccount, ...]:
    """The accounts of a parsed file. Raises ConfigError as `load_accounts` does."""
    known = {_TABLE, TARGETS, PROBES, REPLICATIONS, DEPENDENCIES}
    holds = f"the file holds [[{_TABLE}]], [[{TARGETS}]], [[{PROBES}]], [[{REPLICATIONS}]] and [{DEPENDENCIES}]"
    faults = [f"cloud_accounts: unknown key {key!r}; {holds}" for key in document if key not in known]
    tables = document.get(_TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError([*faults, f"cloud_accounts: {_TABLE} is a list of tables: [[{_TABLE}]]"])
    accounts = [account for at, table in enumerate(tables) if (account := _account(table, at, faults)) is not None]
    faults += _joint_faults(accounts)
    if faults:
        raise ConfigError(faults)
    return tuple(sorted(accounts, key=lambda account: account.name))


def _account(table: Mapping[str, object], at: int, faults: list[str]) -> CloudAccount | None:
    where = f"cloud_accounts: {_TABLE}[{at}]"
    name, kind = table.get("name"), table.get("kind")
    if isinstance(name, str) and NAME.fullmatch(name):
        where = f"cloud_accounts: {name}"
    if kind not in set(SourceKind):
        faults.append(f"{where}: kind: one of {', '.join(SourceKind)}")
        return None
    chosen = SourceKind(str(kind))
    readers = _COMMON | _OF_KIND[chosen]
    found = [f"{where}: {key}: required" for key in sorted(_REQUIRED[chosen] - table.keys())]
    parsed: dict[str, object] = {}
    for key, raw in table.items():
        if key == "kind":
            continue
        if key not in readers:
            found.append(f"{where}: {key}: not a key of kind {chosen}")
            continue
        try:
            parsed[_FIELDS.get(key, key)] = readers[key](raw)
        except ValueError as error:
            found.append(f"{where}: {key}: {error}")
    if not found:
        cloud = {} if "cloud" in parsed else {"cloud": CLOUD_OF_KIND.get(chosen)}
        account = CloudAccount(kind=chosen, **parsed, **cloud)  # type: ignore[arg-type] # each value came from the reader of its own key
        found = [f"{where}: {fault}" for fault in _faults(account)]
        if not found:
            return account
    faults += found
    return None


def _faults(account: CloudAccount) -> Iterator[str]:
    """What single keys cannot tell."""
    if account.external_id and not account.role_arn:
        yield "external_id: only with role_arn"
    if bool(account.max_purchase_nanos_per_hour) != bool(account.max_daily_purchase_nanos_per_hour):
        yield "max_purchase_usd_per_hour, max_daily_purchase_usd_per_hour: both, or neither"
    if account.max_purchase_nanos_per_hour and not account.changes:
        yield "max_purchase_usd_per_hour: only with changes"
    for key, endpoint in (("endpoint_url", account.endpoint_url), *account.endpoints):
        # A signature or a token in the clear can be replayed; a Prometheus inside a cluster often asks for neither.
        open_prometheus = account.kind is SourceKind.PROMETHEUS and account.credentials_file is None
        if endpoint.startswith("http://") and not open_prometheus and not _on_loopback(endpoint):
            yield f"{key}: https, or http on loopback"
    if account.credentials_file is not None and not account.credentials_file.is_file():
        yield "credentials_file: no such file"
    if account.connect_timeout > account.call_timeout or account.read_timeout > account.call_timeout:
        yield "call_timeout: at least connect_timeout and read_timeout"
    missing = missing_extra(account.kind)
    if missing:
        yield f"kind {account.kind} needs the extra `{missing}`: pip install 'trimtab[service,{missing}]'"


def _joint_faults(accounts: list[CloudAccount]) -> Iterator[str]:
    for one, other in combinations(accounts, 2):
        if one.name == other.name:
            yield f"cloud_accounts: {one.name}: the name is taken"
        elif one.changes and other.changes and _overlap(one, other):
            yield f"cloud_accounts: {other.name}: changes of the same account and projects are {one.name}'s already"


def _overlap(one: CloudAccount, other: CloudAccount) -> bool:
    """Whether it would be open which of the two carries a change out."""
    same = (one.kind, one.account) == (other.kind, other.account)
    regions = not one.regions or not other.regions or set(one.regions) & set(other.regions)
    projects = EVERY_PROJECT in one.projects | other.projects or one.projects & other.projects
    return bool(same and regions and projects)


def _on_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _urls(raw: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(raw, dict):
        raise ValueError("expected a table of URLs by service")  # noqa: TRY004 - every reader answers ValueError
    return tuple(sorted((word(service), url(address)) for service, address in raw.items()))


def _dollars(raw: object) -> int:
    """USD as text or number, in nanos. A TOML float is read by its shortest text."""
    if isinstance(raw, bool):
        raise ValueError("expected an amount in USD")  # noqa: TRY004 - every reader answers ValueError
    nanos = nanos_from_usd(raw if isinstance(raw, Decimal | str | float) else str(raw))
    if nanos < 0:
        raise ValueError("expected an amount of at least 0")
    return nanos


def _prices(raw: object) -> tuple[tuple[str, tuple[OwnOffer, ...]], ...]:
    if not isinstance(raw, dict) or not all(isinstance(prices, dict) for prices in raw.values()):
        raise ValueError("expected a table of regions, each a table of USD an hour by type")
    found = []
    for region, prices in sorted(raw.items()):
        offers = tuple(OwnOffer(word(name), _dollars(usd)) for name, usd in sorted(prices.items()))
        if not all(one.price_nanos for one in offers):
            raise ValueError("a price is above 0")
        found.append((word(region), offers))
    return tuple(found)


def _cloud(raw: object) -> Cloud:
    return Cloud(values.choice(*Cloud)(raw))


_FIELDS: Final = {
    "max_read_cost_usd": "max_read_cost_nanos",
    "max_purchase_usd_per_hour": "max_purchase_nanos_per_hour",
    "max_daily_purchase_usd_per_hour": "max_daily_purchase_nanos_per_hour",
}
"""Keys of the file whose value is kept under another name, in another unit."""

_COMMON: Final[dict[str, Reader]] = {
    "name": matching(NAME, "1 to 63 of a-z, 0-9, . _ -, beginning and ending with a letter or digit"),
    "account": word,
    "projects": projects,
    "changes": values.boolean,
    "credentials_file": values.path,
    "endpoint_url": url,
    "endpoints": _urls,
    "connect_timeout": values.duration(0.05, 60),
    "read_timeout": values.duration(0.05, 600),
    "call_timeout": values.duration(0.05, 3600),
    "concurrency": values.integer(1, 64),
    "max_read_cost_usd": _dollars,
    "prices": _prices,
    "resolution": values.duration(60, 3600),
    "team_tag": word,
    "workload_tag": word,
}

_OF_KIND: Final[dict[SourceKind, dict[str, Reader]]] = {
    SourceKind.CLOUDWATCH: {
        "account": matching(_AWS_ACCOUNT, "the 12 digits of an AWS account"),
        "regions": words,
        "role_arn": matching(_AWS_ROLE, "the ARN of a role"),
        "external_id": word,
        "max_purchase_usd_per_hour": _dollars,
        "max_daily_purchase_usd_per_hour": _dollars,
    },
    SourceKind.CLOUD_MONITORING: {"regions": words, "service_account": word},
    SourceKind.AZURE_MONITOR: {
        "regions": words,
        "tenant_id": word,
        "client_id": word,
        "resource_groups": words,
    },
    SourceKind.PROMETHEUS: {"regions": words, "cloud": _cloud},
    SourceKind.SIMULATED: {"regions": words, "cloud": _cloud},
}

_ALWAYS: Final = frozenset({"name", "account", "projects"})
_REQUIRED: Final[dict[SourceKind, frozenset[str]]] = {
    SourceKind.CLOUDWATCH: _ALWAYS | {"regions"},
    SourceKind.CLOUD_MONITORING: _ALWAYS,
    SourceKind.AZURE_MONITOR: _ALWAYS,
    SourceKind.PROMETHEUS: _ALWAYS | {"endpoint_url"},
    SourceKind.SIMULATED: _ALWAYS,
}
