"""When nobody uses a resource: each cloud's published rule as versioned data, since these thresholds drift."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import SeriesNote
from trimtab_service.domain.resources import ResourceKind
from trimtab_service.rightsizing.needs import Needs
from trimtab_service.rightsizing.present import Present
from trimtab_service.rightsizing.readings import Readings


@dataclass(frozen=True, slots=True)
class IdleRule:
    """Idle is: CPU at `cpu_percentile` under `cpu_share` of what there is (or `cpu_vcpus`), and likewise the network.

    `network_gbps` is of in and out together. Memory does not count: what is loaded and not used is idle.
    """

    name: str
    version: int
    source: str
    cpu_percentile: float
    cpu_share: float | None
    cpu_vcpus: float | None
    network_percentile: float
    network_gbps: float


RULES: Final[dict[Cloud, IdleRule]] = {
    Cloud.AWS: IdleRule(
        "aws-compute-optimizer",
        1,
        "docs.aws.amazon.com/compute-optimizer: peak CPU under 5 %, network under 5 MB a day",
        1.0,
        0.05,
        None,
        1.0,
        5e6 * 8 / 86_400 / 1e9,
    ),
    Cloud.GCP: IdleRule(
        "gcp-recommender",
        1,
        "cloud.google.com/compute, idle VMs: under 0.03 vCPU for 97 %, 2,000 B/s in, 1,000 B/s out for 95 %",
        0.97,
        None,
        0.03,
        0.95,
        3_000 * 8 / 1e9,
    ),
    Cloud.AZURE: IdleRule(
        "azure-advisor",
        1,
        "MicrosoftDocs/azure-docs advisor-cost-recommendations: P95 of CPU under 3 %; the older bound of 7 MB a day",
        0.95,
        0.03,
        None,
        1.0,
        7e6 * 8 / 86_400 / 1e9,
    ),
}

LEAST: Final = timedelta(days=7)
"""Azure's window, the shortest of the three: less than a week has not seen a weekly job."""

GPU_SHARE: Final = 0.02
"""Ours, since no cloud has a rule for GPUs: the highest duty cycle of all GPUs together under 2 % of one GPU."""


def is_idle(needs: Needs, readings: Readings, present: Present) -> bool:
    """Whether the cloud's rule calls it idle, and its GPUs too. What was not measured is never idle."""
    cpu, network, gpu = needs.get(Dimension.CPU), needs.get(Dimension.NETWORK), needs.get(Dimension.GPU)
    # A container that waits uses next to nothing of a request that is too large: its request is what is wrong.
    waits = present.resource.kind is ResourceKind.CONTAINER
    # Nothing is stopped on a guess at what a series means.
    is_guess = any(SeriesNote.LOOKS_LIKE_A_COUNTER in one.notes for one in readings.summary.series)
    if waits or is_guess or cpu is None or cpu.is_assumed or readings.measured < LEAST:
        return False
    if present.gpus and (gpu is None or gpu.is_assumed or gpu.peak >= GPU_SHARE):
        return False
    rule = RULES[present.resource.cloud]
    whole = (present.capacity.vcpus or 0.0) * present.count
    bound = rule.cpu_vcpus if rule.cpu_vcpus is not None else (rule.cpu_share or 0.0) * whole
    if cpu.percentile(rule.cpu_percentile) >= bound:
        return False
    if network is None or network.is_assumed:
        return True
    loads = network.loads
    if loads is not None and rule.network_percentile >= 1.0:
        mean = float(np.nan_to_num(loads.values[network.row]).mean())
        return mean < rule.network_gbps * present.count
    return network.percentile(rule.network_percentile) < rule.network_gbps * present.count
