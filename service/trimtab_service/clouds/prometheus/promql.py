"""Pieces of PromQL with their values quoted."""

import re
from collections.abc import Iterable
from typing import Final

_REGEX_SPECIAL: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def literal(text: str) -> str:
    """A regular expression (RE2) that matches this text and no other."""
    return _REGEX_SPECIAL.sub(r"\\\g<0>", text)


def any_of(names: Iterable[str]) -> str:
    """A regular expression that matches each of these texts and no other; matchers are anchored by Prometheus."""
    return "|".join(literal(name) for name in names)


def selector(metric: str, **matchers: str) -> str:
    """`metric{label="value"}`; a matcher named `label__re` is a regular expression, `label__not` excludes one."""
    parts = []
    for key, value in matchers.items():
        label, _, kind = key.partition("__")
        operator = {"": "=", "re": "=~", "not": "!~"}[kind]
        parts.append(f"{label}{operator}{quoted(value)}")
    return f"{metric}{{{','.join(parts)}}}"
