"""Composes a purchase plan: request, catalogue and owned commitments to the engine, which runs in a worker process."""

import contextlib
import math
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Final

from trimtab.v1 import purchasing_service_pb2 as pb
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.errors import InvalidArgumentError, UnavailableError
from trimtab_service.domain.purchasing import PlanTerms
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.purchasing.catalog_offers import catalog_offers, owned_levels
from trimtab_service.purchasing.plan_request import PlanRequest
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.demand_parser import PendingDemand, in_request
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.purchase_encoder import hash_of
from trimtab_service.rpc.purchase_parser import PurchaseParser, require_one_scope
from trimtab_service.rpc.purchase_task import PlanTask, Stop, plan_apart
from trimtab_service.rpc.vocabulary import set_timestamp
from trimtab_service.rpc.world import World
from trimtab_service.workers import WorkerPool

_SOLVING_SHARE: Final = 0.65
_TELLING_S: Final = 2.0
"""So much at least, but half, of the caller's time is left for figures, encoding and storing."""
_LONGEST_S: Final = 600.0
_POLL_S: Final = 0.1
_HOUR: Final = timedelta(hours=1)
_EVIDENCE_BYTES: Final = 2 * 2**20
_MOST_EVIDENCE_BYTES: Final = 48 * 2**20


@dataclass(frozen=True, slots=True)
class Asked:
    """A parsed request, as the engine takes it; `catalog_version` is empty where all offers were given."""

    request: PlanRequest
    currency: str
    catalog_version: str
    instant: datetime
    evidence_bytes: int


class PurchaseDesk:
    """Plans with the world of this process. Safe to use from many threads."""

    def __init__(self, world: World, pool: WorkerPool, *, clock: Callable[[], datetime], point_cap: int) -> None:
        """`point_cap` is the most hours of all series of one request."""
        self._world = world
        self._pool = pool
        self._clock = clock
        self.point_cap = point_cap

    def now(self) -> datetime:
        """The instant, by the desk's clock."""
        return self._clock()

    def next_hour(self) -> datetime:
        """The first full hour from now on: plans begin there."""
        return _next_hour(self._clock())

    def snapshot(self, project: str) -> CatalogSnapshot:
        """The catalogue in force."""
        return self._world.view(project).snapshot

    def commitments(self, project: str) -> tuple[Commitment, ...]:
        """What the project owns, by id."""
        owned = self._world.view(project).state.rooms.commitments
        return tuple(commitment for _, commitment in sorted(owned.items(), key=itemgetter(0)))

    def asked(
        self, project: str, request: pb.OptimizePurchasePlanRequest, demand: PendingDemand, found: Violations
    ) -> Asked:
        """Parse all but the demand, which may have come in parts and left its faults in `found`.

        Raises InvalidArgumentError with every fault.
        """
        instant = self._clock()
        parser = PurchaseParser(demand.currency, found)
        series = demand.finish(found)
        offers = parser.offers(list(request.offers), "offers")
        owned = parser.owned(list(request.owned), "owned")
        spot, changes = parser.spot(list(request.spot)), parser.changes(list(request.changes))
        scenarios, limits = parser.scenarios(list(request.scenarios)), parser.limits(request.limits)
        aim, horizon, times = parser.aim(request), parser.horizon(request), parser.purchase_times(request)
        evidence = request.max_evidence_bytes
        if not 0 <= evidence <= _MOST_EVIDENCE_BYTES:
            found.add("max_evidence_bytes", ErrorReason.OUT_OF_RANGE, f"must be from 0 to {_MOST_EVIDENCE_BYTES}")
        found.check()
        usage = demand.usage(series)
        given = [(f"offers[{index}]", offer) for index, offer in enumerate(offers)]
        given += [(f"owned[{index}].offer", level.offer) for index, level in enumerate(owned)]
        require_one_scope(given, usage.keys)
        view, version = self._world.view(project), ""
        if not request.only_given_offers and demand.currency == "USD":
            known = {offer.offer_id for offer in offers}
            priced = catalog_offers(view.snapshot, usage.keys)
            offers += tuple(offer for offer in priced if offer.offer_id not in known)
            version = view.snapshot.version
        if not request.ignore_project_commitments:
            owned += owned_levels(view.snapshot, self.commitments(project))
        start = _next_hour(instant)
        terms = PlanTerms(
            start=start,
            horizon=horizon or max(usage.hours, 1) * _HOUR,
            cost_of_capital=request.annual_capital_fraction,
            purchase_times=tuple(time for time in times if time >= start),
            renewed=not request.not_renewed,
        )
        plan = PlanRequest(usage, offers, terms, owned, spot, changes, limits, aim, scenarios)
        return Asked(plan, demand.currency, version, instant, evidence or _EVIDENCE_BYTES)

    def plan(self, asked: Asked, request: pb.OptimizePurchasePlanRequest, call: Call) -> pb.PurchasePlan:
        """Run the engine in a worker, until the caller's time is nearly up, or the caller leaves."""

        def task(stop: Stop) -> PlanTask:
            return PlanTask(asked.request, asked.currency, not request.skip_backtest, asked.evidence_bytes, stop)

        message = pb.PurchasePlan.FromString(self.apart(call, lambda stop: (plan_apart, (task(stop),))))
        message.catalog_version = asked.catalog_version
        set_timestamp(message.as_of, asked.instant)
        message.plan_hash = hash_of(_facts(asked, request), message)
        return message

    def apart(self, call: Call, work: Callable[[Stop], tuple[Callable[..., bytes], tuple[object, ...]]]) -> bytes:
        """Do in a worker process what `work` names, told when to stop.

        Raises what it raises, and DeadlineExceededError when the caller leaves, upon which the worker stops too.
        """
        with _flag() as flag:
            left = call.time_remaining()
            seconds = min(left * _SOLVING_SHARE, max(left - _TELLING_S, left / 2), _LONGEST_S)
            stop = Stop(time.time() + seconds, flag)
            function, arguments = work(stop)
            try:
                return self._wait(self._pool.submit(function, *arguments), flag, call)
            except InvalidArgumentError as error:
                raise InvalidArgumentError([in_request(violation) for violation in error.violations]) from None

    def _wait(self, answer: Future[bytes], flag: Path, call: Call) -> bytes:
        try:
            while True:
                with contextlib.suppress(FutureTimeoutError):
                    return answer.result(_POLL_S)
                if not call.active():
                    flag.unlink(missing_ok=True)
                    answer.cancel()
                    call.check()
        except BrokenProcessPool:
            raise UnavailableError(ErrorReason.INTERNAL, "the process that worked on it died") from None


@contextlib.contextmanager
def _flag() -> Iterator[Path]:
    """A file that is there for as long as somebody waits: a worker that misses it stops."""
    with tempfile.TemporaryDirectory(prefix="trimtab-plan-") as directory:
        flag = Path(directory) / "waiting"
        flag.touch()
        yield flag


def _next_hour(instant: datetime) -> datetime:
    return instant.replace(minute=0, second=0, microsecond=0) + _HOUR * math.ceil(
        (instant.minute * 60 + instant.second + instant.microsecond * 1e-6) / 3600
    )


def _facts(asked: Asked, request: pb.OptimizePurchasePlanRequest) -> Iterator[bytes]:
    """What a plan depends on: the request but for how it is answered, the usage, however it came, the catalogue."""
    kept = pb.OptimizePurchasePlanRequest()
    kept.CopyFrom(request)
    for field in ("demand", "request_id", "validate_only", "skip_backtest", "max_evidence_bytes"):
        kept.ClearField(field)
    yield kept.SerializeToString(deterministic=True)
    usage = asked.request.usage
    yield repr(usage.keys).encode()
    yield usage.start.isoformat().encode()
    yield usage.money.tobytes()
    owned = [(one.commitment_id, one.per_hour, one.start_time, one.end_time) for one in asked.request.owned]
    yield repr(owned).encode()
    yield asked.catalog_version.encode()
