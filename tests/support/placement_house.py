"""A service whose clock tests move, and what is asked of it about owned room."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from tests.support.catalog_sources import good_source
from tests.support.contract import COMMITMENT, PLACEMENT, answered
from tests.support.service import RunningService, running_service
from tests.support.whole_requests import place_request
from trimtab.v1 import commitment_service_pb2, types_pb2
from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.bootstrap import Overrides

REPORT: Final = PLACEMENT + "ReportOutcome"


PLACE: Final = PLACEMENT + "Place"


OWNED: Final = types_pb2.PURCHASE_OPTION_OWNED_COMMITMENT


PLACED: Final = pb.Decision.VERDICT_PLACED


ONLY_IRELAND: Final = {"regions": [{"cloud": "CLOUD_AWS", "region": "eu-west-1"}], "instanceTypes": ["m5.large"]}


@dataclass
class Clock:
    """A clock that tests move."""

    ahead: timedelta = field(default_factory=timedelta)

    def __call__(self) -> datetime:
        """The time that the service sees."""
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True)
class House:
    """A service, its clock and the directory of its catalogue."""

    service: RunningService
    clock: Clock
    catalog: Path

    @property
    def channel(self) -> grpc.Channel:
        """A channel to the service."""
        return self.service.channel


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One service for the module; every test has a project of its own."""
    root, clock = tmp_path_factory.mktemp("placement"), Clock()
    directory = good_source().write(root / "catalog")
    with running_service(root / "data", overrides=Overrides(clock=clock), catalog_dir=directory) as service:
        yield House(service, clock, directory)


def reserving(project: str, **fields: Any) -> pb.PlaceRequest:  # noqa: ANN401 - fields of a workload
    """A request that draws."""
    request = place_request(project, residency=ONLY_IRELAND, **fields)
    request.reserve, request.request_id = True, str(uuid.uuid4())
    return request


def own(house: House, project: str, instances: float = 2, **changes: object) -> commitment_service_pb2.Commitment:
    """The project owns instances of m5.large in Ireland."""
    document = {
        "kind": "KIND_AWS_RESERVED_INSTANCE_STANDARD",
        "cloud": "CLOUD_AWS",
        "region": "eu-west-1",
        "instanceType": "m5.large",
        "startTime": "2020-01-01T00:00:00Z",
        "endTime": "2099-01-01T00:00:00Z",
        "instances": instances,
        **changes,
    }
    request = commitment_service_pb2.CreateCommitmentRequest(parent=f"projects/{project}", commitment_id="ri")
    ParseDict(document, request.commitment)
    made: commitment_service_pb2.Commitment = answered(house.channel, COMMITMENT + "CreateCommitment", request)
    return made


def reserved_fraction(house: House, project: str) -> float:
    """How much of it is drawn."""
    request = commitment_service_pb2.GetCommitmentRequest(name=f"projects/{project}/commitments/ri")
    return float(answered(house.channel, COMMITMENT + "GetCommitment", request).reserved_fraction)


def place(house: House, request: pb.PlaceRequest) -> pb.Decision:
    """A decision."""
    decision: pb.Decision = answered(house.channel, PLACE, request)
    return decision


def report(house: House, project: str, decision: pb.Decision, **happened: Any) -> int:  # noqa: ANN401 - of an outcome
    """Report on what was chosen; the learned revision."""
    offer = decision.chosen.offer
    pattern = pb.OfferPattern(
        cloud=offer.cloud,
        region=offer.region,
        instance_type=offer.instance_type,
        purchase_option=offer.purchase_option,
    )
    request = pb.ReportOutcomeRequest(
        parent=f"projects/{project}",
        decision=decision.name,
        outcomes=[pb.Outcome(offer=pattern, **happened)],
        request_id=str(uuid.uuid4()),
    )
    return int(answered(house.channel, REPORT, request).learned_revision)
