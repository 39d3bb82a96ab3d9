"""A replication as the deployment has configured it."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from trimtab_service.domain.identity import EVERY_PROJECT

RESERVED: Final = ".trimtab/"
"""Below the prefix: canaries and marks of deletions. Nothing there is copied, compared or deleted."""

MIB: Final = 1 << 20


class Deletes(StrEnum):
    """What becomes of a copy whose original is gone."""

    KEEP = "keep"
    PROPAGATE = "propagate"
    MARK = "mark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """What is copied where. `source` and `destination` are the URIs of buckets as configured, whichever way is copied.

    `bandwidth`: bytes a second over all its objects; None: no limit. `concurrency`: objects at once. `part_size`: bytes
    of a part, two of which are held in memory an object. `every`: from the start of one pass to the next, and so the
    finest that the age of the copy is known to. `rpo_target`: older, and a promotion is refused; None: no target.
    """

    name: str
    projects: frozenset[str]
    source: str
    destination: str
    prefix: str = ""
    deletes: Deletes = Deletes.KEEP
    bandwidth: int | None = None
    concurrency: int = 8
    part_size: int = 8 * MIB
    every: timedelta = timedelta(seconds=60)
    rpo_target: timedelta | None = None

    def open_to(self, project: str) -> bool:
        """Whether it is one of the project's."""
        return EVERY_PROJECT in self.projects or project in self.projects

    @property
    def identity(self) -> str:
        """Hash of what is copied where: progress on anything else is worth nothing."""
        told = f"{self.source}\0{self.destination}\0{self.prefix}"
        return hashlib.sha256(told.encode()).hexdigest()

    @property
    def reserved(self) -> str:
        """The prefix of what is ours in either bucket."""
        return f"{self.prefix}{RESERVED}"

    @property
    def canary(self) -> str:
        """The key of its canary."""
        return f"{self.reserved}canary/{self.name}.json"
