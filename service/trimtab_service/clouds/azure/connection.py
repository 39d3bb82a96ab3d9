"""Connecting to an Azure subscription."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.azure.actuator import AzureActuator
from trimtab_service.clouds.azure.faults import EXTRA
from trimtab_service.clouds.azure.inventory import Inventory
from trimtab_service.clouds.azure.telemetry import AzureMonitor
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import Patience, source_failed

MANAGEMENT: Final = "management"
METRICS: Final = "metrics"
"""Names of the two APIs in `endpoints` of the account. The metrics endpoint may hold `{region}`."""

_METRICS_ENDPOINT: Final = "https://{region}.metrics.monitor.azure.com"


def connect(account: CloudAccount, patience: Patience) -> Connection:
    """The connection of an account of kind `azure_monitor`.

    With `credentials_file` (a federated token), `tenant_id` and `client_id` it is workload identity; with `client_id`
    alone that managed identity; with neither what azure-identity finds in the environment. A plain http endpoint gets
    no credential: it is a proxy or a test on loopback.
    """
    patience = patience.with_calls_of(account.call_timeout)
    credential = credential_of(account)
    management = account.endpoint(MANAGEMENT)
    options = options_for(management) | ({"base_url": management} if management else {})
    compute = sdk("azure.mgmt.compute", EXTRA).ComputeManagementClient(credential, account.account, **options)
    monitor = sdk("azure.mgmt.monitor", EXTRA).MonitorManagementClient(credential, account.account, **options)
    template = account.endpoint(METRICS) or _METRICS_ENDPOINT

    @lru_cache(maxsize=256)
    def client_of(region: str) -> Any:  # noqa: ANN401 - the SDK is imported late
        endpoint = template.replace("{region}", region)
        return sdk("azure.monitor.querymetrics", EXTRA).MetricsClient(endpoint, credential, **options_for(endpoint))

    inventory = Inventory(compute, monitor, account, patience)
    source = AzureMonitor(account, client_of, inventory, patience, Meter())
    return Connection(source, AzureActuator(inventory))


@dataclass(frozen=True, slots=True)
class _NoCredential:
    """For endpoints that ask for none."""

    def get_token(self, *_scopes: str, **_options: object) -> Any:  # noqa: ANN401 - never answers
        raise ValueError("an http endpoint is given no token")


def options_for(endpoint: str) -> dict[str, object]:
    """Options of clients of an endpoint. They repeat nothing by themselves: patience does, within the deadline."""
    options: dict[str, object] = {"retry_total": 0}
    if endpoint.startswith("http://"):
        options["authentication_policy"] = sdk("azure.core.pipeline.policies", EXTRA).SansIOHTTPPolicy()
    return options


def credential_of(account: CloudAccount) -> Any:  # noqa: ANN401 - the SDK is imported late
    """The credential of an account; `connect` says which. Raises UnavailableError (SOURCE_FAILED)."""
    if account.endpoint(MANAGEMENT).startswith("http://"):
        return _NoCredential()
    identity = sdk("azure.identity", EXTRA)
    try:
        if account.credentials_file is not None:
            return identity.WorkloadIdentityCredential(
                tenant_id=account.tenant_id or None,
                client_id=account.client_id or None,
                token_file_path=str(account.credentials_file),
            )
        if account.client_id:
            return identity.ManagedIdentityCredential(client_id=account.client_id)
        return identity.DefaultAzureCredential(exclude_interactive_browser_credential=True)
    except ValueError as error:
        raise source_failed("credentials_file needs tenant_id and client_id beside it") from error
