"""Opening targets of failover that are in a Google Cloud project."""

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.dns.target import fenced_name, switched_name
from trimtab_service.clouds.gcp import bucket_watermark, cloud_dns, cloud_sql
from trimtab_service.clouds.gcp.compute import Compute
from trimtab_service.clouds.gcp.connection import COMPUTE, credentials_of
from trimtab_service.clouds.gcp.group_capacity import ManagedGroupCapacity
from trimtab_service.clouds.gcp.rest import Rest, authorized
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import CapacityTarget, DataStoreTarget, ReplicationTarget, TrafficTarget


def open_target(
    target: ConfiguredTarget, patience: Patience
) -> TrafficTarget | CapacityTarget | ReplicationTarget | DataStoreTarget:
    """A target of kind `cloud_dns`, `gcs_canary`, `cloud_sql_replica` or `managed_instance_group`.

    Raises UnavailableError (SOURCE_FAILED) where there is no credential.
    """
    account, settings = target.account, target.settings
    assert account is not None  # noqa: S101 - its kind needs one
    patience = patience.with_calls_of(account.call_timeout)
    if target.kind == "cloud_dns":
        rest = _rest(account, cloud_dns.DNS, cloud_dns.BASE_URL, patience)
        records = cloud_dns.CloudDnsRecords(switched_name(target), account.account, settings["zone_id"], rest)
        return fenced_name(target, records, patience)
    if target.kind == "cloud_sql_replica":
        rest = _rest(account, cloud_sql.SQL, cloud_sql.BASE_URL, patience)
        return cloud_sql.CloudSqlReplica(account.account, settings["instance"], rest)
    if target.kind == "gcs_canary":
        rest = _rest(account, bucket_watermark.STORAGE, bucket_watermark.BASE_URL, patience)
        return bucket_watermark.BucketWatermark(settings["bucket"], settings["key"], rest)
    compute = Compute(account.account, credentials_of(account, COMPUTE), account.endpoint(COMPUTE), patience)
    return ManagedGroupCapacity(
        settings["group"],
        settings["region"],
        settings.get("compute_zone", ""),
        compute,
        settings.get("peak", 0),
        settings.get("reserved", False),
    )


def _rest(account: CloudAccount, service: str, base_url: str, patience: Patience) -> Rest:
    return Rest(authorized(credentials_of(account, service)), account.endpoint(service) or base_url, patience)
