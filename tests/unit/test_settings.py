"""Settings: which source wins, what is refused, and that all faults are told at once."""

from datetime import timedelta
from pathlib import Path

import pytest

from trimtab_service.config import ConfigError, Settings, setting_fields
from trimtab_service.domain.identity import Grant, Role
from trimtab_service.settings_sources import load_settings
from trimtab_service.settings_values import Address, GrantRule, MethodLimit


def test_defaults_serve_loopback_anonymously() -> None:
    """Without any configuration the server is for this machine only."""
    settings = load_settings({})
    assert settings == Settings()
    assert settings.listen == Address("127.0.0.1", 8740)
    assert settings.anonymous
    assert settings.store_url == "sqlite:///.data/trimtab.sqlite"


def test_flag_wins_over_environment_over_file_over_default(tmp_path: Path) -> None:
    """Each source overrides the weaker ones, key by key."""
    file = tmp_path / "trimtab.toml"
    file.write_text('threads = 3\nstream_budget = 3\nburst = 3\nslow_call = "2s"\n')
    environment = {"TRIMTAB_STREAM_BUDGET": "2", "TRIMTAB_BURST": "2", "TRIMTAB_CONFIG": str(file)}
    settings = load_settings(environment, {"burst": 1, "threads": None})
    assert (settings.threads, settings.stream_budget, settings.burst) == (3, 2, 1)
    assert settings.slow_call == timedelta(seconds=2)
    assert settings.workers == 1


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    """Unknown keys and bad values of every source, and contradictions, in one error."""
    file = tmp_path / "trimtab.toml"
    file.write_text("nonsense = 1\nworkers = 0\n")
    environment = {"TRIMTAB_THREADS": "1.5", "TRIMTAB_TYPO": "x", "TRIMTAB_LISTEN": "0.0.0.0:1"}
    with pytest.raises(ConfigError) as caught:
        load_settings(environment, {"rate": "NaN", "tls_cert": str(tmp_path / "none.pem")}, file)
    told = {violation.partition(":")[0] for violation in caught.value.violations}
    assert {"nonsense", "workers", "threads", "TRIMTAB_TYPO", "listen", "rate", "tls_cert"} <= told


@pytest.mark.parametrize(
    "foreign",
    ["TRIMTAB_SERVICE_HOST", "TRIMTAB_SERVICE_PORT_GRPC", "TRIMTAB_PORT", "TRIMTAB_PORT_8740_TCP_ADDR", "PATH"],
)
def test_variables_that_an_orchestrator_injects_are_not_taken_for_settings(foreign: str) -> None:
    """A Kubernetes Service called trimtab must not stop the server."""
    assert load_settings({foreign: "tcp://10.0.0.1:8740"}) == Settings()


@pytest.mark.parametrize("content", ["= 3", "a = [", "\x00"])
def test_file_that_is_not_toml_is_a_fault_not_a_crash(tmp_path: Path, content: str) -> None:
    """So is one that is missing."""
    file = tmp_path / "bad.toml"
    file.write_text(content)
    for path in (file, tmp_path / "missing.toml"):
        with pytest.raises(ConfigError, match="file"):
            load_settings({}, file=path)


@pytest.mark.parametrize(
    ("key", "bad"),
    [
        ("listen", "8740"),
        ("listen", "host:99999"),
        ("listen", "127.0.0.1:-1"),
        ("workers", "two"),
        ("workers", "-1"),
        ("rate", "inf"),
        ("rate", "nan"),
        ("slow_call", "5 parsecs"),
        ("slow_call", "-5s"),
        ("reflection", "perhaps"),
        ("log_level", "loud"),
        ("oidc_algorithms", "none"),
        ("oidc_algorithms", "RS256,HS256"),
        ("oidc_algorithms", ""),
        ("grants", "{}"),
        ("grants", "nonsense"),
        ("grants", '[{"claim": "groups", "value": "ml", "project": "a", "roles": ["king"]}]'),
        ("grants", '[{"claim": "groups", "value": "ml", "project": "", "roles": ["viewer"]}]'),
        ("grants", '[{"claim": "groups", "value": "ml", "project": "a", "roles": []}]'),
        ("grants", '[{"claim": "groups", "project": "a", "roles": ["viewer"]}]'),
        ("grants", '[{"project": "a", "roles": ["viewer"]}]'),
        ("grants", '[{"uri": "x", "dns": "y", "project": "a", "roles": ["viewer"]}]'),
        ("grants", '[{"uri": "x", "projekt": "a", "roles": ["viewer"]}]'),
        ("limits", '[{"rate": 5}]'),
        ("limits", '[{"method": "/a/B", "rate": 0}]'),
        ("limits", "[3]"),
    ],
)
def test_bad_value_is_refused_by_its_key(key: str, bad: str) -> None:
    """No value is guessed at."""
    with pytest.raises(ConfigError) as caught:
        load_settings({f"TRIMTAB_{key.upper()}": bad})
    assert caught.value.violations[0].startswith(f"{key}:")


def test_grants_and_limits_read_the_same_from_toml_and_from_the_environment(tmp_path: Path) -> None:
    """A list of tables and its JSON mean the same."""
    file = tmp_path / "trimtab.toml"
    file.write_text(
        '[[grants]]\nclaim = "groups"\nvalue = "ml"\nproject = "vision"\nroles = ["scheduler"]\n'
        '[[limits]]\nmethod = "/a.B/C"\nrate = 5\n'
    )
    environment = {
        "TRIMTAB_GRANTS": '[{"claim": "groups", "value": "ml", "project": "vision", "roles": ["scheduler"]}]',
        "TRIMTAB_LIMITS": '[{"method": "/a.B/C", "rate": 5}]',
    }
    settings = load_settings({}, file=file)
    assert settings == load_settings(environment)
    assert settings.grants == (GrantRule("claim", "groups", "ml", Grant("vision", frozenset({Role.SCHEDULER}))),)
    assert settings.limits == (MethodLimit("/a.B/C", 5.0, 5, 512),)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        ("my-host", False),
        ("", False),
    ],
)
def test_only_addresses_that_cannot_leave_the_machine_are_loopback(host: str, loopback: bool) -> None:
    """A name is never resolved to find out."""
    assert Address(host, 1).loopback is loopback


@pytest.mark.parametrize(
    ("jwks", "accepted"),
    [
        ("https://issuer.example/jwks", True),
        ("http://127.0.0.1:8080/jwks", True),
        ("http://issuer.example/jwks", False),
        ("http://127.0.0.1.example/jwks", False),
        ("http://127.0.0.1@issuer.example/jwks", False),
        ("ftp://issuer.example/jwks", False),
        ("file:///etc/passwd", False),
    ],
)
def test_keys_never_travel_in_the_clear(jwks: str, accepted: bool) -> None:
    """Whoever can change the key set in transit is everyone."""
    environment = {
        "TRIMTAB_OIDC_ISSUER": "i",
        "TRIMTAB_OIDC_AUDIENCE": "a",
        "TRIMTAB_OIDC_JWKS": jwks,
        "TRIMTAB_OIDC_ROLES_CLAIM": "roles",
    }
    if accepted:
        assert load_settings(environment).oidc
    else:
        with pytest.raises(ConfigError, match="oidc_jwks"):
            load_settings(environment)


def test_every_setting_has_a_meaning_and_its_default_is_readable() -> None:
    """The documentation is made from them."""
    assert all(f.metadata["meaning"] and callable(f.metadata["parse"]) for f in setting_fields())
