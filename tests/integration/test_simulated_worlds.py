"""A simulated cloud is one for all processes of a deployment, and outlives them, on both engines."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.simulated.connection import SIMULATED_ACCOUNT, connect
from trimtab_service.clouds.simulated.fleet import simulated_world
from trimtab_service.clouds.simulated.keeping import KeptWorld
from trimtab_service.clouds.simulated.world import SimulatedWorld
from trimtab_service.domain.recommendations import FieldChange, Operation, OperationKind
from trimtab_service.rightsizing.ports import Scope
from trimtab_service.store.engines import Database, open_database
from trimtab_service.store.simulated_worlds import SimulatedWorldStore

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("database")
"""Which migrates it."""


def _world(dsn: str, now: datetime = NOW) -> SimulatedWorld:
    """As a process of its own opens it."""
    store = SimulatedWorldStore(open_database(dsn), lambda: now)
    return simulated_world(7, lambda: now, kept=KeptWorld(store, "demo"))


def test_what_one_process_does_the_others_see(dsn: str) -> None:
    """Type, state, size and protection; and a process that starts later finds it so."""
    one, other = _world(dsn), _world(dsn, NOW + timedelta(minutes=5))
    assert one.instances() == other.instances()
    assert one.set_type("api-0000", "m5.large")
    assert not other.set_type("api-0000", "m5.large")
    assert other.stop("train-0001")
    assert one.set_count("web-0005", 3)
    assert one.protect("hot-0009", is_protected=True)
    one.remove("cache-0010")
    assert one.instances() == other.instances() == _world(dsn, NOW + timedelta(days=9)).instances()
    found = other.get("api-0000")
    assert found is not None
    assert found.resource.instance_type == "m5.large"
    assert one.get("cache-0010") is None
    with pytest.raises(KeyError):
        other.start("cache-0010")


def test_no_change_is_lost_between_processes(dsn: str) -> None:
    """Forty changes from four at once: each is there, and the version counts them."""
    names = [one.resource.resource_id for one in _world(dsn).instances()][:40]

    def work(mine: list[str]) -> None:
        world = _world(dsn)
        for name in mine:
            world.set_type(name, "m5.large")

    threads = [threading.Thread(target=work, args=(names[part::4],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    changed = [one for one in _world(dsn).instances() if one.resource.instance_type == "m5.large"]
    assert {one.resource.resource_id for one in changed} >= set(names)


def test_what_fails_changes_nothing(database: Database) -> None:
    """An exception of the change passes through, and the bytes stay."""
    store = SimulatedWorldStore(database, lambda: NOW)
    store.revise("demo", _made(b"first"))

    def broken(_: bytes | None) -> bytes:
        raise KeyError("x")

    with pytest.raises(KeyError):
        store.revise("demo", broken)
    assert (store.load("demo"), store.load("another")) == (b"first", None)


def test_two_connections_are_one_cloud(database: Database) -> None:
    """What the actuator of one changes is in the inventory of the other."""
    store = SimulatedWorldStore(database, lambda: NOW)
    patience = Patience(clock=lambda: NOW)
    one, other = connect(SIMULATED_ACCOUNT, patience, store), connect(SIMULATED_ACCOUNT, patience, store)
    resource = next(r for r in one.source.inventory(Scope(), NOW) if r.resource_id == "forgotten-0004")
    stop = Operation(OperationKind.STOP_INSTANCE, resource.resource_id, (FieldChange("State", "running", "stopped"),))
    assert one.actuator is not None
    assert other.actuator is not None
    assert one.actuator.carry_out(resource, stop, "t", NOW).is_changed
    assert not other.actuator.carry_out(resource, stop, "t", NOW).is_changed
    assert "forgotten-0004" not in {r.resource_id for r in other.source.inventory(Scope(), NOW)}
    assert orjson.loads(store.load("simulated") or b"")["changes"]["forgotten-0004"]["stopped"] == NOW.isoformat()


def _made(body: bytes) -> Callable[[bytes | None], bytes]:
    return lambda _: body
