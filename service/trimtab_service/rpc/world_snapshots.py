"""Keeps the folded journal, so that a start need not fold it from its beginning, and old entries can be pruned.

A rolling update may leave snapshots that one of the versions cannot read: it starts from an older one, or folds from
the beginning, which the journal's own mark refuses once the beginning is gone.
"""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import orjson
import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.placement.state import NEW_PROJECT, ProjectState
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc.world import Folded, World
from trimtab_service.store.journal import Journal, Snapshot, save_snapshot
from trimtab_service.store.writer import GroupCommitWriter

_LOG: Final = structlog.get_logger("trimtab.world")
_FORM: Final = 1
_WORTH_KEEPING: Final = 1_000
"""Entries since the last snapshot from which on a new one is worth its bytes."""
_UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError)

PoliciesAt = Callable[[int], PolicySet]
"""Every policy as it was at the revision of a change of policies."""


def dump(folded: Folded) -> bytes:
    """The folded journal as bytes; policies by revision only, for their versions are kept apart."""
    states = {project: state.document() for project, state in sorted(folded.states.items())}
    document = {
        "form": _FORM,
        "policy_revision": folded.policies.revision,
        "policy_revisions": folded.policies.revisions,
        "states": states,
    }
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def load(snapshot: Snapshot, policies_at: PoliciesAt) -> Folded | None:
    """What `dump` was called on; None for a form that this version does not know, or a body that is damaged."""
    document = _document(snapshot)
    if document is None:
        return None
    try:
        states = {project: ProjectState.from_document(state) for project, state in document["states"].items()}
    except _UNREADABLE:
        return None
    return Folded(
        snapshot.revision, states, policies_at(document["policy_revision"]).revised(document["policy_revisions"])
    )


def project_state(snapshot: Snapshot, project: str) -> ProjectState | None:
    """One project of `load`, for replay."""
    document = _document(snapshot)
    if document is None:
        return None
    kept = document["states"].get(project)
    try:
        return NEW_PROJECT if kept is None else ProjectState.from_document(kept)
    except _UNREADABLE:
        return None


def begin(world: World, journal: Journal, policies_at: PoliciesAt) -> int:
    """Start the world from the newest snapshot that this version can read; answers its revision, 0 without one."""
    snapshot = journal.snapshot()
    while snapshot is not None:
        folded = load(snapshot, policies_at)
        if folded is not None:
            world.begin(folded)
            return folded.revision
        _LOG.warning("snapshot_not_readable", revision=snapshot.revision)
        snapshot = journal.snapshot(snapshot.revision - 1)
    return 0


def _document(snapshot: Snapshot) -> dict[str, Any] | None:
    try:
        document: dict[str, Any] = orjson.loads(snapshot.body)
        known = document["form"] == _FORM
    except _UNREADABLE:
        return None
    return document if known else None


class SnapshotKeeper:
    """Saves a snapshot now and then, in the background. Replicas may each run one; equal ones are kept once."""

    def __init__(  # noqa: PLR0913 - its collaborators and its rhythm
        self,
        world: World,
        journal: Journal,
        writer: GroupCommitWriter,
        *,
        clock: Callable[[], datetime],
        every_s: float = 300.0,
        worth_keeping: int = _WORTH_KEEPING,
    ) -> None:
        """Does nothing by itself before `start`."""
        self._world = world
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._every_s = every_s
        self._worth_keeping = worth_keeping
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trimtab-snapshots", daemon=True)

    def start(self) -> None:
        """Begin to save in the background."""
        self._thread.start()

    def run_once(self) -> bool:
        """Save if enough has happened since the last one; whether it did. Raises UnavailableError as the store does."""
        folded = self._world.folded()
        if folded.revision - self._journal.snapshot_revision() < self._worth_keeping:
            return False
        snapshot = Snapshot(folded.revision, self._clock(), dump(folded))
        self._writer.run(lambda conn: save_snapshot(conn, snapshot))
        return True

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.run_once()
            except TrimtabError as error:
                _LOG.warning("snapshot_failed", reason=error.reason.name)
