"""`trimtab rightsize`: how big resources should be, from csv files, inline series or a telemetry source."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from trimtab import errors
from trimtab.cli import exits
from trimtab.cli import output as out
from trimtab.cli.advice_plot import plot as draw
from trimtab.cli.advice_view import advice_parts, compared, summary
from trimtab.cli.connection import Connection, Output
from trimtab.cli.files import read_message
from trimtab.cli.flags import command
from trimtab.cli.rightsize_flags import ASSUMED_TYPE, PROFILES, ChoiceFlags, ResourceFlags, SeriesFlags
from trimtab.cli.series_files import Measured, csv_files, read_csv
from trimtab.client import Client
from trimtab.telemetry import POINTS_A_MESSAGE, in_parts
from trimtab.v1 import rightsizing_service_pb2 as pb

_HOUR: Final = timedelta(hours=1)
_WEEK: Final = timedelta(weeks=1)
_DEFAULT_LOOKBACK: Final = timedelta(days=14)
_SUFFIX: Final = ".png"
_WITHOUT_ADVICE: Final = frozenset(
    {
        pb.RightsizingAdvice.FINDING_INSUFFICIENT_DATA,
        pb.RightsizingAdvice.FINDING_UNSUPPORTED,
        pb.RightsizingAdvice.FINDING_SOURCE_FAILED,
    }
)


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked. `ago` is how long before now the series end: how much further back is to be looked."""

    request: pb.RightsizeRequest
    ago: timedelta = timedelta()


class Source(StrEnum):
    """Where series come from."""

    CSV = "csv"
    INLINE = "inline"


def add_commands(app: typer.Typer) -> None:
    """Add the command."""
    command(app)(rightsize)


def rightsize(  # noqa: PLR0913 - a command's arguments and options
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[PATH]...",
            help="csv: files or directories; inline: RightsizeRequest as JSON or YAML; - is stdin.",
        ),
    ] = None,
    *,
    source: Annotated[Source, typer.Option(help="What PATHs are.")] = Source.CSV,
    telemetry_source: Annotated[
        str, typer.Option(metavar="NAME", help="Let the service read this one instead; needs --resource.")
    ] = "",
    compare: Annotated[
        bool, typer.Option("--compare", help="Several profiles side by side: all, or --profile's.")
    ] = False,
    store: Annotated[bool, typer.Option("--store", help="Keep what is advised as recommendations.")] = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw use, sizes and exceedances.")] = None,
    resource: ResourceFlags,
    series: SeriesFlags,
    choice: ChoiceFlags,
    output: Output,
    connection: Connection,
) -> None:
    """Say how big resources should be: ranked options, each with its price, risk and back-test.

    trimtab rightsize --source csv metrics/ --type m5.xlarge --region us-east-1

    trimtab rightsize gpu.csv --type p3.8xlarge --compare --plot gpu.png

    trimtab rightsize pod.csv --kind container --vcpus 2 --memory 4GiB --node-type m5.2xlarge

    Each csv file is one resource, unless a column or --resource says otherwise. Exit code 3: nothing could be sized.
    """
    if len(choice.profile) > 1 and not compare:
        raise typer.BadParameter("several profiles go with --compare", param_hint="--profile")
    questions = _questions(paths or [], source, telemetry_source, resource, series)
    profiles = (choice.profile or list(PROFILES)) if compare else (choice.profile or [""])
    advices: list[pb.RightsizingAdvice] = []
    failed = False
    several = len(questions) > 1
    with connection.client() as client, _progress(len(questions) * len(profiles)) as progress:
        for question in questions:
            request = question.request
            try:
                answers = {name: _ask(client, question, choice, name, store=store, done=progress) for name in profiles}
            except errors.CallError as error:
                if not several:
                    raise
                failed = True
                out.console(stderr=True).print(Text(f"{request.resource.resource_id}: {error.message}", style="red"))
                continue
            first = next(iter(answers.values()))
            advices.append(first)
            _show(answers, as_json=output.json, compare=compare, details=not several)
            if plot is not None:
                _plot(first, request, plot, several=several)
    if several and not output.json:
        out.show(out.heading("Together"), summary(advices))
    raise typer.Exit(_exit(advices, failed=failed))


def _questions(
    paths: list[Path], source: Source, telemetry_source: str, resource: ResourceFlags, series: SeriesFlags
) -> list[_Question]:
    if telemetry_source:
        if paths:
            raise typer.BadParameter("series come from the source or from PATHs", param_hint="--telemetry-source")
        if not resource.resource:
            raise typer.BadParameter("say which resource", param_hint="--resource")
        asked = resource.message(resource.resource, assume=False)
        own = resource.own_prices()
        return [_Question(pb.RightsizeRequest(resource=asked, telemetry_source=telemetry_source, own_prices=own))]
    if source is Source.INLINE:
        if not paths:
            raise typer.BadParameter("name a file with a RightsizeRequest; - is stdin", param_hint="PATH")
        return [_Question(read_message(path, pb.RightsizeRequest, "PATH")) for path in paths]
    return _from_csv(paths, resource, series)


def _from_csv(paths: list[Path], resource: ResourceFlags, series: SeriesFlags) -> list[_Question]:
    told = series.told()
    try:
        measured = [one for path in csv_files(paths) for one in read_csv(path, told)]
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="PATH") from None
    if resource.resource:
        together = Measured(resource.resource)
        for one in measured:
            together.series += one.series
            together.untold += one.untold
        measured = [together]
    notes = out.console(stderr=True)
    questions: list[_Question] = []
    now = datetime.now(UTC)
    for one in measured:
        for name in one.untold:
            notes.print(Text(f"{name}: no metric that sizes go by; say it with --metric", style="yellow"))
        if not one.series:
            continue
        asked = resource.message(one.resource_id, assume=True)
        request = pb.RightsizeRequest(resource=asked, own_prices=resource.own_prices())
        request.telemetry.series.extend(one.series)
        age = _age(request, now)
        if age >= _WEEK:
            _bring_up(request, age // _WEEK)
            moved = f"{one.resource_id}: ends {out.length(age)} ago; read as if it ended within the last week"
            notes.print(Text(moved, style="dim"))
        questions.append(_Question(request, timedelta(hours=age % _WEEK // _HOUR + 1) if age >= _WEEK else timedelta()))
    if not questions:
        raise typer.BadParameter("no series of a metric that sizes go by", param_hint="PATH")
    if not resource.type and questions[0].request.resource.instance_type == ASSUMED_TYPE:
        where = f"{resource.cloud} {resource.region}"
        notes.print(Text(f"assumed: each is one {ASSUMED_TYPE} in {where}; say better with --type", style="yellow"))
    return questions


def _age(request: pb.RightsizeRequest, now: datetime) -> timedelta:
    """How long ago the last point was measured; nothing where there is no point."""
    ends = [max(one.epoch_seconds) for one in request.telemetry.series if one.epoch_seconds]
    return now - datetime.fromtimestamp(max(ends), UTC) if ends else timedelta()


def _bring_up(request: pb.RightsizeRequest, weeks: int) -> None:
    """Move the series on by whole weeks: weekdays and hours stay what they were."""
    seconds = int((weeks * _WEEK).total_seconds())
    for one in request.telemetry.series:
        one.epoch_seconds[:] = [stamp + seconds for stamp in one.epoch_seconds]


def _ask(  # noqa: PLR0913 - what is asked, how, and who is told that it is done
    client: Client,
    question: _Question,
    choice: ChoiceFlags,
    profile: str,
    *,
    store: bool,
    done: "_Done",
) -> pb.RightsizingAdvice:
    asked = pb.RightsizeRequest()
    asked.CopyFrom(question.request)
    asked.preferences.MergeFrom(choice.message(profile))
    if question.ago:
        lookback = asked.preferences.lookback.ToTimedelta() or _DEFAULT_LOOKBACK
        asked.preferences.lookback.FromTimedelta(lookback + question.ago)
    series = question.request.telemetry.series
    if sum(len(one.values) for one in series) > POINTS_A_MESSAGE:
        heads, points = in_parts(series)
        del asked.telemetry.series[:]
        asked.telemetry.series.extend(heads)
        answer = client.rightsizing.stream_rightsize(asked, points, validate_only=not store)
    else:
        answer = client.rightsizing.rightsize(asked, validate_only=not store)
    done.one()
    return answer


def _show(by_profile: Mapping[str, pb.RightsizingAdvice], *, as_json: bool, compare: bool, details: bool) -> None:
    if as_json:
        if compare or not details:
            out.show_json_lines(by_profile.values())
        else:
            out.show_json(next(iter(by_profile.values())))
        return
    first = next(iter(by_profile.values()))
    if compare:
        out.show(Text(f"\n{first.resource.resource_id}", style="bold"), *compared(by_profile))
    else:
        out.show(*([] if details else [""]), *advice_parts(first, details=details))


def _plot(advice: pb.RightsizingAdvice, request: pb.RightsizeRequest, path: Path, *, several: bool) -> None:
    target = path if path.suffix else path.with_suffix(_SUFFIX)
    if several:
        safe = "".join(
            letter if letter.isalnum() or letter in "-_." else "_" for letter in request.resource.resource_id
        )
        target = target.with_name(f"{target.stem}-{safe}{target.suffix}")
    notes = out.console(stderr=True)
    try:
        draw(advice, request.telemetry.series, target)
    except ImportError:
        raise typer.BadParameter("needs the extra `plot`: pip install 'trimtab[plot]'", param_hint="--plot") from None
    except ValueError as error:
        notes.print(Text(f"{request.resource.resource_id}: not drawn: {error}", style="yellow"))
    except OSError as error:
        raise typer.BadParameter(f"{target}: {error.strerror or error}", param_hint="--plot") from None
    else:
        notes.print(Text(f"drawn: {target}", style="dim"))


class _Done:
    """Tells the progress bar."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("sizing", total=total)

    def one(self) -> None:
        """One more answer is there."""
        self._progress.advance(self._task)


@contextmanager
def _progress(total: int) -> Iterator[_Done]:
    """A bar on the standard error, where a person waits for several answers; it goes when they are there."""
    console = out.console(stderr=True)
    shown = total > 1 and console.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as progress:
        yield _Done(progress, total)


def _exit(advices: list[pb.RightsizingAdvice], *, failed: bool) -> exits.Exit:
    if failed:
        return exits.Exit.FAILED
    if any(advice.finding not in _WITHOUT_ADVICE for advice in advices):
        return exits.Exit.OK
    source_failed = any(advice.finding == pb.RightsizingAdvice.FINDING_SOURCE_FAILED for advice in advices)
    return exits.Exit.UNAVAILABLE if source_failed else exits.Exit.NO_PLACE
