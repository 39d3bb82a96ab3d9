"""Decides whether a principal may make a call, from the request's resource names alone.

It runs before any lookup, so the answer cannot tell whether another project's resource exists.
"""

from collections.abc import Callable, Iterator
from operator import attrgetter

from google.api import resource_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from trimtab_service.domain.errors import InvalidArgumentError, PermissionDeniedError, Violation
from trimtab_service.domain.identity import EVERY_PROJECT, PROJECT_PREFIX, Principal, project_of
from trimtab_service.domain.reasons import ErrorReason
from trimtab_service.rpc.access import Access, Scope

_ANY = "-"
_NAMED = (Scope.PROJECT, Scope.PROJECT_OR_DEPLOYMENT, Scope.PROJECT_OR_SHARED)

Names = Callable[[Message], Iterator[str]]


class Guard:
    """The compiled access rule of one method."""

    __slots__ = ("_access", "_governing", "_nested", "_role", "_scope", "method")

    def __init__(self, method: str, access: Access, request: Descriptor) -> None:
        """Compile the rule.

        Raises:
            ValueError: the rule names a field that the request does not have.

        """
        self.method = method
        self._access = access
        self._role = access.role
        self._scope = access.scope
        if (access.scope in _NAMED) != bool(access.field):
            raise ValueError(f"{method}: scope {access.scope.name} and field {access.field!r} do not go together")
        self._governing: Callable[[Message], str] | None = None
        if access.field:
            _require_text(method, request, access.field)
            self._governing = attrgetter(access.field)
        paths = [path for path in _reference_paths(request) if ".".join(f.name for f in path) != access.field]
        self._nested: tuple[Names, ...] = tuple(_reader(path) for path in paths)

    @property
    def names_others(self) -> bool:
        """Whether the request names resources beside the one that it governs."""
        return bool(self._nested)

    def admit(self, principal: Principal, request: Message) -> str:
        """Return the project that the request governs; empty when it governs the deployment.

        Raises:
            InvalidArgumentError: the governing field names no project where one is required.
            PermissionDeniedError: the role is not held where it must be.

        """
        project = "" if self._governing is None else self._admit_named(principal, self._governing(request))
        if self._governing is None:
            held = (
                principal.may_everywhere(self._role)
                if self._scope is Scope.DEPLOYMENT
                else principal.may_somewhere(self._role)
            )
            if not held:
                raise self._denied("")
        self._admit_nested(principal, request)
        return project

    def admit_more(self, principal: Principal, request: Message, project: str) -> None:
        """Check a later message of a stream whose first one governs `project`.

        Raises:
            InvalidArgumentError: it names another project to govern.
            PermissionDeniedError: it names a resource without the role there.

        """
        if self._governing is not None:
            name = self._governing(request)
            if name and project_of(name) != project:
                raise self._malformed(name)
        self._admit_nested(principal, request)

    def _admit_nested(self, principal: Principal, request: Message) -> None:
        for names in self._nested:
            for name in names(request):
                if name.startswith(PROJECT_PREFIX):
                    self._admit_project(principal, project_of(name) or _ANY)

    def _admit_named(self, principal: Principal, name: str) -> str:
        project = project_of(name)
        if project is not None:
            self._admit_project(principal, project)
            return project
        if self._scope is Scope.PROJECT or name.startswith(PROJECT_PREFIX):
            raise self._malformed(name)
        held = (
            principal.may_somewhere(self._role)
            if self._scope is Scope.PROJECT_OR_SHARED
            else principal.may_everywhere(self._role)
        )
        if not held:
            raise self._denied("")
        return ""

    def may(self, principal: Principal, project: str) -> bool:
        """Whether the principal holds the method's role in a project."""
        # A grant's key is `*` for the deployment, so the same word in a request must never reach that key.
        if project in {_ANY, EVERY_PROJECT}:
            return principal.may_everywhere(self._role)
        return principal.may(self._role, project)

    def _admit_project(self, principal: Principal, project: str) -> None:
        if not self.may(principal, project):
            raise self._denied(project)

    def _denied(self, project: str) -> PermissionDeniedError:
        where = f"on project {project}" if project else self._scope_text()
        return PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            f"the role {self._role.value} {where} is needed",
            metadata={"role": self._role.value, "project": project or EVERY_PROJECT, "method": self.method},
        )

    def _scope_text(self) -> str:
        return "in any project" if self._scope in {Scope.ANY_PROJECT, Scope.PROJECT_OR_SHARED} else "deployment-wide"

    def _malformed(self, name: str) -> InvalidArgumentError:
        reason = ErrorReason.BAD_FORMAT if name else ErrorReason.FIELD_REQUIRED
        return InvalidArgumentError([Violation(self._access.field, reason, "expected projects/{project}/...")])


def _require_text(method: str, request: Descriptor, path: str) -> None:
    message: Descriptor | None = request
    field: FieldDescriptor | None = None
    for name in path.split("."):
        field = None if message is None else message.fields_by_name.get(name)
        if field is None or field.is_repeated:
            raise ValueError(f"{method}: the request {request.full_name} has no single field {path}")
        message = field.message_type
    if field is None or field.type != FieldDescriptor.TYPE_STRING:
        raise ValueError(f"{method}: {path} of {request.full_name} is not a string")


def _reference_paths(
    message: Descriptor, above: tuple[FieldDescriptor, ...] = (), seen: frozenset[str] = frozenset()
) -> Iterator[tuple[FieldDescriptor, ...]]:
    """Yield the path to every string field that holds a resource name; a recursive type is entered once."""
    if message.full_name in seen:
        return
    own_name = message.GetOptions().HasExtension(resource_pb2.resource)
    for field in message.fields:
        path = (*above, field)
        if field.message_type is not None:
            if not field.message_type.GetOptions().map_entry:
                yield from _reference_paths(field.message_type, path, seen | {message.full_name})
        elif field.type == FieldDescriptor.TYPE_STRING and (
            field.GetOptions().HasExtension(resource_pb2.resource_reference) or (own_name and field.name == "name")
        ):
            yield path


def _reader(path: tuple[FieldDescriptor, ...]) -> Names:
    """Compile a path to a function that yields every non-empty name at it."""
    if not any(field.is_repeated for field in path):
        single: Callable[[Message], str] = attrgetter(".".join(field.name for field in path))

        def one(message: Message) -> Iterator[str]:
            name = single(message)
            if name:
                yield name

        return one

    head, rest = path[0], path[1:]
    below = _reader(rest) if rest else None

    def many(message: Message) -> Iterator[str]:
        value = getattr(message, head.name)
        entries = value if head.is_repeated else (value,)
        if below is None:
            yield from entries
        else:
            for entry in entries:
                yield from below(entry)

    return many
