"""Builds a version of the catalogue. Meant to run in a process of its own: `python -m trimtab_service.catalog.builder`.

It is the only entry that loads polars, so the serving process neither pays for it in memory nor shares its lock
with it. The last line on standard output is one JSON object: `{"load": {...}}`, or `{"refused": ..., "why": ...}`.
"""

import argparse
import fcntl
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson

from trimtab_service.catalog.compilation import DEFAULT_MAX_LOST_SHARE, TooManyRowsLostError, compile_source
from trimtab_service.catalog.loads import CatalogLoad, summarise_bases
from trimtab_service.catalog.quarantine import Quarantine
from trimtab_service.catalog.source_files import UnreadableFileError
from trimtab_service.catalog.source_layout import fingerprint
from trimtab_service.catalog.storage import remove_unfinished, save_snapshot
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.reasons import CatalogIssue, ErrorReason

EXIT_REFUSED = 3
_POLITE = 5


def build(
    source_dir: Path, out_root: Path, *, as_of: datetime, max_lost_share: float = DEFAULT_MAX_LOST_SHARE
) -> CatalogLoad:
    """Compiles `source_dir` into `out_root/<version>` and returns what came of it.

    `as_of` is the instant of the load: rows dated later are not believed. Raises FailedPreconditionError
    (CATALOG_REFUSED) where a file cannot be read or a table lost more than `max_lost_share` of its rows.
    """
    started = time.perf_counter()
    # Before reading: a file that changes meanwhile then differs from the print, and the next refresh reads it again.
    print_of_source = fingerprint(source_dir)
    quarantine = Quarantine()
    try:
        compiled = compile_source(source_dir, as_of=as_of.date(), max_lost_share=max_lost_share, quarantine=quarantine)
    except UnreadableFileError as error:
        raise _refusal(f"{CatalogIssue.UNREADABLE_FILE}: {error}", file=error.file) from error
    except TooManyRowsLostError as error:
        reasons = ", ".join(f"{c.issue} {c.rows}" for c in quarantine.counts() if c.file == error.table)
        raise _refusal(f"{error}: {reasons}", file=error.table, lost=str(error.lost), rows=str(error.rows)) from error
    out_root.mkdir(parents=True, exist_ok=True)
    snapshot = save_snapshot(compiled.snapshot, out_root)
    return CatalogLoad(
        version=snapshot.version,
        fingerprint=print_of_source,
        load_time=as_of,
        build_seconds=time.perf_counter() - started,
        source_rows=compiled.source_rows,
        price_rows=int(snapshot.rows.region.size),
        instance_types=len(snapshot.type_names),
        regions=len(snapshot.regions),
        bases=summarise_bases(snapshot),
        quarantined=quarantine.counts(),
        warnings=compiled.warnings,
    )


def _refusal(message: str, **metadata: str) -> FailedPreconditionError:
    return FailedPreconditionError(ErrorReason.CATALOG_REFUSED, message, metadata=metadata)


def main(arguments: list[str] | None = None) -> int:
    """Entry of the builder process; one build at a time below one root."""
    parser = argparse.ArgumentParser(prog="trimtab-catalog-builder", description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--as-of", type=datetime.fromisoformat, default=None, help="instant of the load, ISO 8601")
    parser.add_argument("--max-lost-share", type=float, default=DEFAULT_MAX_LOST_SHARE)
    parser.add_argument("--nice", type=int, default=_POLITE, help="lower priority: decisions come first")
    options = parser.parse_args(arguments)
    os.nice(options.nice)
    options.root.mkdir(parents=True, exist_ok=True)
    with (options.root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        remove_unfinished(options.root)
        try:
            load = build(
                options.source,
                options.root,
                as_of=options.as_of or datetime.now(UTC),
                max_lost_share=options.max_lost_share,
            )
        except FailedPreconditionError as error:
            answer: dict[str, object] = {"refused": error.message, "metadata": error.metadata}
            code = EXIT_REFUSED
        else:
            answer, code = {"load": load.to_json()}, 0
    sys.stdout.buffer.write(orjson.dumps(answer) + b"\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
