"""PromQL that is put together from names of others."""

import re
from datetime import UTC, datetime, timedelta

import promql_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab_service.clouds.prometheus.client import MOST_POINTS, chunks
from trimtab_service.clouds.prometheus.promql import any_of, literal, quoted, selector
from trimtab_service.clouds.prometheus.queries import container_queries, node_queries
from trimtab_service.clouds.prometheus.workloads import POD_SUFFIXES, ContainerRef
from trimtab_service.rightsizing.ports import Window

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40))
def test_no_name_breaks_out_of_its_quotes(name: str) -> None:
    """Whatever a label holds, the query has one matcher with that very value."""
    tree = promql_parser.parse(selector("up", job=name, instance__re=any_of([name])))
    assert isinstance(tree, promql_parser.VectorSelector)
    values = {one.name: one.value for one in tree.matchers.matchers}
    assert values["job"] == name
    assert re.fullmatch(values["instance"], name)


def test_a_regular_expression_of_names_matches_those_names_only() -> None:
    """A dot in a name is a dot."""
    pattern = any_of(["web.v1", "a|b", "x+"])
    assert [bool(re.fullmatch(pattern, name)) for name in ("web.v1", "a|b", "x+")] == [True] * 3
    assert [bool(re.fullmatch(pattern, name)) for name in ("webxv1", "a", "xx")] == [False] * 3
    assert literal("n-1_a") == "n-1_a"
    assert quoted('a"b\\c\n') == '"a\\"b\\\\c\\n"'


@pytest.mark.parametrize("kind", sorted(POD_SUFFIXES))
@pytest.mark.parametrize("with_gpus", [False, True])
def test_every_query_of_containers_is_promql(kind: str, *, with_gpus: bool) -> None:
    """Parsed by Prometheus' own grammar, whatever the names."""
    references = [ContainerRef("team-a", kind, name, f"c-{name}") for name in ("web", "we.b", "api-2")]
    for query in container_queries(references, 300, with_gpus=with_gpus):
        promql_parser.parse(query.text)
        assert "quantile" not in query.text


def test_every_query_of_nodes_is_promql() -> None:
    """The same."""
    for query in node_queries(["ip-10-0-0-1.ec2.internal", "node+x"], 60):
        promql_parser.parse(query.text)


@pytest.mark.parametrize(
    ("kind", "pod", "workload"),
    [
        ("Deployment", "web-api-7c5ddbdf54-x2x5q", "web-api"),
        ("Deployment", "web-7c5ddbdf54-x2x5q", "web"),
        ("StatefulSet", "db-1-0", "db-1"),
        ("StatefulSet", "db-1", "db"),
        ("DaemonSet", "agent-x2x5q", "agent"),
        ("CronJob", "nightly-28001234-x2x5q", "nightly"),
    ],
)
def test_a_pod_is_its_own_workloads_and_no_other_s(kind: str, pod: str, workload: str) -> None:
    """Also where one name begins with another."""
    names = ["web", "web-api", "db", "db-1", "agent", "agent-x", "nightly"]
    match = re.fullmatch(f"({any_of(names)})-{POD_SUFFIXES[kind]}", pod)
    assert match is not None
    assert match[1] == workload


@settings(deadline=None)  # the oracle walks over every step
@given(st.integers(1, 40 * 86_400), st.sampled_from([60, 300, 3_600]), st.integers(0, 299))
def test_a_long_window_is_asked_for_in_parts_that_meet(span_s: int, step_s: int, offset_s: int) -> None:
    """No part is above the limit, and every whole step within the window is evaluated once, at its end."""
    start = NOW - timedelta(seconds=span_s + offset_s)
    window = Window(start, NOW - timedelta(seconds=offset_s))
    parts = chunks(window, step_s)
    stamps = [stamp for first, last in parts for stamp in range(first, last + 1, step_s)]
    assert all((last - first) // step_s < MOST_POINTS for first, last in parts)
    begin, end = int(window.start.timestamp()), int(window.end.timestamp())
    assert stamps == [at for at in range(end // step_s * step_s, begin, -step_s) if at - step_s >= begin][::-1]
