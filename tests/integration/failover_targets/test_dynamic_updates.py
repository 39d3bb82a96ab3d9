"""Names switched by dynamic update at real name servers, BIND and PowerDNS."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.support.fault_proxy import FaultProxy, Way
from tests.support.name_servers import ZONE, RunningNameServer, name_server
from tests.support.switching import ADDRESSES, AWS, GCP, share, soon
from trimtab_service.clouds.dns.fenced_name import ComparedError, FencedName
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import NameServer, Observers
from trimtab_service.clouds.dns.rfc2136 import DynamicRecords
from trimtab_service.clouds.dns.tsig import TsigKey, read_key
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import FailedPreconditionError, UnavailableError
from trimtab_service.failover.fence import Fence
from trimtab_service.failover.ports import Fencing, StaleTokenError

_WWW = f"www.{ZONE}"
_FENCE = f"_trimtab-fence.{_WWW}"
_PATIENCE = Patience(longest_call_s=0.5)


@pytest.fixture(scope="module", params=["bind", "powerdns"])
def shared_server(request: pytest.FixtureRequest) -> Iterator[RunningNameServer]:
    """One of each kind for all tests; nobody stops it."""
    with name_server(request.param) as running:
        yield running


@pytest.fixture
def www(request: pytest.FixtureRequest) -> SwitchedName:
    """A name of the test's own, which does not exist yet."""
    label = f"n{abs(hash(request.node.name)):x}"
    return SwitchedName(f"{label}.{ZONE}", ZONE, ADDRESSES)


def _target(
    www: SwitchedName, server: RunningNameServer, through: FaultProxy | None = None, key: TsigKey | None = None
) -> FencedName:
    """Updates go through the proxy, observation does not."""
    at = NameServer(server.host, server.port)
    primary = at if through is None else NameServer(through.host, through.port)
    records = DynamicRecords(www, primary, key or read_key(server.key_file), _PATIENCE)
    return FencedName(www, records, Observers((at,), _PATIENCE))


def test_a_switch_moves_every_answer_and_leaves_its_token(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """The very next question gets the new side's addresses; the fence holds the token."""
    target = _target(www, shared_server)
    assert target.fencing is Fencing.STRONG
    assert target.observe(soon()).token == 0
    assert share(target.switch(AWS, 1.0, 7, "a", soon()), AWS) == 1.0
    assert shared_server.texts(www.name, "A") == ["192.0.2.1", "192.0.2.2"]
    target.switch(GCP, 1.0, 8, "b", soon())
    assert shared_server.texts(www.name, "A") == ["198.51.100.1"]
    seen = target.observe(soon())
    assert (seen.token, share(seen, AWS), share(seen, GCP)) == (8, 0.0, 1.0)


def test_an_older_token_changes_nothing(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """Neither the addresses nor the TTL nor the fence."""
    target = _target(www, shared_server)
    target.switch(AWS, 1.0, 9, "a", soon())
    before = target.observe(soon())
    with pytest.raises(StaleTokenError):
        target.switch(GCP, 1.0, 8, "b", soon())
    with pytest.raises(StaleTokenError):
        target.set_ttl(timedelta(seconds=5), 8, "c", soon())
    assert target.observe(soon()) == before


def test_a_controller_that_slept_is_refused_by_the_server(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """It had read the fence before a newer one wrote it: the server compares, whatever the controller believes."""
    target = _target(www, shared_server)
    target.switch(AWS, 1.0, 1, "a", soon())
    slept = target.records.read(soon())
    target.switch(GCP, 1.0, 2, "b", soon())
    with pytest.raises(ComparedError):
        target.records.commit(slept, {"aws": 1.0, "gcp": 0.0}, slept.ttl, Fence(1, "0" * 16), soon())
    assert shared_server.texts(www.name, "A") == ["198.51.100.1"]
    with pytest.raises(StaleTokenError):
        target.switch(AWS, 1.0, 1, "a", soon())


def test_again_is_as_once(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """A repetition with token and key sends no update; with a newer token it takes the fence over."""
    with FaultProxy(shared_server.host, shared_server.port) as proxy:
        target = _target(www, shared_server, through=proxy)
        first = target.switch(AWS, 1.0, 3, "a", soon())
        taken = proxy.connections
        assert target.switch(AWS, 1.0, 3, "a", soon()) == first
        assert proxy.connections == taken + 2  # it read the fence and the addresses, and no more
        assert target.switch(AWS, 1.0, 4, "a", soon()).token == 4


def test_a_ttl_is_lowered_without_moving_traffic(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """And a later switch keeps it."""
    target = _target(www, shared_server)
    target.switch(AWS, 1.0, 1, "a", soon())
    target.set_ttl(timedelta(seconds=7), 1, "b", soon())
    seen = target.observe(soon())
    assert (seen.ttl, share(seen, AWS)) == (timedelta(seconds=7), 1.0)
    assert target.switch(GCP, 1.0, 1, "c", soon()).ttl == timedelta(seconds=7)


def test_of_many_at_once_the_newest_token_wins(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """Whatever the order in which they arrive, the name ends as the newest one wanted it."""
    failures: list[Exception] = []

    def run(token: int) -> None:
        side = AWS if token % 2 else GCP
        try:
            _target(www, shared_server).switch(side, 1.0, token, f"k{token}", soon(60))
        except StaleTokenError:
            pass
        except Exception as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(token,)) for token in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # One that was overtaken before it had been seen says that it was not seen; nothing else goes wrong.
    assert all(isinstance(one, UnavailableError) for one in failures)
    assert shared_server.texts(www.name, "A") == ["198.51.100.1"]
    assert _target(www, shared_server).observe(soon()).token == 8


@pytest.mark.parametrize("fault", ["answer dropped", "answer reset", "request dropped", "connection refused", "late"])
def test_what_came_of_a_change_is_read_before_it_is_repeated(
    fault: str, www: SwitchedName, shared_server: RunningNameServer
) -> None:
    """Whether the update arrived or not, in the end it was made once and the answer says so."""
    with FaultProxy(shared_server.host, shared_server.port) as proxy:
        target = _target(www, shared_server, through=proxy)
        target.switch(AWS, 1.0, 1, "a", soon())
        held = target.records.read(soon())
        spoilt = _SpoiltOnce(target.records, proxy, fault)
        done = replace(target, records=spoilt).switch(GCP, 1.0, 2, "b", soon())
        assert (done.token, share(done, GCP)) == (2, 1.0)
        assert shared_server.texts(www.name, "A") == ["198.51.100.1"]
        # One that is late may come between the reading and the repetition: then the fence refuses the second of them.
        assert spoilt.commits in {"answer dropped": {1}, "answer reset": {1}, "late": {1, 2}}.get(fault, {2})
        with pytest.raises(ComparedError):
            target.records.commit(held, {"aws": 1.0, "gcp": 0.0}, held.ttl, Fence(1, "0" * 16), soon())


class _SpoiltOnce:
    """Records whose first commit meets a fault of the network; its outcome is looked at after a healing."""

    def __init__(self, records: object, proxy: FaultProxy, fault: str) -> None:
        assert isinstance(records, DynamicRecords)
        self.commits = 0
        self._records, self._proxy, self._fault = records, proxy, fault
        self.read = records.read

    def commit(self, *arguments: object) -> None:
        """Of the records, through a network that is spoilt the first time."""
        self.commits += 1
        if self.commits == 1:
            match self._fault:
                case "answer dropped":
                    self._proxy.dropped = frozenset({Way.TO_CLIENT})
                case "answer reset":
                    self._proxy.resets_answers = True
                case "request dropped":
                    self._proxy.dropped = frozenset(Way)
                case "connection refused":
                    self._proxy.refuses = True
                case _:
                    self._proxy.delay_s = 0.8
        try:
            self._records.commit(*arguments)  # type: ignore[arg-type] # handed on as given
        finally:
            self._proxy.heal()


@pytest.mark.parametrize("ways", [frozenset(Way), frozenset({Way.TO_CLIENT}), frozenset({Way.TO_SERVER})])
def test_a_server_that_stays_silent_is_said_to_be(
    ways: frozenset[Way], www: SwitchedName, shared_server: RunningNameServer
) -> None:
    """Half-open, mute or deaf: the deadline ends it as a source that failed, and never as done."""
    with FaultProxy(shared_server.host, shared_server.port) as proxy:
        target = _target(www, shared_server, through=proxy)
        target.switch(AWS, 1.0, 1, "a", soon())
        proxy.dropped = ways
        with pytest.raises(UnavailableError):
            target.switch(GCP, 1.0, 2, "b", soon(1.5))
    assert shared_server.texts(www.name, "A") == ["192.0.2.1", "192.0.2.2"]


def test_a_wrong_key_is_refused(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """By the server, and nothing is changed. PowerDNS answers so that it cannot be read: as a source that failed."""
    wrong = replace(read_key(shared_server.key_file), secret="d3Jvbmc=")
    with pytest.raises((FailedPreconditionError, UnavailableError)):
        _target(www, shared_server, key=wrong).switch(AWS, 1.0, 1, "a", soon(1.5))
    assert shared_server.texts(www.name, "A") == []


def test_shares_are_refused(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """DNS has no weights: half a switch would be something else than was asked for."""
    target = _target(www, shared_server)
    target.switch(AWS, 1.0, 1, "a", soon())
    with pytest.raises(FailedPreconditionError, match="shares"):
        target.switch(GCP, 0.5, 1, "b", soon())
    assert share(target.switch(AWS, 0.0, 1, "c", soon()), GCP) == 1.0


def test_a_change_that_is_not_seen_is_not_reported(www: SwitchedName, shared_server: RunningNameServer) -> None:
    """The server took the update, yet a name server that is observed answers otherwise."""
    target = _target(www, shared_server)
    with name_server("bind") as other:
        observers = replace(target.observers, servers=(*target.observers.servers, NameServer(other.host, other.port)))
        with pytest.raises(UnavailableError, match="not every name server shows it"):
            replace(target, observers=observers).switch(AWS, 1.0, 1, "a", soon(1.5))
        _target(www, other).switch(GCP, 1.0, 1, "a", soon())
        seen = replace(target, observers=observers).observe(soon())
        assert (share(seen, AWS), share(seen, GCP)) == (0.5, 0.5)
