"""Collects every violation of a request, so that a caller learns all of them at once."""

from collections.abc import Iterator
from contextlib import contextmanager

from trimtab_service.domain.errors import InvalidArgumentError, Violation
from trimtab_service.domain.reasons import ErrorReason

_MAX_KEPT = 1_000

FieldPath = str | tuple["FieldPath", str]
"""Where a field is: text, or (path of the parent, own name or `[index]`). It becomes text only when at fault, because
most requests are right and joining names is what parsing would otherwise spend a third of its time on."""


def path_text(path: FieldPath) -> str:
    """The path as a caller reads it: `size.gpus[0].model`."""
    if isinstance(path, str):
        return path
    parent, own = path_text(path[0]), path[1]
    return f"{parent}.{own}" if parent and not own.startswith("[") else f"{parent}{own}"


class Violations:
    """Grows while a message is parsed; `check` ends the parse."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Violation] = []

    def add(self, field: FieldPath, reason: ErrorReason, description: str) -> None:
        """Note one field at fault. After a thousand, more of the same says nothing new and is dropped."""
        if len(self.found) < _MAX_KEPT:
            self.found.append(Violation(path_text(field), reason, description))

    def extend(self, others: "Violations") -> None:
        """Take over what was found elsewhere."""
        self.found.extend(others.found[: _MAX_KEPT - len(self.found)])

    @contextmanager
    def gather(self) -> Iterator[None]:
        """Take over what is found at fault within, so that it is told together with the rest."""
        try:
            yield
        except InvalidArgumentError as error:
            for violation in error.violations:
                self.add(violation.field, violation.reason, violation.description)

    def __bool__(self) -> bool:
        """Whether anything is at fault so far."""
        return bool(self.found)

    def check(self) -> None:
        """End the parse.

        Raises:
            InvalidArgumentError: when any field is at fault.

        """
        if self.found:
            raise InvalidArgumentError(self.found)
