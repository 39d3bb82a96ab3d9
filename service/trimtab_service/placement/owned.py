"""A project's commitments, found by the offers they may cover, in the order their provider applies them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, NamedTuple

from trimtab_service.domain.commitments import Commitment, CommitmentKind, hour_of_week
from trimtab_service.domain.coverage import DUST, RESERVATIONS, BillingKey, OfferFacts, billing_key, room_key, rooms_of
from trimtab_service.domain.offers import Cloud

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class OwnedRoom(NamedTuple):
    """One room of a commitment: `resource` is empty where it has one only; the capacity is what others leave free.

    `by_hour` is the capacity in each hour of the week, empty where all are alike.
    """

    key: str
    resource: str
    capacity_milli: int
    by_hour: tuple[int, ...] = ()

    def capacity_at(self, instant: datetime) -> int:
        """The capacity in the hour of `instant`."""
        return self.by_hour[hour_of_week(instant)] if self.by_hour else self.capacity_milli


class Owned(NamedTuple):
    """A commitment with its rooms. Sorts as the provider bills."""

    order: BillingKey
    commitment: Commitment
    rooms: tuple[OwnedRoom, ...]
    from_time: datetime
    to_time: datetime

    def is_active(self, instant: datetime) -> bool:
        """Whether it covers anything at `instant`."""
        return self.from_time <= instant < self.to_time


class Scope(NamedTuple):
    """Offers that some commitment may cover; empty parts match all. `is_sagemaker`: `ml.*` types, else all others."""

    cloud: Cloud
    region: str
    family: str
    instance_type: str
    is_sagemaker: bool


class Scopes(NamedTuple):
    """Scopes of the commitments that are active from `since` to before `until`; one object for all that time."""

    scopes: tuple[Scope, ...]
    since: datetime
    until: datetime


NO_SCOPES: Final = Scopes((), _LONG_AGO, _NEVER)

_Place = tuple[Cloud, str]


class OwnedIndex:
    """All commitments of a project by cloud, region, and type or family. Made once for each change of commitments."""

    __slots__ = ("_by_place", "_scopes", "all")

    def __init__(self, commitments: Iterable[Commitment]) -> None:
        self.all: tuple[Owned, ...] = tuple(sorted(map(_owned, commitments), key=_order))
        self._by_place: dict[_Place, dict[str, list[Owned]]] = {}
        self._scopes: Scopes | None = None
        for owned in self.all:
            commitment = owned.commitment
            place = self._by_place.setdefault((commitment.cloud, commitment.region), {})
            place.setdefault(_selector(commitment), []).append(owned)

    def candidates(self, facts: OfferFacts) -> list[Owned]:
        """Commitments that may cover an offer, in billing order; the rules of coverage are not applied yet."""
        found: list[Owned] = []
        for region in (facts.region, ""):
            place = self._by_place.get((facts.cloud, region))
            if place is not None:
                for selector in (f"type:{facts.instance_type}", f"family:{facts.family}", ""):
                    found += place.get(selector, ())
        if len(found) > 1:
            found.sort(key=_order)
        return found

    def scopes(self, instant: datetime) -> Scopes:
        """What the commitments active at `instant` may cover, whether or not there is room."""
        kept = self._scopes
        if kept is not None and kept.since <= instant < kept.until:
            return kept
        times = [time for owned in self.all for time in (owned.from_time, owned.to_time)]
        active = {_scope(owned.commitment) for owned in self.all if owned.from_time <= instant < owned.to_time}
        made = Scopes(
            tuple(sorted(active)),
            max((time for time in times if time <= instant), default=_LONG_AGO),
            min((time for time in times if time > instant), default=_NEVER),
        )
        self._scopes = made  # two threads may both make it: they are equal
        return made


def _owned(commitment: Commitment) -> Owned:
    ended = commitment.ended_time
    return Owned(
        billing_key(commitment),
        commitment,
        tuple(
            OwnedRoom(room_key(commitment, r.name), r.name, r.capacity_milli, _by_hour(commitment, r.capacity_milli))
            for r in rooms_of(commitment)
        ),
        commitment.start_time,
        commitment.end_time if ended is None else min(ended, commitment.end_time),
    )


def _by_hour(commitment: Commitment, capacity_milli: int) -> tuple[int, ...]:
    """Rounded down: no room is given that might be used."""
    return tuple(int(capacity_milli * (1.0 - used) + DUST) for used in commitment.used_by_hour_of_week)


def _order(owned: Owned) -> BillingKey:
    return owned.order


def _is_flexible(commitment: Commitment) -> bool:
    return commitment.size_flexible and not commitment.zone and bool(commitment.family)


def _selector(commitment: Commitment) -> str:
    if commitment.instance_type and not _is_flexible(commitment):
        return f"type:{commitment.instance_type}"
    return f"family:{commitment.family}" if commitment.family else ""


def _scope(commitment: Commitment) -> Scope:
    by_type = commitment.instance_type and not (commitment.kind in RESERVATIONS and _is_flexible(commitment))
    return Scope(
        commitment.cloud,
        commitment.region,
        commitment.family,
        commitment.instance_type if by_type else "",
        commitment.kind is CommitmentKind.AWS_SAGEMAKER_SAVINGS_PLAN,
    )
