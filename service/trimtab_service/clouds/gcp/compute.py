"""Compute Engine's lists and changes, asked for with patience."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from trimtab_service.clouds.extras import sdk
from trimtab_service.clouds.gcp.faults import EXTRA, translated
from trimtab_service.clouds.patience import Patience, source_failed

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

T = TypeVar("T")

_PAGE: Final = 500

_CLIENTS: Final[Mapping[str, str]] = {
    "instances": "Instances",
    "instance_group_managers": "InstanceGroupManagers",
    "region_instance_group_managers": "RegionInstanceGroupManagers",
    "instance_templates": "InstanceTemplates",
    "region_instance_templates": "RegionInstanceTemplates",
    "autoscalers": "Autoscalers",
    "region_autoscalers": "RegionAutoscalers",
    "zone_operations": "ZoneOperations",
    "region_operations": "RegionOperations",
    "global_operations": "GlobalOperations",
}
"""Clients of google.cloud.compute_v1 by the name of what they serve."""


@dataclass(frozen=True, slots=True)
class Compute:
    """One project's Compute Engine. Clients are made when they are first used, and are thread-safe.

    Answers are Google's own messages, whose types depend on the client: hence Any, narrowed by the callers.
    """

    project: str
    credentials: "Credentials"
    endpoint: str
    patience: Patience
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, name: str) -> Any:  # noqa: ANN401 - see the class
        """The client of a collection, over REST."""
        if name not in self._made:
            compute_v1 = sdk("google.cloud.compute_v1", EXTRA)
            options = {"api_endpoint": self.endpoint} if self.endpoint else None
            kind = getattr(compute_v1, f"{_CLIENTS[name]}Client")
            self._made[name] = kind(credentials=self.credentials, client_options=options, transport="rest")
        return self._made[name]

    def list_all(self, name: str, deadline: datetime) -> Iterator[Any]:
        """Everything of a collection in all zones and regions, page by page.

        Raises UnavailableError (SOURCE_FAILED) as soon as a page cannot be had, and also when the answer names a place
        that could not be reached: without it the list would be short.
        """
        token = ""
        while True:
            request = {
                "project": self.project,
                "max_results": _PAGE,
                "page_token": token,
            }
            page = self.ask(
                lambda timeout, request=request: next(  # type: ignore[misc] # mypy cannot infer a lambda with a bound default
                    iter(self.client(name).aggregated_list(request=request, retry=None, timeout=timeout).pages)
                ),
                f"listing {name.replace('_', ' ')}",
                deadline,
            )
            # A zone that does not answer must not read as a zone without instances. Templates are of no zone.
            silent = getattr(page, "unreachables", ())
            if silent:
                raise source_failed(f"listing {name.replace('_', ' ')}: {len(silent)} places did not answer")
            for _, scoped in sorted(page.items.items()):
                yield from getattr(scoped, name)
            token = page.next_page_token
            if not token:
                return

    def ask(self, call: Callable[[float], T], doing: str, deadline: datetime) -> T:
        """The answer of a call. Raises NotThereError, AlreadyThereError and UnavailableError (SOURCE_FAILED)."""
        return self.patience.ask(lambda timeout: translated(lambda: call(timeout), doing), deadline)


def last_part(url: str) -> str:
    """The name at the end of a resource URL."""
    return url.rpartition("/")[2]
