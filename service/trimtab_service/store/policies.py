"""Policies: resources that keep every version, because a decision is replayed under the policy it had."""

from typing import Final

from trimtab_service.domain.filters import FieldKind
from trimtab_service.store.filters import Filterable
from trimtab_service.store.journal import JournalKind
from trimtab_service.store.resources import ResourceKind
from trimtab_service.store.tables import POLICIES, POLICY_VERSIONS

POLICY: Final = ResourceKind(
    noun="policy",
    journal_kind=JournalKind.POLICY,
    table=POLICIES,
    versions=POLICY_VERSIONS,
    fields={
        "disabled": Filterable(FieldKind.BOOLEAN, POLICIES.c.disabled),
        "create_time": Filterable(FieldKind.TIMESTAMP, POLICIES.c.create_time),
        "update_time": Filterable(FieldKind.TIMESTAMP, POLICIES.c.update_time),
    },
)
"""Indexed columns of a draft: `disabled` (bool)."""
