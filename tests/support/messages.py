"""Seeded requests of the contract, for benches and load over the wire: varied in size, place, data and options."""

from random import Random

from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2

_REGIONS = {
    types_pb2.CLOUD_AWS: ("us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-southeast-2"),
    types_pb2.CLOUD_GCP: ("us-central1", "us-east4", "europe-west4", "europe-west1", "asia-northeast1"),
    types_pb2.CLOUD_AZURE: ("eastus", "westus2", "westeurope", "northeurope", "japaneast"),
}
_SIZES = ((2, 4), (4, 16), (8, 32), (16, 32), (16, 128), (36, 72), (64, 256))
_GPUS = (("T4", 1), ("L4", 1), ("V100", 1), ("V100", 8), ("A100-40GB", 8), ("A100-80GB", 1), ("H100", 8), ("A10G", 4))
_BLOCS = ((), (), ("EU",), ("EEA",), ("NORTH_AMERICA",), ("EUROPE",))


def plain_request(random: Random, parent: str) -> pb.PlaceRequest:
    """Size (CPU or GPU), on demand and spot, residency, one or two data sets: what a scheduler asks most."""
    request = pb.PlaceRequest(parent=parent)
    workload = request.workload
    if random.random() < 0.5:
        workload.size.vcpus, workload.size.memory_gib = random.choice(_SIZES)
    else:
        model, count = random.choice(_GPUS)
        gpu = workload.size.gpus.add()
        gpu.model, gpu.count = model, count
    workload.duration.seconds = random.randint(1, 72) * 3_600
    workload.purchase_options.extend([types_pb2.PURCHASE_OPTION_ON_DEMAND, types_pb2.PURCHASE_OPTION_SPOT])
    workload.residency.blocs.extend(random.choice(_BLOCS))
    for _ in range(random.randint(1, 2)):
        data = workload.data_sets.add()
        cloud = random.choice(tuple(_REGIONS))
        data.location.cloud = cloud
        data.location.region = random.choice(_REGIONS[cloud])
        data.gib = random.choice((10, 100, 500, 2_000))
    return request
