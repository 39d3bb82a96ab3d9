"""What every call has in common: deadline, retries, token, TLS, request ids."""

import threading
import uuid
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import trustme
from google.rpc import code_pb2, status_pb2

import trimtab
from tests.support.canned_server import SERVICES, CannedServer
from trimtab import channel
from trimtab.calls import follow
from trimtab.errors import CancelledError, DeadlineExceededError, InternalError, UnavailableError
from trimtab.v1.catalog_service_pb2 import Catalog, ListOffersResponse
from trimtab.v1.placement_service_pb2 import Decision, PlaceRequest, Workload
from trimtab.v1.recommendation_service_pb2 import RecommendationEvent as WatchEvent

DECISION = Decision(name="projects/default/decisions/d1", verdict=Decision.VERDICT_PLACED)
ROUNDED = 9.0
"""Seconds by which a deadline may differ on arrival: grpc rounds it up on the wire, and a loaded machine is slow."""
UNAVAILABLE = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="draining")


def test_unavailable_is_retried_until_it_answers(server: CannedServer) -> None:
    """Two refusals and an answer are one answer to the caller."""
    server.answer("Place", UNAVAILABLE, UNAVAILABLE, DECISION)
    with trimtab.Client(server.target) as client:
        assert client.place(Workload()) == DECISION
    assert len(server.seen("Place")) == 3


def test_retries_end(server: CannedServer) -> None:
    """A server that stays unavailable is an error after the published number of tries."""
    server.answer("Place", UNAVAILABLE)
    with trimtab.Client(server.target) as client, pytest.raises(UnavailableError, match="draining"):
        client.place(Workload())
    assert len(server.seen("Place")) == channel.service_config()["methodConfig"][0]["retryPolicy"]["maxAttempts"]


@pytest.mark.parametrize(
    "code",
    [code for code in code_pb2.Code.values() if code not in {code_pb2.OK, code_pb2.UNAVAILABLE}],
)
def test_nothing_else_is_retried(server: CannedServer, code: int) -> None:
    """Whatever is not UNAVAILABLE reaches the caller at the first try."""
    server.answer("Place", status_pb2.Status(code=code, message="no"))
    with trimtab.Client(server.target) as client, pytest.raises(trimtab.CallError):
        client.place(Workload())
    assert len(server.seen("Place")) == 1


def test_a_retried_change_keeps_its_request_id(server: CannedServer) -> None:
    """The id is made once a call and not once a try, or a retry would take effect twice."""
    server.answer("RefreshCatalog", UNAVAILABLE, Catalog(name="catalogs/x"))
    with trimtab.Client(server.target) as client:
        client.catalog.refresh_catalog()
    first, second = (call.request.request_id for call in server.seen("RefreshCatalog"))
    assert first == second
    assert uuid.UUID(first).version == 4


def test_every_call_has_a_deadline(server: CannedServer) -> None:
    """Without a word from the caller the method's own default holds, and a longer one for slow methods."""
    server.answer("Place", DECISION)
    server.answer("RefreshCatalog", Catalog())
    with trimtab.Client(server.target) as client:
        client.place(Workload())
        client.catalog.refresh_catalog()
    assert server.seen("Place")[0].time_remaining == pytest.approx(channel.DEFAULT_TIMEOUT, abs=ROUNDED)
    assert server.seen("RefreshCatalog")[0].time_remaining == pytest.approx(
        channel.TIMEOUTS["RefreshCatalog"], abs=ROUNDED
    )


def test_the_nearest_timeout_wins(server: CannedServer) -> None:
    """The client's timeout replaces the default, the call's replaces the client's, in both directions."""
    server.answer("RefreshCatalog", Catalog())
    with trimtab.Client(server.target, timeout=200) as client:
        client.catalog.refresh_catalog()
        client.catalog.refresh_catalog(timeout=900)
        client.catalog.refresh_catalog(timeout=50)
    left = [call.time_remaining for call in server.seen("RefreshCatalog")]
    assert left == pytest.approx([200, 900, 50], abs=ROUNDED)


def test_a_late_answer_is_a_deadline_error(server: CannedServer) -> None:
    """A server that does not answer in time is given up, and the error says so."""
    release = threading.Event()

    def slow(_: object) -> Decision:
        release.wait(120)
        return DECISION

    server.answer("Place", slow)
    try:
        with trimtab.Client(server.target) as client, pytest.raises(DeadlineExceededError):
            client.place(Workload(), timeout=0.2)
    finally:
        release.set()


def test_an_absent_server_fails_fast_unless_told_to_wait() -> None:
    """Nobody listening is UNAVAILABLE after a few tries; a client that waits runs into its deadline instead."""
    with trimtab.Client("127.0.0.1:1", timeout=30) as client, pytest.raises(UnavailableError):
        client.place(Workload())
    with (
        trimtab.Client("127.0.0.1:1", timeout=0.3, wait_for_ready=True) as client,
        pytest.raises(DeadlineExceededError),
    ):
        client.place(Workload())


def test_a_token_is_sent_and_asked_for_anew(server: CannedServer) -> None:
    """A source is asked before each call, so that a renewed token is used at once."""
    tokens = iter(["one", "two"])
    server.answer("Place", DECISION)
    with trimtab.Client(server.target, token=lambda: next(tokens)) as client:
        client.place(Workload())
        client.place(Workload())
    assert [call.metadata["authorization"] for call in server.calls] == ["Bearer one", "Bearer two"]


def test_a_token_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """What renews the file need not know of the client."""
    path = tmp_path / "token"
    path.write_text("first\n")
    source = trimtab.TokenFile(path)
    assert source() == "first"
    path.write_text("the second\n")
    assert source() == "the second"
    path.write_text("")
    with pytest.raises(ValueError, match="empty"):
        source()


def test_a_token_never_crosses_a_network_in_the_clear() -> None:
    """Only loopback and Unix sockets take a token without TLS; a name is not believed to be local."""
    for target in ("10.0.0.7:8740", "trimtab.internal:8740", "dns:///127.0.0.1.evil.example:8740", "[::]:8740"):
        with pytest.raises(ValueError, match="in the clear"):
            trimtab.Client(target, token="t")
    for target in ("127.0.0.1:8740", "localhost:8740", "[::1]:8740", "unix:/run/trimtab.sock", "dns:///localhost:8740"):
        trimtab.Client(target, token="t").close()


@pytest.mark.parametrize("token", ["", "two words", "new\nline", "ünïcode"])
def test_a_malformed_token_is_refused(token: str) -> None:
    """A token that cannot stand in a header is an error here and not a broken call later."""
    with pytest.raises(ValueError, match="token"):
        trimtab.Client("127.0.0.1:1", token=token)


def test_tls_trusts_the_given_authority_only(tls_server: CannedServer, authority: trustme.CA) -> None:
    """The right root connects; another root is no connection."""
    tls_server.answer("Place", DECISION)
    with trimtab.Client(tls_server.target, tls=trimtab.Tls(ca=authority.cert_pem.bytes()), token="t") as client:
        assert client.place(Workload()) == DECISION
    assert tls_server.calls[0].metadata["authorization"] == "Bearer t"
    stranger = trimtab.Tls(ca=trustme.CA().cert_pem.bytes())
    with trimtab.Client(tls_server.target, tls=stranger) as client, pytest.raises(UnavailableError):
        client.place(Workload())


def test_mutual_tls_shows_the_client_certificate(
    mutual_tls_server: CannedServer, authority: trustme.CA, tmp_path: Path
) -> None:
    """With certificate and key read from files the server lets the client in, without them it does not."""
    mutual_tls_server.answer("Place", DECISION)
    leaf = authority.issue_cert("scheduler@example.org")
    ca, certificate, key = tmp_path / "ca.pem", tmp_path / "cert.pem", tmp_path / "key.pem"
    authority.cert_pem.write_to_path(ca)
    leaf.cert_chain_pems[0].write_to_path(certificate)
    leaf.private_key_pem.write_to_path(key)
    with trimtab.Client(
        mutual_tls_server.target, tls=trimtab.Tls.from_files(ca=ca, certificate=certificate, key=key)
    ) as client:
        assert client.place(Workload()) == DECISION
    with (
        trimtab.Client(mutual_tls_server.target, tls=trimtab.Tls.from_files(ca=ca)) as client,
        pytest.raises(UnavailableError),
    ):
        client.place(Workload())


def test_a_server_name_may_differ_from_the_target(tls_server: CannedServer, authority: trustme.CA) -> None:
    """Through a tunnel the certificate is checked against the name that is meant."""
    tls_server.answer("Place", DECISION)
    root = authority.cert_pem.bytes()
    with trimtab.Client(tls_server.target, tls=trimtab.Tls(ca=root, server_name="localhost")) as client:
        assert client.place(Workload()) == DECISION
    wrong = trimtab.Tls(ca=root, server_name="elsewhere.example")
    with trimtab.Client(tls_server.target, tls=wrong) as client, pytest.raises(UnavailableError):
        client.place(Workload())


def test_half_a_certificate_is_refused() -> None:
    """A key without a certificate would silently connect without either."""
    with pytest.raises(ValueError, match="both or neither"):
        trimtab.Tls(key=b"key")


def test_a_key_does_not_show_in_text() -> None:
    """Settings end up in logs; keys must not."""
    assert "secret" not in repr(trimtab.Tls(certificate=b"cert", key=b"secret"))


@pytest.mark.parametrize("arguments", [{"project": ""}, {"project": "a/b"}, {"timeout": 0.0}, {"timeout": -1.0}])
def test_senseless_settings_are_refused(arguments: dict[str, str | float]) -> None:
    """A client that could never make a good call is not made."""
    with pytest.raises(ValueError, match="expected"):
        trimtab.Client("127.0.0.1:1", **arguments)  # type: ignore[arg-type] # rows of mixed types


def test_many_threads_share_a_client(server: CannedServer) -> None:
    """Each thread gets the answer to its own question."""
    server.answer("Place", lambda request: Decision(workload_id=request.workload.workload_id))
    with trimtab.Client(server.target) as client, ThreadPoolExecutor(16) as pool:
        ids = [f"w{number}" for number in range(200)]
        answers = pool.map(lambda workload_id: client.place(Workload(workload_id=workload_id)).workload_id, ids)
        assert list(answers) == ids


def test_a_closed_client_raises(server: CannedServer) -> None:
    """Closing is final, and says so as a fault of the program."""
    client = trimtab.Client(server.target)
    client.close()
    with pytest.raises(ValueError, match="closed"):
        client.place(Workload())


def test_closing_cancels_what_is_in_flight(server: CannedServer) -> None:
    """A thread that waits for an answer is released when another closes the client."""
    started, release = threading.Event(), threading.Event()

    def slow(_: object) -> Decision:
        started.set()
        release.wait(120)
        return DECISION

    server.answer("Place", slow)
    client = trimtab.Client(server.target)
    try:
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(client.place, Workload())
            assert started.wait(60)
            client.close()
            with pytest.raises(CancelledError):
                waiting.result(timeout=60)
    finally:
        release.set()


def test_the_service_config_names_every_service_of_the_contract() -> None:
    """A service that is added to the contract must not be left without retries."""
    named = [name["service"] for config in channel.service_config()["methodConfig"] for name in config["name"]]
    assert sorted(named) == sorted(service.full_name for service in SERVICES)


def test_timeouts_name_methods_that_exist() -> None:
    """A renamed method must not silently fall back to the default."""
    methods = {method.name for service in SERVICES for method in service.methods}
    assert set(channel.TIMEOUTS) <= methods


def test_pages_are_asked_for_one_by_one(server: CannedServer) -> None:
    """The second page is fetched only when its first item is wanted, with the token of the first."""
    first, second = ListOffersResponse(next_page_token="t"), ListOffersResponse()
    for page, name in ((first, "a"), (second, "b")):
        page.offers.add().offer.instance_type = name
    server.answer("ListOffers", first, second)
    with trimtab.Client(server.target) as client:
        offers = client.catalog.list_offers(where='cloud = "aws"')
        assert next(offers).offer.instance_type == "a"
        assert len(server.calls) == 1
        assert [offer.offer.instance_type for offer in offers] == ["b"]
    assert [call.request.page_token for call in server.calls] == ["", "t"]
    assert {call.request.filter for call in server.calls} == {'cloud = "aws"'}


def test_the_callers_request_is_left_alone(server: CannedServer) -> None:
    """Arguments override a copy; the message that was passed in can be used again."""
    server.answer("Place", DECISION)
    request = PlaceRequest(max_fallbacks=1)
    with trimtab.Client(server.target, project="vision") as client:
        client.place(request, reserve=True, reserve_for=timedelta(minutes=5), max_fallbacks=2)
    assert request == PlaceRequest(max_fallbacks=1)
    sent = server.calls[0].request
    assert (sent.parent, sent.reserve, sent.max_fallbacks) == ("projects/vision", True, 2)
    assert sent.reserve_duration.ToTimedelta() == timedelta(minutes=5)
    assert uuid.UUID(sent.request_id).version == 4


def test_a_plain_placement_carries_no_request_id(server: CannedServer) -> None:
    """Nothing is changed, so there is nothing to remember."""
    server.answer("Place", DECISION)
    with trimtab.Client(server.target) as client:
        client.place(Workload())
    assert not server.calls[0].request.request_id


def test_internal_errors_keep_their_class(server: CannedServer) -> None:
    """The class follows the code."""
    server.answer("Place", status_pb2.Status(code=code_pb2.INTERNAL, message="internal fault"))
    with trimtab.Client(server.target) as client, pytest.raises(InternalError) as caught:
        client.place(Workload())
    assert caught.value.method == "/trimtab.v1.PlacementService/Place"


class Connections:
    """Streams of events, one a connection; each then ends in UNAVAILABLE, the last one well."""

    def __init__(self, *events: Sequence[str]) -> None:
        self.opened: list[str] = []
        self._events = list(events)

    def __call__(self, token: str, left: float | None) -> Generator[WatchEvent, None, None]:
        """The next one."""
        assert left is None or left <= ROUNDED
        self.opened.append(token)
        for one in self._events[len(self.opened) - 1]:
            yield WatchEvent(resume_token=one)
        if len(self.opened) < len(self._events):
            raise UnavailableError("max connection age")


def test_a_watch_outlasts_its_connections() -> None:
    """It goes on after the last event seen; nothing is told twice, and the caller sees one stream."""
    connections = Connections(["a", "b"], ["c"], ["d"])
    assert [event.resume_token for event in follow(connections, "", ROUNDED)] == ["a", "b", "c", "d"]
    assert connections.opened == ["", "b", "c"]


def test_a_watch_of_a_server_that_is_gone_ends() -> None:
    """A connection on which nothing came is not opened again."""
    connections = Connections(["a"], [], ["never"])
    events = follow(connections, "before", None)
    assert next(events).resume_token == "a"
    with pytest.raises(UnavailableError):
        next(events)
    assert connections.opened == ["before", "a"]
