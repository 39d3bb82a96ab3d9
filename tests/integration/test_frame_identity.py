# ruff: noqa: ANN401 - messages of the Echo service are made at run time, so no type names them
"""Who gets in, and as whom: tokens and client certificates against a real server."""

import base64
import hashlib
import hmac
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from grpc_status import rpc_status

from tests.support import certificates, echo, oidc
from tests.support.server import running
from trimtab_service.domain.identity import Grant, Role
from trimtab_service.settings_values import GrantRule

SCHEDULER_OF_VISION = Grant("vision", frozenset({Role.SCHEDULER}))
ML_GROUP = GrantRule("claim", "groups", "ml", SCHEDULER_OF_VISION)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = oidc.NOW

    def __call__(self) -> float:  # noqa: D102 - the class says it
        return self.now


@pytest.fixture(scope="module")
def issuer() -> oidc.Issuer:
    """One issuer: making keys is slow."""
    return oidc.Issuer()


def tokens(jwks: str | Path, **settings: Any) -> dict[str, Any]:
    """Settings of a server that accepts the issuer's tokens."""
    return {
        "oidc_issuer": oidc.ISSUER,
        "oidc_audience": oidc.AUDIENCE,
        "oidc_jwks": str(jwks),
        "grants": (ML_GROUP,),
        **settings,
    }


@pytest.fixture
def clock() -> Clock:
    """A clock of its own for each test."""
    return Clock()


@pytest.fixture
def client(issuer: oidc.Issuer, clock: Clock, tmp_path: Path) -> Iterator[echo.EchoClient]:
    """A client of a server with OIDC."""
    settings = tokens(issuer.write(tmp_path))
    with running(clock=clock, **settings) as (_, address), grpc.insecure_channel(address) as channel:
        yield echo.EchoClient(channel)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carries a token."""
    return (("authorization", f"Bearer {token}"),)


def outcome(method: Any, metadata: tuple[tuple[str, str], ...] = (), parent: str = "projects/vision") -> Any:
    """The reply, or the status code of the failure; a failure must carry a rich status."""
    try:
        return method(echo.EchoRequest(parent=parent), metadata=metadata)
    except grpc.RpcError as error:
        return error.code() if rpc_status.from_call(error) is not None else "no rich status"


def test_good_token_is_its_subject_with_its_grants(client: echo.EchoClient, issuer: oidc.Issuer) -> None:
    """The claim gives the role in one project and nothing elsewhere."""
    good = bearer(issuer.token())
    assert outcome(client.echo, good).subject == "oidc:ana"
    assert outcome(client.echo, good, "projects/speech") is grpc.StatusCode.PERMISSION_DENIED
    assert outcome(client.administer, good) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": oidc.NOW - 31},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": oidc.NOW + 31},
        {"aud": "another-service"},
        {"aud": None},
        {"iss": "https://another-issuer.example"},
        {"iss": None},
        {"sub": None},
        {"sub": ""},
    ],
    ids=str,
)
def test_token_with_a_wrong_claim_is_refused(
    client: echo.EchoClient, issuer: oidc.Issuer, claims: dict[str, Any]
) -> None:
    """Expired, too early, for another audience, of another issuer, or naming nobody."""
    assert outcome(client.echo, bearer(issuer.token(**claims))) is grpc.StatusCode.UNAUTHENTICATED


def test_small_clock_skew_is_tolerated(client: echo.EchoClient, issuer: oidc.Issuer) -> None:
    """29 seconds either way are within the leeway of 30."""
    assert outcome(client.echo, bearer(issuer.token(exp=oidc.NOW - 29))).subject == "oidc:ana"
    assert outcome(client.echo, bearer(issuer.token(nbf=oidc.NOW + 29))).subject == "oidc:ana"


def _unsigned(issuer: oidc.Issuer) -> str:
    return jwt.encode(oidc.payload(), "", "none", headers={"kid": "first"})


def _hmac_with_public_key(issuer: oidc.Issuer) -> str:
    # The library refuses to make this forgery, so it is made by hand, as a forger would.
    def part(value: dict[str, Any]) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = part({"alg": "HS256", "typ": "JWT", "kid": "first"}) + b"." + part(oidc.payload())
    mac = hmac.new(issuer.public_pem(), body, hashlib.sha256).digest()
    return (body + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def _of_a_stranger(issuer: oidc.Issuer) -> str:
    return oidc.Issuer().token(published_as="first")


def _unknown_key(issuer: oidc.Issuer) -> str:
    return issuer.token(published_as="no-such-key")


def _tampered(issuer: oidc.Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    _, body, _ = issuer.token(groups=["root"]).split(".")
    return f"{head}.{body}.{signature}"


@pytest.mark.parametrize("forge", [_unsigned, _hmac_with_public_key, _of_a_stranger, _unknown_key, _tampered])
def test_forged_token_is_refused(client: echo.EchoClient, issuer: oidc.Issuer, forge: Any) -> None:
    """No signature, HMAC keyed with the public key, a stranger's key, an unknown key, a changed body."""
    assert outcome(client.echo, bearer(forge(issuer))) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer a.b.c", "Bearer " + "x" * 20_000])
def test_header_that_is_no_token_is_refused(client: echo.EchoClient, header: str) -> None:
    """Another scheme, nothing, garbage, or far too much."""
    metadata = (("authorization", header),) if header else ()
    with pytest.raises(grpc.RpcError) as caught:
        client.echo(echo.EchoRequest(parent="projects/vision"), metadata=metadata)
    # 20,000 bytes of metadata are refused by the core itself, before our code.
    assert caught.value.code() in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.RESOURCE_EXHAUSTED}


def test_token_is_refused_after_expiry_although_it_was_verified_before(
    client: echo.EchoClient, issuer: oidc.Issuer, clock: Clock
) -> None:
    """What is remembered is the verification, not the validity."""
    good = bearer(issuer.token(exp=oidc.NOW + 60))
    assert outcome(client.echo, good).subject == "oidc:ana"
    clock.now += 60 + 31
    assert outcome(client.echo, good) is grpc.StatusCode.UNAUTHENTICATED


def test_new_key_is_found_and_invented_keys_do_not_hammer_the_issuer(issuer: oidc.Issuer, clock: Clock) -> None:
    """A rotation is followed, but a flood of unknown key ids reads the key set once an interval."""
    rotating = oidc.Issuer()
    keys = oidc.KeyServer(rotating)
    try:
        with running(clock=clock, **tokens(keys.url)) as (_, address), grpc.insecure_channel(address) as channel:
            client = echo.EchoClient(channel)
            assert outcome(client.echo, bearer(rotating.token())).subject == "oidc:ana"
            assert keys.reads == 1
            for number in range(20):
                forged = bearer(rotating.token(published_as=f"invented-{number}"))
                assert outcome(client.echo, forged) is grpc.StatusCode.UNAUTHENTICATED
            assert keys.reads == 1
    finally:
        keys.close()


def test_issuer_that_is_down_is_told_apart_from_a_bad_token(clock: Clock) -> None:
    """When the keys were never read the answer is UNAVAILABLE: nothing is known about the token."""
    down = oidc.Issuer()
    keys = oidc.KeyServer(down)
    url = keys.url
    keys.close()
    with running(clock=clock, **tokens(url)) as (_, address), grpc.insecure_channel(address) as channel:
        assert outcome(echo.EchoClient(channel).echo, bearer(down.token())) is grpc.StatusCode.UNAVAILABLE


def test_nested_name_of_another_project_is_refused(client: echo.EchoClient, issuer: oidc.Issuer) -> None:
    """A batch cannot smuggle in another project's resource below a permitted parent."""
    request = echo.EchoRequest(parent="projects/vision")
    request.items.add(decision="projects/vision/decisions/1")
    assert client.echo(request, metadata=bearer(issuer.token())).project == "vision"
    request.items.add(decision="projects/speech/decisions/1")
    with pytest.raises(grpc.RpcError) as caught:
        client.echo(request, metadata=bearer(issuer.token()))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize("parent", ["projects/-", "projects/*"])
def test_wildcard_project_needs_the_role_everywhere(client: echo.EchoClient, issuer: oidc.Issuer, parent: str) -> None:
    """A grant in one project does not open all of them."""
    assert outcome(client.echo, bearer(issuer.token()), parent) is grpc.StatusCode.PERMISSION_DENIED


def test_refusal_does_not_tell_whether_the_project_exists(client: echo.EchoClient, issuer: oidc.Issuer) -> None:
    """Every foreign project gives the same text but for the name that the caller sent."""
    texts = set()
    for project in ("speech", "no-such-project"):
        with pytest.raises(grpc.RpcError) as caught:
            client.echo(echo.EchoRequest(parent=f"projects/{project}"), metadata=bearer(issuer.token()))
        texts.add(str(caught.value.details()).replace(project, "X"))
    assert len(texts) == 1


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> certificates.Authority:
    """One authority for the module."""
    return certificates.authority(tmp_path_factory.mktemp("tls"))


CERTIFICATE_RULES = (
    GrantRule("uri", "", "spiffe://corp/scheduler", SCHEDULER_OF_VISION),
    GrantRule("common_name", "", "legacy-scheduler", SCHEDULER_OF_VISION),
)


def mutual(authority: certificates.Authority) -> dict[str, Any]:
    """Settings of a server with mutual TLS."""
    return {**authority.settings, "tls_client_ca": authority.ca_file, "grants": CERTIFICATE_RULES}


def test_client_certificate_is_mapped_by_its_names(authority: certificates.Authority) -> None:
    """URI and common name give grants; a certificate that no rule names is known, and may nothing."""
    cases = [
        (authority.client_credentials("spiffe://corp/scheduler"), "certificate:spiffe://corp/scheduler"),
        (authority.client_credentials("x.example", common_name="legacy-scheduler"), "certificate:legacy-scheduler"),
        (authority.client_credentials("spiffe://corp/other"), grpc.StatusCode.PERMISSION_DENIED),
        (authority.client_credentials("spiffe://corp/scheduler/x"), grpc.StatusCode.PERMISSION_DENIED),
    ]
    with running(**mutual(authority)) as (_, address):
        for credentials, expected in cases:
            with grpc.secure_channel(address, credentials) as channel:
                got = outcome(echo.EchoClient(channel).echo)
                assert (got if isinstance(got, grpc.StatusCode) else got.subject) == expected


def test_connection_without_a_trusted_certificate_never_reaches_a_handler(
    authority: certificates.Authority, tmp_path: Path
) -> None:
    """No certificate, or one of another authority, fails in the handshake."""
    stranger = certificates.authority(tmp_path / "stranger")
    key, chain = stranger.client_certificate("spiffe://corp/scheduler")
    foreign = grpc.ssl_channel_credentials(authority.authority.cert_pem.bytes(), key, chain)
    servicer = echo.Echo()
    with running(services=[echo.service(servicer)], **mutual(authority)) as (_, address):
        for credentials in (authority.server_only_credentials(), foreign):
            with grpc.secure_channel(address, credentials) as channel, pytest.raises(grpc.RpcError) as caught:
                echo.EchoClient(channel).work(echo.EchoRequest(parent="projects/vision"), timeout=60)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert servicer.worked == 0


def test_token_wins_over_certificate_and_a_bad_token_does_not_fall_back(
    authority: certificates.Authority, issuer: oidc.Issuer, clock: Clock, tmp_path: Path
) -> None:
    """With both configured the certificate is required, and a token, where given, is the identity."""
    settings = {**mutual(authority), **tokens(issuer.write(tmp_path)), "grants": (ML_GROUP, *CERTIFICATE_RULES)}
    credentials = authority.client_credentials("spiffe://corp/scheduler")
    with running(clock=clock, **settings) as (_, address), grpc.secure_channel(address, credentials) as channel:
        client = echo.EchoClient(channel)
        assert outcome(client.echo).subject == "certificate:spiffe://corp/scheduler"
        assert outcome(client.echo, bearer(issuer.token())).subject == "oidc:ana"
        assert outcome(client.echo, bearer("a.b.c")) is grpc.StatusCode.UNAUTHENTICATED


def test_rotated_server_certificate_serves_without_a_restart(tmp_path: Path) -> None:
    """New connections see the certificate that lies in the files now."""
    rotating = certificates.authority(tmp_path)
    settings: dict[str, Any] = {
        **rotating.settings,
        "oidc_issuer": "i",
        "oidc_audience": "a",
        "oidc_jwks": "https://i.example/jwks",
    }
    with running(**settings, oidc_roles_claim="roles") as (_, address):
        host, port = address.split(":")
        before = ssl.get_server_certificate((host, int(port)))
        issued = rotating.issue_server().decode()
        after = ssl.get_server_certificate((host, int(port)))
    assert before.strip() != after.strip()
    assert after.strip() == issued.strip()
