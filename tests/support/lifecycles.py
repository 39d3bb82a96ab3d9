"""A running service with findings in its store and machines in a file behind it."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from tests.support import oidc
from tests.support.contract import Refusal, refusal_of
from tests.support.findings import content
from tests.support.machines import Machines
from tests.support.service import RunningService, running_service
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1.recommendation_service_pb2_grpc import RecommendationServiceStub
from trimtab_service.bootstrap import Overrides, utc_now
from trimtab_service.domain.recommendations import Recommendation, RecommendationContent
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.store.engines import open_database
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.writer import GroupCommitWriter

CODE: Final = grpc.StatusCode
_numbers = count(100)


@dataclass(frozen=True, slots=True)
class House:
    """The service, its machines, and tokens of people with roles in every project."""

    service: RunningService
    machines: Machines
    issuer: oidc.Issuer

    def as_one(self, subject: str, role: str = "operator") -> tuple[tuple[str, str], ...]:
        """Call metadata of a person with a role everywhere."""
        now = datetime.now(UTC).timestamp()
        token = self.issuer.token(roles=[f"*:{role}"], sub=subject, exp=now + 3_600, nbf=now - 10)
        return (("authorization", f"Bearer {token}"),)

    def take_in(self, project: str, *contents: RecommendationContent) -> list[Recommendation]:
        """What a run found, put into the service's store."""
        return take_in(self.service.settings.store_url, project, contents)


def take_in(store_url: str, project: str, contents: Sequence[RecommendationContent]) -> list[Recommendation]:
    """Put findings into a store, as a fleet's analysis would."""
    database = open_database(store_url)
    writer = GroupCommitWriter(database)
    try:
        store = RecommendationStore(database, writer)
        return [store.get(project, own) for own in store.take_in(project, contents, datetime.now(UTC), new_ulid)]
    finally:
        writer.close()
        database.close()


def named(made: Recommendation, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of any request
    """Name and a fresh request id for a request."""
    return {"name": made.name, "request_id": str(uuid.uuid4()), **fields}


def states(answers: Sequence[pb.Recommendation]) -> list[str]:
    """States in words."""
    return [pb.Recommendation.State.Name(one.state) for one in answers]


@contextmanager
def lifecycle_house(
    root: Path,
    clock: Callable[[], datetime] = utc_now,
    **settings: Any,  # noqa: ANN401 - fields of Settings
) -> Iterator[House]:
    """Serve with OIDC, over machines of its own."""
    issuer, machines = oidc.Issuer(), Machines(root / "machines.json")
    with running_service(
        root / "data",
        overrides=Overrides(actuators=machines, clock=clock),
        oidc_issuer=oidc.ISSUER,
        oidc_audience=oidc.AUDIENCE,
        oidc_jwks=str(issuer.write(root)),
        oidc_roles_claim="roles",
        **settings,
    ) as service:
        yield House(service, machines, issuer)


def found(house: House, project: str) -> Recommendation:
    """A resize of a machine of its own, which runs."""
    number = next(_numbers)
    house.machines.add(f"i-{number:08}")
    (made,) = house.take_in(project, content(number))
    return made


def refused(call: Any, request: Any, metadata: Any) -> Refusal:  # noqa: ANN401 - any method and its request
    """The refusal of a call that must be refused."""
    with pytest.raises(grpc.RpcError) as failed:
        call(request, metadata=metadata, timeout=30)
    return refusal_of(failed.value)


def claimed(house: House, rpc: RecommendationServiceStub, made: Recommendation, who: str = "ada") -> pb.Recommendation:
    """Claimed by somebody."""
    answer: pb.Recommendation = rpc.ClaimRecommendation(
        pb.ClaimRecommendationRequest(**named(made)), metadata=house.as_one(who), timeout=30
    )
    return answer


def apply(rpc: RecommendationServiceStub, made: Recommendation, who: Any, **fields: Any) -> Any:  # noqa: ANN401 - fields of a request
    """Carried out."""
    return rpc.ApplyRecommendation(
        pb.ApplyRecommendationRequest(**named(made, execute=True) | fields), metadata=who, timeout=60
    )
