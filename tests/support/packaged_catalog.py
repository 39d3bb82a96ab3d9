"""The packaged catalogue, built once a test process: a service that starts beside it opens it as after a restart."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from trimtab_service.bootstrap import utc_now
from trimtab_service.catalog.library import CatalogLibrary
from trimtab_service.catalog.starter_source import STARTER_DIRECTORY


def lay_out(root: Path) -> None:
    """Put it where a service keeps its catalogues, unless something is there. A copy: a test may damage its own."""
    if not root.exists():
        shutil.copytree(_built(), root, ignore=shutil.ignore_patterns(".*"))


@cache
def _built() -> Path:
    directory = tempfile.mkdtemp(prefix="trimtab-catalog-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    root = Path(directory) / "catalogs"
    CatalogLibrary(root, STARTER_DIRECTORY, clock=utc_now).start()
    return root
