"""A fenced switch of a name at real name servers: the update alone, and the whole switch with what it reads and sees.

    python -m tests.bench.dns_commit [--quick]

BIND and PowerDNS of Debian, one name, two sides in turn, each switch with a newer token. `commit` is the one update
that compares the fence and moves the addresses; `switch` reads the fence, commits, and asks the name server what it
answers. A server that is not installed is left out, and said so.

The last line is one JSON object: `dns_commit_p50_ms`, `dns_commit_p99_ms` and the same of the switch, by server.
"""

import argparse
import json
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import pytest

from tests.support.name_servers import ZONE, RunningNameServer, name_server
from tests.support.switching import ADDRESSES, AWS, GCP
from trimtab_service.clouds.dns.fenced_name import FencedName
from trimtab_service.clouds.dns.names import SwitchedName
from trimtab_service.clouds.dns.observers import NameServer, Observers
from trimtab_service.clouds.dns.rfc2136 import DynamicRecords
from trimtab_service.clouds.dns.tsig import read_key
from trimtab_service.clouds.patience import Patience
from trimtab_service.failover.fence import Fence, mark_of

_SERVERS: Final = ("bind", "powerdns")


def main() -> int:
    """Measure, print, and end with the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 of each instead of 2,000")
    count = 500 if parser.parse_args().quick else 2_000
    figures: dict[str, dict[str, float]] = {}
    for kind in _SERVERS:
        try:
            with name_server(kind) as server:
                figures[kind] = measured(server, count)
        except pytest.skip.Exception as missing:
            sys.stdout.write(f"{kind} is left out: {missing.msg}\n")
            continue
        for name, value in figures[kind].items():
            sys.stdout.write(f"{kind:10} {name:20} {value:8.1f}\n")
    sys.stdout.write(json.dumps({"bench": "dns_commit", "switches": count, **figures}) + "\n")
    return 0


def measured(server: RunningNameServer, count: int) -> dict[str, float]:
    """Milliseconds of `count` commits and as many switches, at the median and of the slowest of a hundred."""
    patience, at = Patience(), NameServer(server.host, server.port)
    name = SwitchedName(f"www.{ZONE}", ZONE, ADDRESSES)
    records = DynamicRecords(name, at, read_key(server.key_file), patience)
    target = FencedName(name, records, Observers((at,), patience))
    commits, switches = [], []
    for token in range(1, 2 * count, 2):
        deadline = datetime.now(UTC) + timedelta(seconds=30)
        side = AWS if token % 4 == 1 else GCP
        held = records.read(deadline)
        shares = {one: float(one == side.side_id) for one in ADDRESSES}
        begun = time.perf_counter()
        records.commit(held, shares, held.ttl, Fence(token, mark_of("commit", token)), deadline)
        commits.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        target.switch(GCP if side is AWS else AWS, 1.0, token + 1, f"switch-{token}", deadline)
        switches.append(time.perf_counter() - begun)
    return {**_percentiles("dns_commit", commits), **_percentiles("switch", switches)}


def _percentiles(name: str, seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {f"{name}_p{at}_ms": round(1000 * cuts[at - 1], 2) for at in (50, 99)}


if __name__ == "__main__":
    raise SystemExit(main())
