"""Regions, zones, and the blocs that residency rules name."""

from dataclasses import dataclass
from difflib import get_close_matches

from trimtab_service.domain.offers import Cloud


@dataclass(frozen=True, slots=True)
class Region:
    """Facts of one cloud region. Coordinates are degrees; `country` is ISO 3166-1 alpha-2."""

    cloud: Cloud
    name: str
    location: str
    country: str
    continent: str
    eu_member: bool
    latitude: float
    longitude: float
    partition: str
    zones: tuple[str, ...]

    @property
    def key(self) -> str:
        """The way a region is written in requests and answers: `aws:eu-west-1`."""
        return f"{self.cloud}:{self.name}"


EU: frozenset[str] = frozenset(
    {
        "AT",
        "BE",
        "BG",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GR",
        "HR",
        "HU",
        "IE",
        "IT",
        "LT",
        "LU",
        "LV",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SE",
        "SI",
        "SK",
    }
)
"""Member states of the European Union since 2020-02-01 (27)."""

BLOCS: dict[str, frozenset[str]] = {
    "EU": EU,
    "EEA": EU | {"IS", "LI", "NO"},
    "EFTA": frozenset({"CH", "IS", "LI", "NO"}),
    "EU_GDPR_ADEQUATE": EU
    | {"IS", "LI", "NO"}
    | {"AD", "AR", "FO", "GB", "GG", "IL", "IM", "JE", "JP", "KR", "CH", "NZ", "UY"},
    "FIVE_EYES": frozenset({"AU", "CA", "GB", "NZ", "US"}),
    "GCC": frozenset({"AE", "BH", "KW", "OM", "QA", "SA"}),
    "ASEAN": frozenset({"BN", "ID", "KH", "LA", "MM", "MY", "PH", "SG", "TH", "VN"}),
    "USMCA": frozenset({"CA", "MX", "US"}),
    "MERCOSUR": frozenset({"AR", "BO", "BR", "PY", "UY"}),
}
"""Country sets usable as residency names.

EU_GDPR_ADEQUATE is the EEA with the countries whose whole private sector the European Commission had found adequate
by mid-2025; the partial decisions (Canada, the United States) are left out on purpose: they depend on the importer.
"""

CONTINENTS: frozenset[str] = frozenset({"AF", "AN", "AS", "EU", "ME", "NA", "OC", "SA"})
"""Codes of the `continent` column. The catalogue files split the Middle East (ME) from Asia."""


def countries_of(name: str) -> frozenset[str] | None:
    """Countries that a residency name stands for: a bloc, or a two-letter country itself; None if it is neither.

    `EU` is always the bloc: no country has that code. Case does not count.
    """
    folded = name.strip().upper()
    if folded in BLOCS:
        return BLOCS[folded]
    if folded == "UK":
        return frozenset({"GB"})
    if len(folded) == len("DE") and folded.isascii() and folded.isalpha():
        return frozenset({folded})
    return None


def nearest_residency_names(name: str, countries: frozenset[str]) -> tuple[str, ...]:
    """Up to three known names close to a misspelt one, best first."""
    return tuple(get_close_matches(name.strip().upper(), sorted(BLOCS) + sorted(countries), n=3, cutoff=0.4))
