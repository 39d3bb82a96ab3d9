"""SageMaker: endpoints, one resource a variant, and training jobs."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.tagging import labels, tags_of
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import CloudResource, ResourceKind

_PAGE: Final = 100
_TRAINED_WITHIN: Final = timedelta(days=14)
"""Jobs begun so recently are listed: what they used is what the next run will use."""

_SIZED_STATES: Final = frozenset({"InProgress", "Completed"})
_SECONDS_PER_HOUR: Final = 3600.0


def variant_id(endpoint: str, variant: str) -> str:
    """Resource id of a variant. Neither name may hold a slash."""
    return f"{endpoint}/{variant}"


def endpoint_and_variant(resource_id: str) -> tuple[str, str]:
    """The names that `variant_id` joined; the variant is empty where only an endpoint is named."""
    endpoint, _, variant = resource_id.partition("/")
    return endpoint, variant


def endpoints(calls: AwsCalls, region: str, deadline: datetime) -> Iterator[CloudResource]:
    """Variants of endpoints in service that run on instances; serverless ones have no size."""
    asked = {"StatusEquals": "InService", "MaxResults": _PAGE}
    for page in calls.pages("sagemaker", region, "ListEndpoints", asked, deadline):
        for listed in page["Endpoints"]:
            named = {"EndpointName": listed["EndpointName"]}
            endpoint = calls.call("sagemaker", region, "DescribeEndpoint", named, deadline)
            named = {"EndpointConfigName": endpoint["EndpointConfigName"]}
            config = calls.call("sagemaker", region, "DescribeEndpointConfig", named, deadline)
            tags = _tags(listed["EndpointArn"], calls, region, deadline)
            now = {variant["VariantName"]: variant for variant in endpoint.get("ProductionVariants", [])}
            for variant in config["ProductionVariants"]:
                if "InstanceType" in variant:
                    yield CloudResource(
                        resource_id=variant_id(listed["EndpointName"], variant["VariantName"]),
                        cloud=Cloud.AWS,
                        region=region,
                        kind=ResourceKind.ENDPOINT,
                        account=calls.account.account,
                        instance_type=variant["InstanceType"],
                        count=_count(variant, now.get(variant["VariantName"], {})),
                        start_time=instant_of(endpoint.get("CreationTime")),
                        **labels(tags, calls.account),
                    )


def training_jobs(calls: AwsCalls, region: str, deadline: datetime) -> Iterator[CloudResource]:
    """Jobs of the last two weeks that run or ended well. `running_hours_per_month` are those of the job."""
    since = calls.patience.clock() - _TRAINED_WITHIN
    asked = {"CreationTimeAfter": since, "MaxResults": _PAGE}
    for page in calls.pages("sagemaker", region, "ListTrainingJobs", asked, deadline):
        for listed in page["TrainingJobSummaries"]:
            if listed.get("TrainingJobStatus") not in _SIZED_STATES:
                continue
            named = {"TrainingJobName": listed["TrainingJobName"]}
            job = calls.call("sagemaker", region, "DescribeTrainingJob", named, deadline)
            size = job.get("ResourceConfig", {})
            if "InstanceType" not in size:
                continue
            seconds = job.get("TrainingTimeInSeconds")
            yield CloudResource(
                resource_id=listed["TrainingJobName"],
                cloud=Cloud.AWS,
                region=region,
                kind=ResourceKind.TRAINING_JOB,
                account=calls.account.account,
                instance_type=size["InstanceType"],
                count=int(size.get("InstanceCount", 1)),
                running_hours_per_month=None if seconds is None else float(seconds) / _SECONDS_PER_HOUR,
                start_time=instant_of(job.get("TrainingStartTime")),
                **labels(_tags(listed["TrainingJobArn"], calls, region, deadline), calls.account),
            )


def instant_of(stamp: Any) -> datetime | None:  # noqa: ANN401 - seconds since 1970 of JSON protocols, datetime of others
    """An aware instant; None stays None."""
    if stamp is None or isinstance(stamp, datetime):
        return stamp
    return datetime.fromtimestamp(float(stamp), UTC)


def _count(configured: Mapping[str, Any], current: Mapping[str, Any]) -> int:
    return max(1, int(current.get("CurrentInstanceCount", configured.get("InitialInstanceCount", 1))))


def _tags(arn: str, calls: AwsCalls, region: str, deadline: datetime) -> tuple[tuple[str, str], ...]:
    listed = [
        tag
        for page in calls.pages("sagemaker", region, "ListTags", {"ResourceArn": arn}, deadline)
        for tag in page["Tags"]
    ]
    return tags_of(listed)
