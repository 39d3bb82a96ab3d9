"""Tags of AWS resources: who they belong to, and what they forbid."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

from trimtab_service.clouds.accounts import CloudAccount

PROTECTED_TAG: Final = "trimtab:protected"
"""Forbids changes, unless its value is `false`."""

Tags = tuple[tuple[str, str], ...]


class Labels(TypedDict):
    """The fields of a CloudResource that come from its tags."""

    tags: Tags
    team: str
    workload_id: str


def tags_of(listed: Sequence[Mapping[str, Any]] | None) -> Tags:
    """AWS's list of Key and Value as sorted pairs."""
    return tuple(sorted((str(tag["Key"]), str(tag.get("Value", ""))) for tag in listed or ()))


def labels(tags: Tags, account: CloudAccount) -> Labels:
    """Tags, and the team and workload that the account's `team_tag` and `workload_tag` say."""
    by_key = dict(tags)
    return {
        "tags": tags,
        "team": by_key.get(account.team_tag, ""),
        "workload_id": by_key.get(account.workload_tag, ""),
    }


def protected(tags: Tags) -> bool:
    """Whether the tag forbids changes."""
    return any(key == PROTECTED_TAG and value.lower() != "false" for key, value in tags)
