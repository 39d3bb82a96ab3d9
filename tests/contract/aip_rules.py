"""The rules of the contract beyond what buf lints, each a function from descriptors to the offenders it found.

They follow the AIPs (google.aip.dev) by number where one is named. An offender is told as the full name of the
message, field or method.
"""

import keyword
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.api import annotations_pb2 as _annotations_pb2  # noqa: F401 - registers its extensions
from google.api import field_behavior_pb2, resource_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

F = FieldDescriptorProto
# The types published for google.api do not say that these are extensions, nor of what.
RESOURCE: Any = resource_pb2.resource
REFERENCE: Any = resource_pb2.resource_reference
BEHAVIOUR: Any = field_behavior_pb2.field_behavior
EXCLUSIVE = (
    field_behavior_pb2.REQUIRED,
    field_behavior_pb2.OPTIONAL,
    field_behavior_pb2.OUTPUT_ONLY,
    field_behavior_pb2.IDENTIFIER,
)
# Explain and DryRun change nothing; the items of a Batch carry a request_id each.
READ_ONLY = (
    "Get",
    "List",
    "Explain",
    "DryRun",
    "Batch",
    "Watch",
    "Stream",
    "Summarize",
    "Evaluate",
    "Backtest",
    "Plan",
    "Fetch",
    "Export",
    "Advise",
    "Check",
    "Compare",
)
PREPOSITIONS = {"By", "For", "From", "In", "Of", "On", "To", "With"}


@dataclass(frozen=True)
class Contract:
    """The descriptors of our own files, with source info, and the names in them resolved."""

    files: Sequence[FileDescriptorProto]
    package: str = "trimtab.v1"

    @classmethod
    def parse(cls, descriptor_set: bytes) -> "Contract":
        """Read a serialised FileDescriptorSet that holds our files only."""
        return cls(tuple(FileDescriptorSet.FromString(descriptor_set).file))

    @cached_property
    def messages(self) -> dict[str, DescriptorProto]:
        """Every message by its full name with a leading dot, nested ones too; map entries are left out."""
        return {f".{self.package}.{name}": message for name, message in self._walk_messages()}

    def _walk_messages(self) -> Iterator[tuple[str, DescriptorProto]]:
        pending = [(message.name, message) for file in self.files for message in file.message_type]
        while pending:
            name, message = pending.pop(0)
            if not message.options.map_entry:
                yield name, message
                pending += [(f"{name}.{nested.name}", nested) for nested in message.nested_type]

    @cached_property
    def enums(self) -> list[EnumDescriptorProto]:
        """Every enum, nested ones too."""
        top = [enum for file in self.files for enum in file.enum_type]
        return top + [enum for message in self.messages.values() for enum in message.enum_type]

    @cached_property
    def methods(self) -> list[MethodDescriptorProto]:
        """Every RPC of every service."""
        return [method for file in self.files for service in file.service for method in service.method]

    @cached_property
    def resources(self) -> dict[str, resource_pb2.ResourceDescriptor]:
        """Full message name to its resource annotation."""
        return {
            name: message.options.Extensions[RESOURCE]
            for name, message in self.messages.items()
            if message.options.HasExtension(RESOURCE)
        }

    @cached_property
    def reachable_from_requests(self) -> set[str]:
        """Full names of every message of ours that a caller may send."""
        pending = [method.input_type for method in self.methods]
        seen: set[str] = set()
        while pending:
            name = pending.pop()
            if name in seen or name not in self.messages:
                continue
            seen.add(name)
            entries = {nested.name: nested for nested in self.messages[name].nested_type if nested.options.map_entry}
            for each in self.messages[name].field:
                entry = entries.get(each.type_name.rpartition(".")[2])
                pending += [value.type_name for value in entry.field] if entry else [each.type_name]
        return seen

    def request(self, method: MethodDescriptorProto) -> dict[str, FieldDescriptorProto]:
        """The fields of a method's request by name."""
        return {each.name: each for each in self.messages[method.input_type].field}

    def verbs(self, *verbs: str) -> Iterator[tuple[MethodDescriptorProto, str]]:
        """The methods that start with one of the verbs as a word, and the noun after it."""
        for method in self.methods:
            for verb in verbs:
                if re.match(rf"{verb}[A-Z]", method.name):
                    yield method, method.name.removeprefix(verb)


Rule = Callable[[Contract], list[str]]


def everything_has_a_comment(contract: Contract) -> list[str]:
    """AIP-192: every service, method, message, field, oneof, enum and value says what it is."""
    missing = []
    for file in contract.files:
        documented = {tuple(at.path) for at in file.source_code_info.location if at.leading_comments.strip()}
        missing += [name for path, name in _elements(file) if path not in documented]
    return missing


def every_file_has_one_service_named_after_it_or_none(contract: Contract) -> list[str]:
    """`placement_service.proto` holds PlacementService and what only it needs."""
    wrong = []
    for file in contract.files:
        stem = Path(file.name).stem
        expected = ["".join(part.title() for part in stem.split("_"))] if stem.endswith("_service") else []
        if [service.name for service in file.service] != expected:
            wrong.append(file.name)
    return wrong


def files_lie_where_their_package_says(contract: Contract) -> list[str]:
    """AIP-191, and generated Python imports need no rewriting."""
    folder = contract.package.replace(".", "/")
    return [f.name for f in contract.files if f.package != contract.package or str(Path(f.name).parent) != folder]


def requests_are_named_after_their_method(contract: Contract) -> list[str]:
    """Every method has a request of its own, so that it can grow by itself."""
    return [m.name for m in contract.methods if m.input_type != f".{contract.package}.{m.name}Request"]


def lists_have_pages(contract: Contract) -> list[str]:
    """AIP-158: page_size, page_token, next_page_token, and the items first in the reply."""
    wrong = []
    for method, _ in contract.verbs("List"):
        fields = contract.request(method)
        reply = contract.messages[method.output_type].field
        types = [(name, fields[name].type) for name in ("page_size", "page_token") if name in fields]
        if (
            types != [("page_size", F.TYPE_INT32), ("page_token", F.TYPE_STRING)]
            or not any(each.name == "next_page_token" and each.type == F.TYPE_STRING for each in reply)
            or reply[0].label != F.LABEL_REPEATED
        ):
            wrong.append(method.name)
    return wrong


def lists_have_a_filter(contract: Contract) -> list[str]:
    """AIP-160: one string named filter."""
    return [
        method.name
        for method, _ in contract.verbs("List")
        if contract.request(method).get("filter", F()).type != F.TYPE_STRING
    ]


def lists_and_gets_do_not_stream(contract: Contract) -> list[str]:
    """AIP-131, 132, 158."""
    return [m.name for m, _ in contract.verbs("List", "Get") if m.client_streaming or m.server_streaming]


def resources_start_with_their_name(contract: Contract) -> list[str]:
    """AIP-122, 123: field 1 is `string name`, an identifier."""
    wrong = []
    for full_name in contract.resources:
        first = contract.messages[full_name].field[0]
        is_name = (first.name, first.number, first.type) == ("name", 1, F.TYPE_STRING)
        if not is_name or field_behavior_pb2.IDENTIFIER not in _behaviour(first):
            wrong.append(full_name)
    return wrong


def resources_say_their_type_and_patterns(contract: Contract) -> list[str]:
    """AIP-123: `trimtab.dev/Kind`, lower-camel plural collections, singular and plural."""
    wrong = []
    for full_name, resource in contract.resources.items():
        kind = full_name.rpartition(".")[2]
        collection = resource.plural
        good = (
            resource.type == f"trimtab.dev/{kind}"
            and resource.singular == kind[:1].lower() + kind[1:]
            and resource.pattern
            and all(f"{collection}/{{" in pattern for pattern in resource.pattern)
        )
        if not good:
            wrong.append(full_name)
    return wrong


def what_has_a_name_is_a_resource(contract: Contract) -> list[str]:
    """AIP-131: a Get by name answers with an annotated resource."""
    return [
        method.name
        for method, _ in contract.verbs("Get")
        if "name" in contract.request(method) and method.output_type not in contract.resources
    ]


def changes_carry_a_request_id(contract: Contract) -> list[str]:
    """AIP-155: a call that changes something may be repeated safely."""
    return [
        method.name
        for method in contract.methods
        if not method.name.startswith(READ_ONLY)
        and contract.request(method).get("request_id", F()).type != F.TYPE_STRING
    ]


def creates_take_parent_id_and_resource(contract: Contract) -> list[str]:
    """AIP-133."""
    wrong = []
    for method, noun in contract.verbs("Create"):
        snake = _snake(noun)
        missing = {"parent", f"{snake}_id", snake} - contract.request(method).keys()
        if missing or method.output_type not in contract.resources:
            wrong.append(method.name)
    return wrong


def updates_and_deletes_are_guarded_by_an_etag(contract: Contract) -> list[str]:
    """AIP-134, 135, 154: Update takes and returns the resource with its etag; Delete takes the etag, returns Empty."""
    wrong = []
    for method, noun in contract.verbs("Update"):
        body = contract.request(method).get(_snake(noun), F()).type_name
        resource = contract.messages.get(body, DescriptorProto())
        if body != method.output_type or not any(each.name == "etag" for each in resource.field):
            wrong.append(method.name)
    for method, _ in contract.verbs("Delete"):
        if "etag" not in contract.request(method) or method.output_type != ".google.protobuf.Empty":
            wrong.append(method.name)
    return wrong


def what_callers_send_has_field_behavior(contract: Contract) -> list[str]:
    """AIP-203: every field that a caller may send says whether it must."""
    return [
        f"{name}.{each.name}"
        for name in sorted(contract.reachable_from_requests)
        for each in contract.messages[name].field
        if sum(kind in _behaviour(each) for kind in EXCLUSIVE) != 1
    ]


def names_and_parents_refer_to_resources(contract: Contract) -> list[str]:
    """AIP-122: `name` and `parent` of a request are references, and every reference is to a resource that exists."""
    known = {resource.type for resource in contract.resources.values()}
    wrong = []
    for full_name, message in contract.messages.items():
        for each in message.field:
            reference: resource_pb2.ResourceReference = each.options.Extensions[REFERENCE]
            target = reference.type or reference.child_type
            needed = full_name.endswith("Request") and each.name in {"name", "parent"}
            if (needed and not target) or (target and target not in known):
                wrong.append(f"{full_name}.{each.name}")
    return wrong


def enums_start_unspecified(contract: Contract) -> list[str]:
    """AIP-126."""
    return [
        enum.name
        for enum in contract.enums
        if not (enum.value[0].number == 0 and enum.value[0].name == f"{_snake(enum.name).upper()}_UNSPECIFIED")
    ]


def money_is_never_a_float(contract: Contract) -> list[str]:
    """Prices, costs and amounts are google.type.Money or whole micros; a ratio of them is named a fraction."""
    return [
        f"{name}.{each.name}"
        for name, message in contract.messages.items()
        for each in message.field
        if each.type in {F.TYPE_DOUBLE, F.TYPE_FLOAT} and re.search(r"price|cost|amount|budget|usd", each.name)
    ]


def method_names_have_no_prepositions(contract: Contract) -> list[str]:
    """AIP-136."""
    return [m.name for m in contract.methods if PREPOSITIONS & set(re.findall(r"[A-Z][a-z]*", m.name))]


def field_names_are_no_python_keywords(contract: Contract) -> list[str]:
    """A field named `from` could be set through setattr only."""
    return [
        f"{name}.{each.name}"
        for name, message in contract.messages.items()
        for each in message.field
        if keyword.iskeyword(each.name)
    ]


RULES: tuple[Rule, ...] = (
    everything_has_a_comment,
    every_file_has_one_service_named_after_it_or_none,
    files_lie_where_their_package_says,
    requests_are_named_after_their_method,
    lists_have_pages,
    lists_have_a_filter,
    lists_and_gets_do_not_stream,
    resources_start_with_their_name,
    resources_say_their_type_and_patterns,
    what_has_a_name_is_a_resource,
    changes_carry_a_request_id,
    creates_take_parent_id_and_resource,
    updates_and_deletes_are_guarded_by_an_etag,
    what_callers_send_has_field_behavior,
    names_and_parents_refer_to_resources,
    enums_start_unspecified,
    money_is_never_a_float,
    method_names_have_no_prepositions,
    field_names_are_no_python_keywords,
)


def _behaviour(each: FieldDescriptorProto) -> Sequence[int]:
    return tuple(each.options.Extensions[BEHAVIOUR])


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _elements(file: FileDescriptorProto) -> Iterator[tuple[tuple[int, ...], str]]:
    """Path in the source info (field numbers of descriptor.proto) and name of all that needs a comment."""
    for s, service in enumerate(file.service):
        yield (6, s), service.name
        yield from (((6, s, 2, m), f"{service.name}.{method.name}") for m, method in enumerate(service.method))
    yield from _enum_elements((5,), file.enum_type)
    pending: list[tuple[tuple[int, ...], DescriptorProto]] = [
        ((4, m), message) for m, message in enumerate(file.message_type)
    ]
    while pending:
        path, message = pending.pop()
        if message.options.map_entry:
            continue
        yield path, message.name
        yield from (((*path, 2, f), f"{message.name}.{each.name}") for f, each in enumerate(message.field))
        for o, oneof in enumerate(message.oneof_decl):
            if not any(each.proto3_optional and each.oneof_index == o for each in message.field):
                yield (*path, 8, o), f"{message.name}.{oneof.name}"
        yield from _enum_elements((*path, 4), message.enum_type)
        pending += [((*path, 3, n), nested) for n, nested in enumerate(message.nested_type)]


def _enum_elements(
    prefix: tuple[int, ...], enums: Sequence[EnumDescriptorProto]
) -> Iterator[tuple[tuple[int, ...], str]]:
    for e, enum in enumerate(enums):
        yield (*prefix, e), enum.name
        yield from (((*prefix, e, 2, v), f"{enum.name}.{value.name}") for v, value in enumerate(enum.value))
