"""Who calls, and what that caller may do in which project.

Five roles. Approving is kept apart from operating on purpose: whoever prepares a change must not be the
one who approves it, so `operator` does not include `approver`, nor the other way round.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

EVERY_PROJECT = "*"
"""The project key of a deployment-wide grant."""

PROJECT_PREFIX = "projects/"


class Role(Enum):
    """What a caller may do; the value is the name in configuration and tokens."""

    VIEWER = "viewer"
    SCHEDULER = "scheduler"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"

    # Enum's own hash is a Python function; identity is right for a singleton and three times cheaper per call.
    __hash__ = object.__hash__

    @property
    def includes(self) -> frozenset["Role"]:
        """The role itself and every role whose rights it carries."""
        return _INCLUDES[self]

    @property
    def meaning(self) -> str:
        """One sentence for the documentation."""
        return _MEANING[self]


_INCLUDES: Mapping[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.SCHEDULER: frozenset({Role.SCHEDULER, Role.VIEWER}),
    Role.OPERATOR: frozenset({Role.OPERATOR, Role.SCHEDULER, Role.VIEWER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.VIEWER}),
    Role.ADMIN: frozenset(Role),
}

_MEANING: Mapping[Role, str] = {
    Role.VIEWER: "Reads resources; changes nothing.",
    Role.SCHEDULER: "Asks for decisions, reserves room and reports outcomes; includes viewer.",
    Role.OPERATOR: "Changes policies, commitments and the catalogue; includes scheduler and viewer.",
    Role.APPROVER: "Approves what an operator prepared; includes viewer only, so that duties stay separate.",
    Role.ADMIN: "Everything; includes all other roles.",
}

_NONE: frozenset[Role] = frozenset()


@dataclass(frozen=True, slots=True)
class Grant:
    """Roles in one project, or in every project and the deployment itself when `project` is `*`."""

    project: str
    roles: frozenset[Role]

    def __post_init__(self) -> None:
        """A grant without a project or a role is a mistake of configuration, not an empty right."""
        if not self.project:
            raise ValueError("a grant names a project, or * for all")
        if not self.roles:
            raise ValueError("a grant names at least one role")


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `roles` maps a project id, or `*`, to every role held there, inclusions expanded."""

    subject: str
    roles: Mapping[str, frozenset[Role]]
    everywhere: frozenset[Role] = _NONE

    def may(self, role: Role, project: str) -> bool:
        """Whether the caller holds `role` in `project`, by a grant there or deployment-wide."""
        return role in self.everywhere or role in self.roles.get(project, _NONE)

    def may_everywhere(self, role: Role) -> bool:
        """Whether the caller holds `role` over the whole deployment."""
        return role in self.everywhere

    def may_somewhere(self, role: Role) -> bool:
        """Whether the caller holds `role` in at least one project."""
        return role in self.everywhere or any(role in held for held in self.roles.values())

    def projects(self, role: Role) -> frozenset[str] | None:
        """The projects where the caller holds `role`; None means every project."""
        if role in self.everywhere:
            return None
        return frozenset(p for p, held in self.roles.items() if role in held)


def principal(subject: str, grants: Iterable[Grant]) -> Principal:
    """Fold grants into a principal: roles of one project add up, and each brings the roles it includes."""
    held: dict[str, set[Role]] = {}
    for grant in grants:
        roles = held.setdefault(grant.project, set())
        for role in grant.roles:
            roles |= role.includes
    everywhere = frozenset(held.pop(EVERY_PROJECT, set()))
    return Principal(subject, {project: frozenset(roles) for project, roles in held.items()}, everywhere)


def project_of(resource_name: str) -> str | None:
    """The project id in `projects/{project}` or `projects/{project}/...`; None when the name has another form."""
    if not resource_name.startswith(PROJECT_PREFIX):
        return None
    start = len(PROJECT_PREFIX)
    end = resource_name.find("/", start)
    project = resource_name[start:] if end < 0 else resource_name[start:end]
    return project or None
