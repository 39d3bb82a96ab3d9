"""Which regions and types of a catalogue a project's commitments may cover."""

from datetime import datetime
from typing import TYPE_CHECKING, Final

from trimtab_service.domain.commitments import CommitmentKind
from trimtab_service.placement.index import OwnedTypes, SearchIndex
from trimtab_service.placement.owned import Owned
from trimtab_service.placement.rooms import Rooms
from trimtab_service.placement.type_sets import TypeSet, TypeSets

if TYPE_CHECKING:
    from trimtab_service.placement.region_sets import RegionSet

_KEPT: Final = 64


def owned_types(index: SearchIndex, rooms: Rooms, instant: datetime) -> OwnedTypes:
    """Sets of the commitments that are active at `instant`; kept for as long as they are the same."""
    scopes = rooms.scopes(instant)
    kept = index.owned.get(id(scopes))
    if kept is not None:
        return kept[1]
    regions: RegionSet = 0
    wide: RegionSet = 0
    singular: dict[int, TypeSet] = {}
    for owned in rooms.owned().all:
        if not owned.from_time <= instant < owned.to_time:
            continue
        commitment = owned.commitment
        types = _types(index, owned)
        places = index.regions_named(commitment.cloud, commitment.region)
        regions |= places
        if types is None:
            wide |= places
            continue
        for r in TypeSets.members(places):
            singular[r] = singular.get(r, 0) | types
    made = OwnedTypes(regions, wide, singular)
    while len(index.owned) >= _KEPT:
        index.owned.pop(next(iter(index.owned)), None)
    index.owned[id(scopes)] = (scopes, made)
    return made


def _types(index: SearchIndex, owned: Owned) -> TypeSet | None:
    """Types that a commitment names; None where it covers whatever is bought, by spend."""
    commitment, sets = owned.commitment, index.type_sets
    types: TypeSet = 0
    if commitment.instance_type:
        types |= sets.named(commitment.instance_type)
    if commitment.family:
        types |= sets.of_families((commitment.family,))
    if types or commitment.instance_type or commitment.family:
        return types & sets.by_cloud[commitment.cloud]
    return sets.by_cloud[commitment.cloud] if commitment.kind is CommitmentKind.GCP_RESOURCE_CUD else None
