"""The file of cloud accounts: what it may say, and that every fault in it is named without repeating its values."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.configuration import load_accounts, parse_accounts
from trimtab_service.clouds.kinds import missing_extra
from trimtab_service.config import ConfigError, Settings
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.resources import OwnOffer
from trimtab_service.rightsizing.ports import SourceKind

_AWS: dict[str, object] = {
    "name": "prod",
    "kind": "cloudwatch",
    "account": "123456789012",
    "projects": ["ml"],
    "regions": ["eu-west-1"],
}


def _faults(*tables: Mapping[str, object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_accounts({"accounts": list(tables)})
    return caught.value.violations


def _written(directory: Path, text: str) -> Path:
    path = directory / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_is_no_account() -> None:
    """A deployment without clouds needs no file."""
    assert load_accounts(None) == ()


def test_a_whole_account_is_read_with_its_units(tmp_path: Path) -> None:
    """Durations, money and lists of the file become typed values; accounts come by name."""
    path = _written(
        tmp_path,
        """
        [[accounts]]
        name = "prod"
        kind = "cloudwatch"
        account = "123456789012"
        projects = ["ml", "search"]
        regions = ["eu-west-1", "us-east-1"]
        role_arn = "arn:aws:iam::123456789012:role/trimtab"
        external_id = "4711"
        changes = true
        max_read_cost_usd = "1.50"
        call_timeout = "2m"
        read_timeout = "10s"
        concurrency = 8
        endpoints = {cloudwatch = "http://127.0.0.1:5000/"}
        endpoint_url = "https://aws.example"

        [[accounts]]
        name = "lab"
        kind = "simulated"
        account = "lab"
        projects = ["*"]
        cloud = "gcp"
        """,
    )
    lab, prod = load_accounts(path)
    assert prod == CloudAccount(
        name="prod",
        kind=SourceKind.CLOUDWATCH,
        account="123456789012",
        projects=frozenset({"ml", "search"}),
        cloud=Cloud.AWS,
        regions=("eu-west-1", "us-east-1"),
        role_arn="arn:aws:iam::123456789012:role/trimtab",
        external_id="4711",
        changes=True,
        max_read_cost_nanos=1_500_000_000,
        call_timeout=timedelta(minutes=2),
        read_timeout=timedelta(seconds=10),
        concurrency=8,
        endpoints=(("cloudwatch", "http://127.0.0.1:5000"),),
        endpoint_url="https://aws.example",
    )
    assert prod.endpoint("cloudwatch") == "http://127.0.0.1:5000"
    assert prod.endpoint("ec2") == "https://aws.example"
    assert (lab.cloud, lab.changes) == (Cloud.GCP, False)


def test_prices_of_an_account_are_by_region() -> None:
    """USD an hour, exactly; a price of nothing is no price."""
    prices = {"eu-west-1": {"ml.g5.xlarge": "1.57", "ml.g5.2xlarge": 1.69}}
    (account,) = parse_accounts({"accounts": [_AWS | {"prices": prices}]})
    eu_west = (OwnOffer("ml.g5.2xlarge", 1_690_000_000), OwnOffer("ml.g5.xlarge", 1_570_000_000))
    assert account.prices == (("eu-west-1", eu_west),)


@pytest.mark.parametrize("prices", ["1.57", {"ml.g5.xlarge": "1.57"}, {"eu-west-1": {"ml.g5.xlarge": 0}}])
def test_prices_that_are_none_are_refused(prices: object) -> None:
    """The fault names the key."""
    with pytest.raises(ConfigError, match="prices"):
        parse_accounts({"accounts": [_AWS | {"prices": prices}]})


def test_reading_alone_is_the_default() -> None:
    """An account that does not say `changes` is never changed."""
    (account,) = parse_accounts({"accounts": [_AWS]})
    assert not account.changes


def test_projects_see_what_is_open_to_them() -> None:
    """A named project sees its accounts; the star opens one to all."""
    (closed,) = parse_accounts({"accounts": [_AWS]})
    (opened,) = parse_accounts({"accounts": [_AWS | {"projects": ["*"]}]})
    assert (closed.open_to("ml"), closed.open_to("search")) == (True, False)
    assert opened.open_to("search")


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"name": "Prod Account"}, "name"),
        ({"kind": "datadog"}, "kind"),
        ({"account": "prod"}, "account"),
        ({"regions": []}, "regions"),
        ({"regions": ["eu-west-1", "eu-west-1"]}, "regions"),
        ({"regions": "eu-west-1"}, "regions"),
        ({"projects": ["*", "ml"]}, "projects"),
        ({"projects": ["projects/ml"]}, "projects"),
        ({"role_arn": "trimtab"}, "role_arn"),
        ({"external_id": "4711"}, "external_id"),
        ({"endpoint_url": "ftp://127.0.0.1"}, "endpoint_url"),
        ({"endpoint_url": "http://169.254.169.254"}, "endpoint_url"),
        ({"endpoint_url": "https://me:secret-word@aws.example"}, "endpoint_url"),
        ({"endpoints": {"ec2": "http://10.0.0.1"}}, "ec2"),
        ({"endpoints": "https://aws.example"}, "endpoints"),
        ({"max_read_cost_usd": "-1"}, "max_read_cost_usd"),
        ({"max_read_cost_usd": "much"}, "max_read_cost_usd"),
        ({"max_read_cost_usd": True}, "max_read_cost_usd"),
        ({"call_timeout": "1s", "read_timeout": "2s"}, "call_timeout"),
        ({"concurrency": 0}, "concurrency"),
        ({"changes": "perhaps"}, "changes"),
        ({"resolution": "1s"}, "resolution"),
        ({"credentials_file": "/nowhere/secret-word"}, "credentials_file"),
        ({"tenant_id": "t"}, "tenant_id"),
        ({"secret_access_key": "secret-word"}, "secret_access_key"),
    ],
)
def test_each_fault_names_its_key_and_no_value(changed: dict[str, object], key: str) -> None:
    """A fault says where it is; what stands there is not repeated, for it may be a credential in the wrong place."""
    (fault,) = _faults(_AWS | changed)
    assert key in fault
    assert "secret-word" not in fault


@pytest.mark.parametrize("key", ["name", "account", "projects", "regions"])
def test_what_a_kind_needs_is_asked_for(key: str) -> None:
    """A required key that is missing is named."""
    assert any(f"{key}: required" in fault for fault in _faults({k: v for k, v in _AWS.items() if k != key}))


def test_all_faults_are_told_at_once() -> None:
    """One start tells about every account."""
    assert len(_faults(_AWS | {"concurrency": 0}, _AWS | {"name": "b", "regions": [], "account": "1"})) == 3


def test_names_are_unique() -> None:
    """Two accounts of one name would be one source to the callers."""
    assert any("taken" in fault for fault in _faults(_AWS, _AWS))


def test_one_account_is_changed_through_one_entry() -> None:
    """Which role carries a change out is never open; readers may overlap."""
    other = _AWS | {"name": "other"}
    assert len(parse_accounts({"accounts": [_AWS, other]})) == 2
    assert any("prod" in fault for fault in _faults(_AWS | {"changes": True}, other | {"changes": True}))
    elsewhere = other | {"changes": True, "regions": ["us-east-1"]}
    assert len(parse_accounts({"accounts": [_AWS | {"changes": True}, elsewhere]})) == 2


@pytest.mark.parametrize("document", [{"account": []}, {"accounts": {}}, {"accounts": ["prod"]}])
def test_a_document_of_another_shape_is_refused(document: dict[str, object]) -> None:
    """Only [[accounts]] is known."""
    with pytest.raises(ConfigError):
        parse_accounts(document)


def test_a_file_that_cannot_be_read_is_a_fault_of_configuration(tmp_path: Path) -> None:
    """No file, and one that is not TOML, are told like any other fault."""
    with pytest.raises(ConfigError, match="cannot be read"):
        load_accounts(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="not TOML"):
        load_accounts(_written(tmp_path, "accounts = ["))
    with pytest.raises(ConfigError, match="cloud_accounts"):
        Settings(cloud_accounts=tmp_path / "none.toml")


def test_a_prometheus_without_a_token_may_be_asked_in_the_clear(tmp_path: Path) -> None:
    """Inside a cluster it usually is; with a token it may not."""
    table = {"name": "p", "kind": "prometheus", "account": "c", "projects": ["*"], "endpoint_url": "http://prom:9090"}
    assert len(parse_accounts({"accounts": [table]})) == 1
    token = _written(tmp_path, "token")
    assert "endpoint_url" in _faults(table | {"credentials_file": str(token)})[0]


def test_what_identifies_stays_out_of_representations() -> None:
    """An external id is not shown when an account is."""
    (account,) = parse_accounts(
        {"accounts": [_AWS | {"role_arn": "arn:aws:iam::123456789012:role/r", "external_id": "secret-word"}]}
    )
    assert "secret-word" not in repr(account)
    assert "secret-word" not in str(account)


@pytest.mark.parametrize("kind", list(SourceKind))
def test_every_kind_says_what_it_needs(kind: SourceKind) -> None:
    """With the development extras installed, no kind lacks anything; asking imports no SDK."""
    assert missing_extra(kind) == ""
