"""`trimtab place`, `trimtab batch` and `trimtab explain`."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.message import Message
from rich.text import Text

from trimtab import errors
from trimtab.cli import exits
from trimtab.cli import output as out
from trimtab.cli.connection import Connection, Output
from trimtab.cli.decision_view import decision_parts, decision_row
from trimtab.cli.files import read_lines, read_message
from trimtab.cli.flags import command
from trimtab.cli.values import duration, parse
from trimtab.cli.workload_flags import WorkloadFlags
from trimtab.cli.workload_parse import workload_of
from trimtab.client import Client
from trimtab.v1 import placement_service_pb2 as pb

_BATCH = 256
_PANEL = "Answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFlags:
    """What is asked for beside the place itself."""

    request: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PlaceRequest as JSON or YAML (-: stdin); flags are laid over it.",
            rich_help_panel=_PANEL,
        ),
    ] = None
    max_fallbacks: Annotated[int | None, typer.Option(help="Fallbacks, 0 to 8.", rich_help_panel=_PANEL)] = None
    reserve: Annotated[
        bool, typer.Option("--reserve", help="Draw commitment room and quota durably.", rich_help_panel=_PANEL)
    ] = False
    reserve_for: Annotated[
        str, typer.Option(metavar="DURATION", help="How long it is kept, as 15m.", rich_help_panel=_PANEL)
    ] = ""
    request_id: Annotated[
        str, typer.Option(metavar="UUID", help="Makes a reservation happen once.", rich_help_panel=_PANEL)
    ] = ""

    def place_request(self, flags: WorkloadFlags, *, explain: bool = False) -> pb.PlaceRequest:
        """The request of a file, if any, with the flags laid over it."""
        request = (
            pb.PlaceRequest() if self.request is None else read_message(self.request, pb.PlaceRequest, "--request")
        )
        workload = workload_of(flags)
        if workload.WhichOneof("usage"):
            request.workload.ClearField("duration")
            request.workload.ClearField("service_hours_per_month")
        request.workload.MergeFrom(workload)
        if self.max_fallbacks is not None:
            request.max_fallbacks = self.max_fallbacks
        request.reserve = request.reserve or self.reserve
        if self.reserve_for:
            request.reserve_duration.FromTimedelta(parse("--reserve-for", duration, self.reserve_for))
        request.request_id = self.request_id or request.request_id
        request.explain = request.explain or explain
        return request


def add_commands(app: typer.Typer) -> None:
    """Add the three commands."""
    command(app)(place)
    command(app)(batch)
    command(app)(explain)


def place(
    *,
    explain: Annotated[bool, typer.Option("--explain", help="Say why not elsewhere.", rich_help_panel=_PANEL)] = False,
    answer: AnswerFlags,
    flags: WorkloadFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Decide where a workload should run: size, price, place, and where to go when it fails.

    trimtab place --gpu V100 --gpus 1 --hours 8 --spot --residency EU --data aws:eu-west-1:500GiB
    """
    request = answer.place_request(flags, explain=explain)
    with connection.client() as client:
        decision = client.place(request)
    if output.json:
        out.show_json(decision)
    else:
        out.show(*decision_parts(decision))
    raise typer.Exit(exits.of_verdict(decision.verdict))


def batch(
    file: Annotated[
        Path, typer.Argument(metavar="[FILE]", help="PlaceRequests, one JSON object a line; - is stdin.")
    ] = Path("-"),
    *,
    joint: Annotated[
        bool, typer.Option("--joint", help=f"Items compete, in order, for quota and room; at most {_BATCH}.")
    ] = False,
    output: Output,
    connection: Connection,
) -> None:
    """Decide many placements: one result for each line, in the same order.

    The exit code is 1 when an item failed, else 3 when one has no place, else 0.
    """
    requests = read_lines(file, pb.PlaceRequest, "FILE")
    worst = exits.Exit.OK
    shown = out.table(
        "#", "workload", "verdict", "place", "type", "bought", "cost", "risk", right=["#", "cost", "risk"]
    )
    failures: list[tuple[int, errors.CallError]] = []
    with connection.client() as client:
        for number, request, result in _results(client, requests, joint=joint):
            worst = _worse(worst, result)
            if output.json:
                out.show_json_lines([_result_message(result)])
            elif isinstance(result, errors.CallError):
                failures.append((number, result))
                shown.add_row(
                    str(number), request.workload.workload_id or "-", "error", result.reason or result.code.name
                )
            else:
                shown.add_row(str(number), request.workload.workload_id or "-", *decision_row(result))
    if not output.json:
        out.show(shown)
        for number, error in failures:
            out.console(stderr=True).print(Text(f"{number}: {error.message}"))
    raise typer.Exit(worst)


def explain(  # noqa: PLR0913 - a command's arguments and options
    decision: Annotated[
        str | None, typer.Argument(metavar="[DECISION]", help="Name or id of a logged decision; else say a workload.")
    ] = None,
    *,
    replay: Annotated[
        bool, typer.Option("--replay", help="Make DECISION again; exit code 1 unless the same bytes came out.")
    ] = False,
    answer: AnswerFlags,
    flags: WorkloadFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Say for every offer why it was not chosen, for a decision to be made now or for a logged one."""
    request = answer.place_request(flags, explain=True)
    if decision is None and replay:
        raise typer.BadParameter("--replay needs a DECISION", param_hint="--replay")
    if decision is not None and request != AnswerFlags().place_request(WorkloadFlags(), explain=True):
        raise typer.BadParameter("a logged decision has its own workload", param_hint="DECISION")
    with connection.client() as client:
        reply = client.placement.explain_placement(request if decision is None else decision)
    identical = reply.replay_identical if reply.HasField("replay_identical") else None
    if output.json:
        out.show_json(reply)
    elif replay:
        out.show(_replay_line(reply.decision, identical=identical))
    else:
        out.show(*decision_parts(reply.decision))
        if identical is not None:
            out.show("", _replay_line(reply.decision, identical=identical))
    if replay:
        raise typer.Exit(exits.Exit.OK if identical else exits.Exit.FAILED)
    raise typer.Exit(exits.of_verdict(reply.decision.verdict))


def _replay_line(decision: pb.Decision, *, identical: bool | None) -> Text:
    if identical:
        return Text(f"identical: {decision.name} made again gave the same bytes", style="green")
    said = "the server did not replay" if identical is None else "DIFFERENT:"
    rest = decision.name if identical is None else f"{decision.name} made again gave other bytes"
    return Text(f"{said} {rest}", style="bold red")


def _results(
    client: Client, requests: Iterator[pb.PlaceRequest], *, joint: bool
) -> Iterator[tuple[int, pb.PlaceRequest, pb.Decision | errors.CallError]]:
    """Results with their number from 1, asked for in batches; a joint batch cannot be cut."""
    number = 0
    while chunk := list(islice(requests, _BATCH + 1 if joint else _BATCH)):
        if len(chunk) > _BATCH:
            raise typer.BadParameter(f"a joint batch has at most {_BATCH} items", param_hint="--joint")
        for request, result in zip(chunk, client.placement.batch_place(chunk, joint=joint), strict=True):
            number += 1
            yield number, request, result


def _worse(worst: exits.Exit, result: pb.Decision | errors.CallError) -> exits.Exit:
    if isinstance(result, errors.CallError) or worst is exits.Exit.FAILED:
        return exits.Exit.FAILED
    return max(worst, exits.of_verdict(result.verdict))


def _result_message(result: pb.Decision | errors.CallError) -> Message:
    if isinstance(result, pb.Decision):
        return pb.BatchPlaceResult(decision=result)
    return pb.BatchPlaceResult(error=result.status)
