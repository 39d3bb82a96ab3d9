"""The simulated cloud carries the operations of every cloud out, as a real one would."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import pytest

from tests.support.findings import option
from tests.unit.recommendations.test_application import Memory
from trimtab_service.clouds.simulated.actuator import SimulatedActuator
from trimtab_service.clouds.simulated.fleet import simulated_world
from trimtab_service.clouds.simulated.world import SimulatedInstance, SimulatedWorld
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.recommendations import Operation, OperationKind, Outcome
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.application import Run, carry_out, look
from trimtab_service.recommendations.operations import operations_of

NOW: Final = datetime(2026, 11, 23, tzinfo=UTC)


@pytest.fixture
def world() -> SimulatedWorld:
    """A fleet of three clouds."""
    return simulated_world(1, lambda: NOW)


def run_of(world: SimulatedWorld, one: SimulatedInstance, **wanted: object) -> Run:
    """The run that gives it another type, or count."""
    actuator = SimulatedActuator(world)

    def find(resource: CloudResource, operation: Operation) -> SimulatedActuator | None:
        return actuator if actuator.handles(resource, operation) else None

    resource = one.resource
    chosen = option(1, "other.type", cloud=resource.cloud, region=resource.region, count=resource.count)
    groups = operations_of(resource, replace(chosen, **wanted))  # type: ignore[arg-type] # fields by name
    return Run(resource, groups, partial(find), "t", NOW + timedelta(minutes=1), lambda: NOW)


def test_every_instance_and_group_takes_another_type(world: SimulatedWorld) -> None:
    """And runs on, in the words of its cloud."""
    changed = 0
    for one in world.instances():
        run = run_of(world, one)
        if not run.groups or one.is_protected or not one.is_running:
            continue
        assert look(run).obstacles == ()
        assert carry_out(run, Memory()).outcome is Outcome.DONE
        after = world.get(one.resource.resource_id)
        assert after is not None
        assert (after.resource.instance_type, after.is_running) == ("other.type", True)
        changed += 1
    assert changed > 10


def test_what_is_not_in_the_world_is_not_handled_and_what_is_protected_not_changed(world: SimulatedWorld) -> None:
    """Nothing is said of what the simulation does not know."""
    one = next(one for one in world.instances() if one.is_running and run_of(world, one).groups)
    actuator, resource = SimulatedActuator(world), one.resource
    stop = Operation(OperationKind.STOP_INSTANCE, resource.resource_id)
    assert actuator.handles(resource, stop)
    assert not actuator.handles(replace(resource, resource_id="elsewhere"), stop)
    assert not actuator.handles(resource, Operation(OperationKind.PURCHASE_COMMITMENT, resource.resource_id))
    world.protect(resource.resource_id, is_protected=True)
    assert actuator.observe(resource, stop, NOW).is_protected
    with pytest.raises(FailedPreconditionError, match="protected"):
        actuator.carry_out(resource, stop, "t", NOW)
