"""Azure's lists through its own clients, against an HTTP server of the Resource Manager."""

from dataclasses import replace

import pytest

from tests.support.azure_account import account, inventory, populate
from tests.support.azure_cloud import AzureFake
from tests.support.clocks import StoppedClock
from tests.support.http_fake import Answer
from trimtab_service.clouds.azure.connection import connect
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.domain.errors import UnavailableError
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.resources import Autoscaling, ResourceKind
from trimtab_service.rightsizing.ports import Scope


def test_the_inventory_is_scale_sets_and_the_machines_of_none(
    azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Over pages of one entry; what is deallocated or belongs to a scale set is not listed by itself."""
    populate(azure)
    found = inventory(connection, clock)
    assert set(found) == {"api", "spot", "web", "jobs"}
    assert (found["api"].instance_type, found["api"].team, found["api"].zone) == (
        "Standard_D8s_v5",
        "search",
        "eastus-2",
    )
    assert (found["spot"].region, found["spot"].option) == ("westeurope", PurchaseOption.SPOT)
    web = found["web"]
    assert (web.kind, web.count, web.instance_type) == (ResourceKind.INSTANCE_GROUP, 3, "Standard_D4s_v5")
    assert isinstance(web.autoscaling, Autoscaling)
    assert (web.autoscaling.min_count, web.autoscaling.max_count, web.autoscaling.target_utilization) == (2, 8, 0.65)
    assert found["jobs"].autoscaling is None
    assert set(inventory(connection, clock, Scope(tags=(("team", "search"),)))) == {"api"}


def test_an_account_of_some_groups_lists_those_only(azure: AzureFake, clock: StoppedClock) -> None:
    """Resource groups narrow the account."""
    populate(azure)
    narrow = connect(replace(account(azure), resource_groups=("OTHER",)), Patience(clock, clock.sleep))
    assert set(inventory(narrow, clock)) == {"jobs"}


@pytest.mark.parametrize("position", [0, 1, 3])
def test_a_listing_that_loses_a_page_raises(
    position: int, azure: AzureFake, connection: Connection, clock: StoppedClock
) -> None:
    """Whichever page it is: a part is never given as all."""
    populate(azure)
    azure.machine("more", "Standard_D8s_v5")
    listed = inventory(connection, clock)
    assert "more" in listed
    count = len(azure.server.seen)
    before = list(azure.server.seen)
    assert len(before) == count > position

    class Failing(list):  # type: ignore[type-arg] # only its append is used
        def append(self, seen: object) -> None:
            super().append(seen)
            if len(self) == count + position + 1:
                azure.server.faults.append(Answer({}, 403))

    azure.server.seen = Failing(before)
    with pytest.raises(UnavailableError):
        inventory(connection, clock)
