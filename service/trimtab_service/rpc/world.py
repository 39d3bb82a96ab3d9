"""What this process knows at this moment: the catalogue in force and the folded journal.

Everything a decision reads is immutable and reached through single attribute reads, so the hot path takes no
lock. The journal's follower is the only writer of the folded state.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.events import CatalogSwitched, Event, PolicyChanged, parse_event
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.placement.state import NEW_PROJECT, ProjectState, fold
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc.vocabulary import Vocabulary
from trimtab_service.store.journal import PRUNED, JournalEntry


class Follower(Protocol):
    """How a process catches up with the journal."""

    def catch_up(self) -> int:
        """Take everything that is committed now."""

    def sync_to(self, revision: int) -> None:
        """Return once `revision` is taken."""


class View(NamedTuple):
    """The world as one project's decision sees it."""

    snapshot: CatalogSnapshot
    vocabulary: Vocabulary
    policies: PolicySet
    state: ProjectState


def event_of(entry: JournalEntry) -> Event | None:
    """What an entry says happened; None for what is of a newer version of trimtab."""
    return parse_event(entry.kind, entry.document(), entry.create_time)


@lru_cache(maxsize=8)
def vocabulary_of(snapshot: CatalogSnapshot) -> Vocabulary:
    """The vocabulary of a catalogue version, made once."""
    return Vocabulary(snapshot)


@dataclass(frozen=True, slots=True)
class Folded:
    """The journal up to and including `revision`, folded."""

    revision: int
    states: Mapping[str, ProjectState]
    policies: PolicySet


class World:
    """The state of this process. Reading never waits."""

    def __init__(self, library: CatalogLibrary, switched: Callable[[str], None]) -> None:
        """`switched` is told of a catalogue version that another replica has brought into force."""
        self._library = library
        self._switched = switched
        self._states: dict[str, ProjectState] = {}
        self._policies = PolicySet()
        self._revision = 0
        self._follower: Follower | None = None
        self._folding = threading.Lock()

    def follow(self, follower: Follower) -> None:
        """Name who brings the journal. Until then the world stands still."""
        self._follower = follower

    def view(self, project: str) -> View:
        """The world now. Raises UnavailableError (CATALOG_UNAVAILABLE) before a catalogue is loaded."""
        snapshot = self._library.current.snapshot
        return View(snapshot, vocabulary_of(snapshot), self._policies, self._states.get(project, NEW_PROJECT))

    def begin(self, folded: Folded) -> None:
        """Start from a kept fold instead of from nothing. Before the follower starts."""
        self._states, self._policies, self._revision = dict(folded.states), folded.policies, folded.revision

    def folded(self) -> Folded:
        """A consistent copy, to be kept."""
        with self._folding:
            return Folded(self._revision, dict(self._states), self._policies)

    def take(self, entries: Sequence[JournalEntry]) -> None:
        """Fold entries, in order: the follower's handler. Kinds that this version does not know are passed over.

        Raises:
            FailedPreconditionError: entries after the last one taken were pruned: only a new start, from a
                snapshot, brings them.

        """
        with self._folding:
            for entry in entries:
                # An entry comes again after a fault in the middle of a page.
                if entry.revision > self._revision:
                    self._take(entry)

    def _take(self, entry: JournalEntry) -> None:
        if entry.kind == PRUNED:
            raise FailedPreconditionError(
                ErrorReason.STATE_CONFLICT,
                "the journal was pruned past what this process has read, and it began from no snapshot",
                metadata={"read": str(self._revision), "pruned": str(entry.revision)},
            )
        event = event_of(entry)
        if isinstance(event, PolicyChanged):
            self._policies = self._policies.changed(event, entry.revision)
        elif isinstance(event, CatalogSwitched):
            self._switched(event.version)
        elif event is not None:
            state = self._states.get(entry.project, NEW_PROJECT)
            self._states[entry.project] = fold(state, event, entry.revision)
        self._revision = entry.revision

    def catch_up(self) -> None:
        """Take over all that is committed. Raises UnavailableError without a database."""
        if self._follower is not None:
            self._follower.catch_up()

    def sync_to(self, revision: int) -> None:
        """Return once a committed revision is in force here. Raises UnavailableError without a database."""
        if self._follower is not None:
            self._follower.sync_to(revision)
