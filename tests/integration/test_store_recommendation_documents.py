"""Contents of recommendations in the form they are kept in."""

from dataclasses import fields, replace

import pytest

from tests.support.findings import NOW, advice, content, option, resource, stopping
from trimtab_service.domain.resources import Capacity
from trimtab_service.recommendations.intake import content_of
from trimtab_service.store.recommendation_documents import content_bytes, newest_form, read_content


def test_the_form_of_a_content_is_that_of_its_dataclasses() -> None:
    """Who adds a field to one of them adds a form: positions never change their meaning."""
    for cls, names in newest_form().items():
        assert sorted(names) == sorted(field.name for field in fields(cls)), cls.__name__


def test_every_content_reads_back_as_it_was() -> None:
    """With all that a content may hold, and the same bytes for the same content."""
    rich = content_of(
        advice(
            resource(start_time=NOW, capacity=Capacity(1.5, None), running_hours_per_month=99.5),
            options=(option(limits=Capacity(2.0, 3.0), used_hours=(1, 2)), option(2, back_test=None)),
        ),
        "cw",
    )
    assert rich is not None
    for one in (content(), stopping(), rich, replace(content(), rightsizing_current=None, rolls_back="x")):
        assert read_content(content_bytes(one)) == one
        assert content_bytes(read_content(content_bytes(one))) == content_bytes(one)
    with pytest.raises(ValueError, match="content"):
        read_content(b"[1, [2]]")
