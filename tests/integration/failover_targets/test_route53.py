"""Weighted and simple record sets of Route 53, changed in batches that its strict fake makes whole or not at all."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.http_fake import Answer
from tests.support.route53 import ZONE_ID, Route53Fake
from tests.support.switching import ADDRESSES, AWS, GCP, share, soon
from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.route53 import Route53Records
from trimtab_service.clouds.aws.session import AwsSession
from trimtab_service.clouds.dns.fenced_name import ComparedError, FencedName
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import NameServer, Observers
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.failover.fence import Fence
from trimtab_service.failover.ports import Fencing, StaleTokenError
from trimtab_service.rightsizing.ports import SourceKind

_WWW = SwitchedName("www.example.test", "example.test", ADDRESSES)


@pytest.fixture
def route53() -> Iterator[Route53Fake]:
    """An empty zone, but for a neighbour on each side of the names that matter."""
    with Route53Fake() as fake:
        fake.put("api.example.test", "A", ["192.0.2.99"])
        fake.put("xyz.example.test", "A", ["192.0.2.99"])
        yield fake


@pytest.fixture
def target(route53: Route53Fake, tmp_path: Path) -> FencedName:
    """The name, observed at the zone's own name server."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = a\naws_secret_access_key = s\n")
    account = CloudAccount(
        name="aws",
        kind=SourceKind.CLOUDWATCH,
        account="123456789012",
        projects=frozenset({"*"}),
        regions=("eu-west-1",),
        endpoint_url=route53.url,
        credentials_file=credentials,
        read_timeout=timedelta(seconds=2),
    )
    patience = Patience(longest_call_s=2.0)
    calls = AwsCalls(account, AwsSession(account, lambda *_: None), patience)
    observers = Observers((NameServer(route53.dns.host, route53.dns.port),), patience)
    return FencedName(_WWW, Route53Records(_WWW, ZONE_ID, calls), observers)


def test_a_batch_moves_weights_and_fence_together(route53: Route53Fake, target: FencedName) -> None:
    """The first creates what is missing; each later one deletes the fence that it read, by its values."""
    assert target.fencing is Fencing.STRONG
    target.switch(AWS, 1.0, 1, "a", soon())
    done = target.switch(GCP, 1.0, 2, "b", soon())
    assert (done.token, share(done, AWS), share(done, GCP)) == (2, 0.0, 1.0)
    assert [[change.partition(" ")[0] for change in batch] for batch in route53.batches] == [
        ["CREATE", "UPSERT", "UPSERT"],
        ["DELETE", "CREATE", "UPSERT", "UPSERT"],
    ]
    assert {key[2]: one["Weight"] for key, one in route53.sets.items() if key[0] == "www.example.test."} == {
        "aws": "0",
        "gcp": "100",
    }


def test_shares_are_weights(route53: Route53Fake, target: FencedName) -> None:
    """A quarter is a quarter, and stays so when it is asked for again."""
    target.switch(AWS, 1.0, 1, "a", soon())
    target.switch(GCP, 0.25, 1, "b", soon())
    seen = target.observe(soon())
    assert (share(seen, AWS), share(seen, GCP)) == (0.75, 0.25)
    batches = len(route53.batches)
    target.switch(GCP, 0.25, 1, "b", soon())
    assert len(route53.batches) == batches


def test_an_older_token_changes_nothing(route53: Route53Fake, target: FencedName) -> None:
    """No batch is even sent."""
    target.switch(AWS, 1.0, 5, "a", soon())
    with pytest.raises(StaleTokenError):
        target.switch(GCP, 1.0, 4, "b", soon())
    with pytest.raises(StaleTokenError):
        target.set_ttl(timedelta(seconds=5), 4, "c", soon())
    assert len(route53.batches) == 1


def test_a_controller_that_slept_is_refused_by_route_53(route53: Route53Fake, target: FencedName) -> None:
    """Its deletion names a fence that does not stand any more, so the whole batch falls."""
    target.switch(AWS, 1.0, 1, "a", soon())
    slept = target.records.read(soon())
    target.switch(GCP, 1.0, 2, "b", soon())
    before = dict(route53.sets)
    with pytest.raises(ComparedError):
        target.records.commit(slept, {"aws": 1.0, "gcp": 0.0}, slept.ttl, Fence(1, "0" * 16), soon())
    assert route53.sets == before


def test_what_others_gave_to_a_record_set_stays(route53: Route53Fake, target: FencedName) -> None:
    """Health checks and addresses of weighted sets are theirs; only weight and TTL are written."""
    route53.put("www.example.test", "A", ["203.0.113.9"], SetIdentifier="aws", Weight=100, HealthCheckId="hc-1")
    route53.put("www.example.test", "A", ["198.51.100.1"], SetIdentifier="gcp", Weight=0)
    target.set_ttl(timedelta(seconds=10), 1, "a", soon())
    target.switch(GCP, 1.0, 1, "b", soon())
    kept = route53.sets["www.example.test.", "A", "aws"]
    assert (kept["values"], kept["HealthCheckId"], kept["Weight"], kept["TTL"]) == (["203.0.113.9"], "hc-1", "0", "10")


def test_a_simple_record_set_is_replaced_as_a_whole(route53: Route53Fake, target: FencedName) -> None:
    """It stays simple, and half of it is refused."""
    route53.put("www.example.test", "A", ADDRESSES["aws"])
    assert share(target.observe(soon()), AWS) == 1.0
    with pytest.raises(FailedPreconditionError, match="shares"):
        target.switch(GCP, 0.5, 1, "a", soon())
    target.switch(GCP, 1.0, 1, "b", soon())
    assert route53.sets["www.example.test.", "A", ""]["values"] == ["198.51.100.1"]


def test_pending_is_not_done(route53: Route53Fake, target: FencedName) -> None:
    """It returns when the name server shows the change, and says so when that does not come."""
    target.switch(AWS, 1.0, 1, "a", soon())
    route53.unseen = 3
    asked = len(route53.dns.asked)
    target.switch(GCP, 1.0, 2, "b", soon())
    assert len(route53.dns.asked) == asked + 4
    route53.unseen = 10_000
    with pytest.raises(UnavailableError, match="not every name server shows it"):
        target.switch(AWS, 1.0, 3, "c", soon(1.5))
    seen = target.observe(soon())
    assert (seen.token, share(seen, GCP)) == (3, 1.0)


@pytest.mark.parametrize("status", [500, 503])
def test_a_batch_without_an_answer_is_repeated_under_the_same_fence(
    status: int, route53: Route53Fake, target: FencedName
) -> None:
    """A fault of Route 53 is asked again; the batch is made once."""
    target.switch(AWS, 1.0, 1, "a", soon())
    route53.server.faults.append(Answer("", status))
    assert target.switch(GCP, 1.0, 2, "b", soon()).token == 2
    assert len(route53.batches) == 2


def test_a_zone_that_is_not_there_is_refused(route53: Route53Fake, target: FencedName) -> None:
    """With Route 53's own code, at once."""
    wrong = Route53Records(_WWW, "ZNONE", target.records.calls)  # type: ignore[attr-defined] # of Route53Records
    with pytest.raises(FailedPreconditionError, match="NoSuchHostedZone"):
        FencedName(_WWW, wrong, target.observers).switch(AWS, 1.0, 1, "a", soon())


def test_record_sets_of_nobody_are_left_alone(route53: Route53Fake, target: FencedName) -> None:
    """A third weighted set is of no side: what share it would keep is not ours to say."""
    route53.put("www.example.test", "A", ["203.0.113.9"], SetIdentifier="old", Weight=1)
    with pytest.raises(FailedPreconditionError, match="no side"):
        target.switch(AWS, 1.0, 1, "a", soon())
    assert route53.batches == []
