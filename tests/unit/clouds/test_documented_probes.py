"""The probes and dependencies that the page on failover shows."""

import re
import tomllib
from pathlib import Path

from trimtab_service.clouds.configuration import parse_accounts
from trimtab_service.clouds.dependency_configuration import parse_dependencies
from trimtab_service.clouds.target_configuration import parse_targets
from trimtab_service.clouds.watch_configuration import parse_watches
from trimtab_service.failover.linter import Dependencies

_PAGE = Path(__file__).parents[3] / "docs" / "failover.md"
_EXAMPLES = re.findall(r"```toml\n(.*?)```", _PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_examples_are_accepted() -> None:
    """As the service would read them at start: one probe with its target, and what the deployment hangs on."""
    probes, dependencies = (tomllib.loads(example) for example in _EXAMPLES)
    (watch,) = parse_watches(probes, parse_targets(probes, parse_accounts(probes)))
    assert (watch.service_id, watch.fails, watch.of) == ("checkout", 2, 3)
    assert parse_dependencies(dependencies) != Dependencies()
