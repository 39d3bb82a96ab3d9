"""Parses requests for advice on one resource: whole ones, and those whose series come in parts."""

from dataclasses import dataclass
from typing import Final

from trimtab.v1 import rightsizing_service_pb2 as pb
from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.preferences import RightsizingPreferences
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.rightsizing.present import machine_of
from trimtab_service.rightsizing.telemetry import Telemetry
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.fields import FieldPath, Violations
from trimtab_service.rpc.preferences_parser import parse_preferences
from trimtab_service.rpc.resource_parser import parse_resource
from trimtab_service.rpc.telemetry_parser import PendingSeries, begin_telemetry
from trimtab_service.rpc.vocabulary import Vocabulary

MAX_SOURCE: Final = 63
MAX_OWN_PRICES: Final = 64
NO_PREFERENCES: Final = RightsizingPreferences()


@dataclass(frozen=True, slots=True)
class SizingQuery:
    """What is to be advised on. Exactly one of `telemetry` and `source` (a name) says what is known of its use."""

    resource: CloudResource
    preferences: RightsizingPreferences
    telemetry: Telemetry | None = None
    source: str = ""
    own_offers: tuple[OwnOffer, ...] = ()

    @property
    def points(self) -> int:
        """Points of all series: what the work is measured by."""
        return sum(series.values.size for series in self.telemetry.series) if self.telemetry is not None else 0


@dataclass(frozen=True, slots=True)
class PendingQuery:
    """A query whose series may still grow."""

    resource: CloudResource
    preferences: RightsizingPreferences
    series: tuple[PendingSeries, ...]
    source: str = ""
    own_offers: tuple[OwnOffer, ...] = ()

    @property
    def points(self) -> int:
        """Points so far."""
        return sum(series.points for series in self.series)

    def finish(self) -> SizingQuery:
        """The query as it stands."""
        told = None if self.source else Telemetry(tuple(one.finish() for one in self.series))
        return SizingQuery(self.resource, self.preferences, told, self.source, self.own_offers)


@dataclass(frozen=True, slots=True)
class RightsizeParser:
    """Reads requests against one vocabulary; `point_cap` is the most points of one request."""

    vocabulary: Vocabulary
    point_cap: int

    def parse(self, message: pb.RightsizeRequest, at: FieldPath = "") -> SizingQuery:
        """The query. `at` is where the request stands in a batch.

        Raises:
            InvalidArgumentError: naming every field at fault.

        """
        found = Violations()
        if not at:
            with found.gather():
                names.request_id(message.request_id)
        pending = self._begin(message, found, at)
        found.check()
        if pending is None:
            raise AssertionError(at)  # a query is missing only where a violation was found
        return pending.finish()

    def begin(self, message: pb.StreamRightsizeRequest) -> PendingQuery:
        """The query of the first message of a stream.

        Raises:
            InvalidArgumentError: naming every field at fault.

        """
        if message.WhichOneof("part") != "request":
            raise _fault("request", ErrorReason.FIELD_REQUIRED, "the first message is the request")
        found = Violations()
        with found.gather():
            names.request_id(message.request.request_id, "request.request_id")
        pending = self._begin(message.request, found, "request")
        if message.request.telemetry_source:
            why = "a stream brings its own series; ask for a source with Rightsize"
            found.add("request.telemetry_source", ErrorReason.CONTRADICTION, why)
        elif not message.request.telemetry.series:
            found.add(
                "request.telemetry.series", ErrorReason.FIELD_REQUIRED, "name the series that points will follow for"
            )
        found.check()
        if pending is None:
            raise AssertionError("request")  # as in `parse`
        return pending

    def add(self, pending: PendingQuery, message: pb.StreamRightsizeRequest) -> None:
        """Take over the points of a later message of a stream.

        Raises:
            InvalidArgumentError: it holds none, or not such as its series takes.

        """
        if message.WhichOneof("part") != "points":
            raise _fault("points", ErrorReason.FIELD_REQUIRED, "after the request come points")
        points, found = message.points, Violations()
        if not 0 <= points.series < len(pending.series):
            why = f"must be from 0 to {len(pending.series) - 1}: the request names {len(pending.series)} series"
            found.add("points.series", ErrorReason.OUT_OF_RANGE, why)
        elif not points.values:
            found.add("points.values", ErrorReason.FIELD_REQUIRED, "hold at least one")
        else:
            pending.series[points.series].add(points, found, "points")
            self._check_points(pending.points, found, "points.values")
        found.check()

    def _begin(self, message: pb.RightsizeRequest, found: Violations, at: FieldPath) -> PendingQuery | None:
        if not message.HasField("resource"):
            found.add((at, "resource"), ErrorReason.FIELD_REQUIRED, "say what to advise on")
        resource = None
        if message.HasField("resource"):
            resource = parse_resource(message.resource, self.vocabulary, found, (at, "resource"))
        preferences = NO_PREFERENCES
        if message.HasField("preferences"):
            preferences = parse_preferences(message.preferences, self.vocabulary, found, (at, "preferences"))
        series: list[PendingSeries] = []
        given = message.WhichOneof("telemetry_from")
        if given == "telemetry":
            series = begin_telemetry(message.telemetry, found, (at, "telemetry"))
            self._check_points(sum(one.points for one in series), found, (at, "telemetry"))
        source = bounds.text(found, (at, "telemetry_source"), message.telemetry_source, MAX_SOURCE)
        if given is None or (given == "telemetry_source" and not message.telemetry_source):
            found.add((at, "telemetry"), ErrorReason.FIELD_REQUIRED, "give telemetry, or name a telemetry_source")
        if resource is None:
            return None
        own = self._own_prices(message, resource, found, at)
        return PendingQuery(resource, preferences, tuple(series), source, own)

    def _own_prices(
        self, message: pb.RightsizeRequest, resource: CloudResource, found: Violations, at: FieldPath
    ) -> tuple[OwnOffer, ...]:
        if not bounds.few(found, (at, "own_prices"), len(message.own_prices), MAX_OWN_PRICES):
            return ()
        parsed: dict[str, OwnOffer] = {}
        for index, price in enumerate(message.own_prices):
            here = (at, f"own_prices[{index}]")
            name = bounds.text(found, (here, "instance_type"), price.instance_type)
            nanos = bounds.nanos(
                found, (here, "price_per_hour"), price.price_per_hour, positive=True, most=bounds.MAX_UNIT_USD
            )
            if not price.instance_type:
                found.add((here, "instance_type"), ErrorReason.FIELD_REQUIRED, "name the type")
            elif name in parsed:
                found.add((here, "instance_type"), ErrorReason.CONTRADICTION, "is named twice")
            elif machine_of(resource.cloud, name, self.vocabulary.snapshot) is None:
                why = "the catalogue holds no such type, and none beneath it"
                found.add((here, "instance_type"), ErrorReason.UNKNOWN_VALUE, why)
            else:
                parsed[name] = OwnOffer(name, nanos)
        return tuple(parsed[name] for name in sorted(parsed))

    def _check_points(self, points: int, found: Violations, field: FieldPath) -> None:
        if points > self.point_cap:
            found.add(field, ErrorReason.TOO_LARGE, f"the request has more than {self.point_cap:,} points")


def check_batch(message: pb.BatchRightsizeRequest, cap: int) -> None:
    """Refuse a batch that is empty, too long, or of several projects.

    Raises:
        InvalidArgumentError: naming every field at fault.

    """
    found = Violations()
    with found.gather():
        names.request_id(message.request_id)
    if not message.requests:
        found.add("requests", ErrorReason.FIELD_REQUIRED, "ask for at least one")
    if bounds.few(found, "requests", len(message.requests), cap):
        for index, item in enumerate(message.requests):
            if item.parent not in {"", message.parent}:
                field = f"requests[{index}].parent"
                found.add(field, ErrorReason.CONTRADICTION, "must be empty or the same as the batch's parent")
    found.check()


def _fault(field: str, reason: ErrorReason, why: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation(field, reason, why)])
