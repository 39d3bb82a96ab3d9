"""Opens what the deployment's file names for failover: targets, probes, and what the deployment hangs on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from trimtab_service.clouds.configuration import load_accounts
from trimtab_service.clouds.dependency_configuration import load_dependencies
from trimtab_service.clouds.patience import Patience
from trimtab_service.clouds.target_configuration import load_targets
from trimtab_service.clouds.targets import open_targets
from trimtab_service.clouds.watch_configuration import load_watches
from trimtab_service.config import Settings
from trimtab_service.failover.linter import Dependencies
from trimtab_service.failover.ports import Targets
from trimtab_service.failover.watching import Watch


@dataclass(frozen=True, slots=True)
class FailoverFile:
    """What the deployment's file says of failover."""

    targets: Targets
    watches: tuple[Watch, ...]
    dependencies: Dependencies


def failover_file(settings: Settings, clock: Callable[[], datetime]) -> FailoverFile:
    """What the file of cloud accounts says; nothing without it. Raises ConfigError for a file that is not right."""
    path = settings.cloud_accounts
    configured = load_targets(path, load_accounts(path))
    return FailoverFile(
        targets=open_targets(configured, Patience(clock=clock)),
        watches=load_watches(path, configured),
        dependencies=load_dependencies(path),
    )
