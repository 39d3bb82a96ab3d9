"""Targets as a deployment's file names them, opened and used."""

from pathlib import Path

from tests.support.azure_dns import AzureDnsFake
from tests.support.cloud_dns import CloudDnsFake
from tests.support.compute_engine import ComputeEngineFake
from tests.support.dns_fake import DnsFake
from tests.support.http_fake import Answer, HttpFake
from tests.support.kubernetes_api import KubernetesFake
from tests.support.moto_fleet import REGION, moto_fleet
from tests.support.moto_groups import make_endpoint, make_group
from tests.support.name_servers import ZONE, name_server
from tests.support.route53 import ZONE_ID, Route53Fake
from tests.support.switching import AWS, GCP, share, soon
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import ConfiguredTargets, open_targets
from trimtab_service.failover.ports import Fencing

_SIDES = 'sides = { aws = ["192.0.2.1"], gcp = ["198.51.100.1"] }'


def _opened(path: Path) -> ConfiguredTargets:
    return open_targets(load_targets(path, load_accounts(path)), Patience(sleep=lambda _: None))


def _named(name: str, kind: str, account: str, *lines: str) -> str:
    head = ["[[targets]]", f'name = "{name}"', f'kind = "{kind}"', 'projects = ["p"]', f'account = "{account}"']
    return "\n".join([*head, *lines, ""])


def _record(dns: DnsFake, *lines: str) -> tuple[str, ...]:
    zone = ('zone = "example.test"', 'record = "www.example.test"', f'observe = ["{dns.host}:{dns.port}"]', _SIDES)
    return (*zone, *lines)


def test_a_name_of_a_real_server_is_switched_as_the_file_says(tmp_path: Path) -> None:
    """Server, key and sides are all in the file."""
    with name_server("bind") as server:
        path = tmp_path / "accounts.toml"
        path.write_text(
            "[[targets]]\n"
            f'name = "www"\nkind = "rfc2136"\nprojects = ["p"]\ncloud = "gcp"\nzone = "{ZONE}"\nrecord = "www.{ZONE}"\n'
            f'server = "{server.host}:{server.port}"\nkey_file = "{server.key_file}"\n{_SIDES}\n'
        )
        targets = _opened(path)
        target = targets.traffic("p", "www")
        assert target is not None
        assert target is targets.traffic("p", "www")
        assert targets.cloud_of("p", "www") == "gcp"
        assert share(target.switch(GCP, 1.0, 1, "k", soon()), GCP) == 1.0
        assert server.texts(f"www.{ZONE}", "A") == ["198.51.100.1"]


def test_every_kind_within_aws_is_opened(tmp_path: Path) -> None:
    """Two capacities, weights and a name, by one account."""
    with moto_fleet(tmp_path, ()) as fleet, Route53Fake() as route53:
        make_group(fleet, "workers", "c5.2xlarge", desired=2)
        make_endpoint(fleet, "ranker", "ml.m5.large", count=1)
        text = fleet.accounts_file.read_text() + f'endpoints = {{ route53 = "{route53.url}" }}\n'
        text += _named("name", "route53", "moto", f'zone_id = "{ZONE_ID}"', *_record(route53.dns))
        text += _named("group", "auto_scaling_group", "moto", f'region = "{REGION}"', 'group = "workers"', "peak = 9")
        endpoint = (f'region = "{REGION}"', 'endpoint = "ranker"')
        text += _named("variant", "sagemaker_variant", "moto", *endpoint, 'variant = "main"', "reserved = true")
        text += _named("weights", "sagemaker_weights", "moto", *endpoint, 'sides = { aws = "main" }')
        fleet.accounts_file.write_text(text)
        targets = _opened(fleet.accounts_file)
        name, weights = targets.traffic("p", "name"), targets.traffic("p", "weights")
        group, variant = targets.capacity("p", "group"), targets.capacity("p", "variant")
        assert name is not None
        assert weights is not None
        assert group is not None
        assert variant is not None
        assert share(name.switch(AWS, 1.0, 1, "k", soon()), AWS) == 1.0
        assert (weights.fencing, share(weights.observe(soon()), AWS)) == (Fencing.WEAK, 1.0)
        assert group.observe(soon()).peak == 9
        assert variant.scale(2, 1, "k", soon()).is_reserved
        assert {targets.cloud_of("p", one) for one in ("name", "group", "variant", "weights")} == {"aws"}


def test_every_kind_within_the_other_clouds_is_opened(tmp_path: Path) -> None:
    """Names of Cloud DNS and Azure DNS, a managed group, a workload, and probes that need no account."""
    compute, cluster = ComputeEngineFake(), KubernetesFake()
    health = HttpFake(lambda seen: Answer("ok", 200 if seen.path == "/healthz" else 503))
    actions = {"none": 2}
    compute.put("instanceGroupManagers", "regions/r", "web", targetSize=2, currentActions=actions, status={})
    cluster.put("Deployment", "ml", "ranker", main={})["spec"]["replicas"] = 3
    with CloudDnsFake() as cloud_dns, AzureDnsFake() as azure, compute.server, cluster.server, health:
        endpoints = f'{{ dns = "{cloud_dns.server.url}", compute = "{compute.server.url}" }}'
        path = tmp_path / "accounts.toml"
        path.write_text(
            "".join(
                f'[[accounts]]\nname = "{name}"\nkind = "{kind}"\naccount = "{account}"\nprojects = ["p"]\n'
                f"changes = true\n{more}\n"
                for name, kind, account, more in (
                    ("gcp", "cloud_monitoring", "p", f"endpoints = {endpoints}"),
                    ("azure", "azure_monitor", "s", f'endpoint_url = "{azure.server.url}"'),
                    (
                        "cluster",
                        "prometheus",
                        "c",
                        f'endpoint_url = "http://127.0.0.1:9"\nendpoints = {{ kubernetes = "{cluster.server.url}" }}',
                    ),
                )
            )
            + _named("google", "cloud_dns", "gcp", 'zone_id = "z"', *_record(cloud_dns.dns))
            + _named("microsoft", "azure_dns", "azure", 'resource_group = "g"', *_record(azure.dns))
            + _named("group", "managed_instance_group", "gcp", 'region = "r"', 'group = "web"')
            + _named(
                "pods",
                "kubernetes",
                "cluster",
                'namespace = "ml"',
                'workload = "ranker"',
                'workload_kind = "Deployment"',
            )
            + f'[[targets]]\nname = "alive"\nkind = "http_probe"\nprojects = ["p"]\nurl = "{health.url}/healthz"\n'
            + f'[[targets]]\nname = "dead"\nkind = "http_probe"\nprojects = ["p"]\nurl = "{health.url}/other"\n'
            + '[[targets]]\nname = "closed"\nkind = "tcp_probe"\nprojects = ["p"]\nhost = "127.0.0.1"\nport = 9\n'
            + f'[[targets]]\nname = "open"\nkind = "tcp_probe"\nprojects = ["p"]\nhost = "127.0.0.1"\n'
            f"port = {azure.dns.port}\n"
        )
        targets = _opened(path)
        for name in ("google", "microsoft"):
            traffic = targets.traffic("p", name)
            assert traffic is not None
            assert share(traffic.switch(GCP, 1.0, 1, "k", soon()), GCP) == 1.0
        for name in ("group", "pods"):
            capacity = targets.capacity("p", name)
            assert capacity is not None
            assert capacity.scale(5, 1, "k", soon()).desired == 5
        answers = {}
        for name in ("alive", "dead", "closed", "open"):
            probe = targets.probe("p", name)
            assert probe is not None
            answers[name] = probe.check(soon())
        assert answers == {"alive": True, "dead": False, "closed": False, "open": True}
        assert [targets.cloud_of("p", one) for one in ("google", "microsoft", "group", "pods", "alive")] == [
            "gcp",
            "azure",
            "gcp",
            "",
            "",
        ]
