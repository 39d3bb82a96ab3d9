"""Room of commitments and quotas: covered as far as it goes, drawn once, given back, never given twice."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trimtab_service.domain.commitments import Commitment, CommitmentKind, Draw
from trimtab_service.domain.coverage import OfferFacts
from trimtab_service.domain.events import (
    CatalogSwitched,
    CommitmentChanged,
    Event,
    OutcomesReported,
    RoomDrawn,
    RoomReleased,
)
from trimtab_service.domain.offers import Cloud, PurchaseOption
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.placement.owned import NO_SCOPES, Scope
from trimtab_service.placement.rooms import NOT_COVERED, Rooms
from trimtab_service.placement.state import NEW_PROJECT, ProjectState, fold

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
K = CommitmentKind
P3 = OfferFacts(Cloud.AWS, "us-east-1", "p3.2xlarge", "p3", 8.0, 61.0, "V100", 1.0, 3_060_000_000, ("us-east-1a",))
N2 = OfferFacts(Cloud.GCP, "us-central1", "n2-standard-8", "n2", 8.0, 32.0, on_demand_nanos=388_000_000)
A2 = OfferFacts(Cloud.GCP, "us-central1", "a2-highgpu-1g", "a2", 12.0, 85.0, "A100-40GB", 1.0, 3_673_000_000)


def owned(kind: CommitmentKind, commitment_id: str, **fields: Any) -> Commitment:  # noqa: ANN401 - fields of Commitment
    """A commitment that began a day ago and lasts a year, of the kind's own cloud."""
    cloud = Cloud(kind.value.partition("_")[0])
    start = NOW - timedelta(days=1)
    return Commitment("p", commitment_id, kind, cloud, start, start + YEAR, **fields)


def reservation(count: float = 4.0, commitment_id: str = "ri", **fields: Any) -> Commitment:  # noqa: ANN401
    """V100 instances in us-east-1."""
    return owned(
        K.AWS_RESERVED_INSTANCE_STANDARD, commitment_id, region="us-east-1", instance_type="p3.2xlarge", family="p3",
        instances=count, **fields,
    )  # fmt: skip


def rooms(*commitments: Commitment) -> Rooms:
    """Rooms of these commitments."""
    made = Rooms()
    for commitment in commitments:
        made = made.change(commitment.commitment_id, commitment)
    return made


def taken(draws: tuple[Draw, ...]) -> tuple[tuple[str, int], ...]:
    """Draws as the journal has them."""
    return tuple((draw.room_key, draw.amount_milli) for draw in draws)


def test_nothing_owned_covers_nothing() -> None:
    """Without commitments, or with none that fits, the answer is the one constant."""
    assert Rooms().cover(P3, 1, NOW) is NOT_COVERED
    assert rooms(reservation()).cover(N2, 1, NOW) is NOT_COVERED
    assert Rooms().scopes(NOW) is NO_SCOPES


def test_a_gang_is_covered_as_far_as_the_room_goes() -> None:
    """Four reserved instances cover four of six; the draw names the room and its whole."""
    got = rooms(reservation(4.0)).cover(P3, 6, NOW)
    name = "projects/p/commitments/ri"
    assert got.instances == 4.0
    assert got.commitments == (name,)
    assert got.draws == (Draw(name, 4_000, 4_000),)


def test_what_is_drawn_covers_nobody_else_until_released_or_expired() -> None:
    """A draw takes room, its release and its expiry give it back."""
    free = rooms(reservation(4.0))
    first = free.cover(P3, 3, NOW)
    held = free.draw("d1", taken(first.draws), NOW + timedelta(minutes=15), NOW)

    assert held.cover(P3, 3, NOW).instances == 1.0
    assert held.cover(P3, 3, NOW + timedelta(minutes=15)).instances == 3.0
    assert held.release("d1").cover(P3, 3, NOW).instances == 3.0
    assert held.release("unknown").cover(P3, 3, NOW).instances == 1.0
    assert free.cover(P3, 3, NOW).instances == 3.0
    assert held.reserved_fraction("ri", NOW) == 0.75
    assert held.reserved_fraction("other", NOW) == 0.0
    assert held.draw("d1", taken(first.draws), NOW + timedelta(hours=1), NOW).cover(P3, 3, NOW).instances == 1.0


def test_room_is_what_others_leave_in_the_hour() -> None:
    """Half used all the time, and half of the rest at noon on Saturdays: of eight, two are left then, four at one."""
    shares = tuple(0.5 if hour == 5 * 24 + 12 else 0.0 for hour in range(168))
    made = rooms(reservation(8.0, in_use_fraction=0.5, used_by_hour_of_week=shares))
    assert NOW.weekday() == 5
    at_noon = made.cover(P3, 6, NOW)
    assert at_noon.instances == 2.0
    assert at_noon.draws == (Draw("projects/p/commitments/ri", 2_000, 2_000),)
    assert made.cover(P3, 6, NOW + timedelta(hours=1)).instances == 4.0
    held = made.draw("d1", taken(at_noon.draws), NOW + timedelta(days=2), NOW)
    assert held.cover(P3, 6, NOW) is NOT_COVERED
    assert held.cover(P3, 6, NOW + timedelta(hours=1)).instances == 2.0


def test_what_is_said_of_a_room_by_the_hour_holds_for_the_hour() -> None:
    """Rooms that are alike at all hours hold for as long as the commitments do."""
    early = NOW + timedelta(minutes=20)
    assert rooms(reservation(used_by_hour_of_week=(0.1,) * 168)).steady_until(early) == NOW + timedelta(hours=1)
    assert rooms(reservation()).steady_until(early) == NOW - timedelta(days=1) + YEAR


def test_reservations_are_used_before_savings_plans() -> None:
    """The bill's order: the reservation first, the plan for the rest, its spend drawn at the discounted price."""
    plan = owned(K.AWS_COMPUTE_SAVINGS_PLAN, "plan", spend_nanos_per_hour=3_060_000_000, discount_fraction=0.5)
    got = rooms(plan, reservation(1.0)).cover(P3, 4, NOW)
    assert got.commitments == ("projects/p/commitments/ri", "projects/p/commitments/plan")
    assert got.instances == 3.0
    assert taken(got.draws) == (
        ("projects/p/commitments/ri", 1_000),
        ("projects/p/commitments/plan", 3_060_000_000),
    )


def test_the_published_savings_plan_example_is_covered_whole() -> None:
    """AWS's example: a 2.00 Compute plan pays for a c5.9xlarge of 4.00 at 50 %; half of it for half of one."""
    c5 = OfferFacts(Cloud.AWS, "us-east-1", "c5.9xlarge", "c5", 36.0, 72.0, on_demand_nanos=4_000_000_000)
    for spend, covered in ((2_000_000_000, 1.0), (1_000_000_000, 0.5), (25_000_000_000, 1.0)):
        plan = owned(K.AWS_COMPUTE_SAVINGS_PLAN, "plan", spend_nanos_per_hour=spend, discount_fraction=0.5)
        assert rooms(plan).cover(c5, 1, NOW).instances == covered


def test_google_resources_pool_and_the_scarcest_decides() -> None:
    """Two commitments add up their vCPUs; memory for three covers three; without committed GPUs no GPU type."""
    first = owned(K.GCP_RESOURCE_CUD, "a", region="us-central1", family="n2", vcpus=20.0, memory_gib=96.0)
    second = owned(K.GCP_RESOURCE_CUD, "b", region="us-central1", family="n2", vcpus=20.0)
    got = rooms(first, second).cover(N2, 10, NOW)
    assert got.instances == 3.0
    assert dict(taken(got.draws)) == {
        "projects/p/commitments/a/vcpus": 20_000,
        "projects/p/commitments/b/vcpus": 4_000,
        "projects/p/commitments/a/memory": 96_000,
    }
    assert got.commitments == ("projects/p/commitments/a", "projects/p/commitments/b")

    cpus = owned(K.GCP_RESOURCE_CUD, "c", region="us-central1", family="a2", vcpus=120.0, memory_gib=850.0)
    gpus = owned(K.GCP_RESOURCE_CUD, "g", region="us-central1", family="a2", gpu_model="A100-40GB", gpus=2.0)
    assert rooms(cpus).cover(A2, 4, NOW) is NOT_COVERED
    assert rooms(cpus, gpus).cover(A2, 4, NOW).instances == 2.0


def test_flexible_spend_takes_what_resources_leave() -> None:
    """Google's resource-based commitments come before the flexible one."""
    resources = owned(K.GCP_RESOURCE_CUD, "z", region="us-central1", family="n2", vcpus=8.0, memory_gib=32.0)
    flexible = owned(K.GCP_FLEXIBLE_CUD, "a", spend_nanos_per_hour=194_000_000, discount_fraction=0.5)
    got = rooms(flexible, resources).cover(N2, 3, NOW)
    assert got.commitments == ("projects/p/commitments/z", "projects/p/commitments/a")
    assert got.instances == 2.0


def test_a_zonal_reservation_names_its_zone() -> None:
    """Covered instances have to run where the reservation is."""
    got = rooms(reservation(2.0, zone="us-east-1a")).cover(P3, 1, NOW)
    assert got.zones == ("us-east-1a",)
    assert rooms(reservation(2.0)).cover(P3, 1, NOW).zones == ()


def test_only_active_commitments_cover() -> None:
    """Not before the start, not from the end on, nor from when it was ended."""
    ended = NOW + timedelta(days=10)
    state = rooms(reservation(2.0, ended_time=ended))
    start = NOW - timedelta(days=1)
    covered = [bool(state.cover(P3, 1, at).instances_milli) for at in (start - timedelta(seconds=1), start, NOW, ended)]
    assert covered == [False, True, True, False]
    assert [len(state.scopes(at).scopes) for at in (start - timedelta(seconds=1), start, ended)] == [0, 1, 0]


def test_scopes_name_every_offer_that_may_be_covered_once() -> None:
    """By exact type, by family where size-flexible, by cloud; one object until a commitment begins or ends."""
    state = rooms(
        reservation(1.0, "a"),
        reservation(9.0, "b"),
        reservation(1.0, "c", size_flexible=True),
        owned(K.AWS_SAGEMAKER_SAVINGS_PLAN, "d", spend_nanos_per_hour=1, discount_fraction=0.1),
        owned(K.GCP_RESOURCE_CUD, "e", region="us-central1", family="n2", vcpus=1.0),
    )
    scopes = state.scopes(NOW)
    assert scopes.scopes == (
        Scope(Cloud.AWS, "", "", "", is_sagemaker=True),
        Scope(Cloud.AWS, "us-east-1", "p3", "", is_sagemaker=False),
        Scope(Cloud.AWS, "us-east-1", "p3", "p3.2xlarge", is_sagemaker=False),
        Scope(Cloud.GCP, "us-central1", "n2", "", is_sagemaker=False),
    )
    assert state.scopes(NOW + timedelta(hours=1)) is scopes
    assert state.draw("d", (("x", 1),), NOW + YEAR, NOW).scopes(NOW) is scopes
    assert scopes.until == NOW - timedelta(days=1) + YEAR


fleets = st.lists(
    st.one_of(
        st.builds(reservation, st.floats(0.1, 9.0), st.sampled_from("ab"), in_use_fraction=st.floats(0.0, 1.0)),
        st.builds(
            lambda spend, discount: owned(
                K.AWS_COMPUTE_SAVINGS_PLAN, "plan", spend_nanos_per_hour=spend, discount_fraction=discount
            ),
            st.integers(1, 10**10),
            st.floats(0.01, 0.9),
        ),
    ),
    max_size=4,
)
requests = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 40), st.booleans()), max_size=12)


@given(fleets, requests)
def test_no_room_is_given_twice(fleet: list[Commitment], asked: list[tuple[int, int, bool]]) -> None:
    """Whatever is drawn, held and released: no room ever holds more than its whole, no gang more than itself."""
    state = rooms(*fleet)
    held: list[tuple[str, tuple[Draw, ...]]] = []
    for number, (count, minute, gives_back) in enumerate(asked):
        got = state.cover(P3, count, NOW)
        assert 0 <= got.instances_milli <= count * 1_000
        assert all(draw.amount_milli > 0 for draw in got.draws)
        assert bool(got.draws) == (got.instances_milli > 0)
        state = state.draw(f"d{number}", taken(got.draws), NOW + timedelta(minutes=1 + minute), NOW)
        held.append((f"d{number}", got.draws))
        if gives_back:
            state = state.release(held.pop()[0])
        totals: dict[str, int] = {}
        for _, draws in held:
            for draw in draws:
                totals[draw.room_key] = totals.get(draw.room_key, 0) + draw.amount_milli
                assert totals[draw.room_key] <= draw.capacity_milli
                assert draw.capacity_milli - totals[draw.room_key] >= 0
        assert all(state.drawn_milli(key, NOW) == total for key, total in totals.items())


keys = st.sampled_from(["a", "b", "c"])
entries = st.lists(
    st.one_of(
        st.builds(
            RoomDrawn,
            decision_id=st.sampled_from([f"d{n}" for n in range(8)]),
            draws=st.dictionaries(keys, st.integers(1, 1_000), min_size=1).map(lambda d: tuple(d.items())),
            expire_time=st.integers(0, 100).map(lambda m: NOW + timedelta(minutes=m)),
            create_time=st.just(NOW),
        ),
        st.builds(RoomReleased, st.sampled_from([f"d{n}" for n in range(8)])),
        st.builds(
            CommitmentChanged, st.just("a"), st.none() | st.builds(reservation, st.floats(1.0, 9.0), st.just("a"))
        ),
        st.just(CatalogSwitched("v2")),
        st.builds(
            OutcomesReported,
            st.just(
                (Outcome(Cloud.AWS, "r", "", "t", PurchaseOption.SPOT, NOW, capacity_failure=True, hours_run=1.0),)
            ),
        ),
    ),
    max_size=20,
)


def folded(state: ProjectState, told: list[Event], first: int) -> ProjectState:
    """The state after these events, at revisions from `first` on."""
    for revision, event in enumerate(told, first):
        state = fold(state, event, revision)
    return state


@given(entries, st.integers(0, 20), st.integers(0, 110))
def test_the_state_can_be_folded_from_a_snapshot(told: list[Event], cut: int, minute: int) -> None:
    """From the beginning, or from a snapshot that went through JSON: the same state and the same room left."""
    whole = folded(NEW_PROJECT, told, 1)
    half = folded(NEW_PROJECT, told[:cut], 1)
    kept = ProjectState.from_document(json.loads(json.dumps(half.document())))
    resumed = folded(kept, told[cut:], cut + 1)
    at = NOW + timedelta(minutes=minute)

    assert resumed.document() == whole.document()
    for key in ("a", "b", "c"):
        assert resumed.rooms.drawn_milli(key, at) == whole.rooms.drawn_milli(key, at) == _drawn(told, key, at)


def _drawn(told: list[Event], key: str, at: datetime) -> int:
    """The plain way: what the events say is held at an instant not before any of them."""
    held: dict[str, RoomDrawn] = {}
    for event in told:
        if isinstance(event, RoomDrawn):
            held.setdefault(event.decision_id, event)
        elif isinstance(event, RoomReleased):
            held.pop(event.decision_id, None)
    return sum(dict(event.draws).get(key, 0) for event in held.values() if event.expire_time > at)


def test_revisions_are_those_of_the_last_change_of_each_part() -> None:
    """Outcomes move the learned revision, commitments and draws the other; the rest moves none."""
    outcome = Outcome(Cloud.AWS, "us-east-1", "", "p3.2xlarge", PurchaseOption.SPOT, NOW, interruptions=1)
    told: list[Event] = [
        OutcomesReported((outcome,)),
        CommitmentChanged("ri", reservation()),
        CatalogSwitched("v2"),
        RoomDrawn("d", (("projects/p/commitments/ri", 1_000),), NOW + YEAR, NOW),
    ]
    state = folded(NEW_PROJECT, told, 10)
    assert (state.learned_revision, state.commitment_revision) == (10, 13)
    assert state.rooms.cover(P3, 4, NOW).instances == 3.0
    assert fold(state, RoomReleased("d"), 20).rooms.cover(P3, 4, NOW).instances == 4.0
    assert not NEW_PROJECT.rooms.has_commitments
