"""A small fleet on AWS: a moto server with instances, two weeks of CloudWatch, and the file that opens it to trimtab.

```python
with moto_fleet(tmp_path) as fleet, running_service(tmp_path, cloud_accounts=fleet.accounts_file) as service:
    ...  # analyse source "moto", apply
    assert fleet.instance_type("oversized") == "m5.xlarge"
```
"""

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import boto3
from moto.ec2.models import ec2_backends

from tests.support.moto_server import ACCOUNT, MotoServer
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.configuration import load_accounts

REGION: Final = "eu-west-1"
SOURCE: Final = "moto"
"""Name of the account in the file, and so of its telemetry source."""

STEP_S: Final = 300
DAYS: Final = 14
_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Machine:
    """An instance and its load: shares of the whole at night and at the daily peak. `gpus` are their duty cycles.

    `memory` None: no CloudWatch agent on it.
    """

    name: str
    instance_type: str
    cpu: tuple[float, float]
    memory: tuple[float, float] | None = (0.2, 0.25)
    gpus: tuple[float, ...] = ()
    gpu_memory_mib: float = 0.0
    network_mib: float = 20.0
    tags: tuple[tuple[str, str], ...] = ()


FLEET: Final = (
    Machine("oversized", "m5.4xlarge", cpu=(0.03, 0.08), memory=(0.08, 0.10), tags=(("team", "search"),)),
    Machine(
        "idle", "m5.2xlarge", cpu=(0.004, 0.006), memory=(0.03, 0.03), network_mib=0.004, tags=(("team", "search"),)
    ),
    Machine("right", "m5.large", cpu=(0.35, 0.68), memory=(0.6, 0.7), tags=(("team", "ads"),)),
    Machine("blind", "m5.2xlarge", cpu=(0.05, 0.1), memory=None, tags=(("team", "ads"),)),
    Machine("protected", "m5.4xlarge", cpu=(0.03, 0.08), memory=(0.08, 0.10), tags=(("trimtab:protected", "true"),)),
    Machine("trainer", "p3.8xlarge", cpu=(0.1, 0.2), gpus=(0.3, 0.3, 0.3, 0.3), gpu_memory_mib=4096.0),
)


@dataclass(slots=True)
class MotoFleet:
    """The seeded server. `ids` are instance ids by the machine's name."""

    server: MotoServer
    accounts_file: Path
    now: datetime
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def account(self) -> CloudAccount:
        """The account as the service reads it from the file."""
        return load_accounts(self.accounts_file)[0]

    def client(self, service: str) -> Any:  # noqa: ANN401 - clients are made from data at run time
        """A boto3 client of its own, for seeding and for looking behind the service's back."""
        session = boto3.Session(aws_access_key_id="seed", aws_secret_access_key="seed", region_name=REGION)
        return session.client(service, endpoint_url=self.server.url)  # type: ignore[call-overload] # any service's name

    def described(self, name: str) -> dict[str, Any]:
        """The instance of a machine as EC2 describes it."""
        answer = self.client("ec2").describe_instances(InstanceIds=[self.ids[name]])
        found: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
        return found

    def instance_type(self, name: str) -> str:
        """Its type now."""
        return str(self.described(name)["InstanceType"])

    def state(self, name: str) -> str:
        """`running`, `stopped`, ..."""
        return str(self.described(name)["State"]["Name"])

    def launch(self, machines: Sequence[Machine], days: int = DAYS) -> None:
        """Start instances with their history."""
        ec2 = self.client("ec2")
        image = image_id()
        for machine in machines:
            tags = [{"Key": key, "Value": value} for key, value in (("Name", machine.name), *machine.tags)]
            started = ec2.run_instances(
                ImageId=image,
                MinCount=1,
                MaxCount=1,
                InstanceType=machine.instance_type,
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )
            self.ids[machine.name] = started["Instances"][0]["InstanceId"]
            self.measure(machine, self.now - timedelta(days=days), self.now)

    def measure(self, machine: Machine, start: datetime, end: datetime) -> None:
        """CloudWatch points of a machine from `start` to before `end`, one in five minutes."""
        first = -(-int(start.timestamp()) // STEP_S) * STEP_S
        stamps = range(first, int(end.timestamp()), STEP_S)
        subject = {"InstanceId": self.ids[machine.name]}
        put = self.server.cloudwatch.put
        levels = [(at, 100.0 * _daily(at, *machine.cpu)) for at in stamps]
        put(REGION, "AWS/EC2", "CPUUtilization", subject, levels)
        moved = [(at, machine.network_mib * _MIB) for at in stamps]
        for name in ("NetworkIn", "NetworkOut", "EBSReadBytes", "EBSWriteBytes"):
            put(REGION, "AWS/EC2", name, subject, moved)
        for name in ("EBSReadOps", "EBSWriteOps"):
            put(REGION, "AWS/EC2", name, subject, [(at, 4 * machine.network_mib) for at in stamps])
        agent = subject | {"InstanceType": machine.instance_type}
        if machine.memory is not None:
            held = [(at, 100.0 * _daily(at, *machine.memory)) for at in stamps]
            put(REGION, "CWAgent", "mem_used_percent", agent, held)
        for index, duty in enumerate(machine.gpus):
            device = agent | {"index": str(index), "name": "Tesla V100-SXM2-16GB", "arch": "Volta"}
            busy = [(at, 100.0 * duty) for at in stamps]
            put(REGION, "CWAgent", "nvidia_smi_utilization_gpu", device, busy)
            used = [(at, machine.gpu_memory_mib) for at in stamps]
            put(REGION, "CWAgent", "nvidia_smi_memory_used", device, used)


def image_id() -> str:
    """Of any machine image: listing moto's over the wire takes longer than all else here."""
    return str(next(iter(ec2_backends[ACCOUNT][REGION].amis)))


@contextlib.contextmanager
def moto_fleet(
    directory: Path,
    machines: Sequence[Machine] = FLEET,
    *,
    projects: Sequence[str] = ("*",),
    changes: bool = True,
    extra: str = "",
    now: datetime | None = None,
) -> Iterator[MotoFleet]:
    """Serve a seeded fleet. `extra` are more lines of the account in the file, which is written to `directory`."""
    with MotoServer() as server:
        accounts = write_accounts(directory, server.url, projects=projects, changes=changes, extra=extra)
        fleet = MotoFleet(server, accounts, now or datetime.now(UTC))
        fleet.launch(machines)
        yield fleet


def write_accounts(
    directory: Path, url: str, *, projects: Sequence[str] = ("*",), changes: bool = True, extra: str = ""
) -> Path:
    """The deployment's file for one account at `url`, and the credentials file that it names."""
    credentials = directory / "aws-credentials"
    credentials.write_text("[default]\naws_access_key_id = reader\naws_secret_access_key = not-a-secret\n")
    path = directory / "accounts.toml"
    path.write_text(
        "[[accounts]]\n"
        f'name = "{SOURCE}"\n'
        'kind = "cloudwatch"\n'
        f'account = "{ACCOUNT}"\n'
        f"projects = {list(projects)!r}\n"
        f'regions = ["{REGION}"]\n'
        f"changes = {str(changes).lower()}\n"
        f'endpoint_url = "{url}"\n'
        # No call is sent a second time because this machine stood still: tests count them.
        'connect_timeout = "60s"\nread_timeout = "300s"\ncall_timeout = "300s"\n'
        f'credentials_file = "{credentials}"\n'
        f"{extra}\n"
    )
    return path


def _daily(at: int, low: float, high: float) -> float:
    """Between the two, lowest at midnight UTC and highest at noon."""
    return low + (high - low) * (0.5 - 0.5 * math.cos(2 * math.pi * (at % 86_400) / 86_400))
