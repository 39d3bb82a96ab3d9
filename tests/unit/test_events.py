"""Journal events: an exact round trip of every kind, and what older and newer versions write."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.commitments import Commitment, CommitmentKind
from trimtab_service.domain.events import (
    CatalogSwitched,
    CommitmentChanged,
    Event,
    OutcomesReported,
    PolicyChanged,
    RoomDrawn,
    RoomReleased,
    body,
    event_payload,
    parse_event,
)
from trimtab_service.domain.offers import Cloud, PriceBasis, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.policy import PolicyContent, Rules
from trimtab_service.domain.workloads import RegionKey, Residency

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
names = st.text(max_size=20)
instants = st.integers(0, 2**52).map(lambda micros: NOW + timedelta(microseconds=micros % 10**15))
floats = st.floats(0.0, 1e9)
outcomes = st.builds(
    Outcome, st.sampled_from(Cloud), names, names, names, st.sampled_from(PurchaseOption), instants,
    st.booleans(), st.booleans(), st.integers(0, 10**6), floats, names,
)  # fmt: skip
commitments = st.builds(
    Commitment,
    project=names,
    commitment_id=names,
    kind=st.sampled_from(CommitmentKind),
    cloud=st.sampled_from(Cloud),
    start_time=instants,
    end_time=instants,
    region=names,
    instance_type=names,
    instances=floats,
    spend_nanos_per_hour=st.integers(0, 2**63 - 1),
    in_use_fraction=st.floats(0.0, 1.0),
    size_flexible=st.booleans(),
    ended_time=st.none() | instants,
)
contents = st.builds(
    PolicyContent,
    rules=st.builds(
        Rules,
        residency=st.none()
        | st.builds(
            Residency,
            countries=st.frozensets(names),
            denied_clouds=st.frozensets(st.sampled_from(Cloud)),
            regions=st.frozensets(st.builds(RegionKey, st.sampled_from(Cloud), names)),
        ),
        options=st.none() | st.frozensets(st.sampled_from(PurchaseOption)),
        price_bases=st.none() | st.frozensets(st.sampled_from(PriceBasis)),
        max_price_age=st.none() | st.timedeltas(timedelta(0), timedelta(days=10_000)),
        max_cost_micros=st.none() | st.integers(0, 2**63 - 1),
        required_tags=st.none() | st.frozensets(names),
        tolerance_fraction=st.none() | st.floats(0.0, 1.0),
    ),
    condition=names,
    description=names,
    disabled=st.booleans(),
)
events = st.one_of(
    st.builds(OutcomesReported, st.lists(outcomes, max_size=4).map(tuple), names),
    st.builds(CommitmentChanged, names, st.none() | commitments),
    st.builds(
        RoomDrawn,
        names,
        st.lists(st.tuples(names, st.integers(1, 2**62)), max_size=4).map(tuple),
        instants,
        st.just(NOW),
    ),
    st.builds(RoomReleased, names),
    st.builds(PolicyChanged, names, names, st.none() | contents),
    st.builds(CatalogSwitched, names),
)


@given(events)
def test_every_event_survives_the_journal(event: Event) -> None:
    """Payload, JSON text, parsed again: the same event, to the last digit and microsecond."""
    kind, payload = event_payload(event)
    assert parse_event(kind, json.loads(json.dumps(payload, allow_nan=False)), NOW) == event


def test_payloads_are_those_that_the_store_writes() -> None:
    """The envelope of each kind, spelled out: another version of trimtab reads it."""
    outcome = Outcome(Cloud.GCP, "us-central1", "", "a2-highgpu-1g", PurchaseOption.SPOT, NOW, interruptions=2)
    assert event_payload(OutcomesReported((outcome,), "d1")) == (
        "outcome",
        {
            "decision_id": "d1",
            "outcomes": [
                {
                    "v": 1,
                    "cloud": "gcp",
                    "region": "us-central1",
                    "zone": "",
                    "instance_type": "a2-highgpu-1g",
                    "option": "spot",
                    "event_time": 1_785_585_600_000_000,
                    "interruptions": 2,
                }
            ],
        },
    )
    assert event_payload(RoomDrawn("d1", (("room", 1_500),), NOW, NOW)) == (
        "reservation",
        {
            "action": "draw",
            "decision_id": "d1",
            "draws": [["room", 1_500]],
            "expire_time_us": 1_785_585_600_000_000,
        },
    )
    created = {"action": "create", "parent": "projects/p", "id": "c1"}
    commitment = Commitment("p", "c1", CommitmentKind.AZURE_RESERVATION, Cloud.AZURE, NOW, NOW, instances=2.0)
    assert parse_event("commitment", {**created, "body": body(commitment)}, NOW) == CommitmentChanged("c1", commitment)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("invented_later", {}),
        ("reservation", {"action": "invented_later"}),
        ("commitment", {"action": "update", "parent": "", "id": "c", "body": {"v": 2}}),
        ("policy", {"action": "update", "parent": "", "id": "c", "body": {"v": 2}}),
        ("outcome", {"outcomes": [{"v": 2}]}),
    ],
)
def test_what_is_of_a_newer_version_is_passed_over(kind: str, payload: dict[str, object]) -> None:
    """Old and new versions serve together: unknown kinds, actions and forms are no error."""
    assert parse_event(kind, payload, NOW) is None


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("outcome", {}),
        ("outcome", {"outcomes": [{"v": 1, "cloud": "aws"}]}),
        ("commitment", {"action": "update", "id": "c", "body": {"v": 1, "cloud": 1}}),
        ("policy", {"action": "delete", "id": "c"}),
        ("reservation", {"action": "draw", "decision_id": "d"}),
    ],
)
def test_a_damaged_entry_is_an_error(kind: str, payload: dict[str, object]) -> None:
    """A payload of a known form that is not right is never read as nothing."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_event(kind, {"body": None, **payload}, NOW)
