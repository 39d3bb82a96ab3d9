"""Where a simulated world is kept, so that it outlives the process and all processes of a deployment see the same."""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Protocol

import orjson

_FORM: Final = 1


class Keeping(Protocol):
    """Bytes by name. Raises UnavailableError where they are kept elsewhere, and that does not answer."""

    def load(self, name: str) -> bytes | None:
        """What is kept by now; None: nothing yet."""
        ...

    def revise(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """Put what `change` makes of it in its place, one after another, in whatever process. Its errors pass."""
        ...


class Memory:
    """Keeping for as long as the object is there."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def load(self, name: str) -> bytes | None:
        """As the protocol says."""
        return self._bodies.get(name)

    def revise(self, name: str, change: Callable[[bytes | None], bytes]) -> None:
        """As the protocol says."""
        with self._lock:
            self._bodies[name] = change(self._bodies.get(name))


class KeptWorld:
    """One world: when it began, and what was done to each of its instances since."""

    def __init__(self, keeping: Keeping, name: str) -> None:
        self._keeping = keeping
        self._name = name

    def begun(self, now: datetime) -> datetime:
        """When it began: for whoever asks first, now."""
        if self._keeping.load(self._name) is None:
            self.change(lambda _: None, now)
        return datetime.fromisoformat(_document(self._keeping.load(self._name))["begun"])

    def changes(self) -> Mapping[str, Mapping[str, Any]]:
        """What was done, by id of the instance."""
        changes: Mapping[str, Mapping[str, Any]] = _document(self._keeping.load(self._name))["changes"]
        return changes

    def change(self, revise: Callable[[dict[str, Any]], None], now: datetime | None = None) -> None:
        """Let `revise` change that in place. What it raises changes nothing."""

        def changed(body: bytes | None) -> bytes:
            document = _document(body)
            if not document["begun"] and now is not None:
                document["begun"] = now.isoformat()
            revise(document["changes"])
            return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)

        self._keeping.revise(self._name, changed)


def _document(body: bytes | None) -> dict[str, Any]:
    if body is None:
        return {"form": _FORM, "begun": "", "changes": {}}
    document: dict[str, Any] = orjson.loads(body)
    return document
