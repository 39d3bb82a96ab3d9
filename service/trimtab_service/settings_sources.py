"""Where settings come from: flag, then environment, then file, then default. Unknown keys are refused everywhere."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from trimtab_service.config import ConfigError, Settings, setting_fields

ENV_PREFIX = "TRIMTAB_"
CONFIG_FILE_VARIABLE = "TRIMTAB_CONFIG"

_FOREIGN = re.compile(
    # Kubernetes injects these for a Service called `trimtab`; the others belong to the CLI and the test suite.
    r"^TRIMTAB_(CONFIG$|SERVICE_(HOST|PORT)|PORT(_\d+_|$)|TEST_|SHARED_DATA$"
    r"|(TARGET|PROJECT|TLS|CA|CERT|KEY|SERVER_NAME|TOKEN|TOKEN_FILE|TIMEOUT)$)"
)


def load_settings(
    environment: Mapping[str, str],
    flags: Mapping[str, object] | None = None,
    file: Path | None = None,
) -> Settings:
    """Read, check and join all sources.

    Args:
        environment: variables; those that start with `TRIMTAB_` are read, and an unknown one is refused.
        flags: overrides by setting name; None values mean that the flag was not given.
        file: TOML file with setting names as top-level keys; else the one that `TRIMTAB_CONFIG` names, if any.

    Raises:
        ConfigError: with every fault of every source.

    """
    parsers = {f.name: f.metadata["parse"] for f in setting_fields()}
    named = file or (Path(environment[CONFIG_FILE_VARIABLE]) if environment.get(CONFIG_FILE_VARIABLE) else None)
    violations: list[str] = []
    raw: dict[str, tuple[str, object]] = {}
    for origin, values in (
        (f"file {named}", _file(named, violations)),
        ("environment", _environment(environment)),
        ("flag", {key: value for key, value in (flags or {}).items() if value is not None}),
    ):
        for key, value in values.items():
            if key in parsers:
                raw[key] = (origin, value)
            else:
                shown = f"{ENV_PREFIX}{key.upper()}" if origin == "environment" else key
                violations.append(f"{shown}: unknown setting ({origin})")
    parsed: dict[str, object] = {}
    for key, (origin, value) in raw.items():
        try:
            parsed[key] = parsers[key](value)
        except ValueError as error:
            violations.append(f"{key}: {error} ({origin})")
    try:
        settings = Settings(**parsed)  # type: ignore[arg-type] # each value came from the parser of its own field
    except ConfigError as error:
        raise ConfigError([*violations, *error.violations]) from None
    if violations:
        raise ConfigError(violations)
    return settings


def _environment(environment: Mapping[str, str]) -> dict[str, object]:
    return {
        name.removeprefix(ENV_PREFIX).lower(): value
        for name, value in environment.items()
        if name.startswith(ENV_PREFIX) and not _FOREIGN.match(name)
    }


def _file(path: Path | None, violations: list[str]) -> dict[str, object]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        violations.append(f"file {path}: cannot be read ({type(error).__name__})")
    except tomllib.TOMLDecodeError as error:
        violations.append(f"file {path}: not TOML: {error}")
    return {}
