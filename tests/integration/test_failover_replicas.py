"""Several replicas of the failover service over one database."""

import threading
from pathlib import Path

import grpc

from tests.support.failover_plans import failover_plan
from tests.support.failover_service import AT_ONCE, FailoverHouse, failover_house
from trimtab_service.bootstrap import utc_now
from trimtab_service.clouds.simulated.failover import SimulatedClouds


def test_a_start_at_two_replicas_at_once_is_one_run(dsn: str, tmp_path: Path) -> None:
    """Different requests of different people: one is taken, the others are told of it."""
    world = SimulatedClouds(AT_ONCE, clock=utc_now)
    shared = {"world": world, "database_url": dsn}
    with failover_house(tmp_path / "a", **shared) as one, failover_house(tmp_path / "b", **shared) as two:  # type: ignore[arg-type] # mixed keywords
        one.keep(failover_plan(approve=True))
        together, told = threading.Barrier(8), list[tuple[str, str]]()

        def start(house: FailoverHouse) -> None:
            together.wait()
            try:
                told.append((house.start().name, ""))
            except grpc.RpcError as error:
                told.append(("", str(error.details())))

        threads = [threading.Thread(target=start, args=((one, two)[at % 2],)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        (taken,) = [name for name, _ in told if name]
        assert all(taken in refusal for _, refusal in told if refusal)
        assert len(told) == 8
