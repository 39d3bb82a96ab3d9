"""The real service over machines in a file: `python -m tests.support.lifecycle_server`.

Settings come from the environment, as in production, and the file from TEST_MACHINES.
"""

import os
import sys
from pathlib import Path

from tests.support.machines import Machines
from trimtab_service.bootstrap import Overrides, compose
from trimtab_service.config import Settings
from trimtab_service.serving import Application, Runtime, serve
from trimtab_service.settings_sources import load_settings


def compose_over_machines(settings: Settings, runtime: Runtime) -> Application:
    """What production composes, with another cloud."""
    return compose(settings, runtime, Overrides(actuators=Machines(Path(os.environ["TEST_MACHINES"]))))


if __name__ == "__main__":
    sys.exit(serve(load_settings(os.environ), compose_over_machines))
