"""A cloud account as the deployment has configured it."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from trimtab_service.domain.identity import EVERY_PROJECT
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import OwnOffer
from trimtab_service.rightsizing.ports import SourceKind

CLOUD_OF_KIND: Final[dict[SourceKind, Cloud]] = {
    SourceKind.CLOUDWATCH: Cloud.AWS,
    SourceKind.CLOUD_MONITORING: Cloud.GCP,
    SourceKind.AZURE_MONITOR: Cloud.AZURE,
}
"""The cloud whose resources a kind reads; Prometheus and simulated accounts say theirs with `cloud`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccount:
    """One account of one cloud (subscription, cloud project, cluster): what to read, as whom, and for which projects.

    Fields that a kind does not know are empty; `configuration` refuses them in the file. Nothing here is a credential:
    those are in files that are named here, or come to the process from its platform (instance role, workload identity,
    environment), and only the SDKs see them. `external_id` and `client_id` identify rather than authenticate, and stay
    out of every representation all the same.
    """

    name: str
    kind: SourceKind
    account: str
    projects: frozenset[str]
    """Projects of trimtab that may use it; `*` opens it to all."""
    cloud: Cloud | None = None
    """Of the resources; None where the kind does not say (a Prometheus that watches no cloud's machines)."""
    regions: tuple[str, ...] = ()
    """Regions that are read. Empty, where the kind allows it: all that the account shows."""
    changes: bool = False
    """Whether recommendations may be carried out in it. Reading alone is the default."""
    max_purchase_nanos_per_hour: int = 0
    """AWS: the largest commitment per hour that one purchase may have; 0: nothing is ever bought."""
    max_daily_purchase_nanos_per_hour: int = 0
    """AWS: the most commitment per hour that is bought within 24 hours, whoever buys it; 0: nothing is ever bought."""

    role_arn: str = ""
    """AWS: the role that is assumed; empty: the process' own identity."""
    external_id: str = field(default="", repr=False)
    """AWS: what the role's trust policy asks for."""
    service_account: str = ""
    """Google: the service account that is impersonated; empty: the process' own identity."""
    tenant_id: str = ""
    """Azure: the directory."""
    client_id: str = field(default="", repr=False)
    """Azure: the application or managed identity."""
    resource_groups: tuple[str, ...] = ()
    """Azure: read only these; empty: the whole subscription."""
    credentials_file: Path | None = None
    """AWS: shared credentials; Google: a credential configuration; Azure: a federated token; Prometheus: a token."""

    endpoint_url: str = ""
    """Of every API of the account; empty: the cloud's own."""
    endpoints: tuple[tuple[str, str], ...] = ()
    """Of single APIs, by the SDK's name of the service; they go before `endpoint_url`."""
    connect_timeout: timedelta = timedelta(seconds=5)
    read_timeout: timedelta = timedelta(seconds=30)
    call_timeout: timedelta = timedelta(seconds=60)
    """The most that one call may take, all repetitions included."""
    concurrency: int = 4
    """Calls in flight at once."""
    max_read_cost_nanos: int | None = None
    """The most that one analysis may pay to the monitoring API; None: no cap."""
    prices: tuple[tuple[str, tuple[OwnOffer, ...]], ...] = ()
    """By region, what types cost in this account that the catalogue has no price of, or another one."""
    resolution: timedelta = timedelta(minutes=5)
    """The finest interval that is asked for."""
    team_tag: str = "team"
    """Tag or label whose value is the team that answers for a resource."""
    workload_tag: str = "trimtab:workload"
    """Tag or label whose value is the workload that a resource belongs to."""

    def endpoint(self, service: str) -> str:
        """Base URL of an API, by the SDK's name of the service; empty: the cloud's own."""
        return dict(self.endpoints).get(service, self.endpoint_url)

    def open_to(self, project: str) -> bool:
        """Whether a project may use it."""
        return EVERY_PROJECT in self.projects or project in self.projects
