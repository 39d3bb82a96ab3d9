"""Makes logged decisions again: with the catalogue, policies and learned state that they were made with."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.events import CatalogSwitched, PolicyChanged
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.placement.state import NEW_PROJECT, ProjectState, fold
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc.decision_log import prior_draws
from trimtab_service.rpc.desk import Made, make
from trimtab_service.rpc.stored_policies import policies_of
from trimtab_service.rpc.vocabulary import datetime_of
from trimtab_service.rpc.world import View, event_of, vocabulary_of
from trimtab_service.rpc.world_snapshots import project_state
from trimtab_service.store.decisions import DecisionRecord
from trimtab_service.store.journal import PRUNED, Journal, JournalEntry, JournalKind
from trimtab_service.store.resources import ResourceStore

_PAGE: Final = 1_000


class Replayer:
    """Rebuilds the world of a decision from the journal, the kept policy versions and the kept catalogues."""

    def __init__(self, journal: Journal, policies: ResourceStore, library: CatalogLibrary) -> None:
        self._journal = journal
        self._policies = policies
        self._library = library

    def replay(self, record: DecisionRecord) -> tuple[bytes, pb.Decision]:
        """The bytes that the decision gives now, and the decision with its explanation.

        Raises:
            NotFoundError: the catalogue version is not kept any more.
            FailedPreconditionError: the journal was pruned past the decision.

        """
        view = self.view_of(record)
        request = pb.PlaceRequest.FromString(record.request)
        again = remake(record, request, view)
        request.explain = True
        return again.record.response, remake(record, request, view).message

    def view_of(self, record: DecisionRecord) -> View:
        """The world as the decision saw it."""
        snapshot = self._library.open_version(record.catalog_version)
        return View(
            snapshot=snapshot,
            vocabulary=vocabulary_of(snapshot),
            policies=self.policies_at(record.policy_revision),
            state=self._state_at(record),
        )

    def policies_at(self, revision: int) -> PolicySet:
        """Every policy as it was at a revision of the journal."""
        return policies_of(self._policies.as_of(revision), revision)

    def _state_at(self, record: DecisionRecord) -> ProjectState:
        learned, committed = record.learned_revision, record.commitment_revision
        state = self._folded(record.project, learned, committed)
        if state is None or _revisions(state) != (learned, committed):
            # A project that was quiet since may still be found in the oldest snapshot, as it was.
            oldest = self._journal.oldest_snapshot()
            state = None if oldest is None else project_state(oldest, record.project)
        if state is None or _revisions(state) != (learned, committed):
            raise FailedPreconditionError(
                ErrorReason.REPLAY_UNAVAILABLE,
                "the journal no longer holds all that the decision was made with",
                metadata={"decision": record.decision_id},
            )
        return state

    def _folded(self, project: str, learned: int, committed: int) -> ProjectState | None:
        """The state at two revisions, folded from a snapshot before both; None where the journal was pruned."""
        needed = max(learned, committed)
        snapshot = self._journal.snapshot(needed)
        state = None if snapshot is None else project_state(snapshot, project)
        after = 0 if snapshot is None or state is None else snapshot.revision
        state = state or NEW_PROJECT
        for entry in self._entries(after, needed):
            if entry.kind == PRUNED:
                return None
            if entry.project == project:
                last = learned if entry.kind == JournalKind.OUTCOME else committed
                event = event_of(entry) if entry.revision <= last else None
                if event is not None and not isinstance(event, PolicyChanged | CatalogSwitched):
                    state = fold(state, event, entry.revision)
        return state

    def _entries(self, after: int, up_to: int) -> Iterable[JournalEntry]:
        while True:
            page = self._journal.read_after(after, _PAGE, up_to)
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].revision


def _revisions(state: ProjectState) -> tuple[int, int]:
    return state.learned_revision, state.commitment_revision


def remake(record: DecisionRecord, request: pb.PlaceRequest, view: View) -> Made:
    """The decision of a record, made again in a view."""
    answered = pb.Decision.FromString(record.response)
    hold = None
    if answered.reserved:
        hold = datetime_of(answered.valid_until) - datetime_of(answered.create_time)
    return make(
        request,
        view,
        project=record.project,
        instant=record.create_time,
        decision_id=record.decision_id,
        prior=prior_draws(record),
        hold=hold or (timedelta(0) if answered.reserved else None),
    )
