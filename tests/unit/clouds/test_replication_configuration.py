"""The file names replications: what is right is taken as it is written, and what is not is refused with every fault."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from trimtab_service.clouds.buckets import Use, open_bucket
from trimtab_service.clouds.configuration import parse_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.replication_configuration import (
    ConfiguredReplication,
    load_replications,
    parse_replications,
)
from trimtab_service.config import ConfigError
from trimtab_service.replication.definition import MIB, Deletes

ACCOUNTS: list[dict[str, Any]] = [
    {
        "name": "aws",
        "kind": "cloudwatch",
        "account": "123456789012",
        "projects": ["*"],
        "regions": ["us-east-1"],
        "changes": True,
    },
    {"name": "gcp", "kind": "cloud_monitoring", "account": "vision-1", "projects": ["vision"], "changes": True},
    {"name": "azure", "kind": "azure_monitor", "account": "0000", "projects": ["*"], "changes": True},
    {"name": "reading", "kind": "cloud_monitoring", "account": "vision-2", "projects": ["*"]},
    {"name": "cluster", "kind": "prometheus", "account": "c", "projects": ["*"], "endpoint_url": "http://127.0.0.1:9"},
]
S3 = {"account": "aws", "bucket": "models", "region": "us-east-1"}
GCS = {"account": "gcp", "bucket": "models-copy"}
BLOB = {"account": "azure", "bucket": "models", "storage_account": "visionstore"}
WHOLE: dict[str, Any] = {"name": "models", "projects": ["vision"], "source": S3, "destination": GCS}


def parsed(*tables: dict[str, Any]) -> tuple[ConfiguredReplication, ...]:
    """As the service reads them."""
    document = {"accounts": ACCOUNTS, "replications": list(tables)}
    return parse_replications(document, parse_accounts(document))


def test_every_key_means_what_it_says() -> None:
    """Bandwidth and parts in MiB, durations, the choice of deletions; the rest has its default."""
    more = {
        "prefix": "prod/",
        "deletes": "mark",
        "bandwidth_mib_per_s": 2.5,
        "concurrency": 3,
        "part_mib": 16,
        "every": "30s",
        "rpo_target": "5m",
    }
    (found,) = parsed({**WHOLE, **more})
    definition = found.definition
    assert (definition.source, definition.destination) == ("s3://models", "gs://models-copy")
    assert (definition.bandwidth, definition.part_size, definition.concurrency) == (int(2.5 * MIB), 16 * MIB, 3)
    assert (definition.every, definition.rpo_target) == (timedelta(seconds=30), timedelta(minutes=5))
    assert (definition.deletes, definition.prefix) == (Deletes.MARK, "prod/")
    (plain,) = parsed(WHOLE)
    assert (plain.definition.deletes, plain.definition.every) == (Deletes.KEEP, timedelta(seconds=60))
    assert plain.definition.bandwidth is None


def test_each_bucket_is_opened_as_what_it_is_configured_as() -> None:
    """Without a call: the identity of a replication is told by the adapters themselves."""
    (found,) = parsed({**WHOLE, "destination": BLOB})
    for end in (found.source, found.destination):
        assert open_bucket(end, Use(8 * MIB, 2), Patience()).uri == end.uri


def test_without_a_file_there_is_a_simulated_one() -> None:
    """Open to every project, so that the embedded default has something to show."""
    (found,) = load_replications(None, ())
    assert found.definition.open_to("any")
    for end in (found.source, found.destination):
        assert open_bucket(end, Use(8 * MIB, 2), Patience()).uri == end.uri


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "Models.1"}, "name: expected 1 to 63"),
        ({"source": {**S3, "region": "eu-west-1"}}, "source: region: not one of the account"),
        ({"source": {"account": "aws", "bucket": "models"}}, "source: region: required"),
        ({"source": {**GCS, "region": "x"}}, "source: region: not a key"),
        ({"source": {"account": "none", "bucket": "b"}}, "account: expected one that has buckets"),
        ({"source": {"account": "cluster", "bucket": "b"}}, "account: expected one that has buckets"),
        ({"source": {"account": "reading", "bucket": "b"}}, "needs changes = true"),
        ({"source": GCS}, "destination: is the source"),
        ({"projects": ["speech"]}, "not open to all of the projects"),
        ({"part_mib": 4}, "part_mib"),
        ({"deletes": "maybe"}, "deletes"),
        ({"concurrency": 0}, "concurrency"),
        ({"colour": 1}, "colour: not a key"),
        ({"destination": "gs://b"}, "destination: expected a table"),
    ],
)
def test_what_is_not_right_is_refused(change: dict[str, Any], fault: str) -> None:
    """With the name of the replication and of the key."""
    with pytest.raises(ConfigError) as refused:
        parsed({**WHOLE, **change})
    assert fault in str(refused.value)


def test_two_replications_do_not_write_the_same_keys() -> None:
    """Not by name, nor by prefix of one bucket, whichever end it is of."""
    other = {**WHOLE, "name": "other", "source": BLOB}
    for tables in ((WHOLE, WHOLE), (WHOLE, other), ({**WHOLE, "prefix": "a/"}, {**other, "prefix": "a/b/"})):
        with pytest.raises(ConfigError):
            parsed(*tables)
    assert len(parsed({**WHOLE, "prefix": "a/"}, {**other, "prefix": "b/"})) == 2


def test_the_example_of_the_page_is_accepted() -> None:
    """As the service would read it at start, beside the accounts that it names."""
    page = Path(__file__).parents[3] / "docs" / "replication.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    accounts = [{**ACCOUNTS[0], "name": "vision-aws"}, {**ACCOUNTS[1], "name": "vision-gcp"}]
    document = {"accounts": accounts, **tomllib.loads(example)}
    (found,) = parse_replications(document, parse_accounts(document))
    assert (found.definition.name, found.definition.rpo_target) == ("models", timedelta(minutes=5))
    assert found.definition.bandwidth == 200 * MIB
