"""The real service with the Echo service beside it on the same server: `python -m tests.bench.rpc_server`.

Settings come from the environment, as in production. It exists so that a decision can be compared with a call that
decides nothing, in the same process, behind the same pipeline, with messages of the same size.
"""

import os
import sys

from tests.support import echo
from trimtab_service.bootstrap import compose
from trimtab_service.config import Settings
from trimtab_service.serving import Application, Runtime, serve
from trimtab_service.settings_sources import load_settings


def compose_with_echo(settings: Settings, runtime: Runtime) -> Application:
    """What production composes, and Echo."""
    application = compose(settings, runtime)
    return Application(
        services=[*application.services, echo.service()], probes=application.probes, close=application.close
    )


if __name__ == "__main__":
    sys.exit(serve(load_settings(os.environ), compose_with_echo))
