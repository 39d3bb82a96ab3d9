"""Opens the targets that failovers move."""

from collections.abc import Callable
from datetime import datetime

from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import open_targets
from trimtab_service.config import Settings
from trimtab_service.failover.ports import Targets


def configured_targets(settings: Settings, clock: Callable[[], datetime]) -> Targets:
    """Those of the file of cloud accounts; none without it. Raises ConfigError for a file that is not right."""
    path = settings.cloud_accounts
    return open_targets(load_targets(path, load_accounts(path)), Patience(clock=clock))
