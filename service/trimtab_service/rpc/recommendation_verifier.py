"""Measures what applied recommendations brought, when somebody asks and on a sweep of its own."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from trimtab.v1 import recommendation_service_pb2 as pb
from trimtab_service.domain.errors import FailedPreconditionError, NotFoundError, TrimtabError, UnavailableError
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.recommendations import RealizedImpact, Recommendation, State, recommendation_name
from trimtab_service.domain.resources import CloudResource
from trimtab_service.recommendations.verification import (
    LAST_MEASURE,
    Exceedance,
    Observation,
    applied_time,
    realized,
    resource_after,
    rollback_content,
)
from trimtab_service.rightsizing.ports import TelemetrySources, Window
from trimtab_service.rightsizing.telemetry import Telemetry
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.ids import NewId
from trimtab_service.rpc.recommendation_codec import encode_recommendation
from trimtab_service.rpc.recommendation_parser import Target, parse_application
from trimtab_service.rpc.telemetry_parser import parse_telemetry
from trimtab_service.store.idempotency import RequestKey
from trimtab_service.store.recommendation_rows import VERIFY_AFTER
from trimtab_service.store.recommendations import RecommendationStore

_LOG: Final = structlog.get_logger("trimtab.recommendations")
_READ_S: Final = 60.0
_MAX_SOURCE: Final = 128
_BATCH: Final = 200

PriceOf = Callable[[CloudResource], int | None]
"""Nano-USD an hour of one instance as the catalogue has it now; None where it does not know."""


class Measure(Protocol):
    """Measures a resource's present size against its series since an instant (`rpc.size_measure`)."""

    def __call__(
        self, resource: CloudResource, telemetry: Telemetry, since: datetime, now: datetime
    ) -> Exceedance | None:
        """None where no series tells anything since then."""
        ...


class Verifier:
    """Stores each measure beside the promise; a regression raises a rollback, once."""

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        store: RecommendationStore,
        sources: TelemetrySources,
        measure: Measure,
        price_of: PriceOf,
        *,
        clock: Callable[[], datetime],
        new_id: NewId,
        point_cap: int,
    ) -> None:
        """`point_cap` is the most points of one request."""
        self._store = store
        self._sources = sources
        self._measure = measure
        self._price_of = price_of
        self._clock = clock
        self._new_id = new_id
        self._point_cap = point_cap

    def verify(
        self, request: pb.VerifyRecommendationRequest, key_of: Callable[[], RequestKey], timeout_s: float
    ) -> bytes:
        """Measure now; the serialised recommendation. `key_of` is asked once the request is found to be in order.

        Raises InvalidArgumentError, NotFoundError (also for a source that the project has none of),
        FailedPreconditionError (STATE_CONFLICT) unless it SUCCEEDED, UnavailableError (SOURCE_FAILED).
        """
        target, telemetry, hours = self._parse(request)
        found = self._store.get(target.project, target.own)
        _check(found)
        now = self._clock()
        if telemetry is None:
            name = request.telemetry_source or self._own_source(found)
            deadline = now + timedelta(seconds=min(timeout_s, _READ_S))
            telemetry = self._read(found, name, now, deadline) if name else None
        observed = self._observe(found, telemetry, hours, now)
        rollback = self._raise_rollback(found, observed, now)

        def note(stands: Recommendation) -> Recommendation:
            _check(stands)
            return replace(stands, realized_impact=_with(realized(stands, observed, now), rollback))

        return self._store.change(
            target.project,
            target.own,
            "",
            note,
            now,
            key_of(),
            lambda stands: encode_recommendation(stands).SerializeToString(),
            timeout_s,
        )

    def sweep(self) -> int:
        """Measure what is due and has a source; returns how many were measured. A source that fails is asked later."""
        now, measured = self._clock(), 0
        for project, own in self._store.to_verify(now, _BATCH):
            try:
                measured += self._sweep_one(project, own, now)
            except TrimtabError as error:
                _LOG.warning(
                    "verification_failed",
                    recommendation=recommendation_name(project, own),
                    cause=error.message,
                )
        return measured

    def _sweep_one(self, project: str, own: str, now: datetime) -> int:
        found = self._store.get(project, own)
        again = now + VERIFY_AFTER if now - applied_time(found) < LAST_MEASURE else None
        if found.state is not State.SUCCEEDED:
            self._store.postpone(project, own, None)
            return 0
        try:
            telemetry = self._read(found, found.content.telemetry_source, now, now + timedelta(seconds=_READ_S))
        except TrimtabError:
            self._store.postpone(project, own, again)
            raise
        observed = self._observe(found, telemetry, None, now)
        rollback = self._raise_rollback(found, observed, now)
        self._store.note(
            project,
            own,
            lambda stands: replace(stands, realized_impact=_with(realized(stands, observed, now), rollback)),
            now,
            again,
        )
        return 1

    def _observe(
        self, found: Recommendation, telemetry: Telemetry | None, hours: float | None, now: datetime
    ) -> Observation:
        after = resource_after(found.content)
        seen = None if telemetry is None else self._measure(after, telemetry, applied_time(found), now)
        return Observation(seen, hours, self._price_of(after))

    def _raise_rollback(self, found: Recommendation, observed: Observation, now: datetime) -> str:
        """The name of the rollback that a regression asks for; empty without one."""
        impact = realized(found, observed, now)
        if not impact.regression:
            return impact.rollback_recommendation
        content = rollback_content(found, impact)
        if content is None:
            return impact.rollback_recommendation
        (own,) = self._store.take_in(found.project, [content], now, self._new_id)
        return recommendation_name(found.project, own)

    def _own_source(self, found: Recommendation) -> str:
        """The source that the advice was made from, while it is configured; without it money alone is measured."""
        name = found.content.telemetry_source
        return name if name and self._sources.get(found.project, name) is not None else ""

    def _read(self, found: Recommendation, name: str, now: datetime, deadline: datetime) -> Telemetry:
        source = self._sources.get(found.project, name)
        if source is None:
            raise NotFoundError(
                ErrorReason.NOT_FOUND,
                f"telemetry source {name!r} is not open to the project",
                metadata={"telemetry_source": name, "project": found.project},
            )
        after = resource_after(found.content)
        window = Window(applied_time(found), now)
        reading = next(iter(source.read([after], window, deadline)), None)
        if reading is None or reading.telemetry is None:
            why = "the source gave no answer" if reading is None else reading.failure
            raise UnavailableError(ErrorReason.SOURCE_FAILED, why, metadata={"telemetry_source": name})
        return reading.telemetry

    def _parse(self, request: pb.VerifyRecommendationRequest) -> tuple[Target, Telemetry | None, float | None]:
        found, target = Violations(), Target("", "", "")
        with found.gather():
            target = parse_application(request.name, request.request_id, execute=False)
        bounds.text(found, "telemetry_source", request.telemetry_source, _MAX_SOURCE)
        hours = None
        if request.HasField("running_hours"):
            hours = bounds.number(found, "running_hours", request.running_hours, bounds.MAX_HOURS)
        telemetry = None
        if request.HasField("telemetry"):
            if _points(request.telemetry.series) > self._point_cap:
                found.add("telemetry", ErrorReason.TOO_LARGE, f"has more than {self._point_cap} points")
            else:
                telemetry = parse_telemetry(request.telemetry, found, "telemetry")
        if telemetry is not None and request.telemetry_source:
            found.add("telemetry_source", ErrorReason.CONTRADICTION, "give telemetry or a source, not both")
        found.check()
        return target, telemetry, hours


def _points(series: "Sequence[object]") -> int:
    return sum(len(getattr(one, "values", ())) for one in series)


def _with(impact: RealizedImpact, rollback: str) -> RealizedImpact:
    return replace(impact, rollback_recommendation=rollback)


def _check(found: Recommendation) -> None:
    if found.state is not State.SUCCEEDED:
        raise FailedPreconditionError(
            ErrorReason.STATE_CONFLICT,
            f"only what SUCCEEDED is measured, and it is {found.state.value.upper()}",
            metadata={"recommendation": found.name, "state": found.state.value.upper()},
        )
