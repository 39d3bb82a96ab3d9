"""CEL conditions: compiled once, type checked, bounded, evaluated in microseconds.

A condition is compiled against the declared attributes of a request, so a misspelt attribute or a comparison of a
string with a number is refused when the policy is written, with its position, and not found out by a decision.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, cast

from cel_expr_python import cel

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.policy.attributes import ATTRIBUTES

MAX_LENGTH: Final = 4_096
"""Characters of a condition."""

MAX_LOOPS: Final = 4
"""Comprehensions (`all`, `exists`, `exists_one`, `map`, `filter`) of a condition.

The library stops an evaluation after 10,000 iterations and refuses nesting deeper than 32, so a condition takes
1.5 ms at the very most; `matches` is RE2, which is linear.
"""

FIELD: Final = "policy.condition"

_PREFIX: Final = "request."
_ENVIRONMENT: Final = cel.NewEnv(variables={_PREFIX + name: kind for name, kind in ATTRIBUTES.items()})
_FIRST_ERROR: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (.+)")
_NO_POSITION: Final = re.compile(r"\A[A-Z_]+: (?P<why>.+?)(?: \[[A-Z_]+\])?\Z", re.DOTALL)
_LITERAL: Final = re.compile(r"""[rR]?("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')""")
_LOOP: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_UNDECLARED: Final = re.compile(r"undeclared reference to '(?:request\.)?(\w+)'")
_WORD: Final = re.compile(r"\w+")
_KEPT: Final = 4_096


Outcome = bool | None
"""What a condition says of a request. None: it could not be evaluated (a missing tag, a division by zero)."""


class Condition:
    """One compiled condition; `expression` None: it no longer compiles. `reads`: what it may look at."""

    __slots__ = ("expression", "reads", "source")

    def __init__(self, source: str, expression: cel.Expression | None) -> None:
        self.source = source
        self.expression = expression
        self.reads = frozenset(_WORD.findall(source)) & ATTRIBUTES.keys()


class Questionnaire:
    """Several conditions asked about one request: its attributes are converted once, and only those that are read.

    All are evaluated in one crossing into the library, which is what an evaluation mostly costs; when one of them
    cannot be evaluated they are asked one by one.
    """

    __slots__ = ("_conditions", "_reads", "_together")

    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = tuple(conditions)
        self._reads = [(_PREFIX + name, name) for name in sorted(frozenset().union(*(c.reads for c in conditions)))]
        self._together = _together(self._conditions)

    def ask(self, attributes: Mapping[str, object]) -> tuple[Outcome, ...]:
        """What each says. Never raises for what a request holds."""
        asked = _ENVIRONMENT.Activation({full: attributes[name] for full, name in self._reads})
        if self._together is not None:
            try:
                said = self._together.eval(asked).plain_value()
            except RuntimeError:  # the library's only error: the iteration budget, which is for all together here
                said = None
            if type(said) is list:
                return cast("tuple[bool, ...]", tuple(said))
        return tuple([_evaluate(condition.expression, asked) for condition in self._conditions])


def _together(conditions: Sequence[Condition]) -> cel.Expression | None:
    """One expression of all, or None where there is none (one alone, one that does not compile, too deep)."""
    if len(conditions) <= 1 or any(condition.expression is None for condition in conditions):
        return None
    parts = ", ".join(f"({condition.source}\n)" for condition in conditions)  # a line comment may end a source
    try:
        return _ENVIRONMENT.compile(f"[{parts}]")
    except RuntimeError:
        return None


def _evaluate(expression: cel.Expression | None, asked: cel.Activation) -> Outcome:
    if expression is None:
        return None
    try:
        said = expression.eval(asked).value()
    except RuntimeError:  # the iteration budget
        return None
    return said if isinstance(said, bool) else None


@lru_cache(maxsize=_KEPT)
def compile_condition(source: str) -> Condition:
    """A condition that compiles and is of type bool.

    Raises:
        InvalidArgumentError: (POLICY_INVALID on `policy.condition`) naming line and column.

    """
    if len(source) > MAX_LENGTH:
        raise _refused(1, MAX_LENGTH + 1, f"longer than {MAX_LENGTH:,} characters")
    bare = _LITERAL.sub(lambda literal: "s" * len(literal[0]), source)
    loops = list(_LOOP.finditer(bare))
    if len(loops) > MAX_LOOPS:
        line, column = _position(source, loops[MAX_LOOPS].start())
        raise _refused(line, column, f"more than {MAX_LOOPS} comprehensions (all, exists, exists_one, map, filter)")
    try:
        expression = _ENVIRONMENT.compile(source)
    except RuntimeError as error:
        raise _explained(str(error)) from None
    kind = expression.return_type()
    if kind != cel.Type.BOOL:
        raise _refused(1, 1, f"is of type {kind.name().lower()}, must be bool")
    return Condition(source, expression)


@lru_cache(maxsize=_KEPT)
def recompile(source: str) -> Condition:
    """A condition that was accepted before. If this version refuses it, it says None of every request."""
    try:
        return compile_condition(source)
    except InvalidArgumentError:
        return Condition(source, None)


def _explained(text: str) -> InvalidArgumentError:
    """The first error of the compiler, with what helps to mend it."""
    first = _FIRST_ERROR.search(text)
    if first is None:
        plain = _NO_POSITION.match(text)
        return _refused(1, 1, (plain["why"] if plain else text)[:200])
    line, column, why = int(first[1]), int(first[2]), first[3].removesuffix(" [INVALID_ARGUMENT]")
    undeclared = _UNDECLARED.search(why)
    if undeclared is not None:
        near = difflib.get_close_matches(undeclared[1], ATTRIBUTES, n=1) or difflib.get_close_matches(
            undeclared[1].casefold(), ATTRIBUTES, n=1
        )
        known = f"request.{near[0]}" if near else ", ".join(_PREFIX + name for name in ATTRIBUTES)
        bare = why.removesuffix(" (in container '')")
        why = f"{bare}; {'did you mean' if near else 'known are'} {known}"
    elif "overload" in why and "double" in why and "int" in why:
        why += "; vcpus, memory_gib and hours are doubles: write 4.0 instead of 4"
    return _refused(line, column, why[:400])


def _position(source: str, offset: int) -> tuple[int, int]:
    """Line and column, both from 1."""
    before = source[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def _refused(line: int, column: int, why: str) -> InvalidArgumentError:
    return InvalidArgumentError([Violation(FIELD, ErrorReason.POLICY_INVALID, f"{line}:{column}: {why}")])
