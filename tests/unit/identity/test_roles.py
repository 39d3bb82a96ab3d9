"""What roles include, how grants add up, and what configuration and claims make of them."""

import pytest

from trimtab_service.domain.identity import Grant, Principal, Role, principal, project_of
from trimtab_service.identity.mapping import grants_from_claims
from trimtab_service.settings_values import GrantRule

VISION_VIEWER = Grant("vision", frozenset({Role.VIEWER}))


def test_operating_and_approving_are_separate_duties() -> None:
    """Neither of the two includes the other; only admin has both."""
    assert Role.APPROVER not in Role.OPERATOR.includes
    assert Role.OPERATOR not in Role.APPROVER.includes
    assert Role.SCHEDULER not in Role.APPROVER.includes
    assert Role.ADMIN.includes == frozenset(Role)


def test_grants_of_one_project_add_up_and_stay_there() -> None:
    """Two grants join in their project and say nothing of another."""
    who = principal("ana", [VISION_VIEWER, Grant("vision", frozenset({Role.APPROVER}))])
    assert who.may(Role.APPROVER, "vision")
    assert not who.may(Role.VIEWER, "speech")
    assert not who.may_everywhere(Role.VIEWER)
    assert who.projects(Role.VIEWER) == frozenset({"vision"})


def test_deployment_wide_grant_reaches_every_project() -> None:
    """`*` is all projects, also those not yet known."""
    who = principal("root", [Grant("*", frozenset({Role.OPERATOR}))])
    assert who.may(Role.SCHEDULER, "born-tomorrow")
    assert who.projects(Role.VIEWER) is None
    assert not who.may(Role.APPROVER, "vision")


def test_nobody_without_a_grant_may_anything() -> None:
    """Deny by default."""
    who = Principal("stranger", {})
    assert not any(who.may_somewhere(role) for role in Role)


@pytest.mark.parametrize(
    ("name", "project"),
    [
        ("projects/a", "a"),
        ("projects/a/decisions/1", "a"),
        ("projects/", None),
        ("projects//x", None),
        ("project/a", None),
        ("", None),
        ("policies/x", None),
    ],
)
def test_project_is_read_from_names_of_that_form_only(name: str, project: str | None) -> None:
    """Anything else names no project."""
    assert project_of(name) == project


@pytest.mark.parametrize(
    ("claims", "granted"),
    [
        ({"groups": ["x", "ml"]}, True),
        ({"groups": "ml"}, True),
        ({"groups": "openid ml"}, True),
        ({"groups": "mlx"}, False),
        ({"groups": ["ML"]}, False),
        ({"groups": {"ml": True}}, False),
        ({"groups": [7, None]}, False),
        ({}, False),
    ],
)
def test_claim_grants_by_exact_value(claims: dict[str, object], granted: bool) -> None:
    """One value, words, or a list; never a part of a word or another shape."""
    rule = GrantRule("claim", "groups", "ml", VISION_VIEWER)
    assert bool(grants_from_claims([rule], claims)) is granted


def test_roles_claim_carries_projects_and_ignores_what_it_does_not_know() -> None:
    """Entries of other systems in the same claim give nothing and break nothing."""
    claims = {"roles": ["vision:scheduler", "*:viewer", "vision:king", "scheduler", ":viewer", "a:b:operator"]}
    found = grants_from_claims([], claims, "roles")
    assert [(g.project, *g.roles) for g in found] == [
        ("vision", Role.SCHEDULER),
        ("*", Role.VIEWER),
        ("a:b", Role.OPERATOR),
    ]
