# ruff: noqa: ANN401 - messages of every method
"""Requests broken at random, and requests at the edge of what is allowed; seeded, so that a failure comes again."""

import copy
import random
import uuid
from collections import Counter
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.support.bad_input import LEAKS, PLACE, every_request, is_ours, make_fresh, quota
from tests.support.contract import (
    Refusal,
    call,
)
from tests.support.service import RunningService
from tests.support.spots import spots
from tests.support.whole_requests import place_request
from trimtab.v1 import placement_service_pb2 as pb
from trimtab.v1 import policy_service_pb2
from trimtab.v1.rightsizing_service_pb2 import BatchRightsizeResponse

SEEDS: Final = range(3)


_TEXTS: Final = ("", "x", "\x00", "*", "-", "projects/vision", "projects/-/decisions/x", "é" * 300, "x" * 5_000)


_NUMBERS: Final = (float("nan"), float("inf"), -1.0, 0.0, -0.0, 5e-324, 1e-9, 1e9, 1e12, 1e308)


_WHOLES: Final = {
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 0, 1, 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), -1, 0, 1, 2**63 - 1),
}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_mutation_of_a_right_request_is_our_fault(
    attacked: RunningService, channel: grpc.Channel, project: str, seed: int
) -> None:
    """Seeded mutations of right requests of every RPC: whatever comes back, it is never INTERNAL or UNKNOWN."""
    dice = random.Random(seed)
    requests = every_request(project)
    codes: Counter[str] = Counter()
    for number in range(600):
        path, right = requests[number % len(requests)]
        request = copy.deepcopy(right)
        done = [_mutate(request, dice) for _ in range(dice.randint(1, 4))]
        if dice.random() < 0.8:
            make_fresh(request)
        answer = call(channel, path, request)
        assert not is_ours(answer) or _waits(path, answer), (path, done, answer)
        codes[answer.code.name if isinstance(answer, Refusal) else "OK"] += 1
        if isinstance(answer, Refusal):
            assert not LEAKS.search(answer.text), (path, done, answer.text)
        elif isinstance(answer, pb.BatchPlaceResponse | BatchRightsizeResponse):
            assert all(result.error.code not in {2, 13} for result in answer.results), (path, done)
    # A mutation may have lost its project, and a policy of the deployment would hold for the other tests too.
    for policy in attacked.policy.ListPolicies(policy_service_pb2.ListPoliciesRequest()).policies:
        attacked.policy.DeletePolicy(policy_service_pb2.DeletePolicyRequest(name=policy.name))
    assert codes["OK"] >= 60, codes
    assert codes["INVALID_ARGUMENT"] >= 60, codes


def _waits(path: str, answer: object) -> bool:
    """A watch from now on, of what does not change, has nothing to say until the caller's time is up."""
    late = isinstance(answer, Refusal) and answer.code is grpc.StatusCode.DEADLINE_EXCEEDED
    return late and path.rpartition("/")[2].startswith("Watch")


def _mutate(request: Message, dice: random.Random) -> str:
    """Change one value, or clear or double one entry; says what was done."""
    found = list(spots(request))
    if not found:
        return "nothing is left"
    spot = dice.choice(found)
    kind = spot.field.type
    if dice.random() < 0.3:
        spot.holder.ClearField(spot.field.name)
        return f"{spot.path} cleared"
    if spot.field.message_type is not None:
        if spot.index is not None:
            getattr(spot.holder, spot.field.name).add().CopyFrom(spot.value)
        return f"{spot.path} doubled"
    value: Any = not spot.value
    if kind in {FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT}:
        value = dice.choice(_NUMBERS)
    elif kind == FieldDescriptor.TYPE_STRING:
        value = dice.choice(_TEXTS)
    elif kind == FieldDescriptor.TYPE_ENUM:
        value = dice.choice((-1, 0, 1, 2, 3, 4, 5, 99))
    elif kind in _WHOLES:
        value = dice.choice(_WHOLES[kind])
    spot.put(value)
    return f"{spot.path} = {str(value)[:40]!r}"


@pytest.mark.parametrize("seed", SEEDS)
def test_extreme_requests_that_are_allowed_are_decided(channel: grpc.Channel, project: str, seed: int) -> None:
    """At the edges of what is allowed: terms are not negative and add up, and no figure is infinite."""
    dice = random.Random(seed)
    decided = 0
    for _ in range(150):
        answer = call(channel, PLACE, _extreme(project, dice))
        assert not is_ours(answer), answer
        if isinstance(answer, Refusal) or not answer.HasField("chosen"):
            continue
        decided += 1
        terms = [term.amount.units * 10**9 + term.amount.nanos for term in answer.chosen.terms]
        total = answer.chosen.expected_cost
        assert min(terms) >= 0
        assert sum(terms) == total.units * 10**9 + total.nanos
        figures = (answer.chosen.billed_hours, answer.chosen.expected_interruptions, answer.chosen.latency_ms)
        assert all(0.0 <= figure < float("inf") for figure in figures)
    assert decided >= 30


_REGIONS: Final = [
    {"cloud": "CLOUD_AWS", "region": "us-east-1"},
    {"cloud": "CLOUD_AWS", "region": "eu-west-1"},
    {"cloud": "CLOUD_GCP", "region": "us-central1"},
    {"cloud": "CLOUD_AZURE", "region": "eastus"},
]


def _extreme(project: str, dice: random.Random) -> pb.PlaceRequest:
    """A request of values that are least, most or in between, each section there or not."""

    def gib() -> float:
        return dice.choice([0.0, 5e-324, 1e-9, 1.0, 1e6, 1e9])

    def usd(most: int) -> dict[str, int]:
        return dice.choice([{"units": most}, {"nanos": 1}, {"units": 5}, {}])

    def lasting(most: int) -> str:
        return dice.choice(["0.000000001s", "1s", "3600s", f"{most}s"])

    def maybe(**fields: Any) -> dict[str, Any]:
        return {key: value for key, value in fields.items() if dice.random() < 0.6}

    def where() -> dict[str, str]:
        return dice.choice(_REGIONS)

    options = [f"PURCHASE_OPTION_{name}" for name in ("ON_DEMAND", "SPOT", "RESERVED_1Y", "RESERVED_3Y")]
    sections = maybe(
        count=dice.choice([1, 2, 10_000]),
        purchaseOptions=dice.sample(options, dice.randint(1, 4)),
        interruption=maybe(
            checkpointWriteTime=lasting(744 * 3_600),
            restartTime=lasting(744 * 3_600),
            checkpointInterval=lasting(87_840 * 3_600),
            checkpointStore=where(),
            checkpointGib=gib(),
            checkpointPricePerGibMonth=usd(10_000),
        ),
        dataSets=[
            {"location": where(), "gib": gib(), **maybe(privateRatePerGib=usd(10_000))}
            for _ in range(dice.randint(1, 3))
        ],
        users={
            "groups": [
                {
                    "location": {"latitude": dice.choice([90, -90, 0]), "longitude": dice.choice([180, -180])},
                    "share": share,
                }
                for share in (1e9, 1e-9)
            ],
            "egressGib": gib(),
        },
        current={
            "location": where(),
            **maybe(
                instanceType=dice.choice(["m5.large", "nope"]),
                purchaseOption=dice.choice(options),
                stateGib=gib(),
                changeover=lasting(87_840 * 3_600),
                fixedCost=usd(10**9),
                minimumGain=usd(10**9),
                minimumGainFraction=dice.choice([0.0, 5e-324, 1.0]),
            ),
        },
        quotas=[{**quota("CLOUD_AWS", "us-east-1", unit), "left": gib()} for unit in ("UNIT_VCPUS", "UNIT_GPUS")],
        services=[{"service": "S3", "preferenceValue": usd(10**9)}],
        toleranceFraction=dice.choice([5e-324, 1.0]),
        monthToDateEgress=[{"location": where(), "gib": gib()}],
        hoursPerMonth=dice.choice([1.0, 744.0]),
        hoursPerYear=dice.choice([1.0, 8_784.0]),
    )
    request = place_request(project, **sections, duration=lasting(87_840 * 3_600))
    if dice.random() < 0.5:
        month = request.workload.hours_per_month or 730.0
        request.workload.service_hours_per_month = dice.choice([1e-9, month / 2, month])
    elif dice.random() < 0.5:
        request.workload.deadline.FromJsonString("9999-12-31T23:59:59.999999999Z")
    if dice.random() < 0.3:
        request.reserve, request.request_id = True, str(uuid.uuid4())
    request.explain = dice.random() < 0.2
    return request
