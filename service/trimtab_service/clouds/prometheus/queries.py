"""The queries that measure containers and nodes.

Percentiles are never asked for: a server's are rounded, and the maximum over pods of each pod's percentile is no
percentile of anything. What all pods use is added instant by instant, and everything after is done here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from trimtab_service.clouds.prometheus.promql import any_of, quoted, selector
from trimtab_service.clouds.prometheus.workloads import POD_SUFFIXES, ContainerRef
from trimtab_service.domain.dimensions import Metric, Statistic, Unit

_MIB: Final = 2**20
_PEAK_RANGE: Final = "2m"
_PEAK_STEP: Final = "1m"
"""A mean over a step hides what is shorter, so the highest two minutes of each step are asked for beside it."""

_VIRTUAL: Final = "lo|veth.*|docker.*|cni.*|cali.*|flannel.*|cilium.*|lxc.*|br-.*|tunl.*|dummy.*|kube-.*|nodelocaldns"
"""Network devices whose bytes pass a real one too."""

_DISKS: Final = "nvme.*|sd.*|xvd.*|vd.*"


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL whose series carry the labels `by`, and what its values are. `exporter` names who measures it."""

    text: str
    metric: Metric
    unit: Unit
    statistic: Statistic
    exporter: str
    device_label: str = ""


def container_queries(references: Sequence[ContainerRef], step_s: int, *, with_gpus: bool) -> tuple[Query, ...]:
    """Of containers of one namespace and kind; series carry `workload` and `container`. Amounts are of all pods."""
    namespace, kind = references[0].namespace, references[0].kind
    workloads = any_of(sorted({one.workload for one in references}))
    pods = f"({workloads})-{POD_SUFFIXES[kind]}"
    chosen = {
        "namespace": namespace,
        "pod__re": pods,
        "container__re": any_of(sorted({one.container for one in references})),
    }
    step = f"{step_s}s"

    def per_pod(expression: str) -> str:
        """Copies of one container's series (two scrapes of one kubelet) count once."""
        one_each = f"max by (pod, container) ({expression})"
        return f'label_replace({one_each}, "workload", "$1", "pod", {quoted(pods)})'

    def over_pods(fold: str, expression: str) -> str:
        return f"{fold} by (workload, container) ({per_pod(expression)})"

    def of(metric: str) -> str:
        return selector(metric, **chosen)

    cpu, memory = of("container_cpu_usage_seconds_total"), of("container_memory_working_set_bytes")
    peak = f"max_over_time(rate({cpu}[{_PEAK_RANGE}])[{step}:{_PEAK_STEP}])"
    held = f"max_over_time({memory}[{step}])"
    periods = f"rate({of('container_cpu_cfs_periods_total')}[{step}])"
    throttled = f"rate({of('container_cpu_cfs_throttled_periods_total')}[{step}])"
    restarts = f"increase({of('kube_pod_container_status_restarts_total')}[{step}])"
    killed = selector("kube_pod_container_status_last_terminated_reason", reason="OOMKilled", **chosen)
    one_killed = f"max by (pod, container) ({killed})"
    one_restart = f"max by (pod, container) ({restarts})"
    queries = [
        Query(over_pods("sum", f"rate({cpu}[{step}])"), Metric.CPU, Unit.VCPUS, Statistic.AVERAGE, _CADVISOR),
        Query(over_pods("sum", peak), Metric.CPU, Unit.VCPUS, Statistic.MAXIMUM, _CADVISOR),
        # As if every pod held what the largest holds: requests are given to each pod alike.
        Query(
            f"{over_pods('max', held)} * {over_pods('count', held)}",
            Metric.MEMORY,
            Unit.BYTES,
            Statistic.MAXIMUM,
            _CADVISOR,
        ),
        Query(over_pods("count", held), Metric.INSTANCES, Unit.COUNT, Statistic.AVERAGE, _CADVISOR),
        Query(
            f"{over_pods('sum', throttled)} / ({over_pods('sum', periods)} > 0)",
            Metric.CPU_THROTTLED,
            Unit.RATIO,
            Statistic.AVERAGE,
            "",
        ),
        Query(over_pods("sum", f"{one_restart} * {one_killed}"), Metric.OOM_KILLS, Unit.COUNT, Statistic.SUM, ""),
    ]
    if with_gpus:
        # A GPU has a series each, told apart by `gpu` and the host.
        busy = f"avg_over_time({of('DCGM_FI_DEV_GPU_UTIL')}[{step}])"
        used = f"max_over_time({of('DCGM_FI_DEV_FB_USED')}[{step}])"

        def over_gpus(fold: str, expression: str) -> str:
            labelled = f'label_replace({expression}, "workload", "$1", "pod", {quoted(pods)})'
            return f"{fold} by (workload, container) ({labelled})"

        queries += [
            Query(over_gpus("avg", busy), Metric.GPU, Unit.PERCENT, Statistic.AVERAGE, _DCGM),
            Query(f"{over_gpus('sum', used)} * {_MIB}", Metric.GPU_MEMORY, Unit.BYTES, Statistic.MAXIMUM, _DCGM),
        ]
    return tuple(queries)


_CADVISOR: Final = "cAdvisor"
_DCGM: Final = "DCGM exporter"
_NODE: Final = "node exporter"


def node_queries(names: Sequence[str], step_s: int) -> tuple[Query, ...]:
    """Of nodes by name; series carry `nodename`."""
    step = f"{step_s}s"
    nodes = any_of(sorted(names))
    info = selector("node_uname_info", nodename__re=nodes)

    def named(expression: str) -> str:
        return f"({expression}) * on (instance) group_left (nodename) max by (instance, nodename) ({info})"

    def rated(metric: str, label: str, *, accepted: str = "", refused: str = "") -> str:
        matcher = {f"{label}__re": accepted} if accepted else {f"{label}__not": refused}
        return named(f"sum by (instance) (rate({selector(metric, **matcher)}[{step}]))")

    idle = f"sum by (instance, cpu) (rate({selector('node_cpu_seconds_total', mode__re='idle|iowait')}[{step}]))"
    free = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes"
    flow = Statistic.AVERAGE
    amount, count = Unit.BYTES_PER_SECOND, Unit.COUNT_PER_SECOND
    gpu: Callable[[str], str] = lambda metric: selector(metric, Hostname__re=nodes)  # noqa: E731 - typed, and one line

    held = f"max_over_time({gpu('DCGM_FI_DEV_FB_USED')}[{step}])"

    def by_host(fold: str, expression: str) -> str:
        return f'label_replace({fold} by (Hostname, gpu) ({expression}), "nodename", "$1", "Hostname", "(.*)")'

    return (
        Query(named(f"1 - avg by (instance) ({idle})"), Metric.CPU, Unit.RATIO, flow, _NODE),
        Query(
            named(f"max by (instance) (1 - min_over_time(({free})[{step}:{_PEAK_STEP}]))"),
            Metric.MEMORY,
            Unit.RATIO,
            Statistic.MAXIMUM,
            _NODE,
        ),
        Query(
            rated("node_network_receive_bytes_total", "device", refused=_VIRTUAL),
            Metric.NETWORK_IN,
            amount,
            flow,
            _NODE,
        ),
        Query(
            rated("node_network_transmit_bytes_total", "device", refused=_VIRTUAL),
            Metric.NETWORK_OUT,
            amount,
            flow,
            _NODE,
        ),
        Query(
            rated("node_disk_reads_completed_total", "device", accepted=_DISKS),
            Metric.DISK_READ_OPS,
            count,
            flow,
            _NODE,
        ),
        Query(
            rated("node_disk_writes_completed_total", "device", accepted=_DISKS),
            Metric.DISK_WRITE_OPS,
            count,
            flow,
            _NODE,
        ),
        Query(
            rated("node_disk_read_bytes_total", "device", accepted=_DISKS), Metric.DISK_READ_BYTES, amount, flow, _NODE
        ),
        Query(
            rated("node_disk_written_bytes_total", "device", accepted=_DISKS),
            Metric.DISK_WRITE_BYTES,
            amount,
            flow,
            _NODE,
        ),
        Query(
            by_host("avg", f"avg_over_time({gpu('DCGM_FI_DEV_GPU_UTIL')}[{step}])"),
            Metric.GPU,
            Unit.PERCENT,
            flow,
            "",
            "gpu",
        ),
        Query(
            f"{by_host('max', held)} * {_MIB}",
            Metric.GPU_MEMORY,
            Unit.BYTES,
            Statistic.MAXIMUM,
            "",
            "gpu",
        ),
    )
