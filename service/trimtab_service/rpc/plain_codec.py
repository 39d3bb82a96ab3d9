"""The short way through the codec, where it is built: plain requests from their bytes, placed decisions to theirs.

`compiled/wire.pyx` knows the canonical form of what most callers send and most answers are. For everything else, and
where it is not built, these functions answer None: then `place_parser` reads and `decision_encoder` writes. Both ways
give the same query and the same bytes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Protocol

from trimtab_service import compiled
from trimtab_service.domain.decisions import Decision
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.workloads import PlaceQuery
from trimtab_service.rpc import bounds
from trimtab_service.rpc.decision_encoder import DIFFERS, KEPT_OFFERS, offer_bytes
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.offer_parser import parse_options
from trimtab_service.rpc.place_parser import MAX_FALLBACKS
from trimtab_service.rpc.size_parser import MAX_GPU_NEEDS
from trimtab_service.rpc.surroundings_parser import MAX_DATA_SETS, MAX_READ_GIB, MAX_READS
from trimtab_service.rpc.vocabulary import Vocabulary

_WIRE: Final = compiled.load("wire")


class RequestReader(Protocol):
    """What `compiled/wire.pyx` reads with."""

    def read(self, data: bytes, project: str) -> PlaceQuery | None:
        """The query of a canonical `PlaceRequest`."""


class DecisionWriter(Protocol):
    """What `compiled/wire.pyx` writes with."""

    def write(
        self, decision: Decision, name: str, instant: datetime, workload_id: str, revisions: bytes
    ) -> bytes | None:
        """The bytes of a `Decision` message."""


def read_plain(vocabulary: Vocabulary, data: bytes, project: str) -> PlaceQuery | None:
    """The query of a request that is right, plain, and of names and lists that were read before; else None.

    `data` is serialised deterministically.
    """
    if _WIRE is None:
        return None
    return reader_of(vocabulary).read(data, project)


def reader_of(vocabulary: Vocabulary) -> RequestReader:
    """The reader against a vocabulary, made once. Only where it is built."""
    if vocabulary.reader is None:
        vocabulary.reader = _reader(vocabulary)
    reader: RequestReader = vocabulary.reader
    return reader


def write_plain(
    decision: Decision, *, name: str, instant: datetime, workload_id: str, revisions: bytes
) -> bytes | None:
    """The bytes that `encode_decision` gives, for a decision that places on whole offers; else None."""
    return None if WRITER is None else WRITER.write(decision, name, instant, workload_id, revisions)


def _options(numbers: Sequence[int]) -> tuple[PurchaseOption, ...] | None:
    found = Violations()
    options = parse_options(numbers, found, "")
    return None if found else options


def _reader(vocabulary: Vocabulary) -> RequestReader:
    assert _WIRE is not None  # noqa: S101 - the caller has looked
    caps = _WIRE.Bounds()
    caps.vcpus, caps.memory_gib, caps.gib = bounds.MAX_VCPUS, bounds.MAX_MEMORY_GIB, bounds.MAX_GIB
    caps.hours, caps.reads, caps.read_gib = bounds.MAX_HOURS, MAX_READS, MAX_READ_GIB
    caps.count, caps.fallbacks = bounds.MAX_COUNT, MAX_FALLBACKS
    caps.data_sets, caps.gpu_needs = MAX_DATA_SETS, MAX_GPU_NEEDS
    reader: RequestReader = _WIRE.RequestReader(
        vocabulary.regions.get, vocabulary.gpu_needs.get, vocabulary.residencies.get, _options, caps
    )
    return reader


WRITER: Final[DecisionWriter | None] = (
    None if _WIRE is None else _WIRE.DecisionWriter(offer_bytes, KEPT_OFFERS, DIFFERS)
)
"""None where it is not built."""
