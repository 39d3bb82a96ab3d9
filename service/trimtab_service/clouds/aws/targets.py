"""Opening targets of failover that are in an AWS account."""

from trimtab_service.clouds.aws.bucket_watermark import BucketWatermark
from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.databases import AuroraGlobal, Promotion, RdsReplica
from trimtab_service.clouds.aws.group_capacity import GroupCapacity
from trimtab_service.clouds.aws.route53 import Route53Records
from trimtab_service.clouds.aws.session import AwsSession
from trimtab_service.clouds.aws.variant_capacity import VariantCapacity
from trimtab_service.clouds.aws.variant_weights import VariantWeights
from trimtab_service.clouds.aws.variants import Variants
from trimtab_service.clouds.dns.target import fenced_name, switched_name
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import ConfiguredTarget
from trimtab_service.failover.ports import CapacityTarget, DataStoreTarget, ReplicationTarget, TrafficTarget


def open_target(  # noqa: PLR0911 - one a kind
    target: ConfiguredTarget, patience: Patience
) -> TrafficTarget | CapacityTarget | ReplicationTarget | DataStoreTarget:
    """A target of a kind that is in an AWS account."""
    account, settings = target.account, target.settings
    assert account is not None  # noqa: S101 - its kind needs one
    patience = patience.with_calls_of(account.call_timeout)
    calls = AwsCalls(account, AwsSession(account, lambda *_: None), patience)
    if target.kind == "route53":
        records = Route53Records(switched_name(target), settings["zone_id"], calls)
        return fenced_name(target, records, patience)
    if target.kind == "rds_replica":
        return RdsReplica(settings["instance"], settings["region"], calls)
    if target.kind == "aurora_global":
        promotion = Promotion(settings.get("promotion", Promotion.SWITCHOVER))
        return AuroraGlobal(settings["global_cluster"], settings["cluster"], settings["region"], promotion, calls)
    if target.kind == "s3_canary":
        return BucketWatermark(settings["bucket"], settings["key"], settings["region"], calls)
    peak, reserved = settings.get("peak", 0), settings.get("reserved", False)
    if target.kind == "auto_scaling_group":
        return GroupCapacity(settings["group"], settings["region"], calls, peak, reserved)
    variants = Variants(settings["endpoint"], settings["region"], calls)
    if target.kind == "sagemaker_weights":
        return VariantWeights(variants, settings["sides"])
    return VariantCapacity(variants, settings["variant"], peak, reserved)
