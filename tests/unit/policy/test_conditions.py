"""Conditions: refused with position when they are written, never a fault when they are asked."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.offers import PurchaseOption
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.domain.workloads import GpuNeed, PlaceQuery, Size, Workload
from trimtab_service.policy.attributes import ATTRIBUTES, attributes_of
from trimtab_service.policy.conditions import MAX_LENGTH, MAX_LOOPS, Questionnaire, compile_condition, recompile

QUERY = PlaceQuery(
    "vision",
    Workload(
        Size(vcpus=8, memory_gib=32, gpus=(GpuNeed(("H100-80GB", "A100-80GB"), 4), GpuNeed(("L4",), 8))),
        hours=100,
        workload_id="train",
        tags=(("env", "prod"), ("team", "ml")),
        count=2,
        options=(PurchaseOption.ON_DEMAND, PurchaseOption.SPOT),
    ),
)


def ask(*sources: str) -> tuple[bool | None, ...]:
    """What conditions say of `QUERY`."""
    return Questionnaire([compile_condition(source) for source in sources]).ask(attributes_of(QUERY))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('request.workload_id == "train" && request.project == "vision"', True),
        ('request.tags["env"] == "prod"', True),
        ('request.tags.env == "dev"', False),
        ('"cost-centre" in request.tags', False),
        ("request.vcpus > 4.0 && request.memory_gib <= 32.0", True),
        ("request.gpu_count == 8 && request.count == 2", True),
        ('request.gpu_models.exists(model, model.startsWith("H100"))', True),
        ('request.gpu_models.all(model, model.startsWith("H100"))', False),
        ("request.hours > 24.0 * 7.0", False),
        ('"spot" in request.purchase_options', True),
        ("request.is_service", False),
        ("true // a comment at the end", True),
        ('request.tags["cost-centre"] == "1"', None),
        ("1 / (request.count - 2) > 0", None),
        ('request.tags["cost-centre"] == "1" || request.count == 2', True),
    ],
)
def test_a_condition_says_what_cel_says_of_the_request(source: str, said: bool | None) -> None:
    """Alone and among others; what cannot be evaluated is neither true nor false."""
    assert ask(source) == (said,)
    assert ask("true", source, "false") == (True, said, False)


@pytest.mark.parametrize(
    ("source", "position", "words"),
    [
        ("request.vcpuss > 1.0", "1:8:", "did you mean request.vcpus"),
        ("true &&\n  request.owner == 'me'", "2:10:", "known are request.workload_id"),
        ("vcpus > 1.0", "1:1:", "did you mean request.vcpus"),
        ("request.vcpus >", "1:16:", "Syntax error"),
        ('request.tags["a"] > 1', "1:19:", "no matching overload"),
        ("request.vcpus >= 4", "1:15:", "write 4.0 instead of 4"),
        ("request.vcpus", "1:1:", "of type double, must be bool"),
        ("request", "1:1:", "undeclared reference"),
        ("   ", "1:4:", "Syntax error"),
        ("true\x00", "1:5:", "Syntax error"),
        ("(" * 300 + "true" + ")" * 300, "1:1:", "recursion"),
        ("true" + " " * MAX_LENGTH, f"1:{MAX_LENGTH + 1}:", "longer than 4,096 characters"),
        (" &&\n".join(["[1].all(a, true)"] * (MAX_LOOPS + 1)), f"{MAX_LOOPS + 1}:4:", "comprehensions"),
    ],
)
def test_a_condition_that_is_not_right_is_refused_with_its_position(source: str, position: str, words: str) -> None:
    """The violation names the field, line and column, and says what would mend it."""
    with pytest.raises(InvalidArgumentError) as refused:
        compile_condition(source)
    (violation,) = refused.value.violations
    assert violation.field == "policy.condition"
    assert violation.reason is ErrorReason.POLICY_INVALID
    assert violation.description.startswith(position)
    assert words in violation.description


def test_a_comprehension_inside_a_text_is_text() -> None:
    """Only real comprehensions count towards the bound."""
    text = '"' + ".all(" * 20 + '"'
    assert ask(f"{text} != request.workload_id") == (True,)


def test_an_evaluation_is_cut_off_and_spoils_no_other() -> None:
    """Iterations are bounded; the condition that uses them up is in doubt, the ones beside it are not."""
    many = "[" + ",".join(["1"] * 200) + "]"
    assert ask("true", f"{many}.all(a, {many}.all(b, a == b))", "false") == (True, None, False)


def test_a_condition_that_no_longer_compiles_is_in_doubt() -> None:
    """What an older version accepted must not stop a newer one from starting."""
    broken = recompile("request.gone_attribute == 1")
    assert Questionnaire([broken]).ask(attributes_of(QUERY)) == (None,)
    assert Questionnaire([compile_condition("true"), broken]).ask(attributes_of(QUERY)) == (True, None)


def test_every_attribute_is_declared_and_given() -> None:
    """The environment and the request agree on every name, and each value is of the declared type."""
    attributes = attributes_of(QUERY)
    assert attributes.keys() == ATTRIBUTES.keys()
    assert ask(*(f"request.{name} == request.{name}" for name in ATTRIBUTES)) == (True,) * len(ATTRIBUTES)


def test_only_attributes_that_are_read_are_converted() -> None:
    """A request need not have what no condition looks at."""
    questions = Questionnaire([compile_condition("request.count > 1")])
    assert questions.ask({"count": 2}) == (True,)


def test_conditions_may_be_asked_from_many_threads() -> None:
    """Compiled expressions are shared by all calls of a process."""
    questions = Questionnaire([compile_condition("request.count == 7"), compile_condition("request.vcpus > 1.0")])
    given = [{"count": count, "vcpus": float(count)} for count in range(16)] * 50
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(questions.ask, given))
    assert said == [(one["count"] == 7, one["count"] > 1) for one in given]


def test_an_unchanged_condition_is_compiled_once() -> None:
    """The same text is the same compiled condition."""
    assert recompile("request.count == 3") is recompile("request.count == 3")
