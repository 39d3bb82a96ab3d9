"""Keeps the folded journal, so that a start need not fold it from its beginning, and old entries can be pruned."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

import orjson
import structlog

from trimtab_service.domain.errors import TrimtabError
from trimtab_service.placement.state import ProjectState
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc.world import Folded, World
from trimtab_service.store.journal import Journal, Snapshot, save_snapshot
from trimtab_service.store.writer import GroupCommitWriter

_LOG: Final = structlog.get_logger("trimtab.world")
_FORM: Final = 1
_WORTH_KEEPING: Final = 1_000
"""Entries since the last snapshot from which on a new one is worth its bytes."""

PoliciesAt = Callable[[int], PolicySet]
"""Every policy as it was at the revision of a change of policies."""


def dump(folded: Folded) -> bytes:
    """The folded journal as bytes; policies by revision only, for their versions are kept apart."""
    states = {project: state.document() for project, state in sorted(folded.states.items())}
    document = {"form": _FORM, "policy_revision": folded.policies.revision, "states": states}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def load(snapshot: Snapshot, policies_at: PoliciesAt) -> Folded | None:
    """What `dump` was called on; None for a form that this version does not know: it folds from the start."""
    document = orjson.loads(snapshot.body)
    if document["form"] != _FORM:
        return None
    states = {project: ProjectState.from_document(state) for project, state in document["states"].items()}
    return Folded(snapshot.revision, states, policies_at(document["policy_revision"]))


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
        """Start."""
        self._world = world
        self._journal = journal
        self._writer = writer
        self._clock = clock
        self._every_s = every_s
        self._worth_keeping = worth_keeping
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trimtab-snapshots", daemon=True)
        self._thread.start()

    def run_once(self) -> bool:
        """Save if enough has happened since the last one; whether it did. Raises UnavailableError as the store does."""
        last = self._journal.snapshot()
        folded = self._world.folded()
        if folded.revision - (0 if last is None else last.revision) < self._worth_keeping:
            return False
        snapshot = Snapshot(folded.revision, self._clock(), dump(folded))
        self._writer.run(lambda conn: save_snapshot(conn, snapshot))
        return True

    def close(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(5.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.run_once()
            except TrimtabError as error:
                _LOG.warning("snapshot_failed", reason=error.reason.name)
