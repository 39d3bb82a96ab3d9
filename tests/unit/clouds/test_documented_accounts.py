"""The accounts that the page on clouds shows."""

import re
import tomllib
from pathlib import Path

import pytest

from trimtab_service.clouds.configuration import parse_accounts

_PAGE = Path(__file__).parents[3] / "docs" / "clouds.md"
_EXAMPLES = re.findall(r"```toml\n(.*?)```", _PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_there_are_examples() -> None:
    """The pattern still finds them."""
    assert len(_EXAMPLES) >= 4


@pytest.mark.parametrize("example", _EXAMPLES)
def test_each_example_is_accepted(example: str) -> None:
    """As the service would read it at start."""
    assert parse_accounts(tomllib.loads(example))
