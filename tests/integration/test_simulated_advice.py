"""The simulated fleet through the real engine: what one command shows without any account."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.clocks import StoppedClock
from tests.support.snapshots import starter_snapshot
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.simulated.connection import SIMULATED_ACCOUNT, connect
from trimtab_service.domain.policy import EffectivePolicy
from trimtab_service.domain.rightsizing import Advice, Finding
from trimtab_service.rightsizing.advisor import advise
from trimtab_service.rightsizing.case import SizingCase
from trimtab_service.rightsizing.ports import Scope, Window
from trimtab_service.rightsizing.preferences import merge_preferences
from trimtab_service.rightsizing.telemetry import Telemetry

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def advice(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Advice]:
    """Advice on the first of each kind, by the kind's name."""
    snapshot = starter_snapshot(Path(tmp_path_factory.mktemp("catalog")))
    clock = StoppedClock(NOW)
    source = connect(SIMULATED_ACCOUNT, Patience(clock, clock.sleep)).source
    policy = EffectivePolicy()
    preferences = merge_preferences(None, policy)
    deadline = NOW + timedelta(minutes=1)
    found: dict[str, Advice] = {}
    for reading in source.read(
        list(source.inventory(Scope(), deadline)), Window(NOW - timedelta(days=14), NOW), deadline
    ):
        name, _, number = reading.resource.resource_id.partition("-")
        if int(number) < 16:
            telemetry = reading.telemetry or Telemetry(())
            case = SizingCase(reading.resource, telemetry, preferences, policy, 0, reading.missing, reading.failure)
            found[name] = advise(case, snapshot, (), NOW)
    return found


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("silent", Finding.SOURCE_FAILED),
        ("new", Finding.INSUFFICIENT_DATA),
        ("private", Finding.UNSUPPORTED),
        ("forgotten", Finding.IDLE),
        ("api", Finding.OVER_PROVISIONED),
        ("hot", Finding.UNDER_PROVISIONED),
    ],
)
def test_each_case_of_the_fleet_has_its_own_answer(name: str, finding: Finding, advice: Mapping[str, Advice]) -> None:
    """Failed, too little, unsupported and idle are four answers, and none of them is a size."""
    assert advice[name].finding is finding


def test_four_gpus_at_thirty_per_cent_are_never_made_one_without_risk(advice: Mapping[str, Advice]) -> None:
    """1.2 GPUs of load: whatever option keeps the model has at least two GPUs, or says that it is too small."""
    options = advice["train"].options
    whole = [one for one in options if one.capacity.gpu_model == "V100" and not one.gpu_share]
    assert options
    assert all(one.risk == 4 for one in whole if one.capacity.gpus * one.count < 2)
    assert options[0].capacity.gpus * options[0].count >= 2 or options[0].gpu_share


def test_a_machine_without_agent_keeps_its_memory(advice: Mapping[str, Advice]) -> None:
    """What is not measured is not taken away."""
    assert advice["noagent"].options
    assert all((option.capacity.memory_gib or 0) >= 16 for option in advice["noagent"].options)
