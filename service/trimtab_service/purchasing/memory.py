"""How much memory a program will take, known before any of it is allocated."""

from typing import Final

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason

_ARRAYS_PER_CELL: Final = 24
"""Arrays of (classes, hours) that the interior-point method holds with one budget, the certificate included."""

_ARRAYS_PER_DRAW: Final = 7
"""What each further budget adds."""

DEFAULT_LIMIT_BYTES: Final = 4 * 2**30


def needed_bytes(classes: int, hours: int, budgets: int) -> int:
    """Bytes at the peak."""
    return 8 * classes * hours * (_ARRAYS_PER_CELL + _ARRAYS_PER_DRAW * max(budgets - 1, 0))


def require(classes: int, hours: int, budgets: int, limit_bytes: int) -> None:
    """Raises InvalidArgumentError (TOO_LARGE) where the program would not fit into `limit_bytes`."""
    needed = needed_bytes(classes, hours, budgets)
    if needed > limit_bytes:
        text = (
            f"{classes} classes over {hours} hours with {budgets} flexible plans need {needed / 2**30:.1f} GiB; "
            f"allowed are {limit_bytes / 2**30:.1f}: ask for fewer hours, or group families"
        )
        raise InvalidArgumentError([Violation("usage", ErrorReason.TOO_LARGE, text)])
