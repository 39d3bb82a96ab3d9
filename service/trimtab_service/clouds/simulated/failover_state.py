"""What is true in a simulated world, kept in memory or in a file that several processes share."""

import fcntl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

_LOCK: Final = ".lock"


class WorldState:
    """One JSON object, changed by one at a time. With a file it outlives the process, as a cloud would."""

    def __init__(self, initial: dict[str, Any], path: Path | None = None) -> None:
        """`initial` holds where the file does not exist yet."""
        self._path = path
        self._held = orjson.dumps(initial)
        self._mutex = threading.Lock()

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """The object, to be changed in place; kept when the block ends without an exception."""
        with self._mutex, self._alone():
            state = self._load()
            yield state
            self._keep(state)

    @contextmanager
    def look(self) -> Iterator[dict[str, Any]]:
        """The object, to be read."""
        with self._mutex, self._alone():
            yield self._load()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self._path is None:
            yield
            return
        with self._path.with_name(self._path.name + _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _load(self) -> dict[str, Any]:
        kept = self._path is not None and self._path.exists()
        loaded: dict[str, Any] = orjson.loads(self._path.read_bytes() if self._path and kept else self._held)
        return loaded

    def _keep(self, state: dict[str, Any]) -> None:
        self._held = orjson.dumps(state)
        if self._path is not None:
            written = self._path.with_name(self._path.name + ".new")
            written.write_bytes(self._held)
            written.replace(self._path)
