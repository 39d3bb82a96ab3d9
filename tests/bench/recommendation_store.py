"""The store of recommendations: a run's findings taken in, pages, totals; on SQLite and on PostgreSQL.

    python -m tests.bench.recommendation_store [--quick] [--dsn DSN]

100,000 findings are taken in new, then again unchanged (`confirm`), then again each with another saving (`change`); of
the last two a tenth with `--quick`, as `..._again` says. Beside them the same bytes
go in by a bare INSERT of the same rows in the same transactions, into a table with a primary key and nothing else: what
the engine and the disk cost by themselves. Pages of 100 are then read in every order, from all over the table: of
100,000 rows with `--quick`, else of 1,000,000. A page is timed to its rows; decoding 100 of them is told apart. On
PostgreSQL pages and totals are those of a table that was vacuumed and analysed since, as it does by itself within
minutes of a run; totals from before that are `..._totals_fresh_ms`.

A finding holds the option advised, the present size and one alternative, each with three dimensions and their
back-tests. Garbage is collected as often as in the service. PostgreSQL is a server of the bench's own unless `--dsn`
names a database, which must be empty. Beside the seconds stand the CPU seconds of this process: on a machine that
others use, wall time says little.

The last line is one JSON object. `..._upsert_s` are seconds for 100,000 new ones, `..._confirm_s` and
`..._change_s` for as many as `..._again` tells, `..._page_ms` medians over orders.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from sqlalchemy import Column, LargeBinary, MetaData, Table, Text, insert, text

from tests.support.databases import PostgresServer
from tests.support.findings import content
from trimtab_service.domain.recommendations import Priority, RecommendationContent
from trimtab_service.rpc.ids import new_ulid
from trimtab_service.serving import settle_memory
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.pages import ListRequest
from trimtab_service.store.recommendation_documents import content_bytes
from trimtab_service.store.recommendation_totals import GroupBy
from trimtab_service.store.recommendations import RecommendationStore
from trimtab_service.store.schema import migrate
from trimtab_service.store.writer import GroupCommitWriter

UPSERTED: Final = 100_000
AGAIN_QUICK: Final = 4_000
PROJECT: Final = "bench"
ORDERS: Final = ("create_time desc", "update_time desc", "monthly_saving desc", "priority")
_CHUNK: Final = 2_000
_START: Final = datetime(2026, 11, 1, tzinfo=UTC)
_BARE: Final = Table(
    "bare", MetaData(), Column("id", Text, primary_key=True), Column("content", LargeBinary, nullable=False)
)


def main() -> int:
    """Measure, print, and end with the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 50 s: pages out of 100,000")
    parser.add_argument("--dsn", default="", help="an empty PostgreSQL database to use")
    options = parser.parse_args()
    total = UPSERTED if options.quick else 1_000_000
    figures: dict[str, object] = {"recommendations": UPSERTED, "rows": total}
    settle_memory()
    with tempfile.TemporaryDirectory() as directory:
        figures |= _engine("sqlite", f"sqlite:///{Path(directory) / 'bench.sqlite'}", total, quick=options.quick)
    with _postgresql(options.dsn) as dsn:
        figures |= _engine("postgresql", dsn, total, quick=options.quick)
    figures |= {"cores": os.cpu_count(), "quick": options.quick}
    print(json.dumps(figures))
    return 0


def _engine(name: str, dsn: str, total: int, *, quick: bool) -> dict[str, object]:
    database = open_database(dsn)
    migrate(database)
    writer = GroupCommitWriter(database)
    store = RecommendationStore(database, writer)
    try:
        contents = list(_findings(0, UPSERTED))
        size = sum(len(content_bytes(one)) for one in contents[:100]) // 100
        figures: dict[str, object] = {f"{name}_content_bytes": size}
        figures |= _upserts(name, store, contents, quick=quick)
        figures[f"{name}_bare_insert_s"] = _bare(database, contents)
        for begin in range(UPSERTED, total, UPSERTED):
            store.take_in(PROJECT, list(_findings(begin, UPSERTED)), _START + timedelta(hours=9), new_ulid)
            print(f"{name}: {begin + UPSERTED:,} rows")
        figures |= _totals(name, store, "totals_fresh")
        _settle(database)
        figures |= _pages(name, store, total)
        figures |= _totals(name, store, "totals")
    finally:
        writer.close()
        database.close()
    return figures


def _upserts(
    name: str, store: RecommendationStore, contents: Sequence[RecommendationContent], *, quick: bool
) -> dict[str, object]:
    again = contents[: AGAIN_QUICK if quick else UPSERTED]
    runs = (("upsert", contents), ("confirm", again), ("change", [_changed(one) for one in again]))
    figures: dict[str, object] = {f"{name}_again": len(again)}
    for hour, (label, given) in enumerate(runs):
        started, cpu = time.perf_counter(), time.process_time()
        taken = store.take_in(PROJECT, given, _START + timedelta(hours=hour), new_ulid)
        seconds = time.perf_counter() - started
        if len(taken) != len(given):
            raise AssertionError(f"{len(taken)} were taken in")
        figures[f"{name}_{label}_s"] = round(seconds, 2)
        figures[f"{name}_{label}_cpu_s"] = round(time.process_time() - cpu, 2)
        print(f"{name}: {label} of {len(given):,} in {seconds:.2f} s, {len(given) / seconds:,.0f}/s")
    return figures


def _changed(content: RecommendationContent) -> RecommendationContent:
    """The same finding at another price, which moves it in the orders and totals too."""
    impact = content.primary_impact
    return replace(content, primary_impact=replace(impact, cost_micros=impact.cost_micros - 7))


def _bare(database: Database, contents: Sequence[RecommendationContent]) -> float:
    """The same contents, encoded beforehand, into a table of two columns."""
    rows = [{"id": one.identity, "content": content_bytes(one)} for one in contents]
    with database.write() as conn:
        _BARE.create(conn)
    started = time.perf_counter()
    for begin in range(0, len(rows), _CHUNK):
        with database.change() as conn:
            conn.execute(insert(_BARE), rows[begin : begin + _CHUNK])
    seconds = time.perf_counter() - started
    print(f"{database.dialect}: a bare INSERT of the same bytes in {seconds:.2f} s")
    return round(seconds, 2)


def _pages(name: str, store: RecommendationStore, total: int) -> dict[str, object]:
    """Medians and 99th percentiles over pages from everywhere: each order is walked in strides."""
    figures: dict[str, object] = {}
    worst = 0.0
    everything: list[float] = []
    for order in ORDERS:
        times = _walk(store, order, "", 60)
        everything += times
        worst = max(worst, statistics.median(times))
        print(f"{name}: page of 100 of {total:,} by {order}: {statistics.median(times) * 1e3:.2f} ms")
    filtered = _walk(store, "create_time desc", 'state = "active" AND team = "team-7"', 20)
    page = store.list(PROJECT, ListRequest("L", PROJECT, "", 100))
    decoded = _timed(lambda: [row.recommendation() for row in page.items], 10)
    figures[f"{name}_page_ms"] = round(statistics.median(everything) * 1e3, 2)
    figures[f"{name}_page_worst_order_ms"] = round(worst * 1e3, 2)
    figures[f"{name}_page_p99_ms"] = round(statistics.quantiles(everything, n=100)[98] * 1e3, 2)
    figures[f"{name}_page_filtered_ms"] = round(statistics.median(filtered) * 1e3, 2)
    figures[f"{name}_decode_100_ms"] = round(statistics.median(decoded) * 1e3, 2)
    return figures


def _walk(store: RecommendationStore, order: str, filter_text: str, pages: int) -> list[float]:
    """Pages one after another, with jumps by pages of 1,000 in between that are not timed."""
    times: list[float] = []
    request = ListRequest("L", PROJECT, filter_text, 100)
    for _ in range(pages):
        started = time.perf_counter()
        page = store.list(PROJECT, request, order)
        times.append(time.perf_counter() - started)
        if not page.next_page_token:
            break
        far = store.list(PROJECT, replace(request, page_size=1_000, page_token=page.next_page_token), order)
        request = replace(request, page_token=far.next_page_token or "")
    return times


def _totals(name: str, store: RecommendationStore, label: str) -> dict[str, object]:
    times = _timed(lambda: store.totals(PROJECT, "", (GroupBy.TEAM, GroupBy.STATE)), 3)
    print(f"{name}: {label} in {statistics.median(times) * 1e3:.0f} ms")
    return {f"{name}_{label}_ms": round(statistics.median(times) * 1e3)}


def _settle(database: Database) -> None:
    """What PostgreSQL does by itself within a minute or two of a run; a bench that does not wait asks for it."""
    if database.dialect != "postgresql":
        return
    started = time.perf_counter()
    with database.read() as conn:
        conn.execute(text("SET statement_timeout = 0"))
        conn.execute(text("VACUUM (ANALYZE) recommendations, recommendation_confirmations"))
        conn.execute(text("RESET statement_timeout"))
    print(f"{database.dialect}: VACUUM (ANALYZE) in {time.perf_counter() - started:.2f} s")


def _timed(act: Callable[[], object], times: int) -> list[float]:
    found = []
    for _ in range(times):
        started = time.perf_counter()
        act()
        found.append(time.perf_counter() - started)
    return found


def _findings(begin: int, count: int) -> Iterator[RecommendationContent]:
    """Findings of a fleet: each resource, saving and team its own."""
    random = Random(begin)
    plain = content(1)
    for number in range(begin, begin + count):
        resource = replace(plain.resource, resource_id=f"i-{number:017x}", team=f"team-{number % 40}")
        micros = random.randrange(1_000_000, 5_000_000_000)
        yield replace(
            plain,
            identity=f"{resource.key}#rightsize#{resource.instance_type}",
            resource=resource,
            exclusive_group=resource.key,
            priority=list(Priority)[number % 4],
            primary_impact=replace(plain.primary_impact, cost_micros=-micros),
            confidence=random.random(),
        )


@contextmanager
def _postgresql(dsn: str) -> Iterator[str]:
    if dsn:
        yield dsn
        return
    server = PostgresServer()
    try:
        yield server.create_database()
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main())
