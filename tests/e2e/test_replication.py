"""`trimtab replication` against a service of the embedded default: started, told, compared, turned."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.command_line import Ran, run
from tests.support.replication_worker import SHORT
from tests.support.service import RunningService, running_service
from trimtab_service.bootstrap import Overrides


def _ask(service: RunningService, *arguments: str) -> Ran:
    return run("replication", *arguments, "--target", service.target)


def _until(ask: Callable[[], Ran], code: int) -> Ran:
    """The command again and again, until it ends as wanted."""
    give_up = time.monotonic() + 60
    while (ran := ask()).code != code:
        assert time.monotonic() < give_up, ran
        time.sleep(0.1)
    return ran


def test_a_replication_lives_from_its_start_to_its_reversal(tmp_path: Path) -> None:
    """Exit codes say whether the copy is within its target, and whether the sides differ."""
    with running_service(tmp_path, overrides=Overrides(replication_pacing=SHORT)) as service:
        listed = _ask(service, "list", "--json")
        assert [json.loads(line)["state"] for line in listed.out.splitlines()] == ["STATE_PAUSED"]
        assert _ask(service, "status", "models").code == 7
        before = _ask(service, "diff", "models")
        assert (before.code, "12 differences" in before.out) == (7, True)
        assert _ask(service, "start", "models").code == 0
        done = _until(lambda: _ask(service, "status", "models"), 0)
        assert "12 copied" in done.out
        assert _ask(service, "diff", "models").code == 0
        assert "pause it first" in _ask(service, "reverse", "models").err
        assert _ask(service, "pause", "models").code == 0
        turned = _until(lambda: _ask(service, "reverse", "models"), 0)
        assert "reversed" in turned.out
        assert _ask(service, "status", "other").code == 6
