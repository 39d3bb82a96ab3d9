"""A service over simulated clouds: `python -m trimtab_service.rehearsal --data-dir DIR --listen HOST:PORT`.

Three observers report what they see of every side. The standard input takes commands, a line each: `fail CLOUD`,
`recover CLOUD`, and `stale TOKEN`, which tries to switch traffic back under an older token and prints what the name
answers. The world lives in the data directory, so a process that is killed finds it as it was; the process ends with
its input.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from trimtab.client import Client
from trimtab.errors import CallError
from trimtab_service.bootstrap import Overrides, compose, utc_now
from trimtab_service.clouds.simulated.failover import Copy, Group, Layout, Name, ProbeOf, SimulatedClouds
from trimtab_service.config import EXIT_BAD_CONFIG, ConfigError, Settings
from trimtab_service.domain.errors import TrimtabError
from trimtab_service.domain.failover import Side
from trimtab_service.domain.offers import Cloud
from trimtab_service.failover.execution import Conduct
from trimtab_service.failover.ports import StaleTokenError
from trimtab_service.serving import Application, Runtime, leave_now, serve
from trimtab_service.settings_sources import load_settings

PROJECT: Final = "demo"
PLAN: Final = "serving"
OBSERVERS: Final = ("observer-aws", "observer-azure", "observer-gcp")
SIDES: Final = ("virginia", "iowa")
NAME: Final = "dns/api.example.com"

LAYOUT: Final = Layout(
    groups={
        "aws/asg/serving": Group("aws", "virginia", ready=10, peak=10, quota=20),
        "gcp/mig/serving": Group("gcp", "iowa", ready=2, peak=2, boot=timedelta(seconds=6), quota=20, is_reserved=True),
    },
    names={NAME: Name("virginia", ttl=timedelta(seconds=20))},
    copies={"replication/models": Copy("aws", "gcp", every=timedelta(seconds=2), lag=timedelta(seconds=1))},
    probes={
        "probe/virginia": ProbeOf("aws/asg/serving", 10),
        "probe/iowa": ProbeOf("gcp/mig/serving", 10),
        "probe/iowa-alive": ProbeOf("gcp/mig/serving"),
    },
    channels=("chat/on-call",),
)
"""Ten machines serve in AWS, two stand by in Google Cloud, which is a warm standby of 20 percent."""

_CONDUCT: Final = Conduct(
    lease=timedelta(seconds=3),
    heartbeat=timedelta(milliseconds=900),
    poll=timedelta(milliseconds=200),
    pace=timedelta(milliseconds=200),
)
_REPORT_EVERY_S: Final = 0.5
_LONGEST_END_S: Final = 5.0


def main(
    data_dir: Annotated[Path, typer.Option(help="The one directory that is written to.")],
    listen: Annotated[str, typer.Option(help="gRPC address, as host:port.")],
) -> None:
    """Serve until the input ends, or SIGTERM."""
    flags = {"listen": listen, "admin_listen": "127.0.0.1:0", "data_dir": str(data_dir), "log_level": "error"}
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        settings = load_settings({}, flags, None)
    except ConfigError as error:
        for violation in error.violations:
            typer.echo(f"rehearsal: {violation}", err=True)
        raise typer.Exit(EXIT_BAD_CONFIG) from None
    world = SimulatedClouds(LAYOUT, clock=utc_now, seed=1, path=data_dir / "world.json")
    raise typer.Exit(serve(settings, partial(_compose, world)))


def _compose(world: SimulatedClouds, settings: Settings, runtime: Runtime) -> Application:
    application = compose(settings, runtime, Overrides(targets=world, conduct=_CONDUCT))
    stop = threading.Event()
    target = str(settings.listen)
    watch = threading.Thread(target=_observe, args=(world, target, stop), name="observers", daemon=True)
    watch.start()
    threading.Thread(target=_obey, args=(world, sys.stdin), name="commands", daemon=True).start()

    def close() -> None:
        stop.set()
        watch.join(5.0)

    return Application(services=application.services, probes=application.probes, close=(close, *application.close))


def _observe(world: SimulatedClouds, target: str, stop: threading.Event) -> None:
    """Each observer tells what it sees, over the wire as a real one would."""
    with Client(target, project=PROJECT, wait_for_ready=True) as client:
        while not stop.wait(_REPORT_EVERY_S):
            seen = {side: world.is_well(side) for side in SIDES}
            for observer in OBSERVERS:
                try:
                    client.failover.report_health(PLAN, observer, seen, timeout=2.0)
                except CallError:
                    break  # no plan yet, or the server is going down


def _obey(world: SimulatedClouds, lines: Iterable[str]) -> None:
    for line in lines:
        command, _, value = line.strip().partition(" ")
        if command == "fail":
            world.fail(value)
        elif command == "recover":
            world.recover(value)
        elif command == "stale":
            sys.stdout.write(f"{_try_to_switch_back(world, int(value))}\n")
            sys.stdout.flush()
    # Whoever started this is gone. Runs in hand are safe in the journal, so nothing is worth waiting for much longer.
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LONGEST_END_S)
    leave_now(0)


def _try_to_switch_back(world: SimulatedClouds, token: int) -> str:
    target = world.traffic(PROJECT, NAME)
    if target is None:
        return "there is no such name"
    now = utc_now()
    try:
        target.switch(Side("virginia", Cloud.AWS, "us-east-1"), 1.0, token, "stale", now)
    except StaleTokenError as error:
        return f"refused: {error}"
    except TrimtabError as error:
        return error.message
    return "switched"


if __name__ == "__main__":
    typer.run(main)
