"""Connecting to a Google Cloud project."""

import json
from collections.abc import Mapping
from typing import Any, Final

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.gcp.actuator import ComputeActuator
from trimtab_service.clouds.gcp.assets import ASSET, BASE_URL, Assets
from trimtab_service.clouds.gcp.compute import Compute
from trimtab_service.clouds.gcp.faults import EXTRA, translated
from trimtab_service.clouds.gcp.inventory import Inventory
from trimtab_service.clouds.gcp.rest import Rest, authorized
from trimtab_service.clouds.gcp.telemetry import CloudMonitoring
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import PassingFault, Patience, source_failed

MONITORING: Final = "monitoring"
COMPUTE: Final = "compute"
"""Names of the services in `endpoints` of the account; `assets.ASSET` is the third."""

_READ_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform.read-only"
_CHANGE_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"


def connect(account: CloudAccount, patience: Patience) -> Connection:
    """The connection of an account of kind `cloud_monitoring`.

    Credentials are the process' own (workload identity, metadata server), or those of `credentials_file`, and become
    the `service_account` where one is named. A plain http endpoint gets none: it is a proxy or a test on loopback.
    Raises UnavailableError (SOURCE_FAILED) where there is no credential.
    """
    patience = patience.with_calls_of(account.call_timeout)
    compute = Compute(account.account, credentials_of(account, COMPUTE), account.endpoint(COMPUTE), patience)
    rest = Rest(authorized(credentials_of(account, ASSET)), account.endpoint(ASSET) or BASE_URL, patience)
    inventory = Inventory(compute, Assets(account.account, rest), account)
    source = CloudMonitoring(account, _metric_client(account), inventory, patience)
    return Connection(source, ComputeActuator(compute, account))


def _metric_client(account: CloudAccount) -> Any:  # noqa: ANN401 - the SDK is imported late
    monitoring = sdk("google.cloud.monitoring_v3", EXTRA)
    endpoint = account.endpoint(MONITORING)
    if endpoint.startswith("http://"):
        grpc = sdk("grpc", EXTRA)
        transports = sdk("google.cloud.monitoring_v3.services.metric_service.transports", EXTRA)
        channel = grpc.insecure_channel(endpoint.removeprefix("http://"))
        return monitoring.MetricServiceClient(transport=transports.MetricServiceGrpcTransport(channel=channel))
    options = {"api_endpoint": endpoint.removeprefix("https://")} if endpoint else None
    return monitoring.MetricServiceClient(credentials=credentials_of(account, MONITORING), client_options=options)


def credentials_of(account: CloudAccount, service: str) -> Any:  # noqa: ANN401 - the SDK is imported late
    """The credential that a service of the account is asked with; `connect` says which. Raises as it."""
    if account.endpoint(service).startswith("http://"):
        return sdk("google.auth.credentials", EXTRA).AnonymousCredentials()
    scopes = [_CHANGE_SCOPE if account.changes else _READ_SCOPE]
    try:
        found = translated(lambda: _found(account, scopes), "finding a credential")
    except PassingFault as fault:
        raise source_failed(str(fault)) from fault
    if not account.service_account:
        return found
    impersonated = sdk("google.auth.impersonated_credentials", EXTRA)
    return impersonated.Credentials(
        source_credentials=found, target_principal=account.service_account, target_scopes=scopes
    )


def _found(account: CloudAccount, scopes: list[str]) -> Any:  # noqa: ANN401 - the SDK is imported late
    if account.credentials_file is None:
        return sdk("google.auth", EXTRA).default(scopes=scopes)[0]
    try:
        info = json.loads(account.credentials_file.read_text(encoding="utf-8"))
        return _of_file(info, scopes)
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise source_failed("credentials_file cannot be read, or holds no credential of Google Cloud") from error


def _of_file(info: Mapping[str, Any], scopes: list[str]) -> Any:  # noqa: ANN401 - as above
    """A credential of one of the kinds that are accepted; a program that a file names is never run."""
    match info.get("type"), str(info.get("credential_source", {}).get("environment_id", "")):
        case "service_account", _:
            accounts = sdk("google.oauth2.service_account", EXTRA)
            return accounts.Credentials.from_service_account_info(info, scopes=scopes)
        case "external_account", environment if environment.startswith("aws"):
            return sdk("google.auth.aws", EXTRA).Credentials.from_info(info, scopes=scopes)
        case "external_account", _ if "executable" not in info.get("credential_source", {}):
            return sdk("google.auth.identity_pool", EXTRA).Credentials.from_info(info, scopes=scopes)
        case "authorized_user", _:
            return sdk("google.oauth2.credentials", EXTRA).Credentials.from_authorized_user_info(info, scopes=scopes)
        case _:
            raise ValueError("a kind of credential that is not accepted")
