"""A commitment message becomes what coverage needs to know of it."""

from datetime import UTC, datetime

import pytest

from tests.support.catalog_sources import AS_OF, good_source
from trimtab.v1 import commitment_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.catalog.builder import build
from trimtab_service.catalog.storage import open_snapshot
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.coverage import OfferFacts, draw_milli
from trimtab_service.domain.offers import Cloud
from trimtab_service.rpc.commitment_codec import parse_commitment
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.vocabulary import Vocabulary, timestamp_of

START, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
M5_XLARGE = OfferFacts(Cloud.AWS, "us-east-1", "m5.xlarge", "m5", 4.0, 16.0)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    """The words of the small catalogue."""
    root = tmp_path_factory.mktemp("catalog")
    load = build(good_source().write(root / "in"), root / "out", as_of=AS_OF)
    return Vocabulary(open_snapshot(root / "out" / load.version))


def parsed(vocabulary: Vocabulary, instance_type: str) -> Commitment:
    """A size-flexible reservation that names its type only."""
    found = Violations()
    message = pb.Commitment(
        kind=pb.Commitment.KIND_AWS_RESERVED_INSTANCE_STANDARD,
        cloud=types_pb2.CLOUD_AWS,
        region="us-east-1",
        instance_type=instance_type,
        instances=3.0,
        size_flexible=True,
        start_time=timestamp_of(START),
        end_time=timestamp_of(END),
    )
    commitment = parse_commitment(message, "p", "c", vocabulary, found, "commitment")
    found.check()
    assert commitment is not None
    return commitment


def test_a_size_flexible_reservation_that_names_only_its_type_covers_the_family(vocabulary: Vocabulary) -> None:
    """Family and vCPUs come from the catalogue, so another size of the family draws in proportion."""
    commitment = parsed(vocabulary, "m5.large")
    assert (commitment.family, commitment.vcpus) == ("m5", 2.0)
    assert draw_milli(commitment, M5_XLARGE) == (2_000,)


def test_a_reservation_of_an_unknown_type_covers_that_type_only(vocabulary: Vocabulary) -> None:
    """What the catalogue does not know is kept as it was said."""
    commitment = parsed(vocabulary, "m5.unheard-of")
    assert (commitment.family, commitment.vcpus) == ("", 0.0)
    assert draw_milli(commitment, M5_XLARGE) is None
    assert draw_milli(commitment, M5_XLARGE._replace(instance_type="m5.unheard-of")) == (1_000,)
