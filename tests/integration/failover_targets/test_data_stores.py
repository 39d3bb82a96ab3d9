"""Databases that are made primary: RDS and Aurora on moto, Cloud SQL by its REST API, anything else behind a hook."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from moto.rds.models import rds_backends

from tests.support.aurora_fake import AuroraFake
from tests.support.http_fake import Answer, HttpFake, Seen
from tests.support.moto_fleet import REGION, MotoFleet, moto_fleet
from tests.support.moto_server import ACCOUNT
from tests.support.switching import soon
from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import ConfiguredTargets, open_targets
from trimtab_service.config import ConfigError
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.failover.ports import CAUSE, PERMISSION, DataStoreTarget, StaleTokenError

_IAM = Path(__file__).parents[3] / "deploy" / "iam"


def _opened(path: Path) -> ConfiguredTargets:
    return open_targets(load_targets(path, load_accounts(path)), Patience(sleep=lambda _: None))


def _store(targets: ConfiguredTargets, name: str) -> DataStoreTarget:
    found = targets.data_store("p", name)
    assert found is not None
    return found


def _target(name: str, kind: str, *lines: str) -> str:
    return "\n".join([f'[[targets]]\nname = "{name}"\nkind = "{kind}"\nprojects = ["p"]', *lines, ""])


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[MotoFleet]:
    """A moto account."""
    with moto_fleet(tmp_path, ()) as made:
        yield made


def _add(fleet: MotoFleet, *targets: str) -> ConfiguredTargets:
    fleet.accounts_file.write_text(fleet.accounts_file.read_text() + "".join(targets))
    return _opened(fleet.accounts_file)


def test_a_replica_of_rds_is_promoted_once(fleet: MotoFleet) -> None:
    """It becomes an instance of its own; again changes nothing, and asks for nothing."""
    rds = fleet.client("rds")
    named: dict[str, Any] = {"DBInstanceClass": "db.m5.large", "Engine": "postgres", "AllocatedStorage": 20}
    login = {"MasterUsername": "u", "MasterUserPassword": "not-a-secret"}
    rds.create_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=1, **named, **login)
    rds.create_db_instance_read_replica(DBInstanceIdentifier="orders-copy", SourceDBInstanceIdentifier="orders")
    lines = ('account = "moto"', f'region = "{REGION}"', 'instance = "orders-copy"')
    targets = _add(fleet, _target("rds-orders", "rds_replica", *lines))
    store = _store(targets, "rds-orders")
    assert not store.is_primary(soon())
    store.promote(1, "k", soon())
    # RDS forgets the source when it is done; moto keeps it for ever.
    rds_backends[ACCOUNT][REGION].databases["orders-copy"].source_db_instance_identifier = None
    assert store.is_primary(soon())
    store.promote(2, "k", soon())
    assert fleet.server.operations().count("PromoteReadReplica") == 1
    assert targets.cloud_of("p", "rds-orders") == "aws"


def test_a_database_that_is_not_there_is_said_to_be_so(fleet: MotoFleet) -> None:
    """It is no outage of AWS."""
    targets = _add(
        fleet, _target("gone", "rds_replica", 'account = "moto"', f'region = "{REGION}"', 'instance = "gone"')
    )
    with pytest.raises(FailedPreconditionError, match="DBInstanceNotFound"):
        _store(targets, "gone").is_primary(soon())


@pytest.mark.parametrize(
    ("promotion", "asked"),
    [
        ("switchover", {"operation": "SwitchoverGlobalCluster"}),
        ("failover", {"operation": "FailoverGlobalCluster", "AllowDataLoss": "true"}),
    ],
)
def test_the_writer_of_a_global_database_is_moved_once(fleet: MotoFleet, promotion: str, asked: dict[str, str]) -> None:
    """By the call that the file says: without loss while the old writer answers, or in spite of it."""
    home, away = (f"arn:aws:rds:{region}:{ACCOUNT}:cluster:c" for region in ("us-east-1", REGION))
    aurora = AuroraFake("world", home, away)
    lines = ('account = "moto"', f'region = "{REGION}"', 'global_cluster = "world"', f'promotion = "{promotion}"')
    target = _target("aurora", "aurora_global", *lines, f'cluster = "{away}"')
    with aurora.server:
        endpoint = f'endpoints = {{ rds = "{aurora.server.url}" }}\n'
        store = _store(_add(fleet, endpoint, target), "aurora")
        assert not store.is_primary(soon())
        store.promote(1, "k", soon())
        store.promote(1, "k", soon())
        assert not store.is_primary(soon())
        aurora.settle()
        assert store.is_primary(soon())
        store.promote(2, "k", soon())
    (move,) = aurora.moves
    assert asked.items() <= move.items()
    assert move["TargetDbClusterIdentifier"] == away


def test_a_replica_of_cloud_sql_is_promoted(tmp_path: Path) -> None:
    """Another operation under way is most likely our own; a missing right is told as one."""
    instance = {"instanceType": "READ_REPLICA_INSTANCE", "state": "RUNNABLE"}

    def respond(seen: Seen) -> Answer:
        assert seen.path.startswith("/v1/projects/p/instances/orders")
        if seen.method == "POST":
            assert seen.path.endswith("/promoteReplica")
            instance["instanceType"] = "CLOUD_SQL_INSTANCE"
            return Answer({"name": "op", "status": "PENDING"})
        return Answer(instance)

    with HttpFake(respond) as server:
        path = tmp_path / "accounts.toml"
        path.write_text(
            '[[accounts]]\nname = "gcp"\nkind = "cloud_monitoring"\naccount = "p"\nprojects = ["p"]\nchanges = true\n'
            f'endpoints = {{ sql = "{server.url}" }}\n'
            + _target("orders", "cloud_sql_replica", 'account = "gcp"', 'instance = "orders"')
        )
        store = _store(_opened(path), "orders")
        assert not store.is_primary(soon())
        server.faults += [Answer(instance), Answer({}, 409)]
        store.promote(1, "k", soon())
        assert not store.is_primary(soon())
        store.promote(1, "k", soon())
        assert store.is_primary(soon())
        asked = len(server.seen)
        store.promote(1, "k", soon())
        assert [one.method for one in server.seen[asked:]] == ["GET"]
        server.faults.append(Answer({}, 403))
        with pytest.raises(UnavailableError) as caught:
            store.is_primary(soon())
        assert caught.value.metadata[CAUSE] == PERMISSION
    role = yaml.safe_load((_IAM / "gcp-failover.yaml").read_text(encoding="utf-8"))
    called = {"promoteReplica" if one.method == "POST" else "get" for one in server.seen}
    allowed = {one for one in role["includedPermissions"] if one.startswith("cloudsql.")}
    assert allowed == {f"cloudsql.instances.{name}" for name in called}


class _Hook:
    """A hook with a fence and a memory for keys, over TLS."""

    def __init__(self, authority: trustme.CA) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.token, self.keys = 0, set[str]()
        self.server = HttpFake(self._respond, context)

    def _respond(self, seen: Seen) -> Answer:
        if seen.headers.get("authorization") != "Bearer open-sesame":
            return Answer({}, 401)
        if seen.method == "GET":
            return Answer({"is_primary": bool(self.keys)})
        if seen.json["token"] < self.token:
            return Answer({"reason": "stale"}, 409)
        assert seen.json == {"action": "promote", "token": seen.json["token"], "key": seen.headers["idempotency-key"]}
        self.token = seen.json["token"]
        self.keys.add(seen.json["key"])
        return Answer({}, 202)


@pytest.fixture
def authority() -> trustme.CA:
    """Who vouches for the hook."""
    return trustme.CA()


def _hooked(tmp_path: Path, url: str, authority: trustme.CA, *lines: str) -> ConfiguredTargets:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "token").write_text("open-sesame\n")
    path = tmp_path / "accounts.toml"
    files = (f'ca_file = "{tmp_path}/ca.pem"', f'token_file = "{tmp_path}/token"')
    path.write_text(_target("orders", "promotion_hook", f'url = "{url}/orders"', 'cloud = "gcp"', *files, *lines))
    return _opened(path)


def test_a_hook_is_told_once_a_key_and_is_a_fence(tmp_path: Path, authority: trustme.CA) -> None:
    """An answer that is lost is asked for again under the same key; an older token is refused by the hook."""
    hook = _Hook(authority)
    with hook.server as server:
        targets = _hooked(tmp_path, server.url, authority)
        store = _store(targets, "orders")
        assert not store.is_primary(soon())
        server.faults.append(Answer({}, 503))
        store.promote(7, "shop/r1/promote", soon())
        assert (hook.token, hook.keys) == (7, {"shop/r1/promote"})
        assert store.is_primary(soon())
        with pytest.raises(StaleTokenError):
            store.promote(6, "shop/r0/promote", soon())
        assert targets.cloud_of("p", "orders") == "gcp"
        (tmp_path / "token").write_text("expired")
        with pytest.raises(UnavailableError) as caught:
            store.is_primary(soon())
        assert caught.value.metadata[CAUSE] == PERMISSION
        assert "expired" not in caught.value.message


def test_a_hook_that_nobody_vouches_for_is_told_nothing(tmp_path: Path, authority: trustme.CA) -> None:
    """Nor is one at an address that is not allowed."""
    hook = _Hook(authority)
    with hook.server as server:
        with pytest.raises(FailedPreconditionError, match="vouches"):
            _store(_hooked(tmp_path, server.url, trustme.CA()), "orders").is_primary(soon())
        elsewhere = _hooked(tmp_path, server.url, authority, 'addresses = ["192.0.2.0/24"]')
        with pytest.raises(FailedPreconditionError, match="no address that is allowed"):
            _store(elsewhere, "orders").is_primary(soon())
        assert server.seen == []


def test_people_are_told_over_https(tmp_path: Path, authority: trustme.CA) -> None:
    """As JSON with a key, or as chats take it; a secret URL stands in a file and is never shown."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with HttpFake(lambda _: Answer("ok"), context) as server:
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        (tmp_path / "url").write_text(f"{server.url}/services/T0/B0/secret?x=1\n")
        path = tmp_path / "accounts.toml"
        trust = f'ca_file = "{tmp_path}/ca.pem"'
        path.write_text(
            _target("chat", "webhook", f'url_file = "{tmp_path}/url"', 'form = "slack"', trust)
            + _target("pager", "webhook", f'url = "{server.url}/pager"', trust)
        )
        targets = _opened(path)
        for name in ("chat", "pager"):
            notifier = targets.notifier("p", name)
            assert notifier is not None
            notifier.tell("moved", "k", soon())
        chat, pager = server.seen
        assert (chat.path, chat.query, chat.json) == ("/services/T0/B0/secret", {"x": "1"}, {"text": "moved"})
        assert (pager.path, pager.json) == ("/pager", {"text": "moved", "key": "k"})
        server.faults.append(Answer({}, 410))
        notifier = targets.notifier("p", "chat")
        assert notifier is not None
        with pytest.raises(FailedPreconditionError) as caught:
            notifier.tell("again", "l", soon())
        assert "secret" not in caught.value.message


def test_targets_that_send_are_checked_at_the_start(tmp_path: Path) -> None:
    """Plain HTTP elsewhere, no URL or two, files that are not there, networks that are none."""
    path = tmp_path / "accounts.toml"
    path.write_text(
        _target("plain", "promotion_hook", 'url = "http://198.51.100.1/x"')
        + _target("none", "webhook")
        + _target("lost", "webhook", 'url_file = "/nowhere/url"')
        + _target("nets", "webhook", 'url = "https://example.test/"', 'addresses = ["everything"]')
    )
    with pytest.raises(ConfigError) as caught:
        _opened(path)
    told = " ".join(caught.value.violations)
    for expected in (
        "plain: url: expected an https URL",
        "none: url, url_file",
        "lost: url_file: no such file",
        "nets",
    ):
        assert expected in told
