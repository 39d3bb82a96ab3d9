"""What `trimtab doctor` looks at, in the order in which one failure explains the next."""

import base64
import binascii
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from importlib import metadata

import grpc
from grpc_health.v1 import health_pb2

from trimtab import errors
from trimtab.channel import SERVICES
from trimtab.cli import output as out
from trimtab.cli.connection import Connection
from trimtab.cli.exits import Exit, of_error
from trimtab.cli.network import Fault, look_at_certificate, reach
from trimtab.client import Client
from trimtab.v1 import types_pb2

_OLD_PRICES = timedelta(days=45)
_EXPIRES_SOON = timedelta(days=14)
_SKEW = timedelta(seconds=5)
_TIMEOUT_S = 5.0


class State(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, what to do about it, and the exit code if it failed."""

    check: str
    state: State
    found: str
    advice: str = ""
    exit_code: Exit = Exit.FAILED


def examine(connection: Connection, now: datetime) -> list[Finding]:
    """Run every check that can still say something. `now` is this machine's time."""
    findings = [_versions(), *_token(connection, now)]
    network = [*_network(connection, now)]
    findings += network
    if any(finding.state is State.FAILED for finding in network):
        return findings
    with connection.client() as client:
        health, speaks = _health(client)
        findings.append(health)
        if speaks:
            findings += [_project(client, connection.project, now), *_catalog(client, now)]
    return findings


def _versions() -> Finding:
    packages = ", ".join(f"{name} {metadata.version(name)}" for name in ("trimtab", "grpcio", "protobuf"))
    return Finding("client", State.OK, f"{packages}, Python {platform.python_version()}")


def _token(connection: Connection, now: datetime) -> Iterator[Finding]:
    """What a JWT says of itself. It is not verified here; other tokens say nothing."""
    if not connection.token and connection.token_file is None:
        return
    try:
        token = connection.token or connection.token_file.read_text(encoding="utf-8").strip()  # type: ignore[union-attr] # one of both is given
    except OSError as error:
        yield Finding("token", State.FAILED, f"{connection.token_file}: {error.strerror}", exit_code=Exit.DENIED)
        return
    claims = _claims(token)
    if not claims:
        yield Finding("token", State.OK, "given; it is no JWT, so only the server can read it")
        return
    who = f"subject {claims.get('sub', '-')}, issuer {claims.get('iss', '-')}"
    expires = _instant(claims.get("exp"))
    begins = _instant(claims.get("nbf"))
    if expires is not None and expires <= now:
        found = f"expired {out.age(expires, now)} ({who})"
        yield Finding("token", State.FAILED, found, "fetch a new one; if it is new, set this clock", Exit.DENIED)
    elif begins is not None and begins > now:
        found = f"valid only in {out.length(begins - now)} ({who})"
        yield Finding("token", State.FAILED, found, "this machine's clock is probably behind", Exit.DENIED)
    else:
        until = f", expires in {out.length(expires - now)}" if expires is not None else ""
        yield Finding("token", State.OK, f"{who}{until}")


def _network(connection: Connection, now: datetime) -> Iterator[Finding]:
    tls = connection.transport()
    try:
        found = reach(connection.target, _TIMEOUT_S)
    except Fault as fault:
        yield Finding("reachable", State.FAILED, fault.found, fault.advice, Exit.UNAVAILABLE)
        return
    if found is None:
        yield Finding("reachable", State.SKIPPED, f"{connection.target} is no host and port")
        return
    yield Finding("reachable", State.OK, found)
    try:
        certificate = look_at_certificate(connection.target, tls, _TIMEOUT_S)
    except Fault as fault:
        yield Finding("TLS", State.FAILED, fault.found, fault.advice, Exit.UNAVAILABLE)
        return
    if certificate is None:
        yield Finding("TLS", State.OK, "not used; calls are in the clear")
    elif certificate.expires - now < _EXPIRES_SOON:
        left = out.length(certificate.expires - now)
        yield Finding("TLS", State.WARNING, f"{certificate.subject}, expires in {left}", "renew the certificate")
    else:
        yield Finding("TLS", State.OK, f"{certificate.subject}, expires in {out.length(certificate.expires - now)}")


def _health(client: Client) -> tuple[Finding, bool]:
    """Whether all is serving, and whether a server of ours answered at all: an unwell one can still be asked."""
    # Not the generated stub: the published types of it do not know its method.
    check = client.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    unwell = []
    for service in ("", *SERVICES):
        try:
            reply = check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            failure = errors.from_rpc_error(error)
            if isinstance(failure, errors.NotFoundError):
                unwell.append(f"{service} is not served")
                continue
            advice = (
                "something answers there that is no trimtab" if isinstance(failure, errors.UnimplementedError) else ""
            )
            return Finding("health", State.FAILED, failure.message, advice, of_error(failure)), False
        if reply.status != health_pb2.HealthCheckResponse.SERVING:
            unwell.append(f"{service.rpartition('.')[2] or 'the server'} is not serving")
    if unwell:
        advice = "it may be starting, draining or without a database; its /readyz and log say which"
        return Finding("health", State.FAILED, "; ".join(unwell), advice, Exit.UNAVAILABLE), True
    return Finding("health", State.OK, f"serving, and so are its {len(SERVICES)} services"), True


def _project(client: Client, project: str, now: datetime) -> Finding:
    try:
        latest = next(iter(client.placement.list_decisions(page_size=1, timeout=_TIMEOUT_S)), None)
    except errors.CallError as error:
        advice = {
            errors.UnauthenticatedError: "give --token, --token-file or --cert and --key",
            errors.PermissionDeniedError: f"ask for the role viewer on project {project}, or name another",
            errors.UnimplementedError: "the server is older than this client",
        }.get(type(error), "")
        return Finding("project", State.FAILED, f"{project}: {error.message}", advice, of_error(error))
    if latest is None:
        return Finding("project", State.OK, f"{project}: may be read; no decisions yet")
    made = latest.create_time.ToDatetime(UTC)
    if made - now > _SKEW:
        found = f"{project}: the latest decision was made {out.length(made - now)} from now"
        return Finding("project", State.WARNING, found, "this machine's clock is behind the server's: set it")
    return Finding("project", State.OK, f"{project}: may be read; latest decision {out.age(made, now)}")


def _catalog(client: Client, now: datetime) -> Iterator[Finding]:
    try:
        catalog = client.catalog.get_catalog(timeout=_TIMEOUT_S)
    except errors.CallError as error:
        yield Finding("catalogue", State.FAILED, error.message, "", of_error(error))
        return
    age = catalog.newest_price_age.ToTimedelta()
    found = f"{catalog.price_rows:,} prices, version {out.version(catalog.name)}, newest {out.length(age)} old"
    old = age > _OLD_PRICES
    yield Finding(
        "catalogue",
        State.WARNING if old else State.OK,
        found,
        "load newer prices and run `trimtab catalog refresh`" if old else "",
    )
    estimated = sum(basis.rows for basis in catalog.bases if basis.basis == types_pb2.PRICE_BASIS_ESTIMATED)
    quarantined = sum(issue.rows for issue in catalog.quarantined)
    if quarantined or estimated:
        rows = f"{quarantined:,} rows quarantined, {estimated:,} prices estimated"
        advice = "`trimtab catalog show` says why" if quarantined else ""
        yield Finding("price rows", State.WARNING if quarantined else State.OK, rows, advice)
    if catalog.last_refresh_failure:
        yield Finding("refresh", State.WARNING, catalog.last_refresh_failure, "the version above stays in force")
    yield _clock(catalog.load_time.ToDatetime(UTC), now)


def _clock(loaded: datetime, now: datetime) -> Finding:
    """The server tells no time of its own; but nothing can have been loaded in the future."""
    if loaded - now > _SKEW:
        found = f"the catalogue was loaded {out.length(loaded - now)} from now"
        return Finding("clock", State.WARNING, found, "this machine's clock is behind the server's: set it")
    return Finding(
        "clock", State.OK, f"not behind the server's, as far as its catalogue tells ({out.age(loaded, now)})"
    )


def _claims(token: str) -> dict[str, object]:
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _instant(claim: object) -> datetime | None:
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        return datetime.fromtimestamp(claim, UTC)
    except (OverflowError, OSError, ValueError):
        return None
