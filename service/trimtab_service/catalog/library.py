"""The catalogue in force in this process, its history, and how a new one comes in.

    <root>/<version>/          content, see `storage`
    <root>/loads/<n>.json      one record a successful load, n ascending
    <root>/current.json        number of the load in force: written last, by rename

`current` is one attribute read: readers never wait, and keep the snapshot they took for as long as they hold it. A
refresh builds in a process of its own; when it fails, the last good catalogue stays and the failure is kept to be
shown. Several processes may share a root: one refreshes, the others `follow`.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import orjson

from trimtab_service.catalog.builder_process import BuilderProcess
from trimtab_service.catalog.loads import CatalogLoad
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.catalog.source_layout import fingerprint
from trimtab_service.catalog.storage import open_snapshot, remove_version
from trimtab_service.domain.errors import NotFoundError, TrimtabError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason

KEPT_VERSIONS = 60
"""Versions that stay (25 MB each for a full catalogue); decisions made with older ones cannot be replayed."""


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCatalog:
    """A snapshot with the load that brought it."""

    snapshot: CatalogSnapshot
    load: CatalogLoad
    number: int


@dataclass(frozen=True, slots=True)
class RefreshFailure:
    """Why the last refresh brought nothing; cleared by the next that succeeds."""

    time: datetime
    reason: ErrorReason
    message: str


class CatalogLibrary:
    """Holds the current catalogue and the versions before it. Safe to use from many threads."""

    def __init__(
        self,
        root: Path,
        source: Path,
        *,
        clock: Callable[[], datetime],
        builder: BuilderProcess | None = None,
        kept_versions: int = KEPT_VERSIONS,
    ) -> None:
        self._root = root
        self._source = source
        self._clock = clock
        self._builder = builder or BuilderProcess()
        self._kept_versions = kept_versions
        self._current: LoadedCatalog | None = None
        self._failure: RefreshFailure | None = None
        self._refreshing = threading.Lock()
        self._prepare: list[Callable[[CatalogSnapshot], object]] = []

    @property
    def source(self) -> Path:
        """The directory that a refresh reads."""
        return self._source

    @property
    def current(self) -> LoadedCatalog:
        """The catalogue in force. Raises UnavailableError (CATALOG_UNAVAILABLE) before the first one is there."""
        loaded = self._current
        if loaded is None:
            why = f": {self._failure.message}" if self._failure else ""
            raise UnavailableError(ErrorReason.CATALOG_UNAVAILABLE, f"no catalogue is loaded{why}")
        return loaded

    @property
    def last_failure(self) -> RefreshFailure | None:
        """Why the last refresh failed, None if it did not."""
        return self._failure

    def prepare_with(self, prepare: Callable[[CatalogSnapshot], object]) -> None:
        """Has `prepare` called with every snapshot before it comes into force, off the read path.

        What readers would otherwise make at its first use is made there: the swap then costs no reader anything.
        """
        self._prepare.append(prepare)

    def start(self) -> LoadedCatalog:
        """Brings a catalogue into force: the last one of this root, refreshed if the source has changed.

        A source that fails does not keep an older catalogue from serving; `last_failure` then says so. Raises the
        refresh's error where there is no older one.
        """
        self.follow()
        try:
            return self.refresh(paced=False)
        except TrimtabError:
            if self._current is None:
                raise
            return self._current

    def refresh(self, *, paced: bool = True) -> LoadedCatalog:
        """Builds from the source, off this process, and swaps. Returns at once where the source is unchanged.

        `paced` leaves the processors to the decisions that are being made meanwhile; see `BuilderProcess.run`.
        One refresh at a time: a second waits and then finds the work done. On failure the current catalogue stays.
        Raises FailedPreconditionError (CATALOG_REFUSED) and UnavailableError (SOURCE_FAILED).
        """
        with self._refreshing, self._sole_writer():
            self.follow()
            try:
                loaded = self._rebuild(paced=paced)
            except TrimtabError as error:
                self._failure = RefreshFailure(self._clock(), error.reason, error.message)
                raise
            self._failure = None
            self._current = loaded
            return loaded

    def follow(self) -> bool:
        """Takes over what another process (or an earlier run) brought into force; true if that changed anything.

        Costs one small file read. A version that cannot be opened is passed over, and the current one stays.
        """
        number = self._number_in_force()
        if number is None or (self._current is not None and self._current.number == number):
            return False
        loaded = self._open(number)
        if loaded is None:
            return False
        self._current = loaded
        return True

    def history(self) -> tuple[tuple[int, CatalogLoad], ...]:
        """Every load of this root with its number, newest first."""
        numbers = sorted((int(path.stem) for path in self._loads.glob("*.json")), reverse=True)
        records = ((number, self._record(number)) for number in numbers)
        return tuple((number, record) for number, record in records if record is not None)

    def open_version(self, version: str) -> CatalogSnapshot:
        """A snapshot of the history, for replay. Raises NotFoundError (REPLAY_UNAVAILABLE) if it is not kept."""
        loaded = self._current
        if loaded is not None and loaded.snapshot.version == version:
            return loaded.snapshot
        known = {record.version for _, record in self.history()}
        if version in known:
            try:
                return open_snapshot(self._root / version)
            except (OSError, ValueError, KeyError):
                pass  # Damaged is as good as gone, and the caller is told the same.
        raise NotFoundError(
            ErrorReason.REPLAY_UNAVAILABLE, f"catalogue {version} is not kept", metadata={"version": version}
        )

    @property
    def _loads(self) -> Path:
        return self._root / "loads"

    @contextmanager
    def _sole_writer(self) -> Iterator[None]:
        """Keeps processes that share the root from refreshing at once."""
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / ".refresh").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _rebuild(self, *, paced: bool) -> LoadedCatalog:
        current = self._current
        if current is not None and current.load.fingerprint == fingerprint(self._source):
            return current
        load = self._builder.run(self._source, self._root, as_of=self._clock(), paced=paced)
        try:
            snapshot = open_snapshot(self._root / load.version)
        except (OSError, ValueError, KeyError) as error:
            raise UnavailableError(
                ErrorReason.SOURCE_FAILED, f"the built catalogue cannot be opened: {error}"
            ) from error
        self._prepared(snapshot)
        number = max((number for number, _ in self.history()), default=0) + 1
        self._loads.mkdir(parents=True, exist_ok=True)
        _write(self._loads / f"{number}.json", orjson.dumps(load.to_json()))
        _write(self._root / "current.json", orjson.dumps({"number": number}))
        self._prune()
        return LoadedCatalog(snapshot, load, number)

    def _prune(self) -> None:
        history = self.history()
        recent = list(dict.fromkeys(record.version for _, record in history))
        gone = set(recent[self._kept_versions :])
        for number, record in history:
            if record.version in gone:
                (self._loads / f"{number}.json").unlink(missing_ok=True)
        for version in gone:
            remove_version(self._root / version)

    def _number_in_force(self) -> int | None:
        try:
            return int(orjson.loads((self._root / "current.json").read_bytes())["number"])
        except (OSError, ValueError, KeyError):
            return None

    def _record(self, number: int) -> CatalogLoad | None:
        try:
            return CatalogLoad.from_json(orjson.loads((self._loads / f"{number}.json").read_bytes()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _open(self, number: int) -> LoadedCatalog | None:
        load = self._record(number)
        if load is None:
            return None
        try:
            snapshot = open_snapshot(self._root / load.version)
        except (OSError, ValueError, KeyError):
            return None
        self._prepared(snapshot)
        return LoadedCatalog(snapshot, load, number)

    def _prepared(self, snapshot: CatalogSnapshot) -> None:
        for prepare in self._prepare:
            prepare(snapshot)


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, and on disk before it has its name."""
    building = path.with_name(f".{path.name}.{os.getpid()}")
    with building.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    building.replace(path)
