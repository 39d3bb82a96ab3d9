"""Which cloud has which service, and where: the facts behind "best of breed" needs.

`services.csv` holds one row a service and cloud. Its `scope` says how far the fact reaches:

- `all`: in every region of the cloud, as the provider documents it;
- `cloud`: the cloud has it, regional gaps are not tabulated, so every region is assumed;
- `catalogue`: where the loaded catalogue prices an accelerator of that name;
- `listed:r1 r2`: in these regions.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

import numpy as np

from trimtab_service.catalog.arrays import Bools
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.offers import CLOUDS, Cloud

FACTS = Path(__file__).parent / "services.csv"


class ServiceBasis(StrEnum):
    """How a service fact is known."""

    PUBLIC_DOCUMENTATION = "public_documentation"
    CATALOGUE = "catalogue"
    MEMORY_UNVERIFIED = "memory_unverified"


@dataclass(frozen=True, slots=True)
class ServiceFact:
    """One service on one cloud. `as_of` is the month of the fact; `scope` as the module says."""

    service: str
    cloud: Cloud
    category: str
    aliases: tuple[str, ...]
    scope: str
    basis: ServiceBasis
    as_of: str

    @property
    def is_regional(self) -> bool:
        """True where the fact tells regions apart; otherwise it stands for the whole cloud."""
        return self.scope not in {"all", "cloud"}


@dataclass(frozen=True, slots=True)
class UnknownService:
    """The name is in no row; `nearest` are known names close to it, best first."""

    asked: str
    nearest: tuple[str, ...]


def _fold(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


class ServiceTable:
    """Finds services by name or alias. A category (`kubernetes`) stands for every service of that kind."""

    def __init__(self, facts: Iterable[ServiceFact]) -> None:
        self.facts = tuple(facts)
        by_name: dict[str, list[ServiceFact]] = {}
        for fact in self.facts:
            for spelling in {_fold(fact.service), _fold(fact.category), *map(_fold, fact.aliases)}:
                by_name.setdefault(spelling, []).append(fact)
        self._by_name = {spelling: tuple(found) for spelling, found in by_name.items()}

    def find(self, name: str) -> tuple[ServiceFact, ...] | UnknownService:
        """Facts of a service by name, alias or category; case, blanks and punctuation do not count."""
        folded = _fold(name)
        found = self._by_name.get(folded)
        if found is not None:
            return found
        near = get_close_matches(folded, self._by_name, n=3, cutoff=0.5)
        return UnknownService(name, tuple(dict.fromkeys(self._by_name[key][0].service for key in near)))

    def regions_with(self, facts: Iterable[ServiceFact], snapshot: CatalogSnapshot) -> Bools:
        """Mask [r] of the regions where any of `facts` holds."""
        mask: Bools = np.zeros(snapshot.region_count, dtype=np.bool_)
        for fact in facts:
            mask |= _regions_of(fact, snapshot)
        return mask


def _regions_of(fact: ServiceFact, snapshot: CatalogSnapshot) -> Bools:
    own: Bools = snapshot.region_cloud == CLOUDS.index(fact.cloud)
    kind, _, names = fact.scope.partition(":")
    if kind in {"all", "cloud"}:
        return own
    if kind == "listed":
        listed = set(names.split())
        return own & np.array([region.name in listed for region in snapshot.regions], dtype=np.bool_)
    models = [code for code, model in enumerate(snapshot.gpu_models) if _fold(model).startswith(_fold(fact.service))]
    rows = np.isin(snapshot.types.gpu_model[snapshot.rows.type_index], models)
    present: Bools = np.zeros(snapshot.region_count, dtype=np.bool_)
    present[snapshot.rows.region[rows]] = True
    return own & present


def read_services(path: Path) -> ServiceTable:
    """Reads a table. Raises ValueError naming the line of a row that is not in the format."""
    facts = []
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                facts.append(
                    ServiceFact(
                        service=row["service"],
                        cloud=Cloud(row["cloud"]),
                        category=row["category"],
                        aliases=tuple(alias for alias in row["aliases"].split("|") if alias),
                        scope=_scope(row["scope"]),
                        basis=ServiceBasis(row["basis"]),
                        as_of=row["as_of"],
                    )
                )
            except (KeyError, ValueError, AttributeError) as error:
                raise ValueError(f"{path.name}, line {line}: {error}") from error
    return ServiceTable(facts)


def _scope(text: str) -> str:
    if text.partition(":")[0] not in {"all", "cloud", "catalogue", "listed"}:
        raise ValueError(f"scope {text}")
    return text


@lru_cache(maxsize=1)
def packaged_services() -> ServiceTable:
    """The table that ships in the package."""
    return read_services(FACTS)
