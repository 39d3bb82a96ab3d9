"""`trimtab batch` and `explain`: what is sent, what is shown, which exit code."""

import json
import shlex
from pathlib import Path

from google.protobuf.json_format import MessageToJson, Parse
from google.rpc import code_pb2, status_pb2

from tests.support.canned_server import CannedServer
from tests.support.command_line import run
from tests.support.decisions import infeasible, placed
from trimtab.v1 import placement_service_pb2 as pb

TOUR = shlex.split("place --gpu V100 --gpus 1 --hours 8 --spot --residency EU --data aws:eu-west-1:500GiB")


def _batch(*decisions: pb.Decision | status_pb2.Status) -> pb.BatchPlaceResponse:
    reply = pb.BatchPlaceResponse()
    for decision in decisions:
        result = reply.results.add()
        if isinstance(decision, pb.Decision):
            result.decision.CopyFrom(decision)
        else:
            result.error.CopyFrom(decision)
    return reply


REFUSED = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message="unknown GPU model")


def test_a_batch_answers_line_by_line(server: CannedServer) -> None:
    """As many JSON lines come out as went in, in order, an error among them; exit code 1 for the error."""
    server.answer("BatchPlace", _batch(placed(), REFUSED, infeasible()))
    lines = "".join(json.dumps({"workload": {"workloadId": f"w{number}"}}) + "\n" for number in range(3))
    ran = run("batch", "--json", "--target", server.target, stdin=lines + "\n")
    assert ran.code == 1
    results = [Parse(line, pb.BatchPlaceResult()) for line in ran.out.splitlines()]
    assert [result.WhichOneof("result") for result in results] == ["decision", "error", "decision"]
    assert results[1].error == REFUSED
    assert [item.workload.workload_id for item in server.calls[0].request.requests] == ["w0", "w1", "w2"]


def test_a_batch_for_people_is_a_table(server: CannedServer, tmp_path: Path) -> None:
    """One row an item; without an error the worst verdict decides the exit code."""
    server.answer("BatchPlace", _batch(placed(), infeasible()))
    path = tmp_path / "items.jsonl"
    path.write_text('{"workload": {"workloadId": "first"}}\n{"workload": {}}\n')
    ran = run("batch", str(path), "--target", server.target)
    assert ran.code == 3
    assert "first" in ran.out
    assert "infeasible" in ran.out


def test_a_long_batch_is_cut(server: CannedServer) -> None:
    """300 items are two calls; a joint batch of 300 is refused, because it cannot be cut."""
    server.answer("BatchPlace", lambda request: _batch(*[placed()] * len(request.requests)))
    lines = "{}\n" * 300
    ran = run("batch", "--json", "--target", server.target, stdin=lines)
    assert (ran.code, len(ran.out.splitlines())) == (0, 300)
    assert [len(call.request.requests) for call in server.calls] == [256, 44]
    assert run("batch", "--joint", "--target", server.target, stdin=lines).code == 2


def test_a_broken_line_is_named(server: CannedServer) -> None:
    """The number of the line is what a person looks for."""
    ran = run("batch", "--target", server.target, stdin="{}\n{oops\n")
    assert ran.code == 2
    assert "line 2" in ran.err


def test_replay_is_judged_by_its_exit_code(server: CannedServer) -> None:
    """0 when the same bytes came out, 1 when others did or when the server did not say."""
    for identical, code in ((True, 0), (False, 1), (None, 1)):
        reply = pb.ExplainPlacementResponse(decision=placed(), replay_identical=identical)
        server.answer("ExplainPlacement", reply)
        ran = run("explain", "01hq", "--replay", "--target", server.target)
        assert ran.code == code
        assert "01hqz3w8x9y0abcdefghjkmnpq" in ran.out
    assert server.calls[0].request.decision == "projects/default/decisions/01hq"


def test_explain_takes_the_flags_of_place(server: CannedServer) -> None:
    """The same question, with the explanation."""
    server.answer("ExplainPlacement", pb.ExplainPlacementResponse(decision=placed()))
    ran = run("explain", *TOUR[1:], "--target", server.target)
    assert ran.code == 0
    assert "GPU_MISMATCH" in ran.out
    assert server.calls[0].request.request.workload.size.gpus[0].model == "V100"


def test_explain_refuses_what_does_not_go_together(server: CannedServer) -> None:
    """A logged decision has its own workload, and a replay needs a decision."""
    assert run("explain", "01hq", "--gpu", "V100", "--target", server.target).code == 2
    assert run("explain", "--replay", "--gpu", "V100", "--target", server.target).code == 2
    assert not server.calls


def test_json_of_explain_is_the_whole_reply(server: CannedServer) -> None:
    """The logged request is there too."""
    reply = pb.ExplainPlacementResponse(decision=placed(), replay_identical=True)
    reply.logged_request.workload.size.vcpus = 4
    server.answer("ExplainPlacement", reply)
    ran = run("explain", "01hq", "--json", "--target", server.target)
    assert ran.out == MessageToJson(reply) + "\n"
