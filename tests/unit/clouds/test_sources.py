"""Configured sources and actuators: who may use which, and that nothing is connected before it is used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.sources import Clouds, open_clouds
from trimtab_service.domain.offers import Cloud
from trimtab_service.domain.recommendations import Operation, OperationKind
from trimtab_service.domain.resources import CloudResource, OwnOffer
from trimtab_service.recommendations.ports import Effect, Observed
from trimtab_service.rightsizing.ports import ReadCost, Reading, Scope, SourceKind, Window

_NOW = datetime(2026, 11, 23, tzinfo=UTC)
_STOP = Operation(OperationKind.STOP_INSTANCE, "i-1")


@dataclass(frozen=True, slots=True)
class _Source:
    """Lists one resource."""

    configured: CloudAccount

    @property
    def name(self) -> str:
        return self.configured.name

    @property
    def kind(self) -> SourceKind:
        return self.configured.kind

    @property
    def account(self) -> str:
        return self.configured.account

    def inventory(self, scope: Scope, deadline: datetime) -> Iterator[CloudResource]:
        yield _resource()

    def estimate(self, resources: Sequence[CloudResource], window: Window) -> ReadCost:
        return ReadCost(len(resources))

    def read(self, resources: Sequence[CloudResource], window: Window, deadline: datetime) -> Iterator[Reading]:
        yield from (Reading(resource, None, failure="none") for resource in resources)

    def spent(self) -> ReadCost:
        return ReadCost(7)


@dataclass(frozen=True, slots=True)
class _Stops:
    """Stops instances only."""

    def handles(self, resource: CloudResource, operation: Operation) -> bool:
        return operation.kind is OperationKind.STOP_INSTANCE

    def observe(self, resource: CloudResource, operation: Operation, deadline: datetime) -> Observed:
        return Observed(exists=True)

    def carry_out(self, resource: CloudResource, operation: Operation, token: str, deadline: datetime) -> Effect:
        return Effect(is_changed=True)


@dataclass(slots=True)
class _Opened:
    """Clouds over accounts, and the names of those that were connected."""

    accounts: Sequence[CloudAccount]
    connected: list[str] = field(default_factory=list)

    def clouds(self) -> Clouds:
        return open_clouds(self.accounts, Patience(), self._connect)

    def _connect(self, account: CloudAccount, patience: Patience) -> Connection:
        self.connected.append(account.name)
        return Connection(_Source(account), _Stops())


def _account(name: str, *projects: str, changes: bool = False) -> CloudAccount:
    return CloudAccount(
        name=name,
        kind=SourceKind.CLOUDWATCH,
        cloud=Cloud.AWS,
        account="123456789012",
        regions=("eu-west-1",),
        projects=frozenset(projects),
        changes=changes,
        max_read_cost_nanos=5,
    )


def _resource(account: str = "123456789012", region: str = "eu-west-1") -> CloudResource:
    return CloudResource("i-1", Cloud.AWS, region, account=account)


def test_listing_connects_nothing() -> None:
    """Names, kinds, accounts, caps and what was spent are known without any SDK."""
    opened = _Opened([_account("b", "ml"), _account("a", "*")])
    sources = opened.clouds().sources
    assert [(s.name, s.kind, s.account, s.spent()) for s in sources.of_project("ml")] == [
        ("a", SourceKind.CLOUDWATCH, "123456789012", ReadCost()),
        ("b", SourceKind.CLOUDWATCH, "123456789012", ReadCost()),
    ]
    assert sources.max_read_cost_nanos("ml", "b") == 5
    assert opened.connected == []


def test_a_project_sees_only_what_is_open_to_it() -> None:
    """A name that exists for another project is as unknown as one that does not exist."""
    sources = _Opened([_account("b", "ml"), _account("a", "*")]).clouds().sources
    assert [source.name for source in sources.of_project("search")] == ["a"]
    assert sources.get("search", "b") is None
    assert sources.get("ml", "none") is None
    assert sources.max_read_cost_nanos("search", "b") is None


def test_prices_of_an_account_hold_where_it_says_and_for_whom_it_is_open() -> None:
    """By region; without a word of the deployment there are none."""
    own = OwnOffer("ml.g5.xlarge", 1_570_000_000)
    sources = _Opened([replace(_account("b", "ml"), prices=(("eu-west-1", (own,)),))]).clouds().sources
    assert sources.own_offers("ml", "b", "eu-west-1") == (own,)
    assert sources.own_offers("ml", "b", "us-east-1") == ()
    assert sources.own_offers("search", "b", "eu-west-1") == ()


def test_an_account_is_connected_once() -> None:
    """Source and actuator of one account share its connection."""
    opened = _Opened([_account("a", "*", changes=True)])
    clouds = opened.clouds()
    source = clouds.sources.get("ml", "a")
    assert source is not None
    assert [r.resource_id for r in source.inventory(Scope(), _NOW)] == ["i-1"]
    assert source.estimate([_resource()], Window(_NOW, _NOW)) == ReadCost(1)
    assert [r.failure for r in source.read([_resource()], Window(_NOW, _NOW), _NOW)] == ["none"]
    assert source.spent() == ReadCost(7)
    actuator = clouds.actuators.find("ml", _resource(), _STOP)
    assert actuator is not None
    assert actuator.observe(_resource(), _STOP, _NOW).exists
    assert actuator.carry_out(_resource(), _STOP, "t", _NOW).is_changed
    assert opened.connected == ["a"]


def test_only_accounts_that_allow_changes_are_changed() -> None:
    """Reading rights are no rights to change; neither is another project's account, another account or region."""
    clouds = _Opened([_account("reads", "*"), _account("changes", "ml", changes=True)]).clouds()
    assert clouds.actuators.find("ml", _resource(), _STOP) is not None
    assert clouds.actuators.find("search", _resource(), _STOP) is None
    assert clouds.actuators.find("ml", _resource(account="210987654321"), _STOP) is None
    assert clouds.actuators.find("ml", _resource(region="us-east-1"), _STOP) is None
    assert clouds.actuators.find("ml", _resource(), Operation(OperationKind.PURCHASE_COMMITMENT, "i-1")) is None
