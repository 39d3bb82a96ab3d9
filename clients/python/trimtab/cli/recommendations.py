"""`trimtab recommendations`: what is advised, who has it in hand, and what it brought."""

from pathlib import Path
from typing import Annotated

import typer

from trimtab import vocabulary
from trimtab.cli import output as out
from trimtab.cli import recommendation_view as view
from trimtab.cli.connection import Connection, Output
from trimtab.cli.exits import Exit
from trimtab.cli.flags import command
from trimtab.cli.series_files import Told, csv_files, read_csv
from trimtab.cli.values import duration, pair, parse
from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab.v1 import rightsizing_pb2

NAME = Annotated[str, typer.Argument(metavar="RECOMMENDATION", help="Name or id.")]
WHERE = Annotated[str, typer.Option("--filter", help="""AIP-160, as 'state = "active" AND team = "vision"'.""")]
ETAG = Annotated[str, typer.Option(help="Only this revision.")]
COMMENT = Annotated[str, typer.Option(help="Why, in your words.")]
REQUEST_ID = Annotated[str, typer.Option(metavar="UUID", help="Makes the change happen once.")]
METADATA = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="Data to keep with it; repeatable.")]
EXECUTE = Annotated[bool, typer.Option("--execute", help="Carry it out; without it only say what would be done.")]
WAIT = Annotated[str, typer.Option("--wait", metavar="DURATION", help="How long to wait for the cloud.")]

_GROUPS = {
    name.removeprefix("GROUP_BY_").lower(): number
    for name, number in pb.SummarizeRecommendationsRequest.GroupBy.items()
    if number
}


def add_commands(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, help="Look after what is advised.")
    for name, function in (
        ("list", list_recommendations),
        ("get", get),
        ("watch", watch),
        ("claim", claim),
        ("mark", mark),
        ("dismiss", dismiss),
        ("reopen", reopen),
        ("approve", approve),
        ("apply", apply),
        ("rollback", rollback),
        ("verify", verify),
        ("summarize", summarize),
    ):
        command(group, name)(function)
    app.add_typer(group, name="recommendations")


def list_recommendations(
    *,
    where: WHERE = "",
    order_by: Annotated[
        str, typer.Option(help="create_time, update_time, monthly_saving or priority; each also with desc.")
    ] = "",
    output: Output,
    connection: Connection,
) -> None:
    """List recommendations, newest first."""
    with connection.client() as client:
        found = client.recommendations.list_recommendations(where=where, order_by=order_by)
        if output.json:
            out.show_json_lines(found)
            return
        shown = view.listing(found)
    out.show(shown if shown.row_count else "no recommendations")


def get(recommendation: NAME, *, output: Output, connection: Connection) -> None:
    """Read a recommendation with its history."""
    with connection.client() as client:
        _show(client.recommendations.get_recommendation(recommendation), as_json=output.json)


def watch(
    *,
    where: WHERE = "",
    resume: Annotated[str, typer.Option(metavar="TOKEN", help="Go on after the event of this token.")] = "",
    output: Output,
    connection: Connection,
) -> None:
    """Follow what comes and changes, until Ctrl-C."""
    with connection.client() as client:
        for event in client.recommendations.watch_recommendations(where=where, resume_token=resume):
            if output.json:
                out.show_json_lines([event])
                continue
            one = event.recommendation
            out.show(f"{out.moment(one.update_time)}  {view.state(one):<10}  {out.short(one.name)}  {one.summary}")


def claim(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    comment: COMMENT = "",
    metadata: METADATA = [],  # noqa: B006 - typer's way to say repeatable
    etag: ETAG = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Take it in hand; its content is frozen from then on."""
    with connection.client() as client:
        made = client.recommendations.claim_recommendation(
            recommendation, etag=etag, comment=comment, state_metadata=_pairs(metadata), request_id=request_id
        )
    _show(made, as_json=output.json)


def mark(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    outcome: Annotated[str, typer.Argument(metavar="OUTCOME", help="succeeded or failed.")],
    *,
    reason: Annotated[str, typer.Option(help="done-elsewhere, cloud-failed, wrong, other, ...")] = "",
    comment: COMMENT = "",
    metadata: METADATA = [],  # noqa: B006
    etag: ETAG = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Say that it was carried out elsewhere, or that it failed."""
    if outcome not in {"succeeded", "failed"}:
        raise typer.BadParameter("expected succeeded or failed", param_hint="OUTCOME")
    why, kept = _reason(reason), _pairs(metadata)
    with connection.client() as client:
        if outcome == "succeeded":
            made = client.recommendations.mark_recommendation_succeeded(
                recommendation, reason=why, etag=etag, comment=comment, state_metadata=kept, request_id=request_id
            )
        else:
            made = client.recommendations.mark_recommendation_failed(
                recommendation, why, etag=etag, comment=comment, state_metadata=kept, request_id=request_id
            )
    _show(made, as_json=output.json)


def dismiss(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    reason: Annotated[str, typer.Option(help="too-risky, not-worth-it, wrong, later, resource-gone or other.")],
    comment: COMMENT = "",
    etag: ETAG = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Set it aside; it comes back only when it is reopened."""
    with connection.client() as client:
        made = client.recommendations.dismiss_recommendation(
            recommendation, _reason(reason), etag=etag, comment=comment, request_id=request_id
        )
    _show(made, as_json=output.json)


def reopen(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    reason: Annotated[str, typer.Option(help="judged-anew, given-back or other.")] = "",
    comment: COMMENT = "",
    etag: ETAG = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Make it active again: dismissed, failed, or claimed and given back."""
    with connection.client() as client:
        made = client.recommendations.reopen_recommendation(
            recommendation, reason=_reason(reason), etag=etag, comment=comment, request_id=request_id
        )
    _show(made, as_json=output.json)


def approve(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    etag: Annotated[str, typer.Option(help="The revision that you have seen: of this content and no other.")],
    valid_for: Annotated[str, typer.Option(metavar="DURATION", help="Absent: 24h.")] = "",
    comment: COMMENT = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Approve that what somebody else has claimed is applied."""
    length = parse("--valid-for", duration, valid_for) if valid_for else None
    with connection.client() as client:
        made = client.recommendations.approve_recommendation(
            recommendation, etag, valid_for=length, comment=comment, request_id=request_id
        )
    _show(made, as_json=output.json)


def apply(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    execute: EXECUTE = False,
    wait: WAIT = "20m",
    etag: ETAG = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Carry out what you have claimed; by default only show the difference. Exit code 7: an obstacle, or it failed."""
    seconds = parse("--wait", duration, wait).total_seconds()
    with connection.client() as client:
        answer = client.recommendations.apply_recommendation(
            recommendation, execute=execute, etag=etag, request_id=request_id, timeout=seconds
        )
    _show_application(answer, execute=execute, as_json=output.json)


def rollback(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    execute: EXECUTE = False,
    wait: WAIT = "20m",
    etag: ETAG = "",
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Undo what was applied; by default only show the difference. Exit code 7: an obstacle."""
    seconds = parse("--wait", duration, wait).total_seconds()
    with connection.client() as client:
        answer = client.recommendations.roll_back_recommendation(
            recommendation, execute=execute, etag=etag, request_id=request_id, timeout=seconds
        )
    _show_application(answer, execute=execute, as_json=output.json)


def verify(  # noqa: PLR0913 - a command's options
    recommendation: NAME,
    *,
    csv: Annotated[list[Path], typer.Option(metavar="FILE", help="Series since then, as csv; repeatable.")] = [],  # noqa: B006
    source: Annotated[str, typer.Option(help="A telemetry source; absent: the one it was advised by.")] = "",
    running_hours: Annotated[
        float, typer.Option(min=-1.0, help="Hours that it ran since then; absent: all of them.")
    ] = -1.0,
    request_id: REQUEST_ID = "",
    output: Output,
    connection: Connection,
) -> None:
    """Measure what it brought, and keep that beside the promise."""
    with connection.client() as client:
        made = client.recommendations.verify_recommendation(
            recommendation,
            telemetry=parse("--csv", _telemetry, csv) if csv else None,
            telemetry_source=source,
            running_hours=None if running_hours < 0 else running_hours,
            request_id=request_id,
        )
    _show(made, as_json=output.json)


def summarize(
    *,
    where: WHERE = "",
    by: Annotated[list[str], typer.Option(help="team, kind, state, cloud or account; repeatable.")] = [],  # noqa: B006
    output: Output,
    connection: Connection,
) -> None:
    """Totals: promised, applied, realised. What excludes each other counts once."""
    wanted = [parse("--by", _group_by, one) for one in by]
    with connection.client() as client:
        answer = client.recommendations.summarize_recommendations(where=where, group_by=wanted)
    if output.json:
        out.show_json(answer)
    else:
        out.show(view.totals(answer))


def _show(one: pb.Recommendation, *, as_json: bool) -> None:
    if as_json:
        out.show_json(one)
    else:
        view.show(one)


def _show_application(answer: pb.ApplyRecommendationResponse, *, execute: bool, as_json: bool) -> None:
    if as_json:
        out.show_json(answer)
    else:
        view.show_application(answer)
    failed = answer.executed and not any(
        entry.outcome in {pb.AppliedOperation.OUTCOME_DONE, pb.AppliedOperation.OUTCOME_UNCHANGED}
        for entry in answer.operations[-1:]
    )
    if failed or (execute and not answer.executed):
        raise typer.Exit(Exit.CONFLICT)


def _pairs(texts: list[str]) -> dict[str, str]:
    return dict(parse("--set", pair, text) for text in texts)


def _reason(text: str) -> "pb.TransitionReason.ValueType":
    return parse("--reason", _reason_of, text) if text else pb.TRANSITION_REASON_UNSPECIFIED


def _reason_of(text: str) -> "pb.TransitionReason.ValueType":
    descriptor = pb.TransitionReason.DESCRIPTOR
    words = {vocabulary.word(descriptor, number): number for number in pb.TransitionReason.values() if number}
    wanted = text.strip().lower().replace("_", "-")
    found = {word.replace("_", "-"): number for word, number in words.items()}.get(wanted)
    if found is None:
        raise ValueError(f"expected one of {', '.join(sorted(words))}, not {text!r}")
    return found


def _group_by(text: str) -> "pb.SummarizeRecommendationsRequest.GroupBy.ValueType":
    found = _GROUPS.get(text.strip().lower())
    if found is None:
        raise ValueError(f"expected one of {', '.join(sorted(_GROUPS))}, not {text!r}")
    return found


def _telemetry(paths: list[Path]) -> rightsizing_pb2.Telemetry:
    series = [one for path in csv_files(paths) for measured in read_csv(path, Told()) for one in measured.series]
    if not series:
        raise ValueError("no series in the files")
    return rightsizing_pb2.Telemetry(series=series)
