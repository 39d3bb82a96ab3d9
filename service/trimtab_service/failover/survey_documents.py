"""A survey as JSON, so that every process judges by what one of them has read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.failover.ports import CapacityState, Fencing, Traffic
from trimtab_service.failover.survey import Reading, Standing, Survey, TargetKind, TargetRef

_FORM: Final = 1


@dataclass(frozen=True, slots=True)
class _Entry:
    """One reading; of the standings at most one is set."""

    kind: TargetKind
    name: str
    is_known: bool
    fencing: Fencing
    cloud: str = ""
    fault: str = ""
    is_denied: bool = False
    traffic: Traffic | None = None
    capacity: CapacityState | None = None
    is_primary: bool | None = None
    watermark: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Document:
    form: int
    entries: tuple[_Entry, ...]


def survey_bytes(survey: Survey) -> bytes:
    """The document of a survey."""
    entries = tuple(_entry(ref, reading) for ref, reading in survey.items())
    return orjson.dumps(to_document(_Document(_FORM, entries)))


def survey_of(document: bytes) -> Survey:
    """The survey of a document. Raises ValueError for what `survey_bytes` did not make."""
    read = from_document(_Document, orjson.loads(document))
    return {
        TargetRef(one.kind, one.name): Reading(
            one.is_known, _standing(one), one.cloud, one.fault, one.fencing, one.is_denied
        )
        for one in read.entries
    }


def _entry(ref: TargetRef, reading: Reading) -> _Entry:
    standing = reading.standing
    return _Entry(
        kind=ref.kind,
        name=ref.name,
        is_known=reading.is_known,
        fencing=reading.fencing,
        cloud=reading.cloud,
        fault=reading.fault,
        is_denied=reading.is_denied,
        traffic=standing if isinstance(standing, Traffic) else None,
        capacity=standing if isinstance(standing, CapacityState) else None,
        is_primary=standing if isinstance(standing, bool) else None,
        watermark=standing if isinstance(standing, datetime) else None,
    )


def _standing(entry: _Entry) -> Standing:
    for standing in (entry.traffic, entry.capacity, entry.is_primary, entry.watermark):
        if standing is not None:
            return standing
    return None
