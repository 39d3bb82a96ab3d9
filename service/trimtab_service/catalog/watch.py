"""Takes over catalogues that other processes bring into force."""

import threading
from collections.abc import Callable

from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.domain.errors import TrimtabError


class CatalogWatch:
    """Looks at the root for what another process of this data directory has loaded, and loads what is announced.

    All of it on one thread: however many announcements come at once, the last one counts.
    """

    def __init__(self, library: CatalogLibrary, every_s: float, failed: Callable[[TrimtabError], None]) -> None:
        """Does nothing before `start`. `failed` is told of announced catalogues that could not be loaded."""
        self._library = library
        self._every_s = every_s
        self._failed = failed
        self._announced: str | None = None
        self._closing = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trimtab-catalog-watch", daemon=True)

    def start(self) -> None:
        """Begin, with what was announced before."""
        self._thread.start()

    def announce(self, version: str) -> None:
        """Another replica has brought a version into force: load the source anew if it is not in force here.

        Returns at once. A source that gives another version here (it has not arrived yet, or this is another
        release with another packaged catalogue) is no failure: what it gives is in force.
        """
        self._announced = version
        self._wake.set()

    def close(self) -> None:
        """Stop; a load in hand is not waited for."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(1.0)

    def _run(self) -> None:
        while not self._closing:
            self._library.follow()
            announced, self._announced = self._announced, None
            if announced is not None and announced != self._library.current.load.version:
                self._load()
            self._wake.wait(self._every_s)
            self._wake.clear()

    def _load(self) -> None:
        try:
            self._library.refresh()
        except TrimtabError as error:
            self._failed(error)
