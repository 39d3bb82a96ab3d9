"""Remembers decisions: schedulers ask for the same few shapes thousands of times.

A decision is a function of the request, the catalogue, the policies, the project's state and the instant. One that
does not depend on the time of day (`placement.stability`) is kept until any of the others is another object, and
given again under a new name. The bytes are those that deciding anew would give: replay, which never looks
here, proves it for every logged decision.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from trimtab.v1 import placement_service_pb2 as pb
from trimtab_service.placement.engine import VALID_FOR
from trimtab_service.rpc.vocabulary import set_timestamp
from trimtab_service.rpc.world import View
from trimtab_service.store.decisions import DecisionRecord

_MOST_PROJECTS: Final = 256
_HEAD: Final = ("name", "verdict", "create_time", "valid_until")
"""Fields 1 to 4 of `Decision`: fields are written in the order of their numbers, so these bytes come first."""
_MOST_IN_ALL: Final = 16_384
"""Decisions of all projects together, counted as they are kept: at some 8 KB each, 128 MiB at the most."""

_LARGEST_BYTES: Final = 2_048
"""Of a workload: larger ones are rarely asked for twice, and a caller must not fill the memory with them."""

Key = tuple[bytes, int]
"""The workload's canonical bytes, and how many fallbacks are wanted: -1 when the request does not say."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A logged decision, and its message behind the name and the times, which come first on the wire."""

    record: DecisionRecord
    rest: bytes
    verdict: "pb.Decision.Verdict.ValueType"

    def again(self, request: bytes, project: str, instant: datetime, decision_id: str) -> DecisionRecord:
        """The record of the same decision made at `instant` under another id. Its response is what deciding gives."""
        until = instant + VALID_FOR
        head = pb.Decision(name=f"projects/{project}/decisions/{decision_id}", verdict=self.verdict)
        set_timestamp(head.create_time, instant)
        set_timestamp(head.valid_until, until)
        return self.record._replace(
            decision_id=decision_id,
            create_time=instant,
            valid_until=until,
            request=request,
            response=head.SerializeToString(deterministic=True) + self.rest,
        )


class _Scope:
    """The decisions of one project for one state of the world and one day."""

    __slots__ = ("day", "decisions", "view")

    def __init__(self, view: View, day: int) -> None:
        self.view = view
        self.day = day
        self.decisions: dict[Key, Kept] = {}

    def is_of(self, view: View, day: int) -> bool:
        """Whether nothing that a decision reads has changed. The scope holds the objects, so identity is safe."""
        own = self.view
        return (
            self.day == day
            and own.state is view.state
            and own.policies is view.policies
            and own.snapshot is view.snapshot
        )


class DecisionMemo:
    """Bounded per project and in projects; emptied when full, which a hot set survives. Threads may share it."""

    def __init__(self, most: int) -> None:
        """Keep at most `most` decisions a project; 0 keeps none."""
        self._most = most
        self._scopes: dict[str, _Scope] = {}
        self._count = 0
        self._snapshot: object = None

    @property
    def keeps(self) -> bool:
        """Whether it remembers at all."""
        return self._most > 0

    def find(self, key: Key, view: View, project: str, instant: datetime) -> Kept | None:
        """The decision that the request of this key gives at `instant`, when it is known."""
        scope = self._scopes.get(project)
        if scope is None or not scope.is_of(view, instant.toordinal()):
            return None
        return scope.decisions.get(key)

    def keep(
        self,
        key: Key,
        view: View,
        project: str,
        instant: datetime,
        record: DecisionRecord,
    ) -> None:
        """Remember a decision that depends on nothing but the view and the day. The caller has checked that."""
        if not self._most or len(key[0]) > _LARGEST_BYTES:
            return
        scope = self._scopes.get(project)
        if scope is None or not scope.is_of(view, instant.toordinal()):
            scope = _Scope(view, instant.toordinal())
            if len(self._scopes) >= _MOST_PROJECTS or self._snapshot is not view.snapshot:
                self._forget()  # a project that asks no more must not keep an old catalogue in memory
                self._snapshot = view.snapshot
            self._scopes[project] = scope
        if len(scope.decisions) >= self._most:
            scope.decisions.clear()
        if self._count >= _MOST_IN_ALL:
            self._forget()
            scope.decisions.clear()
            self._scopes[project] = scope
        self._count += 1
        rest = pb.Decision.FromString(record.response)
        verdict = rest.verdict
        for field in _HEAD:
            rest.ClearField(field)
        scope.decisions[key] = Kept(record, rest.SerializeToString(deterministic=True), verdict)

    def _forget(self) -> None:
        self._scopes.clear()
        self._count = 0


def key_of(request: pb.PlaceRequest) -> Key | None:
    """What a request's decision is known by; None when the request says more, which would pass unchecked."""
    if request.request_id:
        return None
    fallbacks = request.max_fallbacks if request.HasField("max_fallbacks") else -1
    return request.workload.SerializeToString(deterministic=True), fallbacks
