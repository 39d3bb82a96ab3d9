"""Advice, contents and recommendations for tests of their lifecycle."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any, Final

from trimtab_service.domain.dimensions import Dimension
from trimtab_service.domain.offers import Cloud, PriceBasis
from trimtab_service.domain.reasons import AdviceReason
from trimtab_service.domain.recommendations import Recommendation, RecommendationContent, State
from trimtab_service.domain.resources import Capacity, CloudResource
from trimtab_service.domain.rightsizing import (
    Action,
    Advice,
    BackTest,
    DimensionProjection,
    Finding,
    MigrationEffort,
    RightsizingOption,
    TelemetrySummary,
)
from trimtab_service.recommendations.intake import content_of

NOW: Final = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOURS: Final = 730
BACK_TEST: Final = BackTest(0.004, 0.001, 0.012, 0.95, 0.4, 7, 1, 0.005, 0.42)

_numbers = count(1)


def resource(number: int = 1, **changes: Any) -> CloudResource:  # noqa: ANN401 - fields of a resource
    """An instance: m5.2xlarge in us-east-1."""
    plain = CloudResource(
        resource_id=f"i-{number:08}",
        cloud=Cloud.AWS,
        region="us-east-1",
        account="123456789012",
        instance_type="m5.2xlarge",
        team="vision",
        tags=(("team", "vision"),),
    )
    return replace(plain, **changes)


def option(
    rank: int = 1,
    instance_type: str = "m5.xlarge",
    nanos: int = 192_000_000,
    **changes: Any,  # noqa: ANN401 - fields of an option
) -> RightsizingOption:
    """A size at a price an hour, against a present size at 0.384 USD."""
    cost = nanos * HOURS // 1_000
    before = 384_000_000 * HOURS // 1_000
    made = RightsizingOption(
        rank=rank,
        action=Action.KEEP if rank == 0 else Action.RESIZE,
        cloud=Cloud.AWS,
        region="us-east-1",
        instance_type=instance_type,
        count=1,
        capacity=Capacity(4.0, 16.0, network_gbps=10.0),
        price_nanos_per_hour=nanos,
        price_basis=PriceBasis.LIST,
        price_as_of=date(2026, 11, 1),
        monthly_cost_micros=cost,
        monthly_net_cost_micros=cost,
        monthly_saving_micros=before - cost,
        monthly_net_saving_micros=before - cost,
        dimensions=tuple(
            DimensionProjection(dimension, 4.0, 2.5, 0.3, 0.55, 0.7, 1.0, BACK_TEST)
            for dimension in (Dimension.CPU, Dimension.MEMORY, Dimension.NETWORK)
        ),
        risk=1.0,
        binding_dimension=Dimension.CPU,
        migration_effort=MigrationEffort.VERY_LOW,
        restart_needed=True,
        rollback_possible=True,
        reasons=(AdviceReason.CPU_OVER_PROVISIONED,),
        back_test=BACK_TEST,
    )
    return replace(made, **changes)


CURRENT: Final = option(0, "m5.2xlarge", 384_000_000)


def advice(of: CloudResource | None = None, finding: Finding = Finding.OVER_PROVISIONED, **changes: Any) -> Advice:  # noqa: ANN401 - fields of an advice
    """Half the size is advised, a quarter is an alternative."""
    made = Advice(
        finding=finding,
        resource=of or resource(),
        reasons=(AdviceReason.CPU_OVER_PROVISIONED, AdviceReason.MEMORY_OVER_PROVISIONED),
        missing=(),
        current=CURRENT,
        options=(option(), option(2, "m5.large", 96_000_000, risk=2.0)),
        telemetry=TelemetrySummary(NOW - timedelta(days=14), NOW, ()),
        preferences=(),
        confidence=0.9,
        catalog_version="starter-1",
        policy_revision=0,
        as_of=NOW,
        hours_per_month=float(HOURS),
    )
    return replace(made, **changes)


def content(number: int = 1, **changes: Any) -> RecommendationContent:  # noqa: ANN401 - fields of a content
    """What is recommended for the instance of that number."""
    made = content_of(advice(resource(number)), "cw")
    assert made is not None
    return replace(made, **changes)


def stopping(number: int = 1) -> RecommendationContent:
    """The instance of that number is idle."""
    stop = option(1, "", 0, action=Action.STOP, capacity=Capacity(), dimensions=(), back_test=None)
    made = content_of(advice(resource(number), Finding.IDLE, options=(stop,)), "cw")
    assert made is not None
    return made


def recommendation(state: State = State.ACTIVE, **changes: Any) -> Recommendation:  # noqa: ANN401 - fields of a recommendation
    """One in a state, claimed by `ada` where it is."""
    made = Recommendation(
        project="p",
        recommendation_id=f"r{next(_numbers):06}",
        etag="1",
        state=state,
        content=content(),
        create_time=NOW,
        update_time=NOW,
        refresh_time=NOW,
        expire_time=NOW + timedelta(days=14) if state is State.ACTIVE else None,
        claimed_by="ada" if state is State.CLAIMED else "",
        content_hash="h1",
    )
    return replace(made, **changes)


def numbered_ids(instant: datetime) -> str:
    """Ids that sort by the time they are made, as ULIDs do."""
    return f"{int(instant.timestamp() * 1_000):014}{next(_numbers):08}"
