"""What runs in an AWS account."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.endpoints import endpoints, training_jobs
from trimtab_service.clouds.aws.faults import RefusedError
from trimtab_service.clouds.aws.groups import groups
from trimtab_service.clouds.aws.tagging import labels, tags_of
from trimtab_service.clouds.patience import source_failed
from trimtab_service.clouds.scopes import in_scope
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.resources import CloudResource
from trimtab_service.rightsizing.ports import Scope

_GROUP_TAG: Final = "aws:autoscaling:groupName"
"""AWS puts it on every instance of an Auto Scaling group."""

_PAGE: Final = 1000
_ARM: Final = "arm64"

Listing = Callable[[AwsCalls, str, datetime], Iterator[CloudResource]]


@dataclass(frozen=True, slots=True)
class AwsInventory:
    """Instances, Auto Scaling groups, SageMaker endpoints and training jobs of the configured regions."""

    calls: AwsCalls

    def resources(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        """All of the scope: by region, then groups, instances, endpoints, training jobs, each by id.

        Regions are listed side by side. Raises UnavailableError (SOURCE_FAILED) when one cannot be listed whole.
        """
        wanted = {region for cloud, region in scope.regions if cloud is Cloud.AWS}
        regions = [one for one in sorted(self.calls.account.regions) if not scope.regions or one in wanted]
        pool = ThreadPoolExecutor(self.calls.account.concurrency, thread_name_prefix="aws-inventory")
        try:
            jobs = [pool.submit(self._listed, what, region, deadline) for region in regions for what in _LISTINGS]
            for job in jobs:
                yield from (one for one in job.result() if in_scope(one, scope))
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _listed(self, listing: Listing, region: str, deadline: datetime) -> Sequence[CloudResource]:
        try:
            return sorted(listing(self.calls, region, deadline), key=lambda one: one.resource_id)
        except RefusedError as error:
            raise source_failed(str(error)) from error


def instances(calls: AwsCalls, region: str, deadline: datetime) -> Iterator[CloudResource]:
    """Instances that run, but for those of Auto Scaling groups: the group is what can be sized, and counts once."""
    asked = {"Filters": [{"Name": "instance-state-name", "Values": ["pending", "running"]}], "MaxResults": _PAGE}
    for page in calls.pages("ec2", region, "DescribeInstances", asked, deadline):
        for reservation in page["Reservations"]:
            for found in reservation["Instances"]:
                one = _instance(found, calls, region)
                if one is not None:
                    yield one


def _instance(found: Mapping[str, Any], calls: AwsCalls, region: str) -> CloudResource | None:
    tags = tags_of(found.get("Tags"))
    if any(key == _GROUP_TAG for key, _ in tags):
        return None
    return CloudResource(
        resource_id=found["InstanceId"],
        cloud=Cloud.AWS,
        region=region,
        zone=found.get("Placement", {}).get("AvailabilityZone", ""),
        account=calls.account.account,
        instance_type=found["InstanceType"],
        option=PurchaseOption.SPOT if found.get("InstanceLifecycle") == "spot" else PurchaseOption.ON_DEMAND,
        start_time=found.get("LaunchTime"),
        # What runs on Arm already runs on Arm.
        arm_ready=found.get("Architecture") == _ARM,
        **labels(tags, calls.account),
    )


_LISTINGS: Final[tuple[Listing, ...]] = (groups, instances, endpoints, training_jobs)
