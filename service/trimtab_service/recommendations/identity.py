"""What makes two findings of two runs the same one, and which findings exclude one another."""

from typing import Final

from trimtab_service.domain.recommendations import Kind
from trimtab_service.domain.resources import CloudResource

PRECEDENCE: Final[tuple[Kind, ...]] = (
    Kind.ROLLBACK,
    Kind.STOP,
    Kind.RIGHTSIZE,
    Kind.SCHEDULE,
    Kind.MOVE,
    Kind.PURCHASE,
)
"""Which of an exclusive group counts: stop before rightsize before schedule before purchase. A rollback comes first,
for it is raised where something got worse; a move changes what a purchase is bought for."""

RANK: Final[dict[Kind, int]] = {kind: rank for rank, kind in enumerate(PRECEDENCE)}

SIZING_KINDS: Final = frozenset({Kind.STOP, Kind.RIGHTSIZE, Kind.SCHEDULE})
"""What one run of rightsizing decides between: advising one of them takes back the others on the same resource."""


def identity_of(kind: Kind, resource: CloudResource) -> str:
    """The finding's identity: kind, resource and the size it has.

    The size proposed is left out, so that a run which proposes another one refreshes the same recommendation; the
    count is left out, because a group that scales has another one each time. A resource that got another size is a
    new question.
    """
    return f"{resource.key}#{kind}#{resource.instance_type}"


def exclusive_group_of(resource: CloudResource) -> str:
    """Everything that would change the same resource excludes each other."""
    return resource.key
