"""What cannot be registered: methods that nobody guards, nobody answers, or whose rule does not fit the request."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support import echo
from trimtab_service.domain.identity import Role
from trimtab_service.rpc.access import Access, Scope
from trimtab_service.rpc.service import Service, methods_of

ECHO = f"/{echo.NAME}/Echo"


def without(method: str) -> dict[str, Access]:
    """Echo's table without one method."""
    return {key: value for key, value in echo.ACCESS.items() if key != method}


def test_method_without_an_access_rule_is_refused() -> None:
    """Deny by default begins at registration."""
    with pytest.raises(ValueError, match="no entry in the access table"):
        methods_of(Service(echo.DESCRIPTOR, echo.Echo(), without(ECHO)))


def test_method_without_an_implementation_is_refused() -> None:
    """A forgotten method is found at start, not by a caller."""
    acts: dict[str, Any] = dict.fromkeys(("fail", "work", "hang", "pid", "watch", "upload", "administer"), print)
    with pytest.raises(ValueError, match=r"does not answer .*/Echo$"):
        methods_of(Service(echo.DESCRIPTOR, SimpleNamespace(**acts), echo.ACCESS))


def test_short_way_of_a_method_whose_requests_name_more_than_a_parent_is_refused() -> None:
    """It asks for the role on the parent alone, so a field that comes to name another project's resource closes it."""
    servicer = echo.Echo()
    servicer.plain_echo = print  # type: ignore[attr-defined] # as a servicer offers one
    with pytest.raises(ValueError, match="short way"):
        methods_of(Service(echo.DESCRIPTOR, servicer, echo.ACCESS))


@pytest.mark.parametrize(
    "access",
    [
        Access(Role.VIEWER, Scope.PROJECT, "no_such_field"),
        Access(Role.VIEWER, Scope.PROJECT, "reply_bytes"),
        Access(Role.VIEWER, Scope.PROJECT, "items.decision"),
        Access(Role.VIEWER, Scope.PROJECT, "parent.name"),
        Access(Role.VIEWER, Scope.PROJECT),
        Access(Role.VIEWER, Scope.DEPLOYMENT, "parent"),
    ],
)
def test_rule_that_does_not_fit_the_request_is_refused(access: Access) -> None:
    """A renamed field cannot quietly open a method."""
    with pytest.raises(ValueError, match=echo.NAME):
        methods_of(Service(echo.DESCRIPTOR, echo.Echo(), {**echo.ACCESS, ECHO: access}))
