"""What the journal says happened, as types, and its JSON payloads.

The store writes each change as one entry of a kind with a JSON object (`parse_event` reads it, `event_payload`
writes the same). Bodies carry their form as `v`; what is of a newer form, or of a kind that is not known here,
is of a newer version of trimtab and reads as None: a reader passes over it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from trimtab_service.domain.commitments import Commitment
from trimtab_service.domain.documents import from_document, to_document
from trimtab_service.domain.outcomes import Outcome
from trimtab_service.domain.policy import PolicyContent

FORM: Final = 1
"""Form of the bodies below. A reader refuses newer ones; added optional fields do not need a new form."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class OutcomesReported:
    """Outcomes of one report, in its order."""

    outcomes: tuple[Outcome, ...]
    decision_id: str = ""


@dataclass(frozen=True, slots=True)
class CommitmentChanged:
    """A commitment came or changed, or (None) went."""

    commitment_id: str
    commitment: Commitment | None


@dataclass(frozen=True, slots=True)
class RoomDrawn:
    """A decision drew amounts (milli-units) from rooms (by key) until `expire_time`."""

    decision_id: str
    draws: tuple[tuple[str, int], ...]
    expire_time: datetime
    create_time: datetime


@dataclass(frozen=True, slots=True)
class RoomReleased:
    """A decision gave back all it had drawn."""

    decision_id: str


@dataclass(frozen=True, slots=True)
class PolicyChanged:
    """A policy came or changed, or (None) went. `parent` is its level: empty for the deployment."""

    parent: str
    policy_id: str
    content: PolicyContent | None


@dataclass(frozen=True, slots=True)
class CatalogSwitched:
    """Another version of the catalogue came in force."""

    version: str


Event = OutcomesReported | CommitmentChanged | RoomDrawn | RoomReleased | PolicyChanged | CatalogSwitched

OUTCOME: Final = "outcome"
POLICY: Final = "policy"
COMMITMENT: Final = "commitment"
RESERVATION: Final = "reservation"
CATALOG: Final = "catalog"
"""Kinds of journal entries, as the store names them."""


def body(value: Outcome | Commitment | PolicyContent) -> dict[str, Any]:
    """The JSON object that a resource or an outcome is stored as."""
    return {"v": FORM, **to_document(value)}


def parse_event(kind: str, payload: Mapping[str, Any], create_time: datetime) -> Event | None:
    """The event of a journal entry; None for kinds, actions and forms that are not known.

    Raises ValueError when the payload is of a known form and yet not right: the journal is damaged.
    """
    try:
        match kind:
            case "outcome":
                return _outcomes(payload)
            case "commitment":
                return _commitment(payload)
            case "policy":
                return _policy(payload)
            case "reservation":
                return _reservation(payload, create_time)
            case "catalog":
                return CatalogSwitched(payload["version"])
            case _:
                return None
    except KeyError as error:
        raise ValueError(f"journal entry of kind {kind} without {error}") from error


def event_payload(event: Event) -> tuple[str, dict[str, Any]]:
    """Kind and payload of an event, as the store writes them."""
    match event:
        case OutcomesReported():
            return OUTCOME, {"decision_id": event.decision_id, "outcomes": [body(o) for o in event.outcomes]}
        case CommitmentChanged():
            return COMMITMENT, _change("", event.commitment_id, event.commitment)
        case PolicyChanged():
            return POLICY, _change(event.parent, event.policy_id, event.content)
        case RoomDrawn():
            return RESERVATION, {
                "action": "draw",
                "decision_id": event.decision_id,
                "draws": [list(draw) for draw in event.draws],
                "expire_time_us": (event.expire_time - _EPOCH) // _MICROSECOND,
            }
        case RoomReleased():
            return RESERVATION, {"action": "release", "decision_id": event.decision_id}
        case CatalogSwitched():
            return CATALOG, {"version": event.version}


def _change(parent: str, resource_id: str, content: Commitment | PolicyContent | None) -> dict[str, Any]:
    action = "delete" if content is None else "update"
    return {"action": action, "parent": parent, "id": resource_id, "body": None if content is None else body(content)}


def _is_known(document: Mapping[str, Any]) -> bool:
    return bool(document.get("v", FORM) <= FORM)


def _outcomes(payload: Mapping[str, Any]) -> OutcomesReported | None:
    documents = payload["outcomes"]
    if not all(_is_known(document) for document in documents):
        return None
    outcomes = tuple(from_document(Outcome, document) for document in documents)
    return OutcomesReported(outcomes, payload.get("decision_id", ""))


def _commitment(payload: Mapping[str, Any]) -> CommitmentChanged | None:
    document = payload["body"]
    if payload["action"] == "delete":
        return CommitmentChanged(payload["id"], None)
    return CommitmentChanged(payload["id"], from_document(Commitment, document)) if _is_known(document) else None


def _policy(payload: Mapping[str, Any]) -> PolicyChanged | None:
    document = payload["body"]
    if payload["action"] == "delete":
        return PolicyChanged(payload["parent"], payload["id"], None)
    if not _is_known(document):
        return None
    return PolicyChanged(payload["parent"], payload["id"], from_document(PolicyContent, document))


def _reservation(payload: Mapping[str, Any], create_time: datetime) -> RoomDrawn | RoomReleased | None:
    match payload["action"]:
        case "draw":
            return RoomDrawn(
                payload["decision_id"],
                tuple((str(key), int(amount)) for key, amount in payload["draws"]),
                _EPOCH + _MICROSECOND * payload["expire_time_us"],
                create_time,
            )
        case "release":
            return RoomReleased(payload["decision_id"])
        case _:
            return None
