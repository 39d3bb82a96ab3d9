"""What each kind of account needs: the adapter that connects to it, and the extra that brings its SDK."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Final, cast

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.patience import Patience
from trimtab_service.purchasing.ports import ProviderAdvisor
from trimtab_service.recommendations.ports import Actuator, PurchaseBudget
from trimtab_service.rightsizing.ports import SourceKind, TelemetrySource


@dataclass(frozen=True, slots=True)
class Connection:
    """An account as the ports see it.

    `actuator` is None where nothing can be changed through it, `advisor` where the provider recommends no purchases.
    """

    source: TelemetrySource
    actuator: Actuator | None = None
    advisor: ProviderAdvisor | None = None


Connect = Callable[[CloudAccount, Patience], Connection]
"""Makes the connection of an account. Calls nothing yet: the first call opens it."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """`adapter` is a module with a function `connect` (`Connect`); `sdk` are modules that `extra` brings."""

    adapter: str
    extra: str = ""
    sdk: tuple[str, ...] = ()


_KINDS: Final[dict[SourceKind, _Kind]] = {
    SourceKind.CLOUDWATCH: _Kind("trimtab_service.clouds.aws.connection", "aws", ("boto3",)),
    SourceKind.CLOUD_MONITORING: _Kind(
        "trimtab_service.clouds.gcp.connection", "gcp", ("google.cloud.monitoring_v3", "google.cloud.compute_v1")
    ),
    SourceKind.AZURE_MONITOR: _Kind(
        "trimtab_service.clouds.azure.connection",
        "azure",
        ("azure.identity", "azure.mgmt.compute", "azure.mgmt.monitor", "azure.monitor.querymetrics"),
    ),
    SourceKind.PROMETHEUS: _Kind("trimtab_service.clouds.prometheus.connection", "prometheus", ("httpx",)),
    SourceKind.SIMULATED: _Kind("trimtab_service.clouds.simulated.connection"),
}


BUYERS: Final = frozenset({SourceKind.CLOUDWATCH})
"""Kinds that purchases are made through."""


def missing_extra(kind: SourceKind) -> str:
    """The extra that has to be installed for a kind; empty when all is there. Imports no SDK."""
    wanted = _KINDS[kind]
    return "" if all(_installed(module) for module in wanted.sdk) else wanted.extra


def connect(account: CloudAccount, patience: Patience) -> Connection:
    """The connection of an account; imports the SDK of its kind, and only that."""
    adapter = import_module(_KINDS[account.kind].adapter)
    return cast("Connect", adapter.connect)(account, patience)


def connect_buyer(account: CloudAccount, patience: Patience, budget: PurchaseBudget) -> Connection:
    """The same for an account of a kind that purchases are made through: within `budget`."""
    adapter = import_module(_KINDS[account.kind].adapter)
    return cast("Callable[[CloudAccount, Patience, PurchaseBudget], Connection]", adapter.connect)(
        account, patience, budget
    )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent package
        return False
