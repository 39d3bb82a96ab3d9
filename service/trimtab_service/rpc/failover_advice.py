"""Advice on a strategy: placement prices one instance at the standby, the catalogue what replication costs."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration

from trimtab.v1 import failover_service_pb2 as pb
from trimtab.v1 import placement_service_pb2 as placement_pb
from trimtab.v1 import types_pb2
from trimtab_service.catalog.snapshot import CatalogSnapshot
from trimtab_service.domain.decisions import ChosenOffer
from trimtab_service.domain.errors import FailedPreconditionError
from trimtab_service.domain.failover import RunKind, RunState
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.failover.prices import transfer_micros
from trimtab_service.failover.strategy import (
    DEFAULT_GPU_PROBABILITY,
    DEFAULT_OUTAGES_PER_YEAR,
    DEFAULT_PROBABILITY,
    DEFAULT_TIMES,
    HOURS_PER_MONTH,
    TARGETS_OF,
    StandbyPrices,
    Strategy,
    StrategyOption,
    StrategyQuestion,
    Times,
    advise_strategy,
    strategy_of,
)
from trimtab_service.rpc import bounds, names
from trimtab_service.rpc.call import Call
from trimtab_service.rpc.desk import make
from trimtab_service.rpc.failover_vocabulary import CRITICALITY_OF, STRATEGY_CODE, duration_of
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.size_parser import region_key
from trimtab_service.rpc.vocabulary import CLOUD_CODE, money_of_micros, set_nanos
from trimtab_service.rpc.world import World
from trimtab_service.store.failover_plans import FailoverPlanStore
from trimtab_service.store.failover_runs import FailoverRunStore
from trimtab_service.store.pages import ListRequest

DEFAULT_STORAGE_NANOS: Final = 23_000_000
"""USD 0.023 per GiB and month: the list price of AWS S3 Standard in us-east-1, first 50 TB, 2025."""

_DAYS_PER_MONTH: Final = 365.25 / 12
_MAX_OUTAGES: Final = 1_000.0
_MAX_HOURS: Final = 8_784.0
_DRILLS: Final = 50


class FailoverAdvice:
    """Weighs the four strategies for a workload."""

    def __init__(
        self, world: World, plans: FailoverPlanStore, runs: FailoverRunStore, *, clock: Callable[[], datetime]
    ) -> None:
        self._world = world
        self._plans = plans
        self._runs = runs
        self._clock = clock

    def advise_dr_strategy(self, request: pb.AdviseDrStrategyRequest, call: Call) -> pb.DrAdvice:
        """All four, and the cheapest that meets the targets."""
        project = names.project_id(request.parent)
        vocabulary = self._world.view(project).vocabulary
        found = Violations()
        primary = region_key(request.primary, vocabulary, found, "primary")
        if request.HasField("standby"):
            region_key(request.standby, vocabulary, found, "standby")
            if request.standby == request.primary:
                found.add("standby", ErrorReason.CONTRADICTION, "is the primary")
        target = _targets(request, found)
        data = bounds.number(found, "data_gib", request.data_gib, bounds.MAX_GIB)
        changed = bounds.number(found, "changed_gib_per_day", request.changed_gib_per_day, bounds.MAX_GIB)
        outages = bounds.number(found, "outages_per_year", request.outages_per_year, _MAX_OUTAGES)
        probability = bounds.number(found, "capacity_probability", request.capacity_probability, 1.0)
        storage = DEFAULT_STORAGE_NANOS
        if request.HasField("storage_price_per_gib_month"):
            price = request.storage_price_per_gib_month
            storage = bounds.nanos(found, "storage_price_per_gib_month", price, most=bounds.MAX_UNIT_USD)
        loss = bounds.micros(found, "loss_per_hour", request.loss_per_hour) if request.HasField("loss_per_hour") else 0
        if not request.HasField("workload"):
            found.add("workload", ErrorReason.FIELD_REQUIRED, "say what runs")
        found.check()
        if primary is None:
            raise AssertionError(request.primary)  # a region is missing only where a violation was found
        snapshot, offer = self._standby(request, project)
        source = snapshot.region_index[primary.cloud, primary.region]
        there = snapshot.region_index[offer.cloud, offer.region]
        monthly = changed * _DAYS_PER_MONTH
        needs_gpu = bool(request.workload.size.gpus)
        question = StrategyQuestion(
            instances=max(1, request.workload.count),
            data_gib=data,
            target=target,
            prices=StandbyPrices(
                instance_nanos_per_hour=offer.nanos_per_hour,
                storage_nanos_per_gib_month=storage,
                transfer_micros=transfer_micros(snapshot, source, there, monthly),
                half_transfer_micros=transfer_micros(snapshot, source, there, monthly / 2),
                return_transfer_micros=transfer_micros(snapshot, there, source, monthly / 2),
            ),
            loss_micros_per_hour=loss,
            outages_per_year=outages or DEFAULT_OUTAGES_PER_YEAR,
            capacity_probability=probability or (DEFAULT_GPU_PROBABILITY if needs_gpu else DEFAULT_PROBABILITY),
            drills=self._drills(request.failover_plan, call) if request.failover_plan else {},
            hours_per_month=_hours(request.workload),
        )
        advice = advise_strategy(question)
        answer = pb.DrAdvice(
            options=[_option(one, on_frontier=one.strategy in advice.frontier) for one in advice.options],
            standby=types_pb2.RegionRef(cloud=CLOUD_CODE[offer.cloud], region=offer.region),
            catalog_version=snapshot.version,
            instance_type=offer.instance_type,
            hours_per_month=question.hours_per_month,
            outages_per_year=question.outages_per_year,
            rto_target=duration_of(target.rto),
            rpo_target=duration_of(target.rpo),
        )
        set_nanos(answer.instance_price_per_hour, offer.nanos_per_hour)
        set_nanos(answer.storage_price_per_gib_month, storage)
        if request.HasField("loss_per_hour"):
            answer.loss_per_hour.CopyFrom(money_of_micros(loss))
        if advice.advised is not None:
            answer.advised = STRATEGY_CODE[advice.advised]
        return answer

    def _standby(self, request: pb.AdviseDrStrategyRequest, project: str) -> tuple[CatalogSnapshot, ChosenOffer]:
        """Where placement would put one more of it, on demand, outside of the primary."""
        workload = placement_pb.Workload()
        workload.CopyFrom(request.workload)
        workload.ClearField("current")
        del workload.purchase_options[:]
        workload.purchase_options.append(types_pb2.PURCHASE_OPTION_ON_DEMAND)
        if workload.WhichOneof("usage") is None:
            workload.service_hours_per_month = _hours(request.workload)
        if request.HasField("standby"):
            del workload.residency.regions[:]
            workload.residency.regions.append(request.standby)
        else:
            workload.residency.denied_regions.append(request.primary)
        view = self._world.view(project)
        made = make(
            placement_pb.PlaceRequest(parent=request.parent, workload=workload, max_fallbacks=0),
            view,
            project=project,
            instant=self._clock(),
            decision_id="standby",
        )
        chosen = made.decision.chosen
        if chosen is None:
            where = request.standby.region or "any other region"
            raise FailedPreconditionError(
                ErrorReason.UNSUPPORTED, f"nothing in {where} can run the workload on demand", metadata={"where": where}
            )
        return view.snapshot, chosen.offer

    def _drills(self, name: str, call: Call) -> dict[Strategy, Times]:
        """What the latest drill of a plan that ended well measured, under the strategy that the plan carries out."""
        project, own = names.failover_plan(name, "failover_plan")
        self._plans.get(project, own)  # one that is not there is not a plan without drills
        asked = ListRequest(call.method, f"projects/{project}", f'failover_plan = "{own}"', _DRILLS, "")
        for run in self._runs.list(project, asked).items:
            if run.kind in {RunKind.DRILL, RunKind.ACTIVATE} and run.state is RunState.SUCCEEDED and run.actual_rto:
                strategy = strategy_of(run)
                # What was not measured stays as it is usual for the strategy.
                return {strategy: Times(run.actual_rto, run.actual_rpo or DEFAULT_TIMES[strategy].rpo)}
        return {}


def _targets(request: pb.AdviseDrStrategyRequest, found: Violations) -> Times:
    """Those given, else those of the criticality; what neither says is noted."""
    criticality = CRITICALITY_OF.get(request.criticality)
    if request.criticality and criticality is None:
        found.add("criticality", ErrorReason.UNKNOWN_VALUE, "is not known to this service")
    usual = None if criticality is None else TARGETS_OF[criticality]
    rto = request.rto_target if request.HasField("rto_target") else None
    rpo = request.rpo_target if request.HasField("rpo_target") else None
    return Times(
        rto=_target(found, "rto_target", rto, None if usual is None else usual.rto),
        rpo=_target(found, "rpo_target", rpo, None if usual is None else usual.rpo),
    )


def _target(found: Violations, field: str, given: Duration | None, usual: timedelta | None) -> timedelta:
    if given is not None:
        return timedelta(hours=bounds.hours(found, field, given, most=_MAX_HOURS))
    if usual is None:
        found.add(field, ErrorReason.FIELD_REQUIRED, "say how long, or how critical the service is")
    return usual or timedelta()


def _hours(workload: placement_pb.Workload) -> float:
    """Hours of a month that the service runs, and so its standby."""
    return workload.service_hours_per_month or workload.hours_per_month or HOURS_PER_MONTH


def _option(option: StrategyOption, *, on_frontier: bool) -> pb.DrOption:
    return pb.DrOption(
        strategy=STRATEGY_CODE[option.strategy],
        monthly_cost=money_of_micros(option.monthly_micros),
        capacity_cost=money_of_micros(option.capacity_micros),
        storage_cost=money_of_micros(option.storage_micros),
        transfer_cost=money_of_micros(option.transfer_micros),
        expected_rto=duration_of(option.times.rto),
        expected_rpo=duration_of(option.times.rpo),
        basis="drill" if option.is_measured else "default",
        meets_targets=option.meets_targets,
        capacity_probability=option.capacity_probability,
        expected_loss_per_year=money_of_micros(option.expected_loss_micros),
        on_frontier=on_frontier,
        running_instances=option.running,
        total_cost_per_year=money_of_micros(option.yearly_micros),
    )
