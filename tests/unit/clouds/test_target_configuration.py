"""The targets of failover in the deployment's file."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.configuration import parse_accounts
from trimtab_service.clouds.dns.observers import NameServer
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets, parse_targets
from trimtab_service.clouds.target_kinds import KINDS
from trimtab_service.clouds.targets import open_targets
from trimtab_service.config import ConfigError
from trimtab_service.rightsizing.ports import SourceKind

_PAGE: Final = Path(__file__).parents[3] / "docs" / "clouds.md"
_ACCOUNT: Final = CloudAccount(
    name="prod",
    kind=SourceKind.CLOUDWATCH,
    account="123456789012",
    projects=frozenset({"vision", "search"}),
    regions=("eu-west-1",),
    changes=True,
)
_WWW: Final[dict[str, Any]] = {
    "name": "www",
    "kind": "route53",
    "projects": ["vision"],
    "account": "prod",
    "zone": "example.com",
    "zone_id": "Z1",
    "record": "www.example.com",
    "observe": ["192.0.2.53", "[2001:db8::53]:5353"],
    "sides": {"aws": ["192.0.2.1"], "gcp": ["198.51.100.1"]},
}
_GROUP: Final[dict[str, Any]] = {
    "name": "workers",
    "kind": "auto_scaling_group",
    "projects": ["vision"],
    "account": "prod",
    "region": "eu-west-1",
    "group": "workers",
}


def test_a_target_is_read_with_what_belongs_to_each_side() -> None:
    """Addresses, name servers with their ports, and the account that it is in."""
    (www,) = parse_targets({"targets": [_WWW]}, [_ACCOUNT])
    assert www.settings["observe"] == (NameServer("192.0.2.53"), NameServer("2001:db8::53", 5353))
    assert www.settings["sides"]["gcp"] == ("198.51.100.1",)
    assert www.account is _ACCOUNT
    assert www.open_to("vision")
    assert not www.open_to("search")


@pytest.mark.parametrize(
    ("base", "changed", "key"),
    [
        (_WWW, {"kind": "secret"}, "kind"),
        (_WWW, {"kind": "rfc2136"}, "account"),
        (_WWW, {"account": "secret"}, "account"),
        (_WWW, {"record": "secret.example.org"}, "record"),
        (_WWW, {"record": "Secret.example.com"}, "record"),
        (_WWW, {"projects": ["vision", "secret"]}, "projects"),
        (_WWW, {"observe": ["ns.secret.com"]}, "observe"),
        (_WWW, {"observe": ["192.0.2.53:secret"]}, "observe"),
        (_WWW, {"observe": ["192.0.2.53:0"]}, "observe"),
        (_WWW, {"observe": []}, "observe"),
        (_WWW, {"sides": {}}, "sides"),
        (_WWW, {"sides": {"aws": ["192.0.2.1"], "gcp": ["2001:db8::1"]}}, "sides"),
        (_WWW, {"sides": {"aws": ["192.0.2.1"], "gcp": ["192.0.2.1"]}}, "sides"),
        (_WWW, {"sides": {"aws": ["a.secret.com", "b.secret.com"]}}, "sides"),
        (_WWW, {"sides": {"aws": ["secret secret"]}}, "sides"),
        (_WWW, {"secret": 1}, "secret"),
        (_GROUP, {"region": "secret-1"}, "region"),
        (_GROUP, {"peak": -1}, "peak"),
        (_GROUP, {"kind": "managed_instance_group"}, "account"),
        (_GROUP, {"name": "Secret"}, "name"),
    ],
)
def test_each_fault_names_its_key_and_no_value(base: dict[str, Any], changed: dict[str, Any], key: str) -> None:
    """A value may have been put into the wrong key."""
    with pytest.raises(ConfigError) as caught:
        parse_targets({"targets": [base | changed]}, [_ACCOUNT])
    assert f"{key}:" in str(caught.value)
    assert "secret" not in str(caught.value).replace("secret:", "").lower()


@pytest.mark.parametrize("missing", sorted(_WWW.keys() - {"kind"}))
def test_every_key_of_a_name_is_required(missing: str) -> None:
    """And all that are missing are told at once."""
    table = {key: value for key, value in _WWW.items() if key != missing}
    with pytest.raises(ConfigError, match=f"{missing}: required"):
        parse_targets({"targets": [table]}, [_ACCOUNT])


def test_an_account_that_is_only_read_takes_no_target() -> None:
    """Reading is the default, of targets too."""
    account = CloudAccount(
        name="prod", kind=SourceKind.CLOUDWATCH, account="123456789012", projects=frozenset({"*"}), regions=("r",)
    )
    with pytest.raises(ConfigError, match="changes = true"):
        parse_targets({"targets": [_WWW]}, [account])


def test_a_name_stands_once() -> None:
    """Whatever the kinds: plans know targets by name alone."""
    with pytest.raises(ConfigError, match="taken"):
        parse_targets({"targets": [_WWW, {**_GROUP, "name": "www"}]}, [_ACCOUNT])


def test_a_project_sees_its_own_targets_by_what_they_are() -> None:
    """A capacity is no traffic, another project's is nothing, and nothing is connected to be told so."""
    targets = open_targets(parse_targets({"targets": [_WWW, _GROUP]}, [_ACCOUNT]), Patience())
    assert targets.traffic("vision", "workers") is None
    assert targets.capacity("vision", "www") is None
    assert targets.traffic("search", "www") is None
    assert targets.probe("vision", "www") is None
    assert targets.data_store("vision", "www") is None
    assert targets.cloud_of("search", "www") == ""


def test_no_file_has_no_targets() -> None:
    """As with accounts."""
    assert load_targets(None, []) == ()


def test_the_documented_targets_are_accepted() -> None:
    """As the service would read them at start, and every kind stands on the page."""
    page = _PAGE.read_text(encoding="utf-8")
    section = page.partition("## Targets of failover")[2].partition("\n## ")[0]
    (example,) = re.findall(r"```toml\n(.*?)```", section, flags=re.DOTALL)
    document = tomllib.loads(example)
    assert len(parse_targets(document, parse_accounts(document))) == 3
    assert not [kind for kind in KINDS if f"`{kind}`" not in section]
