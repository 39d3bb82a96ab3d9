# ruff: noqa: RUF009 - `_setting` is dataclasses.field with the metadata filled in; it makes no shared state
"""Frozen settings of one server, and the rules that they must satisfy together.

`settings_sources` reads them from flags, environment and a TOML file; `docs/settings.md` can be generated from
the field metadata. Everything here is checked before the first socket is opened, and all faults are told at once.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any

from trimtab_service import settings_values as values
from trimtab_service.recommendations.windows import ChangeWindow
from trimtab_service.settings_values import Address, GrantRule, MethodLimit

EXIT_BAD_CONFIG = 2
"""Exit code when the configuration is refused."""

EXIT_PORT_TAKEN = 3
"""Exit code when an address cannot be bound."""

EXIT_CANNOT_START = 4
"""Exit code when what the start needs (the database, a catalogue) does not answer or is refused."""


class ConfigError(Exception):
    """The settings cannot be served; `violations` holds one sentence per fault, each starting with the key."""

    def __init__(self, violations: list[str]) -> None:
        super().__init__("; ".join(violations))
        self.violations = tuple(violations)


def _setting(default: object, parse: Callable[[object], object], meaning: str) -> Any:  # noqa: ANN401 - dataclasses.field is typed as its default
    """One setting: its default, how a raw value of any source is read, and what it means."""
    return field(default=default, metadata={"parse": parse, "meaning": meaning})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of the server. Durations are `timedelta`; sizes are bytes; rates are calls per second."""

    listen: Address = _setting(
        Address("127.0.0.1", 8740), values.address, "gRPC address; port 0 picks a free one and logs it."
    )
    admin_listen: Address = _setting(
        Address("127.0.0.1", 9740), values.address, "HTTP address of /metrics, /healthz and /readyz."
    )
    data_dir: Path = _setting(Path(".data"), values.path, "Directory that the server may write to.")
    database_url: str = _setting(
        "", values.text, "SQLAlchemy URL of the store; empty means SQLite in the data directory."
    )
    catalog_dir: Path | None = _setting(
        None, values.optional_path, "Catalogue directory; empty means the packaged starter catalogue."
    )
    cloud_accounts: Path | None = _setting(
        None, values.optional_path, "TOML file of the cloud accounts that are read and changed; empty means none."
    )
    workers: int = _setting(1, values.integer(1, 256), "Serving processes that share the port.")
    threads: int = _setting(16, values.integer(1, 256), "Threads for unary calls in each process.")

    tls_cert: Path | None = _setting(None, values.optional_path, "PEM certificate chain; re-read on change.")
    tls_key: Path | None = _setting(None, values.optional_path, "PEM private key; re-read on change.")
    tls_client_ca: Path | None = _setting(
        None, values.optional_path, "PEM bundle that client certificates must chain to; switches mutual TLS on."
    )
    oidc_issuer: str = _setting("", values.text, "Issuer that bearer tokens must name; switches OIDC on.")
    oidc_audience: str = _setting("", values.text, "Audience that bearer tokens must name.")
    oidc_jwks: str = _setting("", values.text, "Key set of the issuer: a file, or an https URL.")
    oidc_algorithms: tuple[str, ...] = _setting(
        ("RS256", "ES256"), values.algorithms, "Signature algorithms accepted; asymmetric ones only."
    )
    oidc_leeway: timedelta = _setting(
        timedelta(seconds=30), values.duration(0, 300), "Clock skew tolerated on exp and nbf."
    )
    oidc_subject_claim: str = _setting("sub", values.text, "Claim that names the caller.")
    oidc_roles_claim: str = _setting(
        "", values.text, "Claim with entries `project:role` (`*:role` deployment-wide); empty means grants only."
    )
    grants: tuple[GrantRule, ...] = _setting(
        (), values.grant_rules, "Rules that give roles to claims or certificate names."
    )

    rate: float = _setting(20_000.0, values.number(0.1, 1e7), "Calls per second of one principal on one method.")
    burst: int = _setting(40_000, values.integer(1, 10_000_000), "Calls that may come at once above the rate.")
    concurrency: int = _setting(512, values.integer(1, 100_000), "Calls of one principal on one method in flight.")
    limits: tuple[MethodLimit, ...] = _setting((), values.method_limits, "Limits of single methods.")
    max_concurrent_calls: int = _setting(
        8192, values.integer(16, 1_000_000), "Calls in flight or queued in one process; the core refuses beyond."
    )
    stream_budget: int = _setting(16, values.integer(0, 1024), "Streams open at once in one process.")
    max_message_bytes: int = _setting(4 * 2**20, values.integer(1024, 64 * 2**20), "Largest message accepted.")
    batch_cap: int = _setting(256, values.integer(1, 10_000), "Most items in one batch request.")
    default_deadline: timedelta = _setting(
        timedelta(seconds=10), values.duration(0.01, 3600), "Deadline of a unary call that brings none."
    )
    upload_deadline: timedelta = _setting(
        timedelta(minutes=2), values.duration(0.01, 3600), "Deadline of a call that sends a stream and brings none."
    )
    sizing_points: int = _setting(
        20_000_000, values.integer(1, 1_000_000_000), "Most points of telemetry in one request, streamed ones too."
    )

    drain_interval: timedelta = _setting(
        timedelta(seconds=1), values.duration(0, 300), "Wait between NOT_SERVING and refusing new calls."
    )
    drain_grace: timedelta = _setting(
        timedelta(seconds=20), values.duration(0, 3600), "Time that calls in flight get to finish on shutdown."
    )
    max_connection_age: timedelta = _setting(
        timedelta(minutes=10), values.duration(1, 86_400), "Age at which connections are asked to reconnect elsewhere."
    )
    max_connection_grace: timedelta = _setting(
        timedelta(seconds=30), values.duration(1, 3600), "Time that calls get on a connection that reached its age."
    )

    decision_memo: int = _setting(
        4_096,
        values.integer(0, 1_000_000),
        "Decisions remembered for each project while nothing changes; 0 remembers none.",
    )
    decision_log_retention: timedelta = _setting(
        timedelta(days=90), values.duration(3600, 86_400 * 3650), "How long decisions are kept."
    )
    analysis_workers: int = _setting(
        1, values.integer(1, 256), "Processes for heavy sizing work, beside each serving process; started when needed."
    )
    analysis_lease: timedelta = _setting(
        timedelta(seconds=30),
        values.duration(1, 3600),
        "How long a fleet analysis waits for a process that went silent before another goes on with it.",
    )
    analysis_retention: timedelta = _setting(
        timedelta(days=90), values.duration(3600, 86_400 * 3650), "How long ended fleet analyses are kept."
    )
    profile_retention: timedelta = _setting(
        timedelta(days=35), values.duration(3600, 86_400 * 3650), "How long read series are kept without a new run."
    )
    reservation_ttl: timedelta = _setting(
        timedelta(minutes=15), values.duration(1, 86_400 * 7), "How long reserved room is held by default."
    )
    recommendation_lifetime: timedelta = _setting(
        timedelta(days=14), values.duration(60, 86_400 * 365), "How long a recommendation lasts that no run confirms."
    )
    recommendation_retention: timedelta = _setting(
        timedelta(days=400), values.duration(3600, 86_400 * 3650), "How long closed recommendations are kept."
    )
    failover_run_retention: timedelta = _setting(
        timedelta(days=1_826),
        values.duration(86_400, 86_400 * 3650),
        "How long ended failover runs are kept, each with its whole chain of events.",
    )
    failover_report_retention: timedelta = _setting(
        timedelta(days=7), values.duration(3600, 86_400 * 365), "How long the words of a silent observer are kept."
    )
    change_windows: tuple[ChangeWindow, ...] = _setting(
        (),
        values.change_windows,
        "When recommendations may be applied, as `mon-fri 20:00-06:00 Europe/Berlin`, several with `;`; empty: always.",
    )
    apply_timeout: timedelta = _setting(
        timedelta(minutes=20), values.duration(1, 86_400), "Longest that the clouds may take over one recommendation."
    )
    apply_lease: timedelta = _setting(
        timedelta(seconds=60),
        values.duration(1, 3600),
        "Silence after which another process takes over what one was applying.",
    )
    poll_interval: timedelta = _setting(
        timedelta(milliseconds=500), values.duration(0.05, 60), "How often other processes' changes are read."
    )
    reflection: bool = _setting(True, values.boolean, "Whether gRPC reflection is served.")  # noqa: FBT003 - a field default
    log_level: str = _setting("info", values.choice("debug", "info", "warning", "error"), "Lowest level logged.")
    slow_call: timedelta = _setting(
        timedelta(milliseconds=250), values.duration(0, 3600), "Calls slower than this are logged."
    )
    tracing: bool = _setting(False, values.boolean, "Whether OpenTelemetry spans are made (needs the SDK).")  # noqa: FBT003 - a field default
    trace_ratio: float = _setting(0.01, values.number(0, 1), "Share of calls traced when the caller does not decide.")

    def __post_init__(self) -> None:
        """Refuse settings that contradict one another.

        Raises:
            ConfigError: with every fault.

        """
        violations = [*_identity_violations(self), *_file_violations(self)]
        if violations:
            raise ConfigError(violations)

    @property
    def store_url(self) -> str:
        """The database URL, with the default resolved."""
        return self.database_url or f"sqlite:///{self.data_dir / 'trimtab.sqlite'}"

    @property
    def tls(self) -> bool:
        """Whether the gRPC port speaks TLS."""
        return self.tls_cert is not None

    @property
    def mutual_tls(self) -> bool:
        """Whether client certificates identify callers."""
        return self.tls_client_ca is not None

    @property
    def oidc(self) -> bool:
        """Whether bearer tokens identify callers."""
        return bool(self.oidc_issuer)

    @property
    def anonymous(self) -> bool:
        """Whether callers need no credential: only on loopback, without TLS and without an authenticator."""
        return not (self.tls or self.mutual_tls or self.oidc)


def _identity_violations(s: Settings) -> list[str]:
    found: list[str] = []
    if (s.tls_cert is None) != (s.tls_key is None):
        found.append("tls_cert, tls_key: set both or neither")
    if s.tls_client_ca is not None and s.tls_cert is None:
        found.append("tls_client_ca: client certificates need tls_cert and tls_key")
    oidc = {"oidc_issuer": s.oidc_issuer, "oidc_audience": s.oidc_audience, "oidc_jwks": s.oidc_jwks}
    missing = [key for key, value in oidc.items() if not value]
    if missing and len(missing) < len(oidc):
        found.append(f"{', '.join(missing)}: OIDC needs issuer, audience and key set together")
    if s.oidc_jwks and not _trusted_key_source(s.oidc_jwks):
        found.append("oidc_jwks: a file, or an https URL (http is accepted on loopback only)")
    authenticated = s.mutual_tls or s.oidc
    if not s.listen.loopback and not (s.tls and authenticated):
        found.append(
            f"listen: {s.listen} is not loopback, so it needs TLS (tls_cert, tls_key) and an authenticator "
            "(tls_client_ca or oidc_*); anonymous callers are served on loopback only"
        )
    if s.tls and not authenticated:
        found.append("tls_cert: TLS without an authenticator would serve anyone; set tls_client_ca or oidc_*")
    if authenticated and not s.grants and not s.oidc_roles_claim:
        found.append("grants: an authenticator without grants or oidc_roles_claim would refuse every caller")
    return found


def _file_violations(s: Settings) -> list[str]:
    """Files that are named must be there, so that a typing mistake fails at start and not at the first call."""
    named: dict[str, Path | None] = {"tls_cert": s.tls_cert, "tls_key": s.tls_key, "tls_client_ca": s.tls_client_ca}
    named["cloud_accounts"] = s.cloud_accounts
    if s.oidc_jwks and "://" not in s.oidc_jwks:
        named["oidc_jwks"] = Path(s.oidc_jwks)
    found = [f"{key}: no readable file {path}" for key, path in named.items() if path and not path.is_file()]
    if s.catalog_dir is not None and not s.catalog_dir.is_dir():
        found.append(f"catalog_dir: no directory {s.catalog_dir}")
    return found


def _trusted_key_source(source: str) -> bool:
    """Keys decide who is who: they may not travel in the clear."""
    if "://" not in source or source.startswith("https://"):
        return True
    host = source.removeprefix("http://").partition("/")[0].partition(":")[0]
    try:
        return source.startswith("http://") and ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def setting_fields() -> tuple[Field[Any], ...]:
    """All settings in order, for the sources, the command line and the documentation."""
    return fields(Settings)
