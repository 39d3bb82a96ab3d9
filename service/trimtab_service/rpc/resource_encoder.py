"""Resources and what they have, as messages. Filled in place: handing nested messages to a constructor costs more."""

from trimtab.v1 import rightsizing_pb2 as pb
from trimtab_service.domain.resources import Autoscaling, Capacity, CloudResource
from trimtab_service.rpc.sizing_vocabulary import DIMENSION_CODE, RESOURCE_KIND_CODE
from trimtab_service.rpc.vocabulary import CLOUD_CODE, OPTION_CODE, set_nanos, set_timestamp


def encode_resource(resource: CloudResource) -> pb.CloudResource:
    """The message of a resource."""
    message = pb.CloudResource()
    fill_resource(message, resource)
    return message


def fill_resource(message: pb.CloudResource, resource: CloudResource) -> None:
    """As `encode_resource`, in place."""
    message.resource_id = resource.resource_id
    message.kind = RESOURCE_KIND_CODE[resource.kind]
    message.cloud = CLOUD_CODE[resource.cloud]
    message.region = resource.region
    message.zone = resource.zone
    message.account = resource.account
    message.instance_type = resource.instance_type
    message.count = resource.count
    if resource.capacity is not None:
        fill_capacity(message.capacity, resource.capacity)
    if resource.price_nanos_per_hour is not None:
        set_nanos(message.price_per_hour, resource.price_nanos_per_hour)
    message.purchase_option = OPTION_CODE[resource.option]
    if resource.running_hours_per_month is not None:
        message.running_hours_per_month = resource.running_hours_per_month
    for key, value in resource.tags:
        message.tags[key] = value
    if resource.autoscaling is not None:
        fill_autoscaling(message.autoscaling, resource.autoscaling)
    message.workload_id = resource.workload_id
    message.team = resource.team
    if resource.start_time is not None:
        set_timestamp(message.start_time, resource.start_time)
    message.arm_ready = resource.arm_ready


def fill_capacity(message: pb.Capacity, capacity: Capacity) -> None:
    """What one instance has; what is not known is left unset. The message is present even when nothing is known."""
    message.SetInParent()
    if capacity.vcpus is not None:
        message.vcpus = capacity.vcpus
    if capacity.memory_gib is not None:
        message.memory_gib = capacity.memory_gib
    message.gpu_model = capacity.gpu_model
    message.gpus = capacity.gpus
    if capacity.gpu_memory_gib is not None:
        message.gpu_memory_gib = capacity.gpu_memory_gib
    if capacity.network_gbps is not None:
        message.network_gbps = capacity.network_gbps
    if capacity.disk_iops is not None:
        message.disk_iops = capacity.disk_iops
    if capacity.disk_mibps is not None:
        message.disk_mibps = capacity.disk_mibps


def fill_autoscaling(message: pb.Autoscaling, autoscaling: Autoscaling) -> None:
    """How a group scales by itself."""
    message.min_count = autoscaling.min_count
    message.max_count = autoscaling.max_count
    message.target_dimension = DIMENSION_CODE[autoscaling.target_dimension]
    message.target_utilization = autoscaling.target_utilization
