"""Auto Scaling groups and SageMaker variants on moto, and the policy that allows all targets of AWS."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.aurora_fake import AuroraFake
from tests.support.moto_fleet import REGION, MotoFleet, moto_fleet
from tests.support.moto_groups import make_group
from tests.support.moto_server import ACCOUNT, Fault
from tests.support.route53 import ZONE_ID, Route53Fake
from tests.support.switching import ADDRESSES, AWS, GCP, share, soon
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.bucket_watermark import BucketWatermark
from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.databases import AuroraGlobal, Promotion, RdsReplica
from trimtab_service.clouds.aws.group_capacity import GroupCapacity
from trimtab_service.clouds.aws.route53 import Route53Records
from trimtab_service.clouds.aws.session import AwsSession
from trimtab_service.clouds.aws.variant_capacity import VariantCapacity
from trimtab_service.clouds.aws.variant_weights import FENCE_TAG, VariantWeights
from trimtab_service.clouds.aws.variants import Variants
from trimtab_service.clouds.dns.fenced_name import FencedName
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import Observers
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.failover.ports import Fencing, StaleTokenError

_IAM = Path(__file__).parents[3] / "deploy" / "iam"


@dataclass(slots=True)
class House:
    """A moto account, and what was called in it."""

    fleet: MotoFleet
    called: set[str] = field(default_factory=set)

    def calls(self, account: CloudAccount | None = None) -> AwsCalls:
        """As the targets call."""
        session = AwsSession(account or self.fleet.account, self._note)
        return AwsCalls(account or self.fleet.account, session, Patience(sleep=lambda _: None))

    def variants(self) -> Variants:
        """The endpoint `ranker` with variants `blue` and `green`."""
        return Variants("ranker", REGION, self.calls())

    def _note(self, service: str, operation: str) -> None:
        self.called.add(f"{'cloudwatch' if service == 'monitoring' else service}:{operation}")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A group `workers` of 1 to 6 with 2, and an endpoint with two variants."""
    with moto_fleet(tmp_path, ()) as fleet:
        make_group(fleet, "workers", "c5.2xlarge", desired=2)
        _make_endpoint(fleet)
        yield House(fleet)


def _make_endpoint(fleet: MotoFleet) -> None:
    sagemaker = fleet.client("sagemaker")
    role = f"arn:aws:iam::{ACCOUNT}:role/r"
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer={"Image": "i"})
    sagemaker.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[
            {
                "VariantName": name,
                "ModelName": "m",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": weight,
            }
            for name, weight in (("blue", 1.0), ("green", 0.0))
        ],
    )
    sagemaker.create_endpoint(EndpointName="ranker", EndpointConfigName="c")


def _scalable(house: House, **bounds: int) -> Any:  # noqa: ANN401 - what boto3 answers
    client = house.fleet.client("application-autoscaling")
    named = {
        "ServiceNamespace": "sagemaker",
        "ResourceId": "endpoint/ranker/variant/green",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }
    if bounds:
        client.register_scalable_target(**named, **bounds)
    return client.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"][0]


def test_a_group_is_scaled_and_held(house: House) -> None:
    """Both what is wanted and the least, so that no policy takes it back; again is as once."""
    target = GroupCapacity("workers", REGION, house.calls())
    assert target.observe(soon()).desired == 2
    state = target.scale(5, 1, "k", soon())
    assert (state.desired, state.ready, state.quota, state.is_reserved) == (5, 5, 6, False)
    changes = house.fleet.server.operations().count("UpdateAutoScalingGroup")
    assert target.scale(5, 1, "k", soon()) == state
    assert house.fleet.server.operations().count("UpdateAutoScalingGroup") == changes
    described = house.fleet.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert (described["MinSize"], described["MaxSize"]) == (5, 6)
    assert target.scale(1, 2, "l", soon()).desired == 1


def test_a_group_gives_no_more_than_its_quota(house: House) -> None:
    """It is refused before anything is asked for."""
    with pytest.raises(FailedPreconditionError, match="MaxSize"):
        GroupCapacity("workers", REGION, house.calls()).scale(7, 1, "k", soon())
    with pytest.raises(FailedPreconditionError, match="does not exist"):
        GroupCapacity("nobody", REGION, house.calls()).observe(soon())


def test_the_peak_of_a_group_is_of_the_last_day(house: House) -> None:
    """By its metrics; what the deployment knows of it counts too."""
    now = house.fleet.now
    points = [
        (int((now - timedelta(hours=hours)).timestamp()) // 300 * 300, float(hours % 12)) for hours in (3, 11, 30)
    ]
    dimensions = {"AutoScalingGroupName": "workers"}
    house.fleet.server.cloudwatch.put(REGION, "AWS/AutoScaling", "GroupInServiceInstances", dimensions, points)
    target = GroupCapacity("workers", REGION, house.calls())
    assert target.observe(soon()).peak == 11
    assert GroupCapacity("workers", REGION, house.calls(), known_peak=20).observe(soon()).peak == 20


def test_metrics_that_fall_silent_stop_no_group_from_being_scaled(house: House) -> None:
    """The peak is as it was read last; one that was never read is not made up."""
    at = int((house.fleet.now - timedelta(hours=3)).timestamp()) // 300 * 300
    dimensions = {"AutoScalingGroupName": "workers"}
    house.fleet.server.cloudwatch.put(REGION, "AWS/AutoScaling", "GroupInServiceInstances", dimensions, [(at, 9.0)])
    target = GroupCapacity("workers", REGION, house.calls())
    assert target.observe(soon()).peak == 9
    house.fleet.server.faults.append(Fault("GetMetricData", "AccessDenied", 403, times=3))
    state = target.scale(5, 1, "k", soon())
    assert (state.ready, state.peak) == (5, 9)
    assert target.observe(soon()).ready == 5
    with pytest.raises(UnavailableError):
        GroupCapacity("workers", REGION, house.calls()).observe(soon())


def test_a_variant_is_scaled_and_held_at_least(house: House) -> None:
    """Its scalable target's least follows; its most is the quota."""
    _scalable(house, MinCapacity=1, MaxCapacity=8)
    target = VariantCapacity(house.variants(), "green", is_reserved=True)
    state = target.scale(5, 1, "k", soon())
    assert (state.desired, state.ready, state.peak, state.quota, state.is_reserved) == (5, 5, 5, 8, True)
    assert _scalable(house)["MinCapacity"] == 5
    with pytest.raises(FailedPreconditionError, match="MaxCapacity"):
        target.scale(9, 1, "l", soon())


def test_a_variant_without_a_policy_is_scaled_alone(house: House) -> None:
    """No scalable target is made for it, and its quota is not known."""
    assert VariantCapacity(house.variants(), "green").scale(3, 1, "k", soon()).quota is None
    assert "application-autoscaling:RegisterScalableTarget" not in house.called
    with pytest.raises(FailedPreconditionError, match="no variant"):
        VariantCapacity(house.variants(), "red").observe(soon())


def _weights(house: House) -> VariantWeights:
    return VariantWeights(house.variants(), {"aws": "blue", "gcp": "green"})


def test_weights_move_and_the_token_stays_as_a_tag(house: House) -> None:
    """Marked as weakly fenced; an older token is refused all the same, and again is as once."""
    target = _weights(house)
    assert target.fencing is Fencing.WEAK
    assert share(target.observe(soon()), AWS) == 1.0
    done = target.switch(GCP, 0.75, 4, "k", soon())
    assert (done.token, share(done, AWS), share(done, GCP)) == (4, 0.25, 0.75)
    updates = house.fleet.server.operations().count("UpdateEndpointWeightsAndCapacities")
    assert target.switch(GCP, 0.75, 4, "k", soon()) == done
    with pytest.raises(StaleTokenError):
        target.switch(AWS, 1.0, 3, "l", soon())
    assert house.fleet.server.operations().count("UpdateEndpointWeightsAndCapacities") == updates
    with pytest.raises(FailedPreconditionError, match="TTL"):
        target.set_ttl(timedelta(seconds=1), 4, "m", soon())


def test_a_crash_between_tag_and_weights_is_made_good(house: House) -> None:
    """The repetition finds its own tag, and weights that are not as wanted."""
    target = _weights(house)
    server = house.fleet.server
    server.faults.append(Fault("UpdateEndpointWeightsAndCapacities", code="ValidationException"))
    with pytest.raises(FailedPreconditionError):
        target.switch(GCP, 1.0, 1, "k", soon())
    tags = house.fleet.client("sagemaker").list_tags(
        ResourceArn=f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/ranker"
    )
    assert [tag["Key"] for tag in tags["Tags"]] == [FENCE_TAG]
    assert share(target.switch(GCP, 1.0, 1, "k", soon()), GCP) == 1.0


def test_variants_of_nobody_are_left_alone(house: House) -> None:
    """A target that knows only one of two variants does not know what is left."""
    with pytest.raises(FailedPreconditionError, match="not those of the target"):
        VariantWeights(house.variants(), {"aws": "blue"}).switch(AWS, 1.0, 1, "k", soon())


def test_the_policy_of_failover_is_what_the_targets_call(house: House, tmp_path: Path) -> None:
    """Every target together calls each action of aws-failover.json, and no other."""
    _scalable(house, MinCapacity=1, MaxCapacity=8)
    GroupCapacity("workers", REGION, house.calls()).scale(3, 1, "k", soon())
    VariantCapacity(house.variants(), "green").scale(2, 1, "k", soon())
    _weights(house).switch(GCP, 1.0, 1, "k", soon())
    with Route53Fake() as route53:
        account = CloudAccount(
            name="r",
            kind=house.fleet.account.kind,
            account=ACCOUNT,
            projects=frozenset({"*"}),
            regions=(REGION,),
            endpoint_url=route53.url,
            credentials_file=house.fleet.account.credentials_file,
        )
        name = SwitchedName("www.example.test", "example.test", ADDRESSES)
        records = Route53Records(name, ZONE_ID, house.calls(account))
        FencedName(name, records, Observers((), Patience())).switch(AWS, 1.0, 1, "k", soon())
    house.fleet.client("s3").create_bucket(Bucket="copy", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert BucketWatermark("copy", "canary", REGION, house.calls()).watermark(soon()) is None
    _promote_all(house)
    document = json.loads((_IAM / "aws-failover.json").read_text(encoding="utf-8"))
    listed = [one["Action"] for one in document["Statement"]]
    allowed = {action for one in listed for action in ([one] if isinstance(one, str) else one)}
    assert house.called == allowed


def _promote_all(house: House) -> None:
    """A replica of RDS, and the writer of a global database in both ways."""
    rds = house.fleet.client("rds")
    named: dict[str, Any] = {"DBInstanceClass": "db.m5.large", "Engine": "postgres", "AllocatedStorage": 20}
    login = {"MasterUsername": "u", "MasterUserPassword": "not-a-secret"}
    rds.create_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=1, **named, **login)
    rds.create_db_instance_read_replica(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="orders")
    RdsReplica("copy", REGION, house.calls()).promote(1, "k", soon())
    home, away = (f"arn:aws:rds:{region}:{ACCOUNT}:cluster:c" for region in ("us-east-1", REGION))
    for promotion in Promotion:
        aurora = AuroraFake("world", home, away)
        with aurora.server:
            account = replace(house.fleet.account, endpoints=(("rds", aurora.server.url),))
            AuroraGlobal("world", away, REGION, promotion, house.calls(account)).promote(1, "k", soon())
