"""Connecting to an AWS account."""

from collections.abc import Callable

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.aws.actuator import AwsActuator
from trimtab_service.clouds.aws.calls import AwsCalls
from trimtab_service.clouds.aws.cost_explorer import CostExplorer
from trimtab_service.clouds.aws.session import AwsSession
from trimtab_service.clouds.aws.telemetry import NANOS_PER_LISTING, CloudWatch
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.meter import Meter
from trimtab_service.clouds.patience import Patience
from trimtab_service.recommendations.ports import PurchaseBudget
from trimtab_service.rightsizing.ports import ReadCost


def connect(account: CloudAccount, patience: Patience, budget: PurchaseBudget | None = None) -> Connection:
    """The connection of an account of kind `cloudwatch`. Without a `budget` nothing is bought through it."""
    return observed(account, patience, _unobserved, budget)


def observed(
    account: CloudAccount,
    patience: Patience,
    on_call: Callable[[str, str], None],
    budget: PurchaseBudget | None = None,
) -> Connection:
    """The same; `on_call` is told the service and operation of each request, before it is sent."""
    meter = Meter()

    def count(service: str, operation: str) -> None:
        meter.add(ReadCost(1, 0, NANOS_PER_LISTING if operation == "ListMetrics" else 0))
        on_call(service, operation)

    calls = AwsCalls(account, AwsSession(account, count), patience)
    return Connection(CloudWatch(calls, meter), AwsActuator(calls, budget), CostExplorer(calls))


def _unobserved(_service: str, _operation: str) -> None:
    """Nobody asks."""
