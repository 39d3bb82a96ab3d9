"""Groups of flags: a dataclass whose fields are options, declared once and taken by many commands.

typer reads a command's signature. `command` gives it one in which every parameter that is annotated with a group is
replaced by the group's fields, and puts them together again before the function runs.
"""

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

import typer


def command(app: typer.Typer, name: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorator: add a function to `app`, with groups among its parameters. Its docstring is the help text."""

    def add(function: Callable[..., None]) -> Callable[..., None]:
        app.command(name)(expanded(function))
        return function

    return add


def expanded(function: Callable[..., None]) -> Callable[..., None]:
    """The function with the fields of its groups as parameters of their own."""
    hints = typing.get_type_hints(function, include_extras=True)
    groups: dict[str, type[Any]] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        hint = hints[name]
        if not dataclasses.is_dataclass(hint):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint))
            continue
        groups[name] = typing.cast("type[Any]", hint)
        parameters.extend(_options_of(groups[name]))

    @functools.wraps(function)
    def run(**given: Any) -> None:  # noqa: ANN401 - what typer parsed
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
        function(**given)

    vars(run)["__signature__"] = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _options_of(group: type[Any]) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=_default(field), annotation=hints[field.name]
        )
        for field in dataclasses.fields(group)
    ]


def _default(field: dataclasses.Field[Any]) -> Any:  # noqa: ANN401 - as dataclasses types it
    """A list's default is made anew each time by typer, which wants to see an empty one."""
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
