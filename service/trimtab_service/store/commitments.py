"""Owned commitments. What they were at an earlier revision is folded from the journal."""

from typing import Final

from trimtab_service.domain.filters import FieldKind
from trimtab_service.store.filters import Filterable
from trimtab_service.store.journal import JournalKind
from trimtab_service.store.resources import ResourceKind
from trimtab_service.store.tables import COMMITMENTS

COMMITMENT: Final = ResourceKind(
    noun="commitment",
    journal_kind=JournalKind.COMMITMENT,
    table=COMMITMENTS,
    versions=None,
    fields={
        "cloud": Filterable(FieldKind.TEXT, COMMITMENTS.c.cloud),
        "kind": Filterable(FieldKind.TEXT, COMMITMENTS.c.kind),
        "region": Filterable(FieldKind.TEXT, COMMITMENTS.c.region),
        "family": Filterable(FieldKind.TEXT, COMMITMENTS.c.family),
        "instance_type": Filterable(FieldKind.TEXT, COMMITMENTS.c.instance_type),
        "end_time": Filterable(FieldKind.TIMESTAMP, COMMITMENTS.c.end_time),
    },
)
"""Indexed columns of a draft: all of the fields above, by the same names."""
