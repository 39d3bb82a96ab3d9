"""The client: one channel, and the methods of all services on it."""

from datetime import timedelta
from types import TracebackType
from typing import Self

from trimtab.calls import Caller
from trimtab.catalog import Catalog
from trimtab.channel import DEFAULT_TARGET, open_channel
from trimtab.commitments import Commitments
from trimtab.credentials import Tls, TokenSource, is_local
from trimtab.failover import Failover
from trimtab.fleet import FleetAnalyses
from trimtab.placement import Placement
from trimtab.policies import Policies
from trimtab.purchasing import Purchasing
from trimtab.recommendations import Recommendations
from trimtab.replication import Replications
from trimtab.rightsizing import Rightsizing
from trimtab.v1 import placement_service_pb2

DEFAULT_PROJECT = "default"


class Client:
    """Asks a trimtab server on behalf of one project. Safe to share between threads; make one and keep it.

    ```python
    with trimtab.Client("127.0.0.1:8740", project="vision") as client:
        decision = client.place(trimtab.workload(gpu="V100", hours=8, purchase=["spot"], residency=["EU"]))
        print(decision.chosen.offer.region)
    ```

    Its other members hold a method for every RPC of their service. After `fork` make a new one.
    """

    __slots__ = (
        "catalog",
        "channel",
        "commitments",
        "failover",
        "fleet_analyses",
        "placement",
        "policies",
        "purchasing",
        "recommendations",
        "replications",
        "rightsizing",
    )

    def __init__(  # noqa: PLR0913 - what a connection consists of, each with a default
        self,
        target: str = DEFAULT_TARGET,
        *,
        project: str = DEFAULT_PROJECT,
        tls: Tls | None = None,
        token: str | TokenSource | None = None,
        timeout: float | None = None,
        wait_for_ready: bool = False,
    ) -> None:
        """Open the client; nothing is sent before the first call.

        Args:
            target: `host:port`, or any gRPC target such as `dns:///trimtab.internal:8740`.
            project: id of the project that calls are made for.
            tls: switches TLS on and says whom to trust, and who the client is.
            token: bearer token, or something that answers one before each call (`trimtab.TokenFile`).
            timeout: seconds that any call may take, retries included. None: each method's own default (10 s for most).
            wait_for_ready: let calls wait, up to their deadline, for a server that is not there yet, instead of failing
                after four tries.

        Raises:
            ValueError: a project that is no id, a timeout that is not positive, or a token that would cross a network
                in the clear.

        """
        project = project.removeprefix("projects/")
        if not project or "/" in project:
            raise ValueError(f"expected the id of a project, not {project!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"expected a timeout above 0 seconds, not {timeout}")
        if token is not None and tls is None and not is_local(target):
            raise ValueError(f"a token would be sent to {target} in the clear; give tls=trimtab.Tls(...)")
        caller = Caller(project, _source(token), timeout, wait_for_ready)
        self.channel = open_channel(target, tls)
        self.placement = Placement(self.channel, caller)
        self.catalog = Catalog(self.channel, caller)
        self.policies = Policies(self.channel, caller)
        self.commitments = Commitments(self.channel, caller)
        self.failover = Failover(self.channel, caller)
        self.fleet_analyses = FleetAnalyses(self.channel, caller)
        self.purchasing = Purchasing(self.channel, caller)
        self.recommendations = Recommendations(self.channel, caller)
        self.replications = Replications(self.channel, caller)
        self.rightsizing = Rightsizing(self.channel, caller)

    def place(  # noqa: PLR0913 - as `Placement.place`
        self,
        what: placement_service_pb2.Workload | placement_service_pb2.PlaceRequest,
        *,
        reserve: bool | None = None,
        reserve_for: timedelta | None = None,
        request_id: str = "",
        max_fallbacks: int | None = None,
        explain: bool | None = None,
        timeout: float | None = None,
    ) -> placement_service_pb2.Decision:
        """Decide where a workload should run: `placement.place`, which most programs call and nothing else."""
        return self.placement.place(
            what,
            reserve=reserve,
            reserve_for=reserve_for,
            request_id=request_id,
            max_fallbacks=max_fallbacks,
            explain=explain,
            timeout=timeout,
        )

    def close(self) -> None:
        """Close the channel. Calls in flight fail with `CancelledError`; later ones raise ValueError."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _source(token: str | TokenSource | None) -> TokenSource | None:
    """A constant token as a source of itself."""
    if token is None or not isinstance(token, str):
        return token
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise ValueError("a bearer token is printable ASCII without spaces")
    constant = token
    return lambda: constant
