"""The fence: who changed a name last, kept beside it where its provider compares it in the same change."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final, Self

from trimtab_service.failover.ports import StaleTokenError

LABEL: Final = "_trimtab-fence"
"""Label of the TXT record under the name that it guards."""

BY_HAND: Final = "0" * 16
"""The mark of a change that a person made: no step's."""

_TEXT: Final = re.compile(r"trimtab-fence t=(\d{1,19}) k=([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Fence:
    """The token of the last change and a digest of which one it was. Token 0: nobody changed anything yet."""

    token: int = 0
    mark: str = ""

    @property
    def text(self) -> str:
        """As it stands in a TXT record, without quotation marks."""
        return f"trimtab-fence t={self.token} k={self.mark}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The fence of a text; None where it is something else."""
        found = _TEXT.fullmatch(text)
        return None if found is None else cls(int(found[1]), found[2])

    def admit(self, token: int, name: str) -> None:
        """Raise StaleTokenError where a newer token was here."""
        if token < self.token:
            raise StaleTokenError(f"{name}: token {token} is older than {self.token}, which changed it last")


def mark_of(key: str, *wanted: object) -> str:
    """Tells one change from every other: equal for each repetition of a step that wants the same."""
    return hashlib.sha256("\0".join((key, *map(repr, wanted))).encode()).hexdigest()[:16]
