"""The replication service: what its callers may rely on, on the embedded default and on a file of two clouds."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from tests.support.contract import refusal_of
from tests.support.databases import ENGINES, PostgresServer
from tests.support.object_stores import REGION, content, fresh_name, gcs_bucket, s3_client, s3_server
from tests.support.replication_worker import SHORT, now
from tests.support.service import RunningService, running_service
from tests.support.strict_gcs import StrictGcs
from trimtab.v1 import failover_service_pb2 as failover_pb
from trimtab.v1 import replication_service_pb2 as pb
from trimtab.v1 import types_pb2
from trimtab_service.bootstrap import Overrides

PARENT = "projects/vision"
NAME = f"{PARENT}/replications/models"
OVERRIDES = Overrides(replication_pacing=SHORT)


@pytest.fixture(params=ENGINES)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningService]:
    """The embedded default, on each engine in turn."""
    server: PostgresServer | None = None
    created = ""
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        created = server.create_database()
    with running_service(tmp_path, overrides=OVERRIDES, database_url=created) as running:
        yield running
    if server is not None:
        server.drop_database(created)


def awaited(service: RunningService, holds: Callable[[pb.Replication], bool], name: str = NAME) -> pb.Replication:
    """The replication, as soon as it is so."""
    give_up = time.monotonic() + 60
    while True:
        found = service.replications.GetReplication(pb.GetReplicationRequest(name=name))
        if holds(found):
            return found
        assert time.monotonic() < give_up, found
        time.sleep(0.05)


def compared(service: RunningService, name: str = NAME, page_size: int = 5) -> list[pb.ReplicationDifference]:
    """Every difference, part by part."""
    request = pb.CompareReplicationRequest(name=name, page_size=page_size)
    found: list[pb.ReplicationDifference] = []
    while True:
        part = service.replications.CompareReplication(request)
        found += part.differences
        if not part.next_page_token:
            return found
        request.page_token = part.next_page_token


def test_nothing_is_copied_before_somebody_says_so(service: RunningService) -> None:
    """What is configured is listed, paused and without a watermark; everything differs."""
    listed = service.replications.ListReplications(pb.ListReplicationsRequest(parent=PARENT)).replications
    assert [(one.name, one.state, one.HasField("watermark_time")) for one in listed] == [
        (NAME, pb.Replication.STATE_PAUSED, False)
    ]
    differences = compared(service)
    assert len(differences) == 12
    assert {one.kind for one in differences} == {pb.ReplicationDifference.KIND_MISSING}


def test_started_it_copies_and_tells_the_age_of_the_copy(service: RunningService) -> None:
    """Twice asked is once started; then nothing differs, and the watermark goes on."""
    started = service.replications.StartReplication(pb.StartReplicationRequest(name=NAME))
    assert started.state == pb.Replication.STATE_ACTIVE
    service.replications.StartReplication(pb.StartReplicationRequest(name=NAME))
    done = awaited(service, lambda one: one.HasField("last_pass"))
    assert (done.last_pass.copied, done.last_pass.source_objects, done.fault) == (12, 12, "")
    assert done.within_target
    assert done.age.ToTimedelta() < timedelta(seconds=30)
    assert compared(service) == []


def test_it_is_turned_only_when_it_is_paused_and_nobody_copies(service: RunningService) -> None:
    """Then the ends are swapped and progress begins anew; the same request again changes nothing."""
    service.replications.StartReplication(pb.StartReplicationRequest(name=NAME))
    awaited(service, lambda one: one.HasField("last_pass"))
    with pytest.raises(grpc.RpcError) as active:
        service.replications.ReverseReplication(pb.ReverseReplicationRequest(name=NAME))
    assert refusal_of(active.value).reason == "STATE_CONFLICT"
    service.replications.PauseReplication(pb.PauseReplicationRequest(name=NAME))
    asked = pb.ReverseReplicationRequest(name=NAME, request_id="0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a")
    turned = _turned(service, asked)
    assert turned.reversed
    assert turned.source.endswith("models-gcp")
    assert not turned.HasField("watermark_time")
    assert service.replications.ReverseReplication(asked).reversed


def _turned(service: RunningService, asked: pb.ReverseReplicationRequest) -> pb.Replication:
    """When the pass in hand has let go; refused for anything else at once."""
    give_up = time.monotonic() + 60
    while True:
        try:
            return service.replications.ReverseReplication(asked)
        except grpc.RpcError as error:
            if "under way; try" not in str(error) or time.monotonic() > give_up:
                raise
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (pb.GetReplicationRequest(name=f"{PARENT}/replications/other"), "NOT_FOUND"),
        (pb.GetReplicationRequest(name=f"{PARENT}/copies/models"), "BAD_FORMAT"),
        (pb.CompareReplicationRequest(name=NAME, page_token="forged"), "PAGE_TOKEN_INVALID"),
        (pb.ListReplicationsRequest(parent=PARENT, filter="colour = 1"), "FILTER_INVALID"),
    ],
)
def test_what_is_asked_wrongly_is_refused(tmp_path: Path, request_: Message, reason: str) -> None:
    """Unknown names, malformed ones, forged tokens, unknown fields of a filter."""
    with running_service(tmp_path) as service:
        ask = getattr(service.replications, type(request_).__name__.removesuffix("Request"))
        with pytest.raises(grpc.RpcError) as refused:
            ask(request_)
    assert refusal_of(refused.value).reason == reason


class TwoClouds:
    """A file with an account of AWS and one of Google Cloud, and a replication from one to the other."""

    def __init__(self, directory: Path, s3_url: str, gcs: StrictGcs, more: str = "") -> None:
        self.bucket = fresh_name()
        self.s3: Any = s3_client(s3_url)
        self.s3.create_bucket(Bucket=self.bucket)
        gcs.create_bucket(self.bucket)
        self.target = gcs_bucket(gcs.url, self.bucket)
        keys = directory / "credentials"
        keys.write_text("[default]\naws_access_key_id = test\naws_secret_access_key = test\n")
        self.file = directory / "accounts.toml"
        self.file.write_text(
            f'[[accounts]]\nname = "aws"\nkind = "cloudwatch"\naccount = "123456789012"\nprojects = ["vision"]\n'
            f'regions = ["{REGION}"]\nchanges = true\nendpoint_url = "{s3_url}"\n'
            f"credentials_file = {json.dumps(str(keys))}\n"
            f'[[accounts]]\nname = "gcp"\nkind = "cloud_monitoring"\naccount = "vision-1"\nprojects = ["vision"]\n'
            f'changes = true\nendpoint_url = "{gcs.url}"\n'
            f'[[replications]]\nname = "models"\nprojects = ["vision"]\n'
            f'source = {{ account = "aws", bucket = "{self.bucket}", region = "{REGION}" }}\n'
            f'destination = {{ account = "gcp", bucket = "{self.bucket}" }}\n'
            f'part_mib = 5\nevery = "1s"\n{more}'
        )


@pytest.fixture
def clouds(tmp_path: Path) -> Iterator[tuple[str, StrictGcs]]:
    """Servers of both."""
    with s3_server() as s3_url, StrictGcs() as gcs:
        yield s3_url, gcs


SIDES = (
    failover_pb.Side(side_id="aws", cloud=types_pb2.CLOUD_AWS, region="us-east-1"),
    failover_pb.Side(side_id="gcp", cloud=types_pb2.CLOUD_GCP, region="us-central1"),
)


def _plan(target: str, rpo: timedelta) -> failover_pb.FailoverPlan:
    plan = failover_pb.FailoverPlan(service_id="api", sides=SIDES)
    check = failover_pb.Step(step_id="fresh", check_watermark=failover_pb.CheckWatermark(target=target))
    ask = failover_pb.Step(step_id="ask", approve=failover_pb.ApproveStep())
    plan.activate.stages.extend([failover_pb.Stage(steps=[check]), failover_pb.Stage(steps=[ask])])
    plan.rpo_target.FromTimedelta(rpo)
    return plan


def _run_of(service: RunningService, target: str, rpo: timedelta, plan_id: str) -> failover_pb.FailoverRun:
    """A run of a plan that goes by a replication, once it has checked it."""
    made = service.failover.CreateFailoverPlan(
        failover_pb.CreateFailoverPlanRequest(parent=PARENT, failover_plan_id=plan_id, failover_plan=_plan(target, rpo))
    )
    run = service.failover.StartFailover(
        failover_pb.StartFailoverRequest(
            name=made.name,
            from_side="aws",
            to_side="gcp",
            mode=failover_pb.FailoverRun.MODE_UNGRACEFUL,
            override_reason="a test",
            request_id=f"0a0a0a0a-0a0a-4a0a-8a0a-{abs(hash(plan_id)) % 10**12:012}",
        )
    )
    give_up = time.monotonic() + 60
    waits = {failover_pb.FailoverRun.STATE_PENDING, failover_pb.FailoverRun.STATE_RUNNING}
    while run.state in waits:
        assert time.monotonic() < give_up, run
        time.sleep(0.05)
        run = service.failover.GetFailoverRun(failover_pb.GetFailoverRunRequest(name=run.name))
    return run


def test_a_failover_goes_by_the_watermark_that_was_measured(tmp_path: Path, clouds: tuple[str, StrictGcs]) -> None:
    """Fresh: its age is in the run. Older than the target: the promotion is refused. And the other way has its name."""
    world = TwoClouds(tmp_path, *clouds, more='rpo_target = "5m"\n')
    world.s3.put_object(Bucket=world.bucket, Key="weights", Body=b"1" * 1_000)
    with running_service(tmp_path / "data", overrides=OVERRIDES, cloud_accounts=world.file) as service:
        service.replications.StartReplication(pb.StartReplicationRequest(name=NAME))
        awaited(service, lambda one: one.HasField("watermark_time") and one.last_pass.copied + one.last_pass.same == 1)
        fresh = _run_of(service, "models", timedelta(minutes=5), "fresh")
        assert fresh.state == failover_pb.FailoverRun.STATE_PENDING_APPROVAL
        assert fresh.actual_rpo.ToTimedelta() < timedelta(minutes=1)

        service.replications.PauseReplication(pb.PauseReplicationRequest(name=NAME))
        with pytest.raises(grpc.RpcError) as busy:
            _turned(service, pb.ReverseReplicationRequest(name=NAME))
        assert refusal_of(busy.value).metadata["failover_run"] == fresh.name
        steer = failover_pb.SteerFailoverRunRequest
        service.failover.SteerFailoverRun(steer(name=fresh.name, command=steer.COMMAND_ABORT, reason="enough"))
        _over(service, fresh.name)

        time.sleep(1.1)
        stale = _run_of(service, "models", timedelta(seconds=1), "stale")
        assert stale.state == failover_pb.FailoverRun.STATE_PAUSED
        assert "s old" in next(one.detail for one in stale.steps if one.step_id == "fresh")
        service.failover.SteerFailoverRun(steer(name=stale.name, command=steer.COMMAND_ABORT, reason="enough"))
        _over(service, stale.name)
        back = _run_of(service, "models.back", timedelta(minutes=5), "back")
        assert back.state == failover_pb.FailoverRun.STATE_PAUSED
        assert "other way" in next(one.detail for one in back.steps if one.step_id == "fresh")


def _over(service: RunningService, name: str) -> None:
    give_up = time.monotonic() + 60
    while not service.failover.GetFailoverRun(failover_pb.GetFailoverRunRequest(name=name)).HasField("end_time"):
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_a_copy_that_is_too_old_becomes_the_original_only_with_a_reason(
    tmp_path: Path, clouds: tuple[str, StrictGcs]
) -> None:
    """And then what was written there comes back, while what never left is kept."""
    world = TwoClouds(tmp_path, *clouds, more='rpo_target = "1s"\n')
    world.s3.put_object(Bucket=world.bucket, Key="weights", Body=b"1" * 1_000, Metadata={"epoch": "7"})
    with running_service(tmp_path / "data", overrides=OVERRIDES, cloud_accounts=world.file) as service:
        service.replications.StartReplication(pb.StartReplicationRequest(name=NAME))
        awaited(service, lambda one: one.HasField("watermark_time") and one.last_pass.copied + one.last_pass.same == 1)
        service.replications.PauseReplication(pb.PauseReplicationRequest(name=NAME))
        time.sleep(2)
        with pytest.raises(grpc.RpcError) as stale:
            _turned(service, pb.ReverseReplicationRequest(name=NAME))
        assert refusal_of(stale.value).reason == "REPLICA_STALE"
        assert _turned(service, pb.ReverseReplicationRequest(name=NAME, override_reason="the region is gone")).reversed
        world.s3.put_object(Bucket=world.bucket, Key="late", Body=b"never left")
        there = world.target.head("weights", now() + timedelta(seconds=120))
        world.target.put("weights", content(b"newer"), there.version, now() + timedelta(seconds=120))
        service.replications.StartReplication(pb.StartReplicationRequest(name=NAME))
        awaited(service, lambda one: one.HasField("watermark_time") and one.last_pass.source_objects == 1)
        assert world.s3.get_object(Bucket=world.bucket, Key="weights")["Body"].read() == b"newer"
        assert world.s3.get_object(Bucket=world.bucket, Key="late")["Body"].read() == b"never left"
        assert [(one.key, one.kind) for one in compared(service)] == [("late", pb.ReplicationDifference.KIND_EXTRA)]
