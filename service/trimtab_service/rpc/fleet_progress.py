"""How far an analysis is: counts, money, what reading costs, what failed. Kept as JSON beside the analysis."""

from dataclasses import dataclass, replace

import orjson

from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.errors import TrimtabError


@dataclass(frozen=True, slots=True)
class SourceCost:
    """API calls to one source, and their price."""

    source: str
    api_calls: int = 0
    metrics: int = 0
    cost_nanos: int = 0


@dataclass(frozen=True, slots=True)
class SourceFault:
    """Why a source could not be read, or the whole analysis not be done. `reason` is the name of an ErrorReason."""

    source: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class FleetProgress:
    """What is known so far. `findings` are counts by name of the finding, sorted."""

    findings: tuple[tuple[str, int], ...] = ()
    saving_micros: int = 0
    estimated: tuple[SourceCost, ...] = ()
    actual: tuple[SourceCost, ...] = ()
    faults: tuple[SourceFault, ...] = ()

    @classmethod
    def from_json(cls, body: bytes) -> "FleetProgress":
        """What `to_json` wrote."""
        return from_document(cls, orjson.loads(body))

    def to_json(self) -> bytes:
        """As kept."""
        return orjson.dumps(to_document(self))

    def counted(self, finding: str, saving_micros: int) -> "FleetProgress":
        """With one resource more."""
        counts = dict(self.findings)
        counts[finding] = counts.get(finding, 0) + 1
        return replace(self, findings=tuple(sorted(counts.items())), saving_micros=self.saving_micros + saving_micros)

    def spent(self, cost: SourceCost) -> "FleetProgress":
        """With more calls to one source."""
        costs = {known.source: known for known in self.actual}
        known = costs.get(cost.source, SourceCost(cost.source))
        costs[cost.source] = SourceCost(
            cost.source,
            known.api_calls + cost.api_calls,
            known.metrics + cost.metrics,
            known.cost_nanos + cost.cost_nanos,
        )
        return replace(self, actual=tuple(costs[name] for name in sorted(costs)))

    def failed(self, source: str, error: TrimtabError) -> "FleetProgress":
        """With a fault more, told once."""
        fault = SourceFault(source, error.reason.name, error.message)
        return self if fault in self.faults else replace(self, faults=(*self.faults, fault))
