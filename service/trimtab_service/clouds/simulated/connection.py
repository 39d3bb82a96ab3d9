"""Connecting to a simulated account: a world of its own, that telemetry and changes of all processes share."""

from typing import Final
from zlib import crc32

from trimtab_service.clouds.accounts import CloudAccount
from trimtab_service.clouds.kinds import Connection
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.simulated.actuator import SimulatedActuator
from trimtab_service.clouds.simulated.fleet import simulated_world
from trimtab_service.clouds.simulated.keeping import Keeping, KeptWorld, Memory
from trimtab_service.clouds.simulated.telemetry import SIMULATED, SimulatedTelemetry
from trimtab_service.rightsizing.ports import SourceKind

SIMULATED_ACCOUNT: Final = CloudAccount(
    name=SIMULATED, kind=SourceKind.SIMULATED, account=SIMULATED, projects=frozenset({"*"}), changes=True
)
"""What a deployment without any configured account shows, open to every project."""


def connect(account: CloudAccount, patience: Patience, keeping: Keeping | None = None) -> Connection:
    """The connection of an account of kind `simulated`. The fleet follows from the account's name and its beginning.

    What is done to it is kept by that name; without `keeping` for as long as the connection lasts.
    """
    kept = KeptWorld(keeping or Memory(), account.name)
    world = simulated_world(crc32(account.name.encode()), patience.clock, account=account.account, kept=kept)
    return Connection(SimulatedTelemetry(world, account.name, account.account), SimulatedActuator(world))
