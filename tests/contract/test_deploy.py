"""The deploy files are valid by their own schemas and agree with the code and with one another."""

import ast
import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from trimtab_service.config import setting_fields
from trimtab_service.settings_sources import ENV_PREFIX, load_settings

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sysconfig.get_path("scripts"))
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
IMAGE_USER = 65532
"""`USER` of the Dockerfile."""
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
"""What prometheus-client appends to the name of a metric of each kind."""


def run(*command: str | Path) -> None:
    """Run a checker of the venv and show what it says when it refuses."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def load(path: Path) -> Any:  # noqa: ANN401 - YAML is what it is
    """The single document of a YAML file."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def env_file(path: Path) -> dict[str, str]:
    """The assignments of a kustomize env file."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def deployment() -> Any:  # noqa: ANN401 - YAML is what it is
    """The pod template of the Deployment."""
    return load(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]["spec"]


def test_hadolint_accepts_the_dockerfile() -> None:
    """No finding of any severity."""
    run(BIN / "hadolint", "--failure-threshold", "style", "Dockerfile")


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_accepts_the_manifest(path: Path) -> None:
    """Each manifest fits the schema of its kind, with no unknown key."""
    run(BIN / "kubernetes-validate", "--strict", path)


def test_compose_accepts_the_file() -> None:
    """The compose file fits the compose specification's schema."""
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")


def test_kustomization_lists_exactly_the_manifests() -> None:
    """A manifest that is not listed would silently not be applied."""
    kustomization = load(DEPLOY / "kubernetes" / "kustomization.yaml")
    assert sorted(kustomization["resources"]) == [path.name for path in MANIFESTS]
    for generator in kustomization["configMapGenerator"]:
        assert all((DEPLOY / "kubernetes" / name).is_file() for name in generator["envs"])


def test_manifests_name_what_exists() -> None:
    """Config map, service account, volumes, ports and selectors of the manifests refer to one another's names."""
    kustomization = load(DEPLOY / "kubernetes" / "kustomization.yaml")
    pod = deployment()
    (container,) = pod["containers"]
    assert {source["configMapRef"]["name"] for source in container["envFrom"]} == {
        generator["name"] for generator in kustomization["configMapGenerator"]
    }
    assert pod["serviceAccountName"] == load(DEPLOY / "kubernetes" / "serviceaccount.yaml")["metadata"]["name"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    ports = {port["name"] for port in container["ports"]}
    assert {port["targetPort"] for port in load(DEPLOY / "kubernetes" / "service.yaml")["spec"]["ports"]} == ports
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports
    labels = load(DEPLOY / "kubernetes" / "deployment.yaml")["spec"]["template"]["metadata"]["labels"]
    for name, key in (("poddisruptionbudget", "selector"), ("networkpolicy", "podSelector")):
        selector = load(DEPLOY / "kubernetes" / f"{name}.yaml")["spec"][key]["matchLabels"]
        assert selector.items() <= labels.items()


def test_pods_run_without_privileges_or_a_writable_root() -> None:
    """Non-root numeric user of the image, no capabilities, read-only root, writes to mounted volumes only."""
    pod = deployment()
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == IMAGE_USER
    assert f"USER {IMAGE_USER}:{IMAGE_USER}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_pods_outlive_their_drain() -> None:
    """Kubernetes must not kill a server that is still letting its callers finish."""
    settings = {field.name: field for field in setting_fields()}
    given = env_file(DEPLOY / "kubernetes" / "settings.env")
    drain = sum(
        settings[name].metadata["parse"](given[f"{ENV_PREFIX}{name.upper()}"]).total_seconds()
        for name in ("drain_interval", "drain_grace")
    )
    assert deployment()["terminationGracePeriodSeconds"] > drain


def deployed_settings() -> Iterator[tuple[str, str, str]]:
    """Where, variable and value of every setting that a deploy file gives to the server."""
    for key, value in env_file(DEPLOY / "kubernetes" / "settings.env").items():
        yield "settings.env", key, value
    for name, service in load(DEPLOY / "compose.yaml")["services"].items():
        if name == "trimtab":
            yield from (("compose.yaml", key, str(value)) for key, value in service["environment"].items())
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    yield from (("Dockerfile", key, value) for key, value in re.findall(r"(TRIMTAB_[A-Z_]+)=(\S+)", dockerfile))
    (container,) = deployment()["containers"]
    yield from (("deployment.yaml", entry["name"], "postgresql+psycopg://host/db") for entry in container["env"])


@pytest.mark.parametrize(("where", "variable", "value"), list(deployed_settings()))
def test_every_deployed_setting_is_one_the_server_reads(where: str, variable: str, value: str) -> None:
    """An unknown or malformed setting would keep the server from starting."""
    parsers = {f"{ENV_PREFIX}{field.name.upper()}": field.metadata["parse"] for field in setting_fields()}
    assert variable in parsers, where
    parsers[variable](value)


def cli_variables() -> set[str]:
    """Every environment variable that the CLI reads, taken from its code."""
    sources = (ROOT / "clients" / "python" / "trimtab" / "cli").glob("*.py")
    return {name for path in sources for name in re.findall(r'envvar="(TRIMTAB_[A-Z_]+)"', path.read_text("utf-8"))}


def test_the_composed_client_sets_what_the_cli_reads() -> None:
    """The `cli` service of the compose file is configured by variables that exist."""
    assert load(DEPLOY / "compose.yaml")["services"]["cli"]["environment"].keys() <= cli_variables()


def test_the_server_starts_in_a_shell_that_is_set_up_for_the_client() -> None:
    """The server refuses unknown TRIMTAB_ variables, but the CLI's are not its own to refuse."""
    variables = cli_variables()
    assert variables
    assert load_settings(dict.fromkeys(variables, "x")) == load_settings({})


def test_system_packages_are_installed_by_one_list() -> None:
    """The list is not empty and holds plain package names."""
    lines = (DEPLOY / "system-packages.txt").read_text(encoding="utf-8").splitlines()
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    assert names
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in names)


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    groups = load(DEPLOY / "prometheus" / "trimtab.rules.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    """Every query of the dashboard, with Grafana's interval variable filled in."""
    dashboard = json.loads((DEPLOY / "grafana" / "trimtab.json").read_text(encoding="utf-8"))
    return [
        target["expr"].replace("$__rate_interval", "1m") for panel in dashboard["panels"] for target in panel["targets"]
    ]


def registered_series() -> dict[str, set[str]]:
    """Name and labels of every series that the service's code registers, read from the code itself."""
    found: dict[str, set[str]] = {}
    calls = (
        node
        for path in (ROOT / "service").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    )
    for call in calls:
        match call:
            case ast.Call(func=ast.Name(id=kind), args=[ast.Constant(value=str(name)), *rest]) if "trimtab_" in name:
                listed = [ast.literal_eval(part) for part in rest if isinstance(part, ast.List | ast.Tuple)]
                labels = {label for labels in listed for label in labels}
                for suffix in SUFFIXES.get(kind.lower(), ()):
                    found[name + suffix] = {*labels, "le"} if suffix == "_bucket" else labels
    return found


SERIES = registered_series()
QUERIES = sorted({*(rule["expr"] for rule in rules()), *dashboard_queries()})


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_alerts_say_how_bad_and_what(rule: dict[str, Any]) -> None:
    """Each alert has a severity that somebody routes on, a summary and a description, and no key Prometheus refuses."""
    assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "description"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


@pytest.mark.parametrize("query", QUERIES)
def test_queries_ask_for_series_that_the_server_has(query: str) -> None:
    """Every alert and graph parses, and names metrics that are registered and labels that they carry."""
    asked = selectors(promql_parser.parse(query))
    assert asked
    for name, labels in asked:
        if name == "up":  # Prometheus' own
            continue
        assert name in SERIES, f"no metric {name}"
        assert labels <= SERIES[name], f"{name} has no label {labels - SERIES[name]}"


def selectors(expression: promql_parser.Expr) -> list[tuple[str, set[str]]]:
    """Metric name and matched labels of every selector in a query."""
    found: list[tuple[str, set[str]]] = []

    def visit(node: promql_parser.Expr) -> bool:
        match node:
            case promql_parser.MatrixSelector():
                found.append(named(node.vector_selector))
            case promql_parser.VectorSelector():
                found.append(named(node))
        return True

    promql_parser.walk(expression, visit)
    return found


def named(selector: promql_parser.VectorSelector) -> tuple[str, set[str]]:
    """Metric name and matched labels of one selector."""
    return str(selector.name), {matcher.name for matcher in selector.matchers.matchers}


def test_no_deploy_file_is_executable_by_accident() -> None:
    """Only `.ci/run` is a program that is started by its path."""
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert not [path for path in DEPLOY.rglob("*") if path.is_file() and os.access(path, os.X_OK)]
