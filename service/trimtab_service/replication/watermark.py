"""How old a copy is, read where it would be promoted."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.replication.canary import read_canary
from trimtab_service.replication.journal import Standing
from trimtab_service.replication.opening import Opened


@dataclass(frozen=True, slots=True)
class Watermark:
    """The newest canary at the copy, while data flows that way: what a failover's check of its replica reads.

    `is_back`: the way from the configured destination to the configured source. A canary of the other way says nothing
    about the side that is to be promoted, so it is refused rather than read.
    """

    replication: Opened
    standing: Callable[[str], Standing]
    is_back: bool

    def watermark(self, deadline: datetime) -> datetime | None:
        """The time within; None: none ever arrived. Raises FailedPreconditionError while data flows the other way."""
        definition = self.replication.definition
        standing = self.standing(definition.name)
        if (standing.is_reversed and standing.definition == definition.identity) != self.is_back:
            raise FailedPreconditionError(
                ErrorReason.STATE_CONFLICT, f"replication {definition.name!r} copies the other way now"
            )
        _, destination = self.replication.stores(is_reversed=self.is_back)
        found = read_canary(destination, definition.canary, deadline)
        return None if found is None else found.time
