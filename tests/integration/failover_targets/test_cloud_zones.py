"""Names in zones of Cloud DNS and Azure DNS: what holds of both, and what of one."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials

from tests.support.azure_dns import AzureDnsFake
from tests.support.cloud_dns import CloudDnsFake
from tests.support.http_fake import Answer
from tests.support.switching import ADDRESSES, AWS, GCP, share, soon
from trimtab_service.clouds.azure import rest as azure_rest
from trimtab_service.clouds.azure.azure_dns import API_VERSION, AzureDnsRecords
from trimtab_service.clouds.azure.connection import options_for
from trimtab_service.clouds.dns.fenced_name import ComparedError, FencedName, Held, Records
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import NameServer, Observers
from trimtab_service.clouds.gcp import rest as gcp_rest
from trimtab_service.clouds.gcp.cloud_dns import CloudDnsRecords
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.failover.fence import Fence
from trimtab_service.failover.ports import Fencing, StaleTokenError

_WWW = SwitchedName("www.example.test", "example.test", ADDRESSES)
_ALIASES = SwitchedName("www.example.test", "example.test", {"aws": ("lb.aws.test",), "gcp": ("lb.gcp.test",)})
_PATIENCE = Patience(longest_call_s=2.0)

Fake = CloudDnsFake | AzureDnsFake
Made = Callable[[SwitchedName], FencedName]


def _records(fake: Fake, name: SwitchedName) -> Records:
    if isinstance(fake, CloudDnsFake):
        session = gcp_rest.authorized(AnonymousCredentials())  # type: ignore[no-untyped-call] # google-auth has no types there
        return CloudDnsRecords(name, "p", "z", gcp_rest.Rest(session, fake.server.url, _PATIENCE))
    client = azure_rest.pipeline(fake.server.url, None, options_for(fake.server.url))
    return AzureDnsRecords(name, "s", "g", azure_rest.Rest(client, fake.server.url, API_VERSION, _PATIENCE))


@pytest.fixture(params=[CloudDnsFake, AzureDnsFake])
def fake(request: pytest.FixtureRequest) -> Iterator[Fake]:
    """An empty zone of each."""
    with request.param() as running:
        yield running


@pytest.fixture
def make(fake: Fake) -> Made:
    """A target of the zone, observed at the zone's own name server."""
    observers = Observers((NameServer(fake.dns.host, fake.dns.port),), _PATIENCE)
    return lambda name: FencedName(name, _records(fake, name), observers)


def _writes(fake: Fake) -> int:
    return fake.changes if isinstance(fake, CloudDnsFake) else fake.writes


@pytest.mark.parametrize("name", [_WWW, _ALIASES])
def test_a_switch_moves_the_name_and_its_token_together(name: SwitchedName, fake: Fake, make: Made) -> None:
    """Addresses and aliases alike, in one write each, seen at the name server."""
    target = make(name)
    assert target.fencing is Fencing.STRONG
    target.switch(AWS, 1.0, 1, "a", soon())
    done = target.switch(GCP, 1.0, 2, "b", soon())
    assert (done.token, share(done, GCP)) == (2, 1.0)
    assert target.observe(soon()) == done
    assert _writes(fake) == 2


def test_again_is_as_once_and_older_is_refused(fake: Fake, make: Made) -> None:
    """A repetition writes nothing; neither does a stale token."""
    target = make(_WWW)
    target.switch(AWS, 1.0, 5, "a", soon())
    target.switch(AWS, 1.0, 5, "a", soon())
    with pytest.raises(StaleTokenError):
        target.switch(GCP, 1.0, 4, "b", soon())
    with pytest.raises(StaleTokenError):
        target.set_ttl(timedelta(seconds=5), 4, "c", soon())
    assert _writes(fake) == 1


def test_a_controller_that_slept_is_refused_by_the_provider(fake: Fake, make: Made) -> None:
    """What it read does not stand any more, so nothing of its change is made."""
    target = make(_WWW)
    target.switch(AWS, 1.0, 1, "a", soon())
    slept = target.records.read(soon())
    target.switch(GCP, 1.0, 2, "b", soon())
    before = dict(fake.sets)
    with pytest.raises(ComparedError):
        target.records.commit(slept, {"aws": 1.0, "gcp": 0.0}, slept.ttl, Fence(1, "0" * 16), soon())
    assert fake.sets == before


def test_two_that_create_the_name_at_once_do_not_both(fake: Fake, make: Made) -> None:
    """Where there was no fence, the first one's is one."""
    target = make(_WWW)
    nothing = target.records.read(soon())
    target.switch(GCP, 1.0, 2, "b", soon())
    with pytest.raises(ComparedError):
        target.records.commit(nothing, {"aws": 1.0, "gcp": 0.0}, nothing.ttl, Fence(1, "0" * 16), soon())


def test_a_ttl_is_lowered_without_moving_traffic(fake: Fake, make: Made) -> None:
    """And a later switch keeps it."""
    target = make(_WWW)
    target.switch(AWS, 1.0, 1, "a", soon())
    target.set_ttl(timedelta(seconds=7), 1, "b", soon())
    assert share(target.observe(soon()), AWS) == 1.0
    assert target.switch(GCP, 1.0, 1, "c", soon()).ttl == timedelta(seconds=7)


def test_what_came_of_a_write_is_read_before_it_is_repeated(fake: Fake, make: Made) -> None:
    """The provider answers 503 to the write, as the third request: it is read again, then made once."""
    target = make(_WWW)
    target.switch(AWS, 1.0, 1, "a", soon())
    records = _FailsOnce(target.records, fake)
    assert replace(target, records=records).switch(GCP, 1.0, 2, "b", soon()).token == 2
    assert (records.reads, _writes(fake)) == (2, 2)


class _FailsOnce:
    """Records whose provider answers 503 to the first write."""

    def __init__(self, records: Records, fake: Fake) -> None:
        self.reads = 0
        self._records, self._fake = records, fake

    def read(self, deadline: datetime) -> Held:
        """Counted."""
        self.reads += 1
        return self._records.read(deadline)

    def commit(self, *arguments: object) -> None:
        """Handed on, the first time to a provider that fails."""
        if self.reads == 1:
            self._fake.server.faults.append(Answer({}, 503))
        self._records.commit(*arguments)  # type: ignore[arg-type] # handed on as given


@pytest.mark.parametrize("status", [401, 403])
def test_an_expired_credential_is_said_and_nothing_moves(status: int, fake: Fake, make: Made) -> None:
    """In the middle of a switch: the write itself is refused."""
    target = make(_WWW)
    target.switch(AWS, 1.0, 1, "a", soon())
    held = target.records.read(soon())
    fake.server.faults.append(Answer({}, status))
    with pytest.raises(UnavailableError, match="credential"):
        target.records.commit(held, {"aws": 0.0, "gcp": 1.0}, held.ttl, Fence(2, "0" * 16), soon())
    assert share(target.observe(soon()), AWS) == 1.0


def test_cloud_dns_divides_by_a_weighted_policy() -> None:
    """A plain record set becomes one of items by weight, and plain again when one side has all."""
    with CloudDnsFake() as fake:
        observers = Observers((NameServer(fake.dns.host, fake.dns.port),), _PATIENCE)
        target = FencedName(_WWW, _records(fake, _WWW), observers)
        target.switch(AWS, 1.0, 1, "a", soon())
        target.switch(GCP, 0.25, 1, "b", soon())
        seen = target.observe(soon())
        assert (share(seen, AWS), share(seen, GCP)) == (0.75, 0.25)
        assert "routingPolicy" in fake.sets["www.example.test.", "A"]
        target.switch(GCP, 1.0, 1, "c", soon())
        assert fake.sets["www.example.test.", "A"]["rrdatas"] == ["198.51.100.1"]


def test_azure_dns_keeps_the_metadata_of_others_and_has_no_shares() -> None:
    """The fence is two keys of many."""
    with AzureDnsFake() as fake:
        own = {"TTL": 300, "ARecords": [{"ipv4Address": "192.0.2.1"}], "metadata": {"owner": "web"}}
        fake.sets["www.example.test", "A"] = {"etag": "e-0", "name": "www", "properties": own}
        target = FencedName(_WWW, _records(fake, _WWW), Observers((), _PATIENCE))
        with pytest.raises(FailedPreconditionError, match="shares"):
            target.switch(GCP, 0.5, 1, "a", soon())
        assert target.switch(GCP, 1.0, 1, "b", soon()).ttl == timedelta(seconds=300)
        metadata = fake.sets["www.example.test", "A"]["properties"]["metadata"]
        assert metadata.keys() == {"owner", "trimtab_token", "trimtab_mark"}


def test_an_alias_of_azure_is_left_alone() -> None:
    """Its answers are another resource's."""
    with AzureDnsFake() as fake:
        own = {"TTL": 300, "targetResource": {"id": "/subscriptions/s/ip"}, "metadata": {}}
        fake.sets["www.example.test", "A"] = {"etag": "e-0", "name": "www", "properties": own}
        with pytest.raises(FailedPreconditionError, match="alias"):
            FencedName(_WWW, _records(fake, _WWW), Observers((), _PATIENCE)).switch(GCP, 1.0, 1, "a", soon())
