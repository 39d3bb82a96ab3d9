"""Messages in files: JSON or YAML in the names of the contract. An unknown field is an error, not ignored."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO, TypeVar

import typer
import yaml
from google.protobuf import descriptor_pool
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import Message

STDIN = Path("-")
_NO_VALUE = re.compile(r"Invalid enum value \S+ for enum type ([\w.]+\w)")
_Message = TypeVar("_Message", bound=Message)


def read_message(path: Path, kind: type[_Message], flag: str) -> _Message:
    """The message in a file (`-`: the standard input). YAML is read as the superset of JSON that it is.

    Raises:
        typer.BadParameter: naming the flag, the place in the file, and what is wrong.

    """
    return _message(_document(path, flag), kind, flag, str(path))


def read_messages(path: Path, kind: type[_Message], field: str, flag: str) -> list[_Message]:
    """Several messages: a list, an object with the list under `field`, or JSON lines."""
    document = _documents(path, flag)
    if len(document) == 1:
        only = document[0]
        found = only.get(field, only) if isinstance(only, dict) else only
        document = found if isinstance(found, list) else [found]
    return [_message(entry, kind, flag, f"{path}, entry {number}") for number, entry in enumerate(document, 1)]


def read_lines(path: Path, kind: type[_Message], flag: str) -> Iterator[_Message]:
    """One JSON message a line, read as it comes; empty lines are skipped."""
    with _opened(path, flag) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                where = f"{path}, line {number}"
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError as error:
                    raise typer.BadParameter(f"{where}: no JSON: {error}", param_hint=flag) from None
                yield _message(entry, kind, flag, where)


def _opened(path: Path, flag: str) -> TextIO:
    if path == STDIN:
        return sys.stdin
    try:
        return path.open(encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint=flag) from None


def _document(path: Path, flag: str) -> object:
    found = _documents(path, flag)
    if len(found) != 1:
        raise typer.BadParameter(f"{path}: expected one document, found {len(found)}", param_hint=flag)
    return found[0]


def _documents(path: Path, flag: str) -> list[object]:
    with _opened(path, flag) as stream:
        try:
            text = stream.read()
        except UnicodeDecodeError:
            raise typer.BadParameter(f"{path}: no UTF-8 text", param_hint=flag) from None
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(line.lstrip().startswith("{") and line.rstrip().endswith("}") for line in lines):
        text = "\n---\n".join(lines)
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise typer.BadParameter(f"{path}: neither JSON nor YAML: {error}", param_hint=flag) from None


def _message(entry: object, kind: type[_Message], flag: str, where: str) -> _Message:
    message = kind()
    if not isinstance(entry, dict):
        raise typer.BadParameter(f"{where}: expected an object of fields of {kind.DESCRIPTOR.name}", param_hint=flag)
    try:
        ParseDict(_plain(entry), message)
    except ParseError as error:
        raise typer.BadParameter(f"{where}: {error}{_values(str(error))}", param_hint=flag) from None
    return message


def _values(fault: str) -> str:
    """The values that there are, where an enum has no such one: protobuf names only its type."""
    told = _NO_VALUE.search(fault)
    if told is None:
        return ""
    known = descriptor_pool.Default().FindEnumTypeByName(told[1]).values
    return f" Known: {', '.join(value.name for value in known if value.number)}."


def _plain(value: object) -> Any:  # noqa: ANN401 - a JSON value
    """YAML reads instants and days by itself; the contract's JSON has them as text."""
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    isoformat = getattr(value, "isoformat", None)
    text = str(isoformat()) if callable(isoformat) else str(value)
    return text if "T" not in text or "+" in text or text.endswith("Z") else f"{text}Z"
