"""Clients of one AWS account: who they are, how long they wait, and what they count."""

import logging
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialResolver,
    DeferredRefreshableCredentials,
    SharedCredentialProvider,
)
from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader, create_loader
from botocore.parsers import DEFAULT_TIMESTAMP_PARSER

from trimtab_service.clouds.accounts import CloudAccount

_ROLE_SESSION: Final = "trimtab"
_STS: Final = "sts"

OnCall = Callable[[str, str], None]
"""Told the service and the operation of each request that is sent: `("ec2", "DescribeInstances")`."""


class AwsSession:
    """Makes and keeps clients, one for each service and region. Used by several threads.

    With a `role_arn` the role is assumed, with its external id, and again before its credential runs out. Botocore's
    own retries are off: `Patience` asks again, since only it knows the caller's deadline.
    """

    def __init__(self, account: CloudAccount, on_call: OnCall) -> None:
        self._account = account
        self._on_call = on_call
        # Making a client is not thread-safe in botocore; using one is.
        self._lock = threading.Lock()
        self._session: botocore.session.Session | None = None
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str) -> Any:  # noqa: ANN401 - clients are made from data at run time
        """The client. Raises what botocore raises where no credential can be had."""
        with self._lock:
            known = self._clients.get((service, region))
            if known is None:
                if self._session is None:
                    self._session = self._opened()
                known = self._session.create_client(
                    service,
                    region_name=region,
                    endpoint_url=self._account.endpoint(service) or None,
                    config=self._config(),
                )
                self._clients[service, region] = known
            return known

    def renew(self) -> None:
        """Forget every credential and client: the next call begins anew."""
        with self._lock:
            self._session = None
            self._clients = {}

    def _opened(self) -> botocore.session.Session:
        session = self._own()
        if self._account.role_arn:
            assumed = _session()
            provider: Any = _Assumed(self._credentials(session))  # what a resolver asks of one; not of its class
            assumed.register_component("credential_provider", CredentialResolver([provider]))
            session = assumed
        # Numbers stay numbers: the answers of a fleet hold millions of stamps, and a datetime of each costs most.
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_stamp)
        session.register("before-call", self._count)
        return session

    def _own(self) -> botocore.session.Session:
        """The process' own identity, or that of the credentials file and no other."""
        session = _session()
        if self._account.credentials_file is not None:
            provider = SharedCredentialProvider(str(self._account.credentials_file))
            session.register_component("credential_provider", CredentialResolver([provider]))
        return session

    def _credentials(self, own: botocore.session.Session) -> DeferredRefreshableCredentials:
        source = own.get_credentials()
        if source is None:
            raise NoCredentialsError
        own.register("before-call", self._count)
        region = self._account.regions[0]
        extra = {"RoleSessionName": _ROLE_SESSION}
        if self._account.external_id:
            extra["ExternalId"] = self._account.external_id
        make = partial(
            own.create_client,
            region_name=region,
            endpoint_url=self._account.endpoint(_STS) or None,
            config=self._config(),
        )
        fetcher = AssumeRoleCredentialFetcher(make, source, self._account.role_arn, extra_args=extra)
        return DeferredRefreshableCredentials(method="assume-role", refresh_using=fetcher.fetch_credentials)

    def _config(self) -> Config:
        return Config(
            connect_timeout=self._account.connect_timeout.total_seconds(),
            read_timeout=self._account.read_timeout.total_seconds(),
            retries={"mode": "standard", "total_max_attempts": 1},
            max_pool_connections=self._account.concurrency + 4,
            tcp_keepalive=True,
            user_agent_extra="trimtab",
        )

    def _count(self, **event: Any) -> None:  # noqa: ANN401 - what botocore tells its handlers
        model = event["model"]
        self._on_call(model.service_model.service_name, model.name)


@cache
def _loader() -> Loader:
    """The models of AWS's services, read once: they take seconds and tens of MiB, and accounts share them."""
    return create_loader()


def _session() -> botocore.session.Session:
    # At the level DEBUG botocore writes requests with their signatures and the answers of STS.
    logging.getLogger("botocore").setLevel(logging.INFO)
    session = botocore.session.get_session()
    session.register_component("data_loader", _loader())
    return session


class _Assumed:
    """A provider, as botocore's resolver wants one, of a credential that refreshes itself."""

    METHOD = "assume-role"
    CANONICAL_NAME = "AssumeRole"

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        self._credentials = credentials

    def load(self) -> DeferredRefreshableCredentials:
        """The credential; it is fetched when the first request is signed."""
        return self._credentials


def _stamp(value: Any) -> Any:  # noqa: ANN401 - numbers stay, everything else becomes what botocore makes of it
    return value if isinstance(value, int | float) else DEFAULT_TIMESTAMP_PARSER(value)
