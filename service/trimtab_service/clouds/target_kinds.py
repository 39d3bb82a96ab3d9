"""Kinds of targets of failover: what each is asked for, in which account it is, and which adapter opens it."""

import re
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from typing import Final

from trimtab_service import settings_values as values
from trimtab_service.clouds.document_values import Reader, https_url, matching, url, word, words
from trimtab_service.clouds.kinds import missing_extra
from trimtab_service.clouds.reachable import networks
from trimtab_service.clouds.target_values import addresses_by_side, name_server, name_servers, values_by_side
from trimtab_service.domain.offers import Cloud
from trimtab_service.rightsizing.ports import SourceKind


class Role(StrEnum):
    """What a plan uses a target as."""

    TRAFFIC = "traffic"
    CAPACITY = "capacity"
    PROBE = "probe"
    REPLICATION = "replication"
    DATA_STORE = "data_store"
    NOTIFIER = "notifier"


@dataclass(frozen=True, slots=True)
class TargetKind:
    """`adapter` is a module with `open_target(target, patience)`; `within` is the kind of account it needs, if any."""

    role: Role
    adapter: str
    required: dict[str, Reader]
    optional: dict[str, Reader]
    within: SourceKind | None = None
    needs_dns: bool = False

    @property
    def missing_extra(self) -> str:
        """The extra that has to be installed; empty when all is there."""
        if self.needs_dns and find_spec("dns") is None:
            return "dns"
        return "" if self.within is None else missing_extra(self.within)


_DOMAIN: Final = matching(
    re.compile(r"(?=.{1,253}\Z)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"),
    "a domain name in small letters, without the final dot",
)
_COUNT: Final = values.integer(0, 1_000_000)
_NAMED: Final[dict[str, Reader]] = {"record": _DOMAIN, "zone": _DOMAIN, "sides": addresses_by_side}
_OBSERVED: Final[dict[str, Reader]] = {"observe": name_servers}
_CAPACITY: Final[dict[str, Reader]] = {"peak": _COUNT, "reserved": values.boolean, "instance_type": word}
_ENDPOINT: Final[dict[str, Reader]] = {"region": word, "endpoint": word}
_PORT: Final = values.integer(1, 65_535)
_ALLOWED: Final[dict[str, Reader]] = {"addresses": networks}
_SENT: Final[dict[str, Reader]] = {**_ALLOWED, "token_file": values.path, "ca_file": values.path}
_CLUSTER: Final = matching(re.compile(r"arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:cluster:[\w-]+"), "the ARN of a cluster")
_WORKLOADS: Final = values.choice("deployment", "statefulset")

_CLOUDS: Final = "trimtab_service.clouds"

KINDS: Final[dict[str, TargetKind]] = {
    "rfc2136": TargetKind(
        Role.TRAFFIC,
        f"{_CLOUDS}.dns.target",
        {**_NAMED, "server": name_server, "key_file": values.path},
        {**_OBSERVED, "cloud": values.choice(*Cloud)},
        needs_dns=True,
    ),
    "route53": TargetKind(
        Role.TRAFFIC,
        f"{_CLOUDS}.aws.targets",
        {**_NAMED, **_OBSERVED, "zone_id": word},
        {},
        SourceKind.CLOUDWATCH,
        needs_dns=True,
    ),
    "cloud_dns": TargetKind(
        Role.TRAFFIC,
        f"{_CLOUDS}.gcp.targets",
        {**_NAMED, **_OBSERVED, "zone_id": word},
        {},
        SourceKind.CLOUD_MONITORING,
        needs_dns=True,
    ),
    "azure_dns": TargetKind(
        Role.TRAFFIC,
        f"{_CLOUDS}.azure.targets",
        {**_NAMED, **_OBSERVED, "resource_group": word},
        {},
        SourceKind.AZURE_MONITOR,
        needs_dns=True,
    ),
    "sagemaker_weights": TargetKind(
        Role.TRAFFIC, f"{_CLOUDS}.aws.targets", {**_ENDPOINT, "sides": values_by_side}, {}, SourceKind.CLOUDWATCH
    ),
    "sagemaker_variant": TargetKind(
        Role.CAPACITY, f"{_CLOUDS}.aws.targets", {**_ENDPOINT, "variant": word}, _CAPACITY, SourceKind.CLOUDWATCH
    ),
    "auto_scaling_group": TargetKind(
        Role.CAPACITY,
        f"{_CLOUDS}.aws.targets",
        {"region": word, "group": word},
        _CAPACITY,
        SourceKind.CLOUDWATCH,
    ),
    "managed_instance_group": TargetKind(
        Role.CAPACITY,
        f"{_CLOUDS}.gcp.targets",
        {"region": word, "group": word},
        {**_CAPACITY, "compute_zone": word},
        SourceKind.CLOUD_MONITORING,
    ),
    "kubernetes": TargetKind(
        Role.CAPACITY,
        f"{_CLOUDS}.kubernetes_capacity",
        {"namespace": word, "workload": word, "workload_kind": _WORKLOADS},
        _CAPACITY,
        SourceKind.PROMETHEUS,
    ),
    "s3_canary": TargetKind(
        Role.REPLICATION,
        f"{_CLOUDS}.aws.targets",
        {"region": word, "bucket": word, "key": word},
        {},
        SourceKind.CLOUDWATCH,
    ),
    "gcs_canary": TargetKind(
        Role.REPLICATION, f"{_CLOUDS}.gcp.targets", {"bucket": word, "key": word}, {}, SourceKind.CLOUD_MONITORING
    ),
    "rds_replica": TargetKind(
        Role.DATA_STORE, f"{_CLOUDS}.aws.targets", {"region": word, "instance": word}, {}, SourceKind.CLOUDWATCH
    ),
    "aurora_global": TargetKind(
        Role.DATA_STORE,
        f"{_CLOUDS}.aws.targets",
        {"region": word, "global_cluster": word, "cluster": _CLUSTER},
        {"promotion": values.choice("switchover", "failover")},
        SourceKind.CLOUDWATCH,
    ),
    "cloud_sql_replica": TargetKind(
        Role.DATA_STORE, f"{_CLOUDS}.gcp.targets", {"instance": word}, {}, SourceKind.CLOUD_MONITORING
    ),
    "promotion_hook": TargetKind(
        Role.DATA_STORE, f"{_CLOUDS}.hooks", {"url": https_url}, {**_SENT, "cloud": values.choice(*Cloud)}
    ),
    "webhook": TargetKind(
        Role.NOTIFIER,
        f"{_CLOUDS}.hooks",
        {},
        {**_SENT, "url": https_url, "url_file": values.path, "form": values.choice("json", "slack")},
    ),
    "http_probe": TargetKind(Role.PROBE, f"{_CLOUDS}.probes", {"url": url}, _ALLOWED),
    "tcp_probe": TargetKind(Role.PROBE, f"{_CLOUDS}.probes", {"host": word, "port": _PORT}, _ALLOWED),
    "grpc_probe": TargetKind(
        Role.PROBE,
        f"{_CLOUDS}.probes",
        {"host": word, "port": _PORT},
        {
            **_ALLOWED,
            "service": matching(re.compile(r"[\w.]{1,127}"), "the name of a gRPC service"),
            "tls": values.boolean,
        },
    ),
    "dns_probe": TargetKind(
        Role.PROBE,
        f"{_CLOUDS}.probes",
        {"server": name_server, "record": _DOMAIN},
        {"type": values.choice("A", "AAAA", "CNAME", "TXT"), "values": words},
        needs_dns=True,
    ),
}
"""By the word that the file has for them."""
