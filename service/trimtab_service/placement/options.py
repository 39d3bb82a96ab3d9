"""Purchase options by number: those of the catalogue's axis, then owned room."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from trimtab_service.domain.offers import PLACEMENT_OPTIONS, PurchaseOption

ON_DEMAND: Final = PLACEMENT_OPTIONS.index(PurchaseOption.ON_DEMAND)
SPOT: Final = PLACEMENT_OPTIONS.index(PurchaseOption.SPOT)
OWNED: Final = len(PLACEMENT_OPTIONS)
"""Code of OWNED_COMMITMENT."""

OPTION_OF_CODE: Final = (*PLACEMENT_OPTIONS, PurchaseOption.OWNED_COMMITMENT)
"""Options by code."""

ROWS: Final = len(OPTION_OF_CODE)
"""Rows that a vector over [option][region] may have."""

RESERVED_YEARS: Final = {
    PLACEMENT_OPTIONS.index(PurchaseOption.RESERVED_1Y): 1,
    PLACEMENT_OPTIONS.index(PurchaseOption.RESERVED_3Y): 3,
}
"""Terms in years, by code."""

ALL_OPTIONS: Final = (1 << ROWS) - 1


class OptionRows(NamedTuple):
    """Codes of the catalogue's options that are allowed, ascending, and whether owned room is."""

    codes: tuple[int, ...]
    owned: bool
    uniform: bool
    """The hours paid for are those of the work in every row."""
    prefix: bool
    """The codes are 0, 1, ... without a gap."""


_ROWS: dict[tuple[tuple[PurchaseOption, ...], frozenset[PurchaseOption] | None], OptionRows] = {}
_KEPT_ROWS: Final = 1_024


def option_rows(options: tuple[PurchaseOption, ...], allowed: frozenset[PurchaseOption] | None) -> OptionRows:
    """What a request's options come to under a policy's."""
    rows = _ROWS.get((options, allowed))
    if rows is None:
        chosen = {option for option in options if allowed is None or option in allowed}
        codes = tuple(code for code, option in enumerate(PLACEMENT_OPTIONS) if option in chosen)
        rows = OptionRows(
            codes,
            PurchaseOption.OWNED_COMMITMENT in chosen,
            uniform=not any(code in RESERVED_YEARS for code in codes),
            prefix=codes == tuple(range(len(codes))),
        )
        if len(_ROWS) >= _KEPT_ROWS:
            _ROWS.clear()
        _ROWS[options, allowed] = rows
    return rows


def option_bits(options: Iterable[PurchaseOption]) -> int:
    """Bits of option codes; none means all. Owned room is run as on-demand capacity, so it is under both."""
    bits = 0
    for option in options:
        if option in OPTION_OF_CODE:
            bits |= 1 << OPTION_OF_CODE.index(option)
        if option is PurchaseOption.ON_DEMAND:
            bits |= 1 << OWNED
    return bits or ALL_OPTIONS
