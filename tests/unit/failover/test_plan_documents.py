"""Plans as documents: what approvals are bound to, and what a process of another version reads."""

from dataclasses import replace

import orjson

from tests.support.failover_plans import OBSERVERS, failover_plan
from trimtab_service.domain.failover import Detection
from trimtab_service.failover.documents import plan_bytes, plan_of


def test_a_field_that_came_later_is_written_where_it_says_something() -> None:
    """A plan that says nothing of it has the bytes, and so the hash, that it had before; one that does is read back."""
    plain = failover_plan()
    assert "reporter" not in orjson.loads(plan_bytes(plain))["detection"]["observers"][0]
    assert plan_of(plan_bytes(plain)) == plain
    named = failover_plan(detection=Detection((replace(OBSERVERS[0], reporter="agent"), *OBSERVERS[1:])))
    observers = orjson.loads(plan_bytes(named))["detection"]["observers"]
    assert [one.get("reporter") for one in observers] == ["agent", None, None]
    assert plan_of(plan_bytes(named)) == named
