"""Auto Scaling groups and SageMaker endpoints on a moto fleet."""

from tests.support.moto_fleet import REGION, MotoFleet, image_id
from tests.support.moto_server import ACCOUNT


def make_group(fleet: MotoFleet, name: str, instance_type: str, desired: int, most: int = 6) -> None:
    """An Auto Scaling group of 1 to `most` that holds its CPU at one half."""
    ec2, scaling = fleet.client("ec2"), fleet.client("autoscaling")
    template = ec2.create_launch_template(
        LaunchTemplateName=name, LaunchTemplateData={"ImageId": image_id(), "InstanceType": instance_type}
    )["LaunchTemplate"]
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateId": template["LaunchTemplateId"], "Version": "1"},
        MinSize=1,
        MaxSize=most,
        DesiredCapacity=desired,
        AvailabilityZones=[f"{REGION}a"],
    )
    scaling.put_scaling_policy(
        AutoScalingGroupName=name,
        PolicyName="half",
        PolicyType="TargetTrackingScaling",
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            "TargetValue": 50.0,
        },
    )


def make_endpoint(fleet: MotoFleet, name: str, instance_type: str, count: int) -> None:
    """A SageMaker endpoint of one variant, `main`."""
    sagemaker = fleet.client("sagemaker")
    sagemaker.create_model(
        ModelName=name, ExecutionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/r", PrimaryContainer={"Image": "i"}
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName=f"{name}-1",
        ProductionVariants=[
            {
                "VariantName": "main",
                "ModelName": name,
                "InstanceType": instance_type,
                "InitialInstanceCount": count,
                "InitialVariantWeight": 1.0,
            }
        ],
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-1")
