"""Parses allow and deny lists, and refuses those that contradict themselves."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.regions import countries_of, nearest_residency_names
from trimtab_service.domain.workloads import RegionKey, Residency
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.vocabulary import CLOUD_OF, Vocabulary, suggestion

MAX_NAMES = 512

_T = TypeVar("_T")


def parse_residency(
    message: pb.Residency,
    vocabulary: Vocabulary,
    found: Violations,
    at: FieldPath,
    private_types: frozenset[str] = frozenset(),
) -> Residency:
    """The lists, resolved; blocs become countries. `private_types` are type names of the caller's own offers.

    Callers send the same few lists again and again: those that were right are kept, by their bytes.
    """
    if private_types:
        return _parse(message, vocabulary, found, at, private_types)
    key = message.SerializeToString()
    kept = vocabulary.residencies.get(key)
    if kept is None:
        own = Violations()
        kept = _parse(message, vocabulary, own, at, private_types)
        if own:
            found.extend(own)
        else:
            vocabulary.residencies.keep(key, kept)
    return kept


def _parse(
    message: pb.Residency, vocabulary: Vocabulary, found: Violations, at: FieldPath, private_types: frozenset[str]
) -> Residency:
    types = vocabulary.instance_types | private_types if private_types else vocabulary.instance_types
    countries = _countries(message.countries, vocabulary, found, (at, "countries"))
    if message.blocs:
        countries |= _countries(message.blocs, vocabulary, found, (at, "blocs"))
    residency = Residency(
        countries=countries,
        denied_countries=_countries(message.denied_countries, vocabulary, found, (at, "denied_countries")),
        clouds=_clouds(message.clouds, found, (at, "clouds")),
        denied_clouds=_clouds(message.denied_clouds, found, (at, "denied_clouds")),
        regions=_regions(message.regions, vocabulary, found, (at, "regions")),
        denied_regions=_regions(message.denied_regions, vocabulary, found, (at, "denied_regions")),
        families=_names(message.families, vocabulary.families, found, (at, "families")),
        denied_families=_names(message.denied_families, vocabulary.families, found, (at, "denied_families")),
        instance_types=_names(message.instance_types, types, found, (at, "instance_types")),
        denied_instance_types=_names(message.denied_instance_types, types, found, (at, "denied_instance_types")),
    )
    _refuse_contradictions(residency, vocabulary, found, at)
    return residency


def _countries(names: Sequence[str], vocabulary: Vocabulary, found: Violations, field: FieldPath) -> frozenset[str]:
    if not names or not bounds.few(found, field, len(names), MAX_NAMES):
        return frozenset()
    every: set[str] = set()
    for index, name in enumerate(names):
        countries = vocabulary.continents.get(name.upper()) or countries_of(name[:64])
        if countries is None:
            near = nearest_residency_names(name[:64], vocabulary.countries)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, f"no country or bloc: {name[:64]!r}{hint}")
        else:
            every |= countries
    return frozenset(every)


def _clouds(codes: Iterable[int], found: Violations, field: FieldPath) -> frozenset[Cloud]:
    clouds: set[Cloud] = set()
    for index, code in enumerate(codes):
        if code in CLOUD_OF:
            clouds.add(CLOUD_OF[code])
        else:
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, "not a cloud")
            if index > MAX_NAMES:
                break
    return frozenset(clouds)


def _regions(
    refs: Sequence[types_pb2.RegionRef], vocabulary: Vocabulary, found: Violations, field: FieldPath
) -> frozenset[RegionKey]:
    if not refs or not bounds.few(found, field, len(refs), MAX_NAMES):
        return frozenset()
    keys: set[RegionKey] = set()
    for index, ref in enumerate(refs):
        key = vocabulary.region(ref.cloud, ref.region)
        if key is None:
            near = vocabulary.nearest_regions(ref.cloud, ref.region[:64])
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, f"no region {ref.region[:64]!r} there{near}")
        else:
            keys.add(key)
    return frozenset(keys)


def _names(names: Sequence[str], known: frozenset[str], found: Violations, field: FieldPath) -> frozenset[str]:
    if not names or not bounds.few(found, field, len(names), MAX_NAMES):
        return frozenset()
    for index, name in enumerate(names):
        if name not in known:
            near = suggestion(name, known)
            # A misspelt deny list would let through what it was meant to stop.
            found.add((field, f"[{index}]"), ErrorReason.UNKNOWN_VALUE, f"not in the catalogue: {name[:64]!r}{near}")
    return frozenset(names)


def _refuse_contradictions(residency: Residency, vocabulary: Vocabulary, found: Violations, at: FieldPath) -> None:
    """An allow list that its deny list empties, or regions that no other list allows, can match nothing."""
    _refuse_empty(residency.countries, residency.denied_countries, found, (at, "denied_countries"))
    _refuse_empty(residency.clouds, residency.denied_clouds, found, (at, "denied_clouds"))
    _refuse_empty(residency.regions, residency.denied_regions, found, (at, "denied_regions"))
    _refuse_empty(residency.families, residency.denied_families, found, (at, "denied_families"))
    _refuse_empty(residency.instance_types, residency.denied_instance_types, found, (at, "denied_instance_types"))
    if not residency.clouds and len(residency.denied_clouds) == len(Cloud):
        found.add((at, "denied_clouds"), ErrorReason.CONTRADICTION, "denies every cloud")
    if residency.regions and not any(_agrees(key, residency, vocabulary) for key in residency.regions):
        found.add((at, "regions"), ErrorReason.CONTRADICTION, "every region allowed here is excluded by another list")


def _refuse_empty(allowed: frozenset[_T], denied: frozenset[_T], found: Violations, field: FieldPath) -> None:
    if allowed and allowed <= denied:
        found.add(field, ErrorReason.CONTRADICTION, "denies everything that is allowed")


def _agrees(key: RegionKey, residency: Residency, vocabulary: Vocabulary) -> bool:
    snapshot = vocabulary.snapshot
    country = snapshot.regions[snapshot.region_index[key.cloud, key.region]].country
    return (
        (not residency.clouds or key.cloud in residency.clouds)
        and key.cloud not in residency.denied_clouds
        and (not residency.countries or country in residency.countries)
        and country not in residency.denied_countries
    )
