"""Runs between their rows and the rules' own types; and the one way in which a change of a run is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import orjson
from sqlalchemy import Connection, and_, bindparam, insert, select, tuple_, update

from trimtab_service.domain.errors import NotFoundError
from trimtab_service.domain.failover import RunKind, RunMode, RunState, StepState
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.chain import Link, links
from trimtab_service.failover.run import Change, Run, StepRun, Trigger
from trimtab_service.store.failover_tables import FAILOVER_EVENTS, FAILOVER_RUNS, FAILOVER_STEPS

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MICROSECOND: Final = timedelta(microseconds=1)
_ENUMS: Final[Mapping[str, Any]] = MappingProxyType(
    {"kind": RunKind, "mode": RunMode, "trigger": Trigger, "state": RunState}
)
_SPANS: Final = frozenset({"actual_rto", "actual_rpo", "approval_for"})
_RUN_FIELDS: Final = tuple(field.name for field in fields(Run) if field.name != "steps")
_STEP_FIELDS: Final = tuple(field.name for field in fields(StepRun))


def _column(field: str) -> str:
    return f"{field}_micros" if field in _SPANS else field


_R: Final = FAILOVER_RUNS.c
_S: Final = FAILOVER_STEPS.c
RUNS_SELECTED: Final = select(*(_R[_column(name)] for name in _RUN_FIELDS))
_WHOLE_SELECTED: Final = (
    select(*RUNS_SELECTED.selected_columns, *(_S[_column(name)] for name in _STEP_FIELDS))
    .join(FAILOVER_STEPS, and_(_S.project == _R.project, _S.run_id == _R.run_id))
    .where(_R.project == bindparam("of_project"), _R.run_id == bindparam("of_run"))
    .order_by(_S.position)
)
_STEPS_SELECTED: Final = (
    select(_S.run_id, *(_S[_column(name)] for name in _STEP_FIELDS))
    .where(_S.project == bindparam("of_project"), _S.run_id.in_(bindparam("of_runs", expanding=True)))
    .order_by(_S.run_id, _S.position)
)

# What never changes of a run or a step is not written again.
_MOVING: Final = (
    *("mode", "state", "reason", "update_time", "end_time", "version", "token", "event_sequence", "chain_hash"),
    *("actual_rto_micros", "actual_rpo_micros"),
)
STEP_MOVING: Final = (
    *("state", "attempts", "begin_time", "attempt_time", "done_time", "expire_time", "detail", "actor"),
    *("is_exception", "is_undoing", "needs_person", "memo"),
)
WRITTEN: Final = (
    update(FAILOVER_RUNS)
    .where(
        _R.project == bindparam("of_project"),
        _R.run_id == bindparam("of_run"),
        _R.version == bindparam("of_version"),
        _R.token == bindparam("of_token"),
    )
    .values({name: bindparam(f"new_{name}") for name in (*_MOVING, "wake_time")})
)
_WRITTEN_WITH_LEASE: Final = WRITTEN.values(
    lease_owner=bindparam("new_lease_owner"), lease_until=bindparam("new_lease_until")
)
_STEP_WRITTEN: Final = (
    update(FAILOVER_STEPS)
    .where(
        _S.project == bindparam("of_project"),
        _S.run_id == bindparam("of_run"),
        _S.position == bindparam("of_position"),
    )
    .values({name: bindparam(f"new_{name}") for name in STEP_MOVING})
)
_EVENTS_ADDED: Final = insert(FAILOVER_EVENTS)


class RunMovedError(Exception):
    """The run was changed since it was read: nothing was written."""


def add(conn: Connection, change: Change, now: datetime) -> Run:
    """Insert a new run with its steps and the first links of its chain."""
    run, made = _chained(change, now, 1)
    conn.execute(insert(FAILOVER_RUNS), {**_run_row(run), "lease_owner": "", "lease_until": NEVER, "wake_time": None})
    own = {"project": run.project, "run_id": run.run_id}
    rows = [{**own, "position": place, **_step_row(step)} for place, step in enumerate(run.steps)]
    conn.execute(insert(FAILOVER_STEPS), rows)
    conn.execute(_EVENTS_ADDED, [_event_row(run, link) for link in made])
    return run


@dataclass(frozen=True, slots=True)
class Writing:
    """What a change of a run writes: its row, guarded by version and token, the steps that moved, the new links."""

    run: Run
    guarded: Mapping[str, object]
    steps: Sequence[Mapping[str, object]]
    events: Sequence[Mapping[str, object]]


def writing(before: Run, change: Change, now: datetime) -> Writing:
    """The rows of a change of `before`: parameters of `WRITTEN`, and of what `save` does besides."""
    run, made = _chained(change, max(now, before.update_time), before.version + 1)
    row = _run_row(run)
    guarded: dict[str, object] = {f"new_{name}": row[name] for name in _MOVING}
    guarded |= {"of_project": run.project, "of_run": run.run_id}
    guarded |= {"of_version": before.version, "of_token": before.token, "new_wake_time": _wake_time(run)}
    steps = [
        _step_values(run, place, step)
        for place, (step, old) in enumerate(zip(run.steps, before.steps, strict=True))
        if step is not old
    ]
    return Writing(run, guarded, steps, [_event_row(run, link) for link in made])


def save(
    conn: Connection, before: Run, change: Change, now: datetime, lease: tuple[str, datetime] | None = None
) -> Run:
    """Write a change of `before`, and with `lease` (owner, until) that too.

    Raises RunMovedError unless the run is still at the version and token of `before`: that is what fences the database
    against a process that has lost the run.
    """
    return save_all(conn, [(before, change)], now, lease)[0]


def save_all(
    conn: Connection, changes: Sequence[tuple[Run, Change]], now: datetime, lease: tuple[str, datetime] | None = None
) -> tuple[Run, ...]:
    """Write changes of different runs, all or (RunMovedError) none that the caller may commit."""
    made = [writing(before, change, now) for before, change in changes]
    if not made:
        return ()
    leased = {} if lease is None else {"new_lease_owner": lease[0], "new_lease_until": lease[1]}
    guarded = [{**one.guarded, **leased} for one in made]
    if conn.execute(WRITTEN if lease is None else _WRITTEN_WITH_LEASE, guarded).rowcount != len(made):
        raise RunMovedError
    if steps := [row for one in made for row in one.steps]:
        conn.execute(_STEP_WRITTEN, steps)
    conn.execute(_EVENTS_ADDED, [row for one in made for row in one.events])
    return tuple(one.run for one in made)


def load(conn: Connection, project: str, run_id: str, *, lock: bool = False) -> Run:
    """One run with its steps. Raises NotFoundError."""
    if not lock:
        return _read(conn, project, run_id)
    query = RUNS_SELECTED.where(_R.project == project, _R.run_id == run_id)
    row = conn.execute(query.with_for_update()).first()
    if row is None:
        raise _missing(run_id)
    return whole(conn, project, [bare_run(row)])[0]


def _read(conn: Connection, project: str, run_id: str) -> Run:
    """In one statement, for each waits for its turn on a busy machine. Every run has steps."""
    rows = conn.execute(_WHOLE_SELECTED, {"of_project": project, "of_run": run_id}).all()
    if not rows:
        raise _missing(run_id)
    width = len(_RUN_FIELDS)
    return replace(bare_run(rows[0][:width]), steps=tuple(_step_of(row[width:]) for row in rows))


def _missing(run_id: str) -> NotFoundError:
    message = f"failover run {run_id!r} does not exist"
    return NotFoundError(ErrorReason.NOT_FOUND, message, metadata={"failover_run": run_id})


def load_all(conn: Connection, names: Sequence[tuple[str, str]]) -> list[Run]:
    """Runs with their steps, by (project, run id), in that order. All must be there."""
    if not names:
        return []
    bare = [bare_run(row) for row in conn.execute(RUNS_SELECTED.where(tuple_(_R.project, _R.run_id).in_(names)))]
    found: dict[tuple[str, str], Run] = {}
    for project in {run.project for run in bare}:
        ours = whole(conn, project, [run for run in bare if run.project == project])
        found |= {(project, run.run_id): run for run in ours}
    return [found[name] for name in names]


def whole(conn: Connection, project: str, bare: Sequence[Run]) -> tuple[Run, ...]:
    """Runs of one project with their steps."""
    if not bare:
        return ()
    steps: dict[str, list[StepRun]] = {run.run_id: [] for run in bare}
    for row in conn.execute(_STEPS_SELECTED, {"of_project": project, "of_runs": list(steps)}):
        steps[row[0]].append(_step_of(row[1:]))
    return tuple(replace(run, steps=tuple(steps[run.run_id])) for run in bare)


def bare_run(row: Iterable[Any]) -> Run:
    """A run of `RUNS_SELECTED`, still without its steps."""
    values = dict(zip(_RUN_FIELDS, row, strict=True))
    for name, kind in _ENUMS.items():
        values[name] = kind(values[name])
    for name in ("actual_rto", "actual_rpo"):
        values[name] = _span(values[name])
    return Run(**values, steps=())


def _chained(change: Change, now: datetime, version: int) -> tuple[Run, tuple[Link, ...]]:
    made = links(change.run, change.events, now)
    last = made[-1]
    run = replace(change.run, version=version, update_time=now, event_sequence=last.sequence, chain_hash=last.hash)
    return run, made


def _wake_time(run: Run) -> datetime | None:
    waits = [step.expire_time for step in run.steps if step.state is StepState.PENDING_APPROVAL]
    return min((instant for instant in waits if instant is not None), default=None)


def _run_row(run: Run) -> dict[str, Any]:
    return {_column(name): _stored(name, getattr(run, name)) for name in _RUN_FIELDS}


def _step_row(step: StepRun) -> dict[str, Any]:
    return {_column(name): _stored(name, getattr(step, name)) for name in _STEP_FIELDS}


def _step_values(run: Run, place: int, step: StepRun) -> dict[str, Any]:
    values = {f"new_{name}": _stored(name, getattr(step, name)) for name in STEP_MOVING}
    return {**values, "of_project": run.project, "of_run": run.run_id, "of_position": place}


def _stored(name: str, value: Any) -> Any:  # noqa: ANN401 - what a field holds, as its column takes it
    if name in _SPANS:
        return None if value is None else value // _MICROSECOND
    return orjson.dumps(dict(value)) if name == "memo" else value


def _step_of(row: Iterable[Any]) -> StepRun:
    values = dict(zip(_STEP_FIELDS, row, strict=True))
    values["state"] = StepState(values["state"])
    values["approval_for"] = _span(values["approval_for"])
    values["memo"] = orjson.loads(values["memo"])
    return StepRun(**values)


def _span(micros: int | None) -> timedelta | None:
    return None if micros is None else timedelta(microseconds=micros)


def _event_row(run: Run, link: Link) -> dict[str, Any]:
    return {
        "project": run.project,
        "run_id": run.run_id,
        "sequence": link.sequence,
        "time": link.time,
        "kind": link.kind,
        "step_id": link.step_id,
        "actor": link.actor,
        "detail": link.detail,
        "body": link.body,
        "hash": link.hash,
    }
