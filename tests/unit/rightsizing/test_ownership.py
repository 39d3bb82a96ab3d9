"""Room of owned commitments: what covers a placement covers a size."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sizing import NOW
from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.offers import Cloud
from trimtab_service.placement.rooms import Rooms
from trimtab_service.rightsizing.ownership import Ownership

K = CommitmentKind
LARGE = OfferFacts(Cloud.AWS, "us-east-1", "m5.4xlarge", "m5", 16.0, 64.0, on_demand_nanos=768_000_000)
SMALL = OfferFacts(Cloud.AWS, "us-east-1", "m5.xlarge", "m5", 4.0, 16.0, on_demand_nanos=192_000_000)
GOOGLE = OfferFacts(Cloud.GCP, "us-central1", "a2-highgpu-1g", "a2", 12.0, 85.0, "A100-40GB", 1.0, 3_673_000_000)
AZURE = OfferFacts(Cloud.AZURE, "eastus", "Standard_D4s_v5", "Dsv5", 4.0, 16.0, on_demand_nanos=192_000_000)
OFFERS = (LARGE, SMALL, GOOGLE, AZURE)

_AMOUNTS = {
    K.AWS_RESERVED_INSTANCE_STANDARD: {"region": "us-east-1", "instance_type": "m5.4xlarge", "family": "m5"},
    K.AWS_EC2_INSTANCE_SAVINGS_PLAN: {"region": "us-east-1", "family": "m5"},
    K.AWS_COMPUTE_SAVINGS_PLAN: {},
    K.GCP_RESOURCE_CUD: {"region": "us-central1", "family": "a2", "gpu_model": "A100-40GB"},
    K.GCP_FLEXIBLE_CUD: {},
    K.AZURE_RESERVATION: {"region": "eastus", "instance_type": "Standard_D4s_v5", "family": "Dsv5"},
    K.AZURE_SAVINGS_PLAN: {},
}


@st.composite
def owned(draw: st.DrawFn) -> list[Commitment]:
    """Commitments of several kinds, active or not, more or less in use."""
    made = []
    for number in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(list(_AMOUNTS)))
        begun = draw(st.sampled_from([NOW - timedelta(days=9), NOW + timedelta(days=1)]))
        fields: dict[str, float | int | bool] = {"in_use_fraction": draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))}
        amount = draw(st.floats(0.1, 20.0))
        if kind in {K.AWS_RESERVED_INSTANCE_STANDARD, K.AZURE_RESERVATION}:
            fields |= {
                "instances": amount,
                "size_flexible": draw(st.booleans()),
                "vcpus": 4.0 * (kind is K.AZURE_RESERVATION),
            }
        elif kind is K.GCP_RESOURCE_CUD:
            fields |= {"vcpus": amount * 12, "memory_gib": amount * 60, "gpus": draw(st.floats(0.0, 9.0))}
        else:
            fields |= {
                "spend_nanos_per_hour": round(amount * 1e8),
                "discount_fraction": draw(st.sampled_from([0.0, 0.28])),
            }
        cloud = Cloud(kind.value.partition("_")[0])
        named = _AMOUNTS[kind]
        made.append(
            Commitment("p", f"c{number}", kind, cloud, begun, begun + timedelta(days=365), **named, **fields)  # type: ignore[arg-type]  # by name
        )
    return made


def rooms_of(commitments: list[Commitment]) -> Rooms:
    """The same as placement keeps them."""
    rooms = Rooms()
    for commitment in commitments:
        rooms = rooms.change(commitment.commitment_id, commitment)
    return rooms


@given(owned(), st.sampled_from(OFFERS), st.integers(1, 9))
@settings(max_examples=300, deadline=None)
def test_a_size_is_covered_as_a_placement_is(commitments: list[Commitment], facts: OfferFacts, count: int) -> None:
    """Two engines that may not know each other agree to the thousandth on what owned room pays for."""
    covered = Ownership(commitments, NOW).option(facts, count)
    assert covered == rooms_of(commitments).cover(facts, count, NOW).instances_milli


@given(owned(), st.sampled_from(OFFERS), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_staying_is_covered_as_before(commitments: list[Commitment], facts: OfferFacts, count: int) -> None:
    """What the present size draws is free for the next one: the same size again is covered no less."""
    ownership = Ownership(commitments, NOW)
    covered = ownership.present(facts, count)
    assert 0 <= covered <= count * 1_000
    assert ownership.option(facts, count) >= covered


@given(owned(), st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_a_smaller_size_needs_no_more_room(commitments: list[Commitment], count: int) -> None:
    """Of the same family a quarter of the size is covered at least as far."""
    ownership = Ownership(commitments, NOW)
    covered = ownership.present(LARGE, count)
    flexible = all(
        commitment.size_flexible or commitment.kind is not K.AWS_RESERVED_INSTANCE_STANDARD
        for commitment in commitments
    )
    if flexible:
        assert ownership.option(SMALL, count) >= covered - 1
