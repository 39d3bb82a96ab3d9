"""Policies between the contract, the domain and the store.

A stored body holds a policy twice: as its author wrote it (`message`, in the contract's JSON, so that blocs and
the order of lists come back), and resolved (`PolicyContent`), so that no catalogue is needed to read it again and
a later catalogue cannot change what it means.
"""

from collections.abc import Iterable
from typing import Any, Final

import orjson
from google.protobuf import json_format

from trimtab.v1 import policy_service_pb2 as pb
from trimtab_service.domain.documents import from_document
from trimtab_service.domain.errors import InvalidArgumentError
from trimtab_service.domain.events import body
from trimtab_service.domain.policy import PolicyContent, PolicyDefinition
from trimtab_service.policy.conditions import compile_condition
from trimtab_service.policy.policy_set import PolicySet
from trimtab_service.rpc import bounds
from trimtab_service.rpc.fields import Violations
from trimtab_service.rpc.policy_codec import MAX_DESCRIPTION, parse_rules
from trimtab_service.rpc.vocabulary import Vocabulary, timestamp_of
from trimtab_service.store.resources import Draft, Resource

_AT: Final = "policy"


def parse_policy(message: pb.Policy, vocabulary: Vocabulary) -> PolicyContent:
    """The content of a policy.

    Raises:
        InvalidArgumentError: naming every field at fault; a condition with line and column.

    """
    found = Violations()
    description = bounds.text(found, f"{_AT}.description", message.description, MAX_DESCRIPTION)
    if message.condition:
        try:
            compile_condition(message.condition)
        except InvalidArgumentError as error:
            for violation in error.violations:
                found.add(violation.field, violation.reason, violation.description)
    rules = parse_rules(message.rules, vocabulary, found, f"{_AT}.rules")
    found.check()
    return PolicyContent(rules, message.condition, description, message.disabled)


def draft_of(message: pb.Policy, content: PolicyContent) -> Draft:
    """What is stored of a policy that was found right."""
    written = pb.Policy(
        description=message.description, condition=message.condition, rules=message.rules, disabled=message.disabled
    )
    shown = json_format.MessageToDict(written, preserving_proto_field_name=True)
    return Draft(orjson.dumps({**body(content), "message": shown}), {"disabled": content.disabled})


def definition_of(stored: Resource) -> PolicyDefinition:
    """The policy of a stored body."""
    return PolicyDefinition(stored.parent, stored.id, from_document(PolicyContent, orjson.loads(stored.body)))


def policies_of(stored: Iterable[Resource], revision: int) -> PolicySet:
    """The set that was in force at the journal revision of the last policy change, removals included."""
    return PolicySet.of((definition_of(resource) for resource in stored), revision)


def encode_policy(stored: Resource) -> pb.Policy:
    """The message of a stored policy: as it was written."""
    document: dict[str, Any] = orjson.loads(stored.body)
    message = json_format.ParseDict(document["message"], pb.Policy(), ignore_unknown_fields=True)
    message.name = f"{stored.parent}/policies/{stored.id}" if stored.parent else f"policies/{stored.id}"
    message.etag = stored.etag
    message.create_time.CopyFrom(timestamp_of(stored.create_time))
    message.update_time.CopyFrom(timestamp_of(stored.update_time))
    message.revision = stored.version
    return message
