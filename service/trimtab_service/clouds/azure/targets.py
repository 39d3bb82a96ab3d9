"""Opening targets of failover that are in an Azure subscription."""

from trimtab_service.clouds.azure.azure_dns import API_VERSION, AzureDnsRecords
from trimtab_service.clouds.azure.connection import MANAGEMENT, credential_of, options_for
from trimtab_service.clouds.azure.rest import BASE_URL, Rest, pipeline
from trimtab_service.clouds.dns.target import fenced_name, switched_name
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import TrafficTarget


def open_target(target: ConfiguredTarget, patience: Patience) -> TrafficTarget:
    """A target of kind `azure_dns`. Raises UnavailableError (SOURCE_FAILED) where there is no credential."""
    account, settings = target.account, target.settings
    assert account is not None  # noqa: S101 - its kind needs one
    patience = patience.with_calls_of(account.call_timeout)
    endpoint = account.endpoint(MANAGEMENT) or BASE_URL
    rest = Rest(pipeline(endpoint, credential_of(account), options_for(endpoint)), endpoint, API_VERSION, patience)
    records = AzureDnsRecords(switched_name(target), account.account, settings["resource_group"], rest)
    return fenced_name(target, records, patience)
