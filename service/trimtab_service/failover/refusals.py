"""How a refusal is told: one error, its constant in the metadata."""

from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.reasons import ErrorReason, RunRefusal


def refused(why: RunRefusal, detail: str = "", **metadata: str) -> FailedPreconditionError:
    """STATE_CONFLICT with `metadata["refusal"]`, the constant's name."""
    message = f"{why.meaning} {detail}".strip()
    return FailedPreconditionError(ErrorReason.STATE_CONFLICT, message, metadata={"refusal": why.name, **metadata})
